"""A run for tests of function code: it answers, and notes what it was told."""

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from ironflow import values
from ironflow.interpreter.operations import Operation
from ironflow.interpreter.program import Body, RunView
from ironflow.records import EventData

NOW = 1_700_000_000_123_456


class FakeView:
    """A `RunView` without an interpreter behind it."""

    def __init__(self, data: object = None, **event: Any) -> None:
        stored = msgspec.Raw(values.encode(data))
        self.event = EventData(
            **{"id": "evt_1", "name": "order.placed", "data": stored, **event}
        )
        self.run_id = "run_1"
        self.function_id = "process-order"
        self.attempt = 1
        self.generator = Random(1)
        self.lines: list[tuple[int, str, tuple[Any, ...], BaseException | None]] = []
        self.undos: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = []
        self.sagas: list[str] = []

    def now(self) -> int:
        return NOW

    def random(self) -> Random:
        return self.generator

    def patched(self, patch: str) -> bool:
        return patch == "applied"

    def log(
        self,
        level: int,
        message: str,
        args: tuple[Any, ...],
        error: BaseException | None,
    ) -> None:
        self.lines.append((level, message, args, error))

    def compensate(
        self, name: str, fn: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        self.undos.append((name, fn, args))

    def enter_saga(self) -> object:
        self.sagas.append("entered")
        return "handle"

    def leave_saga(self, saga: object) -> None:
        self.sagas.append(f"left {saga}")


VIEW: RunView = FakeView()  # a type checker compares the two


def asked(body: Body) -> Operation[Any]:
    """Run function code as far as it comes; return what it asks for."""
    return body.send(None)


def ended(body: Body, *answers: object) -> object:
    """Run function code with these answers to its end; return its result."""
    try:
        for answer in (None, *answers):
            _ = body.send(answer)
    except StopIteration as end:
        return end.value
    raise AssertionError("the function waits for more")
