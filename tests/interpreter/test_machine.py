"""What the case files cannot say of the interpreter: its edges towards the caller."""

import sys
from functools import partial
from typing import Any

import pytest

from ironflow import limits
from ironflow.errors import NondeterminismError, PayloadRejected, UndeclaredPatch
from ironflow.interpreter import outcomes
from ironflow.interpreter.fibers import short_path, source_of
from ironflow.interpreter.machine import Interpreter
from ironflow.interpreter.operations import Sleep, StepOutcome
from ironflow.interpreter.program import Body, Program, RunView
from ironflow.records import CancelRequested, Draft, RunEnded, RunStarted, SleepFired
from tests.interpreter.language import Step
from tests.interpreter.world import (
    EVENT_ID,
    RUN_ID,
    World,
    event_payload,
    program_of,
    sealed,
)

START = Draft(RunStarted(function_id="f", event_id=EVENT_ID), event_payload({}))


async def nap(step: Step) -> None:
    await step.sleep("nap", 5)


def refusing(error: Exception) -> Program:
    def start(view: RunView) -> Body:
        raise error

    return Program(id="shop.order", start=start)


def test_an_event_that_does_not_fit_fails_the_run() -> None:
    """No code has run, so there is nothing to undo or to close."""
    world = World(refusing(PayloadRejected("data.id is missing")))

    move = world.start({})

    (end,) = move.entries
    assert isinstance(end.record, RunEnded)
    assert (end.record.status, move.state) == ("failed", "ended")
    assert world.close()


def test_a_bug_before_the_first_line_is_a_bug() -> None:
    """Making the coroutine may fail in any way."""
    world = World(refusing(KeyError("x")))

    assert isinstance(world.start({}).bug, KeyError)


def test_an_event_that_cannot_be_read_is_a_bug_and_raises_nothing() -> None:
    """Invariant 10: damaged bytes pause the run, they do not end the engine."""
    interpreter = Interpreter(program_of(nap), RUN_ID)
    interpreter.feed(sealed([Draft(START.record, b"\xc1")]))

    turn = interpreter.advance()

    assert turn.state == "broken"


def test_without_records_nothing_runs() -> None:
    """An interpreter that was fed nothing waits, and can be closed."""
    interpreter = Interpreter(program_of(nap), RUN_ID)

    assert interpreter.advance().state == "waiting"
    assert interpreter.close()


def test_a_history_without_its_start_is_a_mismatch() -> None:
    """There is no code yet that could ask for anything."""
    interpreter = Interpreter(program_of(nap), RUN_ID)
    interpreter.feed(sealed([Draft(SleepFired(id="nap:0"))]))

    bug = interpreter.advance().bug

    assert isinstance(bug, NondeterminismError)
    assert (bug.asked, bug.recorded, bug.sequence) == ("nothing", "sleep 'nap:0'", 1)


def test_results_of_many_functions_are_decoded() -> None:
    """What decodes them is remembered for a bounded number of functions."""
    size = limits.DECODERS_CACHED_MAX + 2
    functions = [partial(print, number) for number in range(size)]

    async def runs(step: Step) -> int:
        return sum([await step.run("a", fn=fn) for fn in functions])

    world = World(program_of(runs), checked=False)
    move = world.start({})
    while move.perform:
        move = world.absorb(outcomes.completed(move.perform[0], b"\x01"))

    assert move.entries[-1].payload == bytes([size])


def test_a_turn_that_is_broken_stays_broken() -> None:
    """Nothing more is taken; the caller can only close it."""
    interpreter = Interpreter(program_of(nap), RUN_ID)
    interpreter.feed(sealed([START, Draft(SleepFired(id="nap:0"))]))

    first = interpreter.advance()
    interpreter.feed(sealed([START]))
    second = interpreter.advance()

    assert first.state == second.state == "broken"
    assert str(first.bug) == str(second.bug)
    assert interpreter.close()


def test_the_hooks_of_async_generators_are_put_back() -> None:
    """They are the event loop's outside of function code."""
    before = sys.get_asyncgen_hooks()
    interpreter = Interpreter(program_of(nap), RUN_ID)
    interpreter.feed(sealed([START]))

    interpreter.advance()
    interpreter.close()

    assert sys.get_asyncgen_hooks() == before


def test_lines_logged_in_one_turn_are_bounded() -> None:
    """A loop that logs cannot fill the memory before it waits."""

    async def talks(step: Step) -> None:
        for number in range(limits.LOG_LINES_PER_TURN_MAX + 10):
            step.log("%d", number)
        await step.sleep("nap", 5)

    world = World(program_of(talks))

    assert len(world.start({}).logs) == limits.LOG_LINES_PER_TURN_MAX


def test_a_cancel_of_an_ended_run_is_not_expected() -> None:
    """It may be asked for in the same moment in which the run ends."""
    world = World(program_of(nap))
    world.start({})
    world.absorb(Draft(SleepFired(id="nap:0")))

    move = world.absorb(Draft(CancelRequested()))

    assert (move.entries, move.state) == ((), "ended")


def test_code_that_is_dropped_learns_nothing() -> None:
    """While it closes, sagas, undos and log lines go nowhere; patches may be asked."""
    seen: list[Any] = []

    async def asks(step: Step) -> None:
        try:
            await step.sleep("nap", 5)
        finally:
            saga = step.view.enter_saga()
            step.compensate("never")
            step.view.leave_saga(saga)
            with pytest.raises(UndeclaredPatch):
                step.patched("x")
            seen.append(step.random().random())

    world = World(program_of(asks), checked=False)
    world.start({})

    assert world.close()
    assert len(seen) == 1


def test_an_operation_that_nobody_placed_has_no_source() -> None:
    """Only `authoring` knows the line of the call; without it there is none."""
    assert source_of(Sleep("nap")) == ""


def test_a_place_that_has_no_line_is_that_of_its_function() -> None:
    """An offset that the compiler gave no line."""
    operation = Sleep("nap")
    operation.at(nap.__code__, 100_000)

    assert source_of(operation) == (
        f"interpreter/test_machine.py:{nap.__code__.co_firstlineno}"
    )


@pytest.mark.parametrize("path", ["/a/b/c/shop.py", "c\\shop.py", "/c/shop.py"])
def test_a_file_is_shown_with_its_folder(path: str) -> None:
    """The same on every machine and system."""
    assert short_path(path) == "c/shop.py"


@pytest.mark.parametrize(("doubtful", "shown"), [(False, "7"), (True, "in doubt")])
def test_the_outcome_of_a_step_shows_what_is_known(
    *, doubtful: bool, shown: str
) -> None:
    """An undo's log line is about one step."""
    outcome = StepOutcome(
        step="charge", args=(), value=7, in_doubt=doubtful, idempotency_key="k"
    )

    assert repr(outcome) == f"StepOutcome('charge', {shown})"
