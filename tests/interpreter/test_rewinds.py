"""Where a run that is resumed from a step goes on, what forbids it, what is open there."""

import pytest
from msgspec.structs import replace

from ironflow import MisusedOperation
from ironflow.interpreter import rewinds
from ironflow.records import (
    CancelRequested,
    ChildEnded,
    ChildStarted,
    DeadlinePassed,
    Record,
    Rewound,
    RunEnded,
    RunStarted,
    SleepFired,
    SleepStarted,
    StepCompleted,
    StepFailed,
    StepInDoubt,
    StepStarted,
    UndoStarted,
    WaitStarted,
    WaitTimedOut,
)

RUN = "run_" + 32 * "1"
KEPT: list[Record] = [
    RunStarted(sequence=1, function_id="f", event_id=""),
    StepCompleted(sequence=2, id="a:0", attempt=1),
    SleepStarted(sequence=3, id="nap:0", until=1),
    SleepFired(sequence=5, id="nap:0"),
    StepFailed(sequence=6, id="b:0", attempt=1, final=False, retry_at=9),
    StepStarted(sequence=8, id="once:0", attempt=1),
    StepCompleted(sequence=9, id="fan:0:a:0", attempt=1),
    StepFailed(sequence=10, id="b:0", attempt=2, final=True),
    StepCompleted(sequence=11, id="compensate:b:0", attempt=1),
]
START = RunStarted(function_id="f", event_id="")


def numbered(*records: Record) -> list[Record]:
    """Give records their places behind a start."""
    found: list[Record] = []
    for sequence, record in enumerate((START, *records), 1):
        found.append(replace(record, sequence=sequence))
    return found


@pytest.mark.parametrize(
    ("named", "given", "step", "to"),
    [
        ("a:0", False, "a:0", 1),
        ("a:0", True, "a:0", 2),
        (f"{RUN}:fan:0:a:0", False, "fan:0:a:0", 8),
        ("nap", False, "nap:0", 2),
        ("b", False, "b:0", 5),
        ("b", True, "b:0", 5),
        ("once", False, "once:0", 6),
        ("once", True, "once:0", 6),
        ("compensate:b:0", False, "compensate:b:0", 10),
    ],
)
def test_a_run_goes_on_before_the_first_record_of_a_step(
    named: str, step: str, to: int, *, given: bool
) -> None:
    """Behind its result, if that is there and only another is given."""
    found = rewinds.place_of(RUN, KEPT, named, is_given=given)

    assert found == rewinds.Place(step, to)


@pytest.mark.parametrize(
    ("kept", "named", "given", "why"),
    [
        (KEPT, "a", False, "has 2 steps 'a': 'a:0', 'fan:0:a:0'; give the id of one"),
        (KEPT, "c", False, "has no step 'c'; it has 'a:0', 'nap:0', 'b:0'"),
        (KEPT, "nap", True, "'nap:0' is no step"),
        ([START], "c", False, "it has recorded none"),
        (
            numbered(*(StepCompleted(id=f"s:{n}", attempt=1) for n in range(7))),
            "s",
            False,
            r"'s:4' and 2 more; give",
        ),
    ],
)
def test_a_step_that_is_not_there_or_not_the_only_one_is_told(
    kept: list[Record], named: str, why: str, *, given: bool
) -> None:
    with pytest.raises(MisusedOperation, match=why):
        rewinds.place_of(RUN, kept, named, is_given=given)


A = StepCompleted(id="a:0", attempt=1)
B = StepCompleted(id="b:0", attempt=1)
BEGUN = StepStarted(id="b:0", attempt=1)
LATE = DeadlinePassed(timer="run")
SAGA = UndoStarted(id="saga:0")
UNDONE = StepCompleted(id="compensate:a:0", attempt=1)


@pytest.mark.parametrize(
    ("records", "to", "results", "why"),
    [
        ([A, B], 2, (), None),
        ([A, B], 7, (), "has no record 7"),
        ([A, B], 2, ("c:0",), "has no result of step 'c:0'"),
        ([A, B], 2, ("a:0", "b:0"), None),
        ([A, RunEnded(status="failed")], 3, (), "ends with record 3"),
        ([A, UndoStarted(), B], 2, (), "has begun to undo"),
        ([A, SAGA, UNDONE, B], 2, (), "has undone something"),
        ([A, SAGA, UNDONE, B], 3, (), "has undone something"),
        ([A, SAGA, UNDONE, B], 4, (), None),
        ([A, CancelRequested(), B], 3, (), "was asked to cancel"),
        ([A, B, CancelRequested()], 2, (), "was asked to cancel"),
        ([A, LATE, B], 3, (), "was out of time"),
        ([A, LATE, B], 2, (), None),
        ([A, DeadlinePassed(id="call:0"), B], 3, (), None),
        ([A, BEGUN, B], 2, (), "would call step 'b:0' again"),
        ([A, BEGUN, B], 2, ("b:0",), None),
        ([A, BEGUN, B], 3, (), None),
    ],
)
def test_what_forbids_a_rewind(
    records: list[Record], to: int, results: tuple[str, ...], why: str | None
) -> None:
    """Force helps only against a second call."""
    kept = numbered(*records)
    found = rewinds.objection(kept, Rewound(to=to), results)
    forced = rewinds.objection(kept, Rewound(to=to, forced=True), results)

    assert (found or "").startswith(why or "")
    assert (found is None) == (why is None)
    assert forced == (None if "again" in (why or "") else found)


def test_what_is_open_after_some_records() -> None:
    """Sleeps, waits and children; steps that were begun; attempts that are due."""
    child = ChildStarted(id="call:0", function_id="f", child_run="")
    wait, nap = WaitStarted(id="wait:0", event="e"), SleepStarted(id="nap:0", until=1)
    again = StepFailed(id="b:0", attempt=1, final=False, retry_at=9)
    held = StepFailed(id="c:0", attempt=1, final=False)

    assert rewinds.open_at([child, wait, nap, A]) == {
        "call:0": child,
        "wait:0": wait,
        "nap:0": nap,
    }
    ends: list[Record] = [
        ChildEnded(id="call:0", child_run="", status="failed"),
        WaitTimedOut(id="wait:0"),
        SleepFired(id="nap:0"),
    ]
    assert rewinds.open_at([child, wait, nap, *ends]) == {}
    assert rewinds.begun_at([BEGUN, nap]) == {"b:0"}
    for outcome in (B, again, StepInDoubt(id="b:0", attempt=1)):
        assert rewinds.begun_at([BEGUN, outcome]) == set()
    assert rewinds.backing_off_at([again, held, nap]) == {"b:0": 9}
    for record in (B, BEGUN, held):
        moot = type(record) is not StepFailed
        assert rewinds.backing_off_at([again, record]) == ({} if moot else {"b:0": 9})
