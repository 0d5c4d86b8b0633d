"""Amendments folded away; what the code makes of it is in `cases/amendments.txt`."""

from collections.abc import Iterable

import msgspec
import pytest

from ironflow.interpreter.effective import correctable, effective, retryable
from ironflow.records import (
    NO_PAYLOAD,
    CancelRequested,
    DeadlinePassed,
    Draft,
    Entry,
    Record,
    Rewound,
    RunEnded,
    RunRetried,
    RunStarted,
    SleepFired,
    SleepStarted,
    StepCompleted,
    StepFailed,
    StepInDoubt,
    StepPatched,
    StepStarted,
    UndoStarted,
)
from tests.interpreter.world import EVENT_ID, sealed

START = RunStarted(function_id="f", event_id=EVENT_ID)
DONE = StepCompleted(id="a:0", attempt=1, input_digest=b"1")
BEGUN = StepStarted(id="b:0", attempt=1)
AGAIN = StepFailed(id="b:0", attempt=1, final=False, retry_at=9)
GIVEN_UP = StepFailed(id="b:0", attempt=2, final=True)
FAILED = RunEnded(status="failed")
RETRIED = RunRetried(attempt=2)


def history(*records: Record) -> list[Entry]:
    """Seal records; each that may have one has a payload of its own number."""
    drafts = [
        Draft(record, NO_PAYLOAD if isinstance(record, Rewound) else bytes([number]))
        for number, record in enumerate(records, 1)
    ]
    return sealed(drafts)


def folded(*records: Record) -> list[int]:
    """Return which records are left, by number."""
    kept = effective(history(*records)).entries
    return [entry.record.sequence for entry in kept]


def results(entries: Iterable[Entry]) -> dict[str, object]:
    return {
        entry.record.id: msgspec.msgpack.decode(entry.payload)
        for entry in entries
        if isinstance(entry.record, StepCompleted)
    }


def test_without_amendments_a_history_is_itself() -> None:
    """Nothing is dropped, and no result is free."""
    entries = history(START, DONE)

    result = effective(entries)

    assert list(result.entries) == entries
    assert result.reusable == {}


@pytest.mark.parametrize("end", [GIVEN_UP, StepInDoubt(id="b:0", attempt=2)])
def test_a_retry_drops_the_end_and_all_attempts_of_the_step(end: Record) -> None:
    """The step is asked from its beginning."""
    assert folded(START, AGAIN, DONE, end, FAILED, RETRIED) == [1, 3, 6]


@pytest.mark.parametrize("end", [GIVEN_UP, StepInDoubt(id="b:0", attempt=2)])
def test_a_retry_adds_an_attempt_where_starts_are_on_record(end: Record) -> None:
    """A start without its place would let the records after it fit nowhere."""
    records = (START, BEGUN, AGAIN, BEGUN, DONE, end, FAILED, RETRIED)

    kept = effective(history(*records)).entries

    assert [entry.record.sequence for entry in kept] == [1, 2, 3, 4, 5, 6, 8]
    last = kept[-2].record
    assert isinstance(last, StepFailed)
    assert (last.final, last.retry_at, last.attempt) == (False, 6_000_000, 2)
    assert last.in_doubt == isinstance(end, StepInDoubt)


@pytest.mark.parametrize(
    "records",
    [
        (START, RETRIED),
        (START, FAILED, RETRIED),
        (START, GIVEN_UP, RETRIED),
        (START, DONE, FAILED, RETRIED),
        (START, GIVEN_UP, RunEnded(status="cancelled"), RETRIED),
        (START, UndoStarted(reason="x"), GIVEN_UP, FAILED, RETRIED),
        (START, DeadlinePassed(), GIVEN_UP, FAILED, RETRIED),
        (START, CancelRequested(), GIVEN_UP, FAILED, RETRIED),
        (START, SleepStarted(id="nap:0", until=5), GIVEN_UP, FAILED, RETRIED),
    ],
)
def test_a_retry_of_anything_else_drops_nothing(records: tuple[Record, ...]) -> None:
    """It did not fail by a step, its undo has begun, or nothing would wake what is open:

    Only a new run can try again.
    """
    assert not retryable(records[:-1])
    assert folded(*records) == list(range(1, len(records) + 1))


def test_a_run_that_failed_by_a_step_can_be_retried() -> None:
    """As long as nothing was undone, and nothing is open."""
    slow_child = DeadlinePassed(id="child:0")
    nap = (SleepStarted(id="nap:0", until=5), SleepFired(id="nap:0"))

    assert retryable((START, *nap, slow_child, DONE, GIVEN_UP, FAILED))


def test_a_patched_result_replaces_what_the_step_gave() -> None:
    """The record stays, and other steps keep theirs."""
    other = StepCompleted(id="c:0", attempt=1)

    kept = effective(history(START, DONE, other, StepPatched(id="a:0"))).entries

    assert [entry.record for entry in kept[1:]] == [
        entry.record for entry in history(START, DONE, other)[1:]
    ]
    assert results(kept) == {"a:0": 4, "c:0": 3}


def test_a_rewind_drops_what_came_after_and_frees_its_results() -> None:
    """Only results whose input is known can be told to be of the same step."""
    nameless = StepCompleted(id="c:0", attempt=1)
    nap = SleepStarted(id="nap:0", until=5)
    fired = SleepFired(id="nap:0")

    result = effective(history(START, nap, DONE, nameless, fired, Rewound(to=2)))

    assert [entry.record.sequence for entry in result.entries] == [1, 2, 6]
    assert [*result.reusable] == [("a:0", b"1")]


def test_afresh_frees_no_result() -> None:
    """Neither what it drops nor what a rewind before it has set free."""
    other = StepCompleted(id="c:0", attempt=1, input_digest=b"2")
    fresh = Rewound(to=2, afresh=True)

    result = effective(history(START, DONE, other, Rewound(to=2), fresh))
    once = effective(history(START, DONE, fresh))

    assert [entry.record.sequence for entry in result.entries] == [1, 2, 5]
    assert result.reusable == once.reusable == {}


def test_a_rewind_may_bring_new_results() -> None:
    """For steps that are kept."""
    entries = history(START, DONE, FAILED)
    rewind = Draft(Rewound(to=2), msgspec.msgpack.encode({"a:0": "new"}))

    kept = effective(sealed([rewind], after=entries)).entries

    assert results(kept) == {"a:0": "new"}


def test_amendments_fold_one_after_another() -> None:
    """A result that was patched and then dropped is free as it was patched."""
    entries = history(START, DONE, StepPatched(id="a:0"))
    rewind = Draft(Rewound(to=1))

    result = effective(sealed([rewind], after=entries))

    assert [bytes(each.payload) for each in result.reusable.values()] == [b"\x03"]


@pytest.mark.parametrize("end", [GIVEN_UP, StepInDoubt(id="b:0", attempt=2)])
def test_a_step_that_failed_is_given_a_result(end: Record) -> None:
    """In place of its last attempt; a retry goes on behind it."""
    patched = StepPatched(id="b:0")

    failed = effective(history(START, DONE, AGAIN, end, FAILED, patched))
    retried = effective(history(START, DONE, AGAIN, end, FAILED, patched, RETRIED))

    assert [entry.record.sequence for entry in failed.entries] == [1, 2, 3, 4, 5]
    assert [entry.record.sequence for entry in retried.entries] == [1, 2, 3, 4, 7]
    assert results(retried.entries) == {"a:0": 2, "b:0": 6}
    assert (failed.is_corrected, retried.is_corrected) == (True, False)
    last = retried.entries[3].record
    assert isinstance(last, StepCompleted)
    assert last.attempt == 2


def test_a_run_that_failed_by_its_code_goes_on_once_a_result_is_corrected() -> None:
    """Only its end is dropped; without a correction since then, nothing is."""
    corrected = history(START, DONE, FAILED, StepPatched(id="a:0"), RETRIED)

    assert [each.record.sequence for each in effective(corrected).entries] == [1, 2, 5]
    assert folded(START, DONE, StepPatched(id="a:0"), FAILED, RETRIED) == [1, 2, 4, 5]


@pytest.mark.parametrize(
    ("records", "step", "yes"),
    [
        ((START, DONE, AGAIN), "a:0", True),
        ((START, DONE, AGAIN), "b:0", True),
        ((START, GIVEN_UP, FAILED), "b:0", True),
        ((START, GIVEN_UP, DONE), "b:0", False),
        ((START, GIVEN_UP, StepFailed(id="c:0", final=True)), "b:0", False),
        ((START, AGAIN, StepFailed(id="segment", final=True), FAILED), "b:0", True),
        ((START, SleepStarted(id="nap:0", until=5)), "nap:0", False),
        ((START, DONE), "c:0", False),
    ],
)
def test_which_results_may_be_corrected(
    records: tuple[Record, ...], step: str, *, yes: bool
) -> None:
    """Those that there are, and that of a step after whose failure nothing happened."""
    kept = [entry.record for entry in history(*records)]

    assert correctable(kept, step) == yes
