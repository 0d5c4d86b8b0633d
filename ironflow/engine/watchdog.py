"""Names the step that blocks the event loop.

A thread asks the loop for a sign of life while steps run. When none comes in time it
looks where the loop's thread is: the step is the one whose attempt is on the stack.
"""

import sys
import threading
from types import FrameType
from typing import Final, final

import trio

from ironflow import limits
from ironflow.engine.log import log
from ironflow.engine.runtime import Runtime
from ironflow.engine.steps import Attempt

_LOOKS: Final = 2
_LOOK_S: Final = limits.LOOP_BLOCKED_US_MIN / 1_000_000 / _LOOKS


@final
class Watchdog:
    """`run` watches until it is cancelled. It does nothing while no step runs."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._alive = threading.Event()
        self._stop = threading.Event()
        self._loop_thread = 0

    async def run(self) -> None:
        """Watch the loop that this task runs on."""
        self._loop_thread = threading.get_ident()
        token = trio.lowlevel.current_trio_token()
        thread = threading.Thread(
            target=self._watch, args=(token,), name="ironflow-watchdog", daemon=True
        )
        thread.start()
        try:
            await trio.sleep_forever()
        finally:
            self._stop.set()

    def _watch(self, token: trio.lowlevel.TrioToken) -> None:
        while not self._stop.wait(_LOOK_S):
            if not self._runtime.attempts:
                continue
            self._alive.clear()
            try:
                token.run_sync_soon(self._alive.set)
            except trio.RunFinishedError:
                return
            self._wait_for_sign()

    def _wait_for_sign(self) -> None:
        """Wait for the loop, and name the step that is there all the time.

        On a busy machine the loop is late through no step's fault: each look then finds
        another one.
        """
        seen: Attempt | None = None
        looks = 0
        while not self._alive.wait(_LOOK_S) and not self._stop.is_set():
            attempt, line = self._step_on_stack()
            looks = looks + 1 if attempt is seen else 0
            seen = attempt
            if attempt is not None and looks == _LOOKS:
                _warn(attempt, line)

    def _step_on_stack(self) -> tuple[Attempt | None, str]:
        """Return the attempt that the loop's thread is making, and its line."""
        frame: FrameType | None = sys._current_frames().get(  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the only way to see another thread's stack
            self._loop_thread
        )
        line = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "?"
        while frame is not None:
            attempt = frame.f_locals.get("self")
            if isinstance(attempt, Attempt):
                return attempt, line
            frame = frame.f_back
        return None, line


def _warn(attempt: Attempt, line: str) -> None:
    log.warning(
        "step %r of run %s blocks the event loop for more than %d ms (at %s): make it"
        " a plain function, which runs in a thread, or await",
        attempt.perform.name,
        attempt.run_id,
        limits.LOOP_BLOCKED_US_MIN // 1000,
        line,
    )
