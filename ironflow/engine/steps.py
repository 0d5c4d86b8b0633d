"""One attempt of a step: run the user's function, say what is to be recorded."""

import inspect
import random
from collections.abc import Callable
from typing import Any, Final, cast, final

import msgspec
import trio

from ironflow import values
from ironflow.engine.activity import Activity
from ironflow.engine.alarms import Alarm
from ironflow.engine.asyncio_loop import ASYNCIO_CANCELLED
from ironflow.engine.current import ATTEMPTING
from ironflow.engine.left_behind import Key
from ironflow.engine.runtime import Runtime
from ironflow.errors import Cancelled
from ironflow.interpreter import outcomes
from ironflow.interpreter.turn import PerformStep
from ironflow.records import Draft

_draw: Final = random.SystemRandom().random  # jitter of retries: not part of a run


@final
class Attempt(msgspec.Struct, eq=False):
    """A step in the hand of its host, from when it is asked to its outcome.

    `scope` is the cancel scope of the task that makes it; the task enters it, because
    one scope serves many attempts one after the other. `is_left`: nobody waits for it any
    more. A Struct because one is made for every step: its defaults cost nothing.
    """

    runtime: Runtime
    run_id: str
    perform: PerformStep
    scope: trio.CancelScope | None = None
    stopped: bool = False  # no other attempt may follow
    interrupted: bool = False  # the running one was cancelled
    timed_out: bool = False
    is_cut: bool = False  # its scope is spent
    is_left: bool = False
    running: bool = False
    deadline: int = 0
    alarm: Alarm | None = None
    waiting: trio.CancelScope | None = None

    @property
    def activity(self) -> Activity:
        """Return what counts it: a test's clock lets a step sleep in virtual time."""
        return self.runtime.activity

    @property
    def is_simple(self) -> bool:
        """Say whether it is to be made at once, as nearly all are."""
        perform, runtime = self.perform, self.runtime
        return not (
            perform.at_most_once
            or perform.not_before
            or self.stopped
            or runtime.left_behind
            or runtime.closing
        )

    def stop(self, *, interrupt: bool) -> None:
        """Let no other attempt follow; `interrupt`: end a running one too."""
        self.stopped = True
        if self.waiting is not None:
            self.waiting.cancel()
        if interrupt:
            self.interrupted = True
            if self.running and self.scope is not None:
                self.is_cut = True
                self.scope.cancel()

    def leave(self) -> None:
        """End it if it has begun, and let nobody wait for it.

        Until it has really ended, no other attempt of its step begins in this engine.
        """
        self.is_left = True
        if self.running:
            self.runtime.left_behind.add(self._key, self)
        if self.scope is not None:
            self.is_cut = True
            self.scope.cancel()

    @property
    def _key(self) -> Key:
        return self.run_id, self.perform.id

    async def _wait(self, not_before: int) -> None:
        with trio.CancelScope() as self.waiting:
            await self.runtime.wait_until(not_before)
            await self.runtime.left_behind.wait(self._key)
        self.waiting = None

    async def wait_for_turn(self, *, is_ours: bool) -> Draft | None:
        """Wait out the backoff, and what an attempt before left behind.

        Returns the record of a step that was stopped before its turn came. `is_ours`:
        no process before this one can have begun the attempt.
        """
        runtime, perform = self.runtime, self.perform
        left = runtime.left_behind
        must_wait = self._key in left or perform.not_before > runtime.clock.now()
        if must_wait and not self.stopped:
            await self._wait(perform.not_before)
        if self.stopped and (is_ours or (must_wait and perform.last_error)):
            return outcomes.given_up(perform)
        while self._key in left and not self.interrupted:
            await self._wait(0)  # it is stopped, but has to be made to its end
        if self.interrupted:
            why = "it was cancelled, and nobody can say whether it had begun"
            return outcomes.in_doubt(perform, why)
        return None

    async def make(self) -> Draft:
        """Call the function and return the record of what came of it.

        In a context of its own: what the function sets in it stays in it.

        Raises:
            trio.Cancelled: its scope was cancelled: ask `cut_short` what to record,
                or nothing if the engine is shutting down.
        """
        perform, runtime = self.perform, self.runtime
        if perform.timeout_us:
            self._set_deadline()
        runtime.attempt_began()
        self.running = True
        ATTEMPTING.set(self)
        try:
            callee = runtime.callees.of(perform.fn, step=perform.name)
            if callee.where == "trio" and runtime.hooks is None:  # as most are
                value = await perform.fn(*perform.args)
            else:
                value = await self._value()
            payload = values.round_trip(value, callee.annotation, step=perform.name)
        except (Exception, Cancelled, ASYNCIO_CANCELLED) as error:
            return self._failed(error)
        except BaseExceptionGroup as group:
            return self._failed(_without_cancelled(group))
        else:
            return outcomes.completed(perform, payload)
        finally:
            self.running = False
            runtime.attempt_ended()
            if self.is_left or self.alarm is not None:
                self._end()

    def cut_short(self) -> Draft | None:
        """Return the record of an attempt whose scope was cancelled, if it has one."""
        if self.interrupted:
            return outcomes.in_doubt(
                self.perform, "it was cancelled while its function was running"
            )
        if self.timed_out:
            error = TimeoutError(
                f"the attempt did not end within {self.perform.timeout_us / 1e6:g} s"
            )
            return self._failed(error, in_doubt=True)
        return None

    def _end(self) -> None:
        self.runtime.left_behind.remove(self._key, self)
        if self.alarm is not None:
            self.alarm.cancel()

    def _set_deadline(self) -> None:
        self.deadline = self.runtime.clock.now() + self.perform.timeout_us
        self.alarm = self.runtime.alarms.set(self.deadline, self._time_out)

    def _time_out(self) -> None:
        if self.running and self.scope is not None:
            self.timed_out = self.is_cut = True
            self.scope.cancel()

    async def _value(self) -> Any:
        hooks = self.runtime.hooks
        if hooks is None:
            return await self._call(self.perform.fn)
        return await hooks.make(self.run_id, self.perform, self._call)

    async def _call(self, fn: Callable[..., Any]) -> Any:
        args, runtime = self.perform.args, self.runtime
        where = runtime.callees.of(fn, step=self.perform.name).where
        if where == "asyncio":
            return await runtime.asyncio_loop.run(fn, *args)
        if where == "trio":
            return await fn(*args)
        [value] = await self._in_thread(fn, args)
        # A lambda around an async function only makes its coroutine.
        return await value if inspect.iscoroutine(value) else value

    async def _in_thread(
        self, fn: Callable[..., Any], args: tuple[Any, ...]
    ) -> tuple[Any]:
        """Call a plain function in a thread; when cancelled, leave the thread behind.

        The value is in a tuple, because Trio refuses a coroutine from a thread.
        """
        place = _Place(self.runtime, self._key)
        try:
            return await trio.to_thread.run_sync(
                lambda: (fn(*args),),
                abandon_on_cancel=True,
                limiter=cast("trio.CapacityLimiter", place),
            )
        except trio.Cancelled:
            place.leave()
            raise

    def _failed(self, error: BaseException, *, in_doubt: bool = False) -> Draft:
        return outcomes.failed(
            self.perform,
            error,
            now=self.runtime.clock.now(),
            draw=_draw(),
            stopped=self.stopped,
            in_doubt=in_doubt,
        )


@final
class _Place:
    """The place of one thread among those of an engine, as Trio asks for it.

    Trio gives it back when the thread has ended, whether anybody waits for it or not.
    """

    def __init__(self, runtime: Runtime, key: Key) -> None:
        self._runtime: Final = runtime
        self._key: Final = key
        self._is_taken = False

    def leave(self) -> None:
        """Leave the thread behind, if there is one yet: it may have waited for a place."""
        if self._is_taken:
            self._runtime.left_behind.add(self._key, self)

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        """Wait for a place; the thread begins as soon as this returns."""
        await self._runtime.threads.acquire_on_behalf_of(borrower)
        self._is_taken = True

    def release_on_behalf_of(self, borrower: object) -> None:
        """The thread has ended."""
        self._is_taken = False
        self._runtime.threads.release_on_behalf_of(borrower)
        self._runtime.left_behind.remove(self._key, self)


def _without_cancelled(group: BaseExceptionGroup[BaseException]) -> Exception:
    """Return what a step raised from a nursery of its own, which was cancelled.

    Raises:
        BaseExceptionGroup: the group itself, if more is in it than a step may raise.
    """
    rest = group.split(trio.Cancelled)[1]
    if not isinstance(rest, ExceptionGroup):
        raise group
    return cast("ExceptionGroup[Exception]", rest)
