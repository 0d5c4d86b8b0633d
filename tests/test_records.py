"""Records: frozen facts of three families, in the shape that format 1 has for ever."""

from typing import Any, get_args

import msgspec
import pytest

from ironflow import records
from ironflow.records import (
    AMENDMENTS,
    COMMANDS,
    Amendment,
    Command,
    Draft,
    Entry,
    Header,
    Outcome,
    Record,
    RunStarted,
    StepCompleted,
)

CLASSES: tuple[type[Record], ...] = get_args(Record)
HEADER = (
    "sequence",
    "recorded_at",
    "asked_at",
    "id",
    "attempt",
    "source",
    "input_digest",
    "payload_digest",
    "codec",
    "key_id",
)
# Tag and own fields of each class, as the first release wrote them. A later one may
# add fields with defaults behind these, and nothing else.
FORMAT_1 = {
    "RunStarted": (
        1,
        "function_id event_id rules version patches actor parent_run parent_step"
        " continued_from",
    ),
    "SleepStarted": (2, "until"),
    "WaitStarted": (3, "event path match_key timeout_at look_back"),
    "ChildStarted": (4, "function_id child_run attached awaited timeout_at"),
    "Published": (5, "topic event_id"),
    "UndoStarted": (6, "reason"),
    "CodeChanged": (7, "version patches actor"),
    "RunContinued": (8, "new_run"),
    "RunEnded": (9, "status"),
    "StepStarted": (10, ""),
    "AttributesSet": (11, ""),
    "StepCompleted": (20, "reused"),
    "StepFailed": (21, "final retry_at in_doubt"),
    "StepInDoubt": (22, ""),
    "SleepFired": (23, ""),
    "EventReceived": (24, "event_id"),
    "WaitTimedOut": (25, ""),
    "ChildEnded": (26, "child_run status"),
    "CancelRequested": (27, "actor reason"),
    "DeadlinePassed": (28, ""),
    "Rewound": (40, "to actor reason afresh forced"),
    "StepPatched": (41, "actor reason"),
    "RunRetried": (42, "actor reason"),
}


def test_every_record_is_of_one_family() -> None:
    """A command was asked for, an outcome settles, an amendment changes the reading."""
    families = [set(get_args(each)) for each in (Command, Outcome, Amendment)]

    assert set(CLASSES) == set.union(*families)
    assert sum(len(each) for each in families) == len(CLASSES)
    assert [set(COMMANDS), set(AMENDMENTS)] == [families[0], families[2]]


def test_format_1_stays_readable() -> None:
    """Tags and the order of fields are in every stored history."""
    assert {each.__name__ for each in CLASSES} == set(FORMAT_1)
    for each in CLASSES:
        tag, names = FORMAT_1[each.__name__]
        expected = (*HEADER, *names.split())
        assert each.__struct_config__.tag == tag
        assert each.__struct_fields__[: len(expected)] == expected
    assert (records.FORMAT, records.RULES) == (1, "records-1")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_a_record_never_changes(kind: type[Record]) -> None:
    """It is what has happened."""
    required = {"final": True, "until": 1, "to": 1}
    own = [each.name for each in msgspec.structs.fields(kind) if each.required]
    make: Any = kind
    record: Record = make(**{name: required.get(name, "x") for name in own})

    with pytest.raises(AttributeError, match="immutable"):
        record.sequence = 5  # type: ignore[misc]  # that is the point
    assert msgspec.structs.replace(record, sequence=5).sequence == 5


def test_a_header_holds_no_run() -> None:
    """Fork, bundles and continue_as_new keep headers as they are."""
    assert "run" not in " ".join(Header.__struct_fields__)


def test_a_draft_has_no_place_yet() -> None:
    """Sequence, time and digests are given when it is sealed."""
    draft = Draft(StepCompleted(id="a:0", attempt=1))

    record = draft.record
    assert (record.sequence, record.recorded_at, record.payload_digest) == (0, 0, b"")
    assert draft.payload == b""


def test_an_entry_may_have_lost_its_payload() -> None:
    """It lies elsewhere, or was taken away; the header stays."""
    entry = Entry(1, RunStarted(function_id="f", event_id="e"), b"d" * 16)

    assert entry.payload == b""
