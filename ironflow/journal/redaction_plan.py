"""Which payloads go when a run, or one of its steps, is redacted; pure.

A value that one run gave another is in the histories of both: what a child was given and
what it gave back, what a run that goes on in another hands over. It goes on both sides.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from ironflow import codec, limits
from ironflow.journal.markers import holds_error
from ironflow.records import (
    FAILED,
    NO_CODEC,
    ChildEnded,
    ChildStarted,
    Entry,
    EventReceived,
    Published,
    Record,
    RunContinued,
    RunEnded,
    RunStarted,
)


class Seen(NamedTuple):
    """What of a record is kept in memory: not its payload."""

    record: Record
    is_large: bool
    is_redacted: bool
    steps: frozenset[str] = frozenset()


class Relative(NamedTuple):
    """Records of another run that have the same value: of a kind, and of a step if any."""

    run_id: str
    kind: type[Record]
    step: str = ""


History = Sequence[Seen]
Pick = Callable[[History], set[int]]
"""Which records of a history are meant, by their sequences."""

_RANGE: Final = 16  # records that are read at once with payloads that may be large
_OF_EVENTS: Final = (RunStarted, EventReceived, Published)


def seen(entry: Entry, steps: Iterable[str] = ()) -> Seen:
    """Return what is kept of an entry; `steps` are those whose results a rewind has."""
    is_large = codec.is_blob(entry.payload)
    return Seen(entry.record, is_large, entry.redaction is not None, frozenset(steps))


# --- what is meant --------------------------------------------------------------------


def of_run(history: History) -> set[int]:
    """Everything."""
    return {each.record.sequence for each in history if each.record.codec != NO_CODEC}


def of_step(step: str) -> Pick:
    """Whatever a step, a wait, a child or a message of this id was given or gave."""

    def pick(history: History) -> set[int]:
        return {
            each.record.sequence
            for each in history
            if each.record.codec != NO_CODEC
            and (each.record.id == step or step in each.steps)
        }

    return pick


def has_step(history: History, step: str) -> bool:
    """Say whether a run has anything of this id."""
    return bool(step) and any(each.record.id == step for each in history)


def of_event(event_id: str) -> Pick:
    """Copies of an event of the log."""

    def pick(history: History) -> set[int]:
        return {
            each.record.sequence
            for each in history
            if isinstance(each.record, _OF_EVENTS) and each.record.event_id == event_id
        }

    return pick


def of_relative(relative: Relative) -> Pick:
    """What a run has of another."""

    def pick(history: History) -> set[int]:
        return {
            each.record.sequence
            for each in history
            if isinstance(each.record, relative.kind)
            and each.record.codec != NO_CODEC
            and relative.step in {"", each.record.id}
        }

    return pick


def with_copies(history: History, wanted: set[int]) -> set[int]:
    """Return what is wanted, and where the run says the same again.

    Its end, if that has the very payload of what is wanted, or the error that it failed
    with while errors are wanted, for it quotes them. A large payload goes as a whole: it
    is stored once.
    """
    chosen = [each for each in history if each.record.sequence in wanted]
    digests = {each.record.payload_digest for each in chosen}
    large = {each.record.payload_digest for each in chosen if each.is_large}
    is_error = any(holds_error(each.record) for each in chosen)
    return wanted | {
        each.record.sequence
        for each in history
        if each.record.payload_digest in large
        or (isinstance(each.record, RunEnded | RunContinued) and _says(each, digests))
        or (is_error and _failed(each.record))
    }


def _says(each: Seen, digests: set[bytes]) -> bool:
    return each.record.codec != NO_CODEC and each.record.payload_digest in digests


def _failed(record: Record) -> bool:
    is_end = isinstance(record, RunEnded) and record.status == FAILED
    return is_end and record.codec != NO_CODEC


def relatives(history: History, wanted: set[int]) -> Iterator[Relative]:
    """Yield where else the values of these records are."""
    started = history[0].record
    assert isinstance(started, RunStarted)
    for each in history:
        if each.record.sequence in wanted:
            found = _asked(each.record) or _told(each.record, started)
            if found is not None:
                yield found


def _asked(record: Record) -> Relative | None:
    """Where what a run gave another is: its first record has it."""
    match record:
        case RunContinued():
            return Relative(record.new_run, RunStarted)
        case ChildStarted():
            return Relative(record.child_run, RunStarted)
        case ChildEnded():
            return Relative(record.child_run, RunEnded)
        case _:
            return None


def _told(record: Record, started: RunStarted) -> Relative | None:
    """Where what a run was given, or what it gave back, is."""
    match record:
        case RunStarted() if record.continued_from:
            return Relative(record.continued_from, RunContinued)
        case RunStarted() if record.parent_run:
            return Relative(record.parent_run, ChildStarted, record.parent_step)
        case RunEnded() if started.parent_step:
            return Relative(started.parent_run, ChildEnded, started.parent_step)
        case _:
            return None


def events_in(history: History, wanted: set[int]) -> list[str]:
    """Return the ids of events whose data these records have, in order."""
    return [
        each.record.event_id
        for each in history
        if each.record.sequence in wanted and isinstance(each.record, _OF_EVENTS)
    ]


# --- in which commits -------------------------------------------------------------------


def portions(history: History, wanted: set[int]) -> Iterator[list[int]]:
    """Yield the records of each commit, without those that were redacted before.

    Those that have one large payload go in one, however many they are.
    """
    left = [
        each
        for each in history
        if each.record.sequence in wanted and not each.is_redacted
    ]
    together: dict[bytes, list[int]] = defaultdict(list)
    for each in left:
        if each.is_large:
            together[each.record.payload_digest].append(each.record.sequence)
    portion: list[int] = []
    for each in left:
        sequence = each.record.sequence
        twins = together[each.record.payload_digest] if each.is_large else [sequence]
        if twins[0] == sequence:
            portion += twins
        if len(portion) >= limits.REDACTED_RECORDS_PER_COMMIT_MAX:
            yield sorted(portion)
            portion = []
    if portion:
        yield sorted(portion)


def ranges(sequences: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first of those that follow each other, and how many: few at a time."""
    begin = 0
    for place in range(1, len(sequences) + 1):
        is_end = place == len(sequences) or sequences[place] != sequences[place - 1] + 1
        if is_end or place - begin == _RANGE:
            yield sequences[begin], place - begin
            begin = place
