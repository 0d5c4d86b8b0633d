"""The explorer finds what is wrong: the core is broken by hand, and it says so.

Each fault is one that somebody could write, or did; each has the smallest program that
shows it. A fault that the explorer let pass would be a hole in what it compares.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from ironflow.interpreter import (
    cancelling,
    ending,
    outcomes,
    settling,
    undoing,
)
from ironflow.interpreter.core import Core
from ironflow.interpreter.fibers import Join
from ironflow.journal import apply_waits
from ironflow.policy.retry import Retry, next_delay_us
from tests.model import grammar as g
from tests.model.explorer import Disagreement, explore
from tests.model.model import Code, Model

UNDONE: Final = g.Step(undo="ok")


def nothing(*_: object, **__: object) -> None:
    """Do nothing."""


def one_attempt_too_many() -> Callable[..., Any]:
    def delay(retry: Retry, *, attempt: int, **rest: Any) -> int | None:
        return next_delay_us(retry, attempt=attempt - 1, **rest)

    return delay


def oldest_undo_first() -> Callable[..., Any]:
    right = undoing.Unwinding.__init__

    def init(self: Any, *args: Any) -> None:
        right(self, *args)
        self.entries.reverse()

    return init


def undo_of_certain_steps_only() -> Callable[..., Any]:
    right = settling._register
    return lambda *args, in_doubt, **rest: (
        None if in_doubt else right(*args, in_doubt=in_doubt, **rest)
    )


def all_branches_at_once(self: Join) -> Iterator[int]:
    while self.started < len(self.fork.branches) and not self.cancelled:
        self.started += 1
        yield self.started - 1


def a_saga_that_forgets() -> Callable[..., Any]:
    right = Core.leave_saga

    def leave(self: Core, saga: Any) -> None:
        saga.entries.clear()
        right(self, saga)

    return leave


def an_unnoted_start(core: Core, record: Any, pending: Any) -> None:
    core.perform(pending)


def code_decides_how_it_ends() -> Callable[..., Any]:
    right = ending.root_done

    def done(core: Core, value: Any, error: BaseException | None) -> None:
        core.cause = None
        right(core, value, error)

    return done


def shallow_cancel() -> Callable[..., Any]:
    right = cancelling.cancel_fiber

    def cancel(core: Core, fiber: Any, *, interrupt: bool) -> None:
        if not isinstance(fiber.pending, Join):
            right(core, fiber, interrupt=interrupt)

    return cancel


# What is broken, where, with what, and a program that shows it.
FAULTS: Final[dict[str, tuple[Any, str, Any, g.Program]]] = {
    "an attempt too many": (
        outcomes,
        "next_delay_us",
        one_attempt_too_many(),
        g.Step("fails"),
    ),
    "the oldest undo first": (
        undoing.Unwinding,
        "__init__",
        oldest_undo_first(),
        g.Seq((UNDONE, UNDONE, g.Raise())),
    ),
    "no undo of what is in doubt": (
        settling,
        "_register",
        undo_of_certain_steps_only(),
        g.Step("hangs", undo="ok"),
    ),
    "a wait that does not look back": (
        apply_waits,
        "_earlier",
        lambda *_: iter(()),
        g.Seq((g.Step(), g.Wait())),
    ),
    "an event that is lost with its wait": (
        apply_waits,
        "give_back",
        nothing,
        g.Parallel((g.Parallel((g.Wait(), g.Step("refuses"))), g.Wait()), collect=True),
    ),
    "siblings that go on": (
        cancelling,
        "cancel_join",
        nothing,
        g.Parallel((g.Sleep(), g.Raise())),
    ),
    "a cancel that stops at a parallel": (
        cancelling,
        "cancel_fiber",
        shallow_cancel(),
        g.Parallel((g.Step(), g.Sleep())),
    ),
    "a cancel that waits for what is open": (
        cancelling,
        "_cancel_operation",
        nothing,
        g.Sleep(),
    ),
    "all branches at once": (
        Join,
        "startable",
        all_branches_at_once,
        g.Parallel((g.Step(), g.Step()), concurrency=1),
    ),
    "a saga that forgets": (
        Core,
        "leave_saga",
        a_saga_that_forgets(),
        g.Seq((g.Saga(UNDONE), g.Raise())),
    ),
    "children that live on": (
        Core,
        "attached_children",
        lambda _: [],
        g.Seq((g.Spawn("slow"), g.Raise())),
    ),
    "a step that runs twice after a crash": (
        settling,
        "step_started",
        an_unnoted_start,
        g.Step(once=True),
    ),
    "code that decides how a cancelled run ends": (
        ending,
        "root_done",
        code_decides_how_it_ends(),
        g.Swallow(g.Sleep()),
    ),
    "a bug that fails the run": (
        ending,
        "pauses",
        lambda *_: False,
        g.Raise(bug=True),
    ),
    "a child without its deadline": (
        cancelling,
        "stop_child",
        nothing,
        g.Invoke("slow", limit=True),
    ),
}
# The same of the model, so that it is known to be read.
MODEL_FAULTS: Final[dict[str, tuple[Any, str, Any, g.Program]]] = {
    "a model without cancel": (Code, "cancel", nothing, g.Sleep()),
    "a model without undo": (Code, "owe", nothing, g.Seq((UNDONE, g.Raise()))),
    "a model without events": (Model, "match", nothing, g.Wait()),
}


@pytest.mark.parametrize("name", [*FAULTS, *MODEL_FAULTS])
def test_a_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, wrong, program = (FAULTS | MODEL_FAULTS)[name]
    monkeypatch.setattr(owner, attribute, wrong)

    with pytest.raises(Disagreement):
        explore(program)
