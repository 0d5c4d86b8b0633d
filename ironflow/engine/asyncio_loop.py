"""An asyncio loop for steps that need one: the caller's, or one thread of ours."""

import asyncio  # noqa: TID251  this file is the only one that knows asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, final

import outcome
import trio

# What a plain step may raise that runs a loop of its own; it is no Exception.
ASYNCIO_CANCELLED: Final = asyncio.CancelledError


@final
class AsyncioLoop:
    """Runs coroutines of asyncio for tasks of Trio.

    With `loop` it is the caller's, where the caller's pools live; otherwise a loop in
    a daemon thread is started when the first step needs one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop
        self._thread: threading.Thread | None = None

    async def run(self, fn: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
        """Run `fn(*args)` on the loop and return its result. A cancel reaches it."""
        loop = self._loop or self._start()
        token = trio.lowlevel.current_trio_token()
        task = trio.lowlevel.current_task()
        running: list[asyncio.Task[Any]] = []

        async def on_loop() -> None:
            current = asyncio.current_task()
            assert current is not None
            running.append(current)
            result = await outcome.acapture(fn, *args)
            token.run_sync_soon(trio.lowlevel.reschedule, task, result)

        def cancel() -> None:
            if running:
                running[0].cancel()
            else:
                loop.call_soon(cancel)  # it has been made but has not begun

        def abort(_: object) -> trio.lowlevel.Abort:
            # It ends when the coroutine has: its clean-up is part of the step.
            loop.call_soon_threadsafe(cancel)
            return trio.lowlevel.Abort.FAILED

        asyncio.run_coroutine_threadsafe(on_loop(), loop)
        try:
            return await trio.lowlevel.wait_task_rescheduled(abort)
        except asyncio.CancelledError:
            await trio.lowlevel.checkpoint_if_cancelled()
            raise RuntimeError("the asyncio step cancelled itself") from None

    def close(self) -> None:
        """Stop the loop that was started here."""
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._thread = None

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        self._loop = loop
        self._thread = threading.Thread(
            target=loop.run_forever, name="ironflow-asyncio", daemon=True
        )
        self._thread.start()
        return loop
