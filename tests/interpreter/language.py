"""The operations as test programs write them: `await step.run("charge", order)`.

Thin on purpose: what users write is `ironflow.authoring`, which has tests of its own.
A branch is a function without arguments; durations are seconds.
"""

import sys
from collections.abc import Awaitable, Callable, Iterable
from random import Random
from types import TracebackType
from typing import Any, Final

import msgspec

from ironflow.interpreter.operations import (
    MISSING,
    Child,
    ContinueAsNew,
    Fork,
    Invoke,
    JoinChild,
    Once,
    Operation,
    Publish,
    RunStep,
    SetAttributes,
    Sleep,
    UndoSaga,
    WaitForEvent,
)
from ironflow.interpreter.program import RunView
from ironflow.policy.retry import Retry
from ironflow.records import EventData

SECOND: Final = 1_000_000
INFO: Final = 20


def act(*args: object) -> Any:
    """Stand for the function of a step; the tests say what came of it."""


def undo_it(outcome: object) -> Any:
    """Stand for the function of an undo."""


def data_of(event: EventData) -> Any:
    """Return what an event carries."""
    return msgspec.msgpack.decode(event.data)


class Step:
    """What a test program may wait for and ask of its run."""

    def __init__(self, view: RunView) -> None:
        self.view = view

    def run(
        self,
        name: str,
        *args: object,
        fn: Callable[..., Any] = act,
        undo: bool = False,
        once: Once = "at_least",
        retry: Retry | None = None,
        timeout: int = 0,
    ) -> Operation[Any]:
        operation = RunStep[Any](
            name,
            fn,
            args,
            retry=retry,
            timeout_us=timeout * SECOND,
            once=once,
            undo=undo_it if undo else None,
        )
        return _placed(operation)

    def sleep(self, name: str, seconds: int) -> Operation[None]:
        return _placed(Sleep(name, duration_us=seconds * SECOND))

    def sleep_until(self, name: str, time: int) -> Operation[None]:
        return _placed(Sleep(name, until=time * SECOND))

    def wait(
        self,
        name: str,
        event: str,
        *,
        match: str = "",
        timeout: int = 0,
        look_back: bool = True,
        default: Any = MISSING,
    ) -> Operation[Any]:
        operation = WaitForEvent[Any](
            name,
            event,
            path=match,
            timeout_us=timeout * SECOND,
            look_back=look_back,
            default=default,
            convert=data_of,
        )
        return _placed(operation)

    def publish(self, topic: str, data: object = None) -> Operation[str]:
        return _placed(Publish(topic, data))

    def set_attributes(self, **changes: object) -> Operation[None]:
        return _placed(SetAttributes(changes))

    def invoke(
        self, function: str, data: object = None, *, timeout: int = 0
    ) -> Operation[Any]:
        return _placed(Invoke(function, data, timeout_us=timeout * SECOND))

    def start_child(
        self,
        function: str,
        data: object = None,
        *,
        timeout: int = 0,
        attached: bool = True,
    ) -> Operation[Any]:
        operation = Invoke(
            function,
            data,
            timeout_us=timeout * SECOND,
            awaited=False,
            attached=attached,
        )
        return _placed(operation)

    def result(self, child: Child) -> Operation[Any]:
        return _placed(JoinChild(child))

    def parallel(
        self,
        name: str,
        *branches: Callable[[], Awaitable[Any]],
        concurrency: int = 0,
        collect: bool = False,
    ) -> Operation[list[Any]]:
        operation = Fork[list[Any]](
            name, branches, concurrency=concurrency, collect=collect, finish=list
        )
        return _placed(operation)

    def map(
        self,
        name: str,
        items: Iterable[object],
        fn: Callable[[Any], Awaitable[Any]],
        *,
        concurrency: int = 0,
        collect: bool = False,
    ) -> Operation[list[Any]]:
        branches = [lambda item=item: fn(item) for item in items]
        operation = Fork[list[Any]](
            name, branches, concurrency=concurrency, collect=collect, finish=list
        )
        return _placed(operation)

    def continue_as_new(self, data: object) -> Operation[Any]:
        return _placed(ContinueAsNew(data))

    def saga(self) -> "Saga":
        return Saga(self.view)

    def compensate(self, name: str, *args: object) -> Any:
        self.view.compensate(name, undo_it, args)

    def patched(self, patch: str) -> bool:
        return self.view.patched(patch)

    def now(self) -> int:
        return self.view.now() // SECOND

    def random(self) -> Random:
        return self.view.random()

    def log(self, message: str, *args: object) -> None:
        self.view.log(INFO, message, args, None)


class Saga:
    """`async with step.saga():` as `ironflow.authoring.saga` does it."""

    def __init__(self, view: RunView) -> None:
        self.view = view
        self.handle: object = None

    async def __aenter__(self) -> None:
        self.handle = self.view.enter_saga()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.view.leave_saga(self.handle)
        elif not isinstance(error, GeneratorExit):
            await UndoSaga(self.handle, error)


def _placed(operation: Operation[Any]) -> Operation[Any]:
    """Remember the line of the test program that made the operation."""
    frame = sys._getframe(2)
    operation.at(frame.f_code, frame.f_lasti)
    return operation
