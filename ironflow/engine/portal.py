"""A thread with a Trio loop, for programs that do not run on Trio."""

import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final, Generic, TypeVar, final

import outcome
import trio

from ironflow.errors import EngineClosed

T = TypeVar("T")
OpenT = TypeVar("OpenT")


@final
class Portal(Generic[OpenT]):
    """A thread that runs what `open_it` opens, and takes calls from other threads."""

    def __init__(
        self, open_it: Callable[[], AbstractAsyncContextManager[OpenT]]
    ) -> None:
        self._open_it = open_it
        self._opened: Future[OpenT] = Future()
        self._ended: Future[None] = Future()
        for future in (self._opened, self._ended):
            future.set_running_or_notify_cancel()  # who waits may give up, not they
        self._stopping = threading.Event()
        self._stop = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None
        self._calls: set[Future[Any]] = set()
        self.thread: Final = threading.Thread(
            target=self._run, name="ironflow-engine", daemon=True
        )

    def start(self) -> Future[OpenT]:
        """Start the thread; the future is done when the engine is open."""
        self.thread.start()
        return self._opened

    def stop(self) -> Future[None]:
        """Close the engine; the future is done when it is closed, with its error."""
        self._stopping.set()  # for an engine that is not open yet
        if self._token is not None:
            # It may have ended before, by an error that the future holds.
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._stop.set)
        return self._ended

    def call(self, fn: Callable[[], Coroutine[Any, Any, T]]) -> "Future[T]":
        """Run `fn` in the engine's loop; cancelling the future cancels the call."""
        future: Future[T] = Future()
        self._calls.add(future)
        future.add_done_callback(self._calls.discard)

        def spawn() -> None:
            if self._nursery is None:
                _refuse(future)
            else:
                self._nursery.start_soon(self._answer, fn, future)

        try:
            if self._token is None or self._ended.done():
                raise trio.RunFinishedError
            self._token.run_sync_soon(spawn)
        except trio.RunFinishedError:
            _refuse(future)
        return future

    async def _answer(
        self, fn: Callable[[], Coroutine[Any, Any, T]], future: "Future[T]"
    ) -> None:
        scope = trio.CancelScope()
        token = self._token
        assert token is not None

        def cancelled(done: "Future[T]") -> None:
            if done.cancelled():
                with suppress(trio.RunFinishedError):
                    token.run_sync_soon(scope.cancel)

        future.add_done_callback(cancelled)
        result: outcome.Maybe[T] | None = None
        with scope:  # `acapture` catches the cancel too
            result = await outcome.acapture(_as_exception, fn)
        if not future.set_running_or_notify_cancel():
            return
        assert result is not None
        if isinstance(result, outcome.Value):
            future.set_result(result.value)
        elif isinstance(result.error, trio.Cancelled):
            future.set_exception(EngineClosed("the engine was closed meanwhile"))
        else:
            future.set_exception(result.error)

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:  # noqa: BLE001  it belongs to the caller's thread
            if not self._opened.done():
                self._opened.set_exception(error)
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)
        for call in tuple(self._calls):  # those that the loop did not come to
            _refuse(call)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with self._open_it() as engine, trio.open_nursery() as nursery:
            self._nursery = nursery
            self._opened.set_result(engine)
            try:
                if not self._stopping.is_set():
                    await self._stop.wait()
            finally:
                self._nursery = None  # while it closes, calls are refused
                nursery.cancel_scope.cancel()


def _refuse(call: "Future[Any]") -> None:
    with suppress(InvalidStateError):  # it was cancelled, or is answered already
        call.set_exception(EngineClosed("the engine is closed; start it again"))


async def _as_exception(fn: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return await fn()
