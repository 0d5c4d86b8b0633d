"""Why a run stands as it does, in words."""

from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from ironflow.commands import output
from ironflow.commands.standing import SERVED, moved, reasons, waiting
from ironflow.interpreter import states
from ironflow.interpreter.fold import Attempt, OperationState, RunState
from ironflow.journal.base import Lost, Pause, RunRow, RunSummary
from ironflow.records import ErrorInfo
from ironflow.transport.rendering import run_document
from ironflow.wire.answers import CircuitDocument, RunDocument, moment

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


def run(status: str, records: int = 2) -> RunDocument:
    return run_document(RunSummary(ROW, status, records))


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
        ("queued", SERVED, "it will start in the server, or in a worker of it, that"),
    ],
)
def test_a_run_that_is_not_waiting_says_who_carries_it_on(
    status: str, owner: int | None, words: str
) -> None:
    [reason] = reasons(run(status), RunState(), now=NOW, owner=owner)

    assert words in reason


def test_a_run_that_somebody_is_at_says_who() -> None:
    carried = msgspec.structs.replace(run("running"), carried_by="worker w1")

    [reason] = reasons(carried, RunState(), now=NOW, owner=SERVED)

    assert reason == "worker w1 carries it on now"


@pytest.mark.parametrize(
    ("lost", "status", "words"),
    [
        (Lost("w1", "it was silent", NOW, 2, by="w2"), "open", "carried on by w2"),
        (Lost("w1", "it was silent", NOW, 1), "open", "carried on since"),
        (Lost("w1", "it was silent", NOW, 2), "failed", "carried on since"),
        (Lost("w1", "it was silent", NOW, 2), "open", "it waits for another"),
    ],
)
def test_a_run_says_which_worker_was_lost(lost: Lost, status: Any, words: str) -> None:
    row = msgspec.structs.replace(ROW, status=status, lost=lost)

    found = run_document(RunSummary(row, "running", 2)).lost

    assert found
    start = f"worker w1 was lost at {output.local(NOW)} (it was silent)"
    assert moved(found) == f"{start}: {words}"


def test_a_waiting_run_names_each_open_operation() -> None:
    done = operation("completed")
    sleeping = operation(states.SLEEPING, kind="sleep", until=NOW + HOUR)
    state = RunState(operations=(done, sleeping))

    [reason] = reasons(run("waiting"), state, now=NOW, owner=None)

    assert reason.startswith("sleep a:0: until ")


def test_a_run_that_has_ended_needs_no_reason() -> None:
    assert [*reasons(run("completed"), RunState(), now=NOW, owner=None)] == []


def test_a_run_whose_endpoint_is_left_alone_says_why_and_until_when() -> None:
    circuit = CircuitDocument(
        key="order",
        endpoint="http://app.test/",
        function_id="order",
        environment_id="default",
        state="open",
        consecutive_fails=5,
        last_error="it could not be called",
        open_until=moment(NOW + HOUR) or UNSET,
    )
    left = msgspec.structs.replace(run("queued"), circuit=circuit)
    carried = msgspec.structs.replace(left, carried_by="the server itself")

    [why] = reasons(left, RunState(), now=NOW, owner=SERVED)
    both = [*reasons(carried, RunState(), now=NOW, owner=SERVED)]

    assert why == (
        "its endpoint http://app.test/ failed 5 times in a row (it could not be called);"
        f" it is left alone until {output.local(NOW + HOUR)} (in 1h), then one run tries it"
    )
    assert both == [why, "the server itself carries it on now"]


def test_a_run_that_is_asked_to_pause_says_so() -> None:
    pause = Pause("asked", "to look at it", "", NOW, "apikey:key_1")
    row = msgspec.structs.replace(ROW, asked=pause)
    asked = run_document(RunSummary(row, "running", 2))

    [why, _] = reasons(asked, RunState(status="open"), now=NOW, owner=SERVED)

    assert "asked to pause" in why
    assert "resume" in why
