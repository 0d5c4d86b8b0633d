"""Why a run stands as it does, in words."""

from typing import Any

import msgspec
import pytest

from ironflow.commands import output
from ironflow.commands.standing import reasons, waiting
from ironflow.interpreter import states
from ironflow.interpreter.fold import Attempt, OperationState, RunState
from ironflow.journal.base import RunRow, RunSummary
from ironflow.records import ErrorInfo

NOW = 1_700_000_000_000_000
HOUR = 3_600_000_000
ROW = RunRow(
    run_id="run_1",
    function_id="order",
    status="open",
    event_id="evt_1",
    event_name="order.placed",
    trigger_position=1,
    created_at=NOW,
)
FAILED = Attempt(
    number=1,
    started_at=NOW,
    ended_at=NOW,
    error=ErrorInfo(type="OSError", message="away"),
)


def operation(state: str, **fields: Any) -> OperationState:
    known = OperationState(
        id="a:0",
        kind="step",
        name="a",
        state=state,
        sequence=2,
        asked_at=NOW,
        source="",
    )
    return msgspec.structs.replace(known, **fields)


@pytest.mark.parametrize(
    ("open_", "words"),
    [
        (operation(states.SLEEPING, until=NOW + HOUR), "until {hour} (in 1h)"),
        (operation(states.SLEEPING, until=NOW), "until {now} (due)"),
        (operation(states.WAITING, event="paid"), "event paid"),
        (
            operation(
                states.WAITING, event="paid", path="data.id", timeout_at=NOW + HOUR
            ),
            "event paid with the same data.id, until {hour} (in 1h)",
        ),
        (
            operation(states.BACKING_OFF, attempts=(FAILED,), retry_at=NOW + HOUR),
            "attempt 2 waits until {hour} (in 1h)",
        ),
        (
            operation(states.HELD, attempts=(FAILED,)),
            "its attempts are used up; 'ironflow runs retry' tries again",
        ),
        (
            operation("running", child_run="run_2", function_id="score"),
            "child run_2 of score",
        ),
        (operation("completed"), ""),
    ],
)
def test_an_open_operation_says_what_it_waits_for(
    open_: OperationState, words: str
) -> None:
    hour, now = output.local(NOW + HOUR), output.local(NOW)

    assert waiting(open_, now=NOW) == words.format(hour=hour, now=now)


@pytest.mark.parametrize(
    ("status", "owner", "words"),
    [
        ("queued", None, "it will start when an engine that has the function order"),
        ("running", None, "it will go on when an engine that has the function order"),
        ("running", 7, "process 7 owns the data directory and carries its runs on"),
    ],
)
def test_a_run_that_is_not_waiting_says_who_carries_it_on(
    status: str, owner: int | None, words: str
) -> None:
    summary = RunSummary(ROW, status, 2)

    [reason] = reasons(summary, RunState(), now=NOW, owner=owner)

    assert words in reason


def test_a_waiting_run_names_each_open_operation() -> None:
    done = operation("completed")
    sleeping = operation(states.SLEEPING, kind="sleep", until=NOW + HOUR)
    state = RunState(operations=(done, sleeping))

    [reason] = reasons(RunSummary(ROW, "waiting", 3), state, now=NOW, owner=None)

    assert reason.startswith("sleep a:0: until ")


def test_a_run_that_has_ended_needs_no_reason() -> None:
    summary = RunSummary(
        msgspec.structs.replace(ROW, status="completed"), "completed", 3
    )

    assert [*reasons(summary, RunState(), now=NOW, owner=None)] == []
