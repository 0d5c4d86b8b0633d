"""What a worker may ask to be written: checked before any of it reaches a journal.

A journal trusts whoever appends: it is the engine, in the same process. A worker is a
program of somebody else, so everything on which a store or another run would break is
looked at here. What breaks nobody but the worker's own run is found when it is replayed.
"""

from typing import Final

import msgspec
from msgspec.structs import astuple

from ironflow import codec, ids, limits
from ironflow.errors import ConfigurationError, JournalDamaged, ProtocolError
from ironflow.interpreter import failures
from ironflow.journal.base import FunctionRow
from ironflow.journal.row_codec import RowCodec
from ironflow.policy.attributes import check_paths, check_values, decode_changes
from ironflow.policy.match import MATCH_KEY_BYTES, parse_path, parse_pattern
from ironflow.policy.names import check_awaited_name, check_function_id
from ironflow.records import (
    AMENDMENTS,
    CANCELLED,
    COMPLETED,
    FAILED,
    MSGPACK_CODEC,
    NO_CODEC,
    NO_PAYLOAD,
    RULES,
    AttributesSet,
    ChildStarted,
    Draft,
    Entry,
    Published,
    Record,
    RunContinued,
    RunEnded,
    RunStarted,
    SleepStarted,
    StepCompleted,
    StepFailed,
    StepInDoubt,
    StepStarted,
    WaitStarted,
)
from ironflow.wire.frames import PauseHeld, ReceivedAppend, ReceivedRecord

_Named = ReceivedAppend | PauseHeld

NUMBER_MAX: Final = 2**53  # microseconds to the year 2255
_NIL: Final = b"\xc0"
_ENDS: Final = frozenset({COMPLETED, FAILED, CANCELLED})
_LAST: Final = (RunEnded, RunContinued)
_ERRORS: Final = (StepFailed, StepInDoubt)
_OUTCOMES: Final = frozenset({StepStarted, StepCompleted, StepFailed, StepInDoubt})
_decode_row: Final = RowCodec(FunctionRow, "send the rows of a registry").decode


def entries_of(
    append: ReceivedAppend, *, digest: bytes
) -> tuple[tuple[Entry, ...], tuple[bytes, ...]]:
    """Return the entries of an append, and their encoded headers.

    `digest` is that of the record before the first.

    Raises:
        ProtocolError: they are not what may follow there; the message says which.
    """
    if not 0 <= append.inbox_through <= NUMBER_MAX:
        raise ProtocolError(f"run {append.run_id}: inbox_through is out of bounds")
    entries: list[Entry] = []
    headers: list[bytes] = []
    for place, sent in enumerate(append.records, append.length + 1):
        record = sent.header
        payload = _payload(append, sent)
        if record.sequence != place:
            raise _wrong(append, record, f"it is to be number {place}")
        if type(record) is not StepCompleted:
            _check_record(append, record, payload)
        _check_header(append, record)
        entry, header = codec.chain(record, payload, previous=digest)
        digest = entry.digest
        entries.append(entry)
        headers.append(header)
    if append.digest and append.digest != digest:
        raise ProtocolError(
            f"run {append.run_id}: after record {append.length + len(entries)} the"
            " chain has another digest than the worker's; it knows another history, or"
            " encodes headers otherwise"
        )
    return tuple(entries), tuple(headers)


def check_awaited(append: ReceivedAppend) -> None:
    """Let only sleeps and waits be put back.

    Raises:
        ProtocolError: one is something else.
    """
    for record in append.awaited:
        if not isinstance(record, SleepStarted | WaitStarted):
            raise _wrong(append, record, "only sleeps and waits are awaited")
        _check_header(append, record)
        if isinstance(record, WaitStarted):
            _check_wait(append, record)


def function_row(data: bytes) -> FunctionRow:
    """Return the row of a function that a worker brings.

    Raises:
        ProtocolError: it is none, or something in it is wrong.
    """
    try:
        row = _decode_row(data)
        check_function_id(row.id)
        for trigger in row.triggers:
            parse_pattern(trigger, option="triggers")
        if row.concurrency_key:
            parse_path(row.concurrency_key, option="concurrency_key")
        check_paths(dict(row.attributes), option="attributes")
    except (ConfigurationError, JournalDamaged) as error:
        raise ProtocolError(f"a function of the worker is refused: {error}") from error
    numbers = (
        row.run_timeout_us,
        row.start_timeout_us,
        row.concurrency,
        row.retention_us,
    )
    if not all(0 <= number <= limits.DURATION_US_MAX for number in numbers):
        raise ProtocolError(f"function {row.id!r}: a number of it is out of bounds")
    if any(len(text) > limits.NAME_CHARS_MAX for text in (row.version, *row.patches)):
        raise ProtocolError(f"function {row.id!r}: its version or a patch is too long")
    if row.rules != RULES or len(row.config) > limits.WIRE_TEXT_CHARS_MAX:
        raise ProtocolError(
            f"function {row.id!r}: a worker goes by the rules {RULES!r}, and its config"
            f" has at most {limits.WIRE_TEXT_CHARS_MAX} bytes"
        )
    return row


def kept_drafts(command: PauseHeld) -> tuple[Draft, ...]:
    """Return the outcomes that a worker keeps for a run that it pauses.

    Raises:
        ProtocolError: one is none.
    """
    try:
        drafts = tuple(codec.decode_draft(bytes(data)) for data in command.kept)
    except JournalDamaged as error:
        raise ProtocolError(f"run {command.run_id}: {error}") from error
    for draft in drafts:
        if type(draft.record) not in _OUTCOMES:
            raise ProtocolError(
                f"run {command.run_id}: only outcomes of steps are kept, not"
                f" {type(draft.record).__name__}"
            )
        _check_header(command, draft.record)
        _check_error(command, draft.record, bytes(draft.payload))
    return drafts


def _payload(append: ReceivedAppend, sent: ReceivedRecord) -> bytes:
    record, payload = sent.header, bytes(sent.payload)
    if record.codec == NO_CODEC:
        if record.payload_digest or payload != _NIL:
            raise _wrong(append, record, "it has a payload and no codec")
        return NO_PAYLOAD
    if len(payload) > limits.VALUE_BYTES_MAX:
        raise _wrong(
            append,
            record,
            f"its payload has {len(payload)} bytes; at most"
            f" {limits.VALUE_BYTES_MAX} are allowed",
        )
    if record.codec != MSGPACK_CODEC:
        raise _wrong(append, record, f"its codec {record.codec} is not known")
    if codec.digest_of(payload) != record.payload_digest:
        raise _wrong(append, record, "its payload has another digest than it says")
    return payload


def _check_header(append: _Named, record: Record) -> None:
    for value in astuple(record):
        if type(value) is int and not 0 <= value <= NUMBER_MAX:
            raise _wrong(append, record, f"the number {value} is out of bounds")
        if type(value) is str and len(value) > limits.WIRE_TEXT_CHARS_MAX:
            raise _wrong(append, record, "a text of it is too long")


def _check_record(append: ReceivedAppend, record: Record, payload: bytes) -> None:
    if type(record) in AMENDMENTS or isinstance(record, RunStarted):
        raise _wrong(append, record, "a worker cannot write such a record")
    if isinstance(record, _LAST) and record.sequence < append.length + len(
        append.records
    ):
        raise _wrong(append, record, "nothing follows the end of a run")
    if isinstance(record, RunEnded) and record.status not in _ENDS:
        raise _wrong(append, record, f"a run cannot end {record.status!r}")
    if isinstance(record, WaitStarted):
        _check_wait(append, record)
    if isinstance(record, AttributesSet):
        _check_attributes(append, record, payload)
    _check_ids(append, record)
    _check_error(append, record, payload)


def _check_wait(append: ReceivedAppend, record: WaitStarted) -> None:
    """What is looked for in other events is compared by the store."""
    try:
        check_awaited_name(record.event)
        if record.path:
            parse_path(record.path, option="path")
    except ConfigurationError as error:
        raise _wrong(append, record, str(error)) from error
    if record.match_key and len(record.match_key) != MATCH_KEY_BYTES:
        raise _wrong(append, record, f"a match key has {MATCH_KEY_BYTES} bytes")


def _check_attributes(
    append: ReceivedAppend, record: AttributesSet, payload: bytes
) -> None:
    """Rows and lists take them as they are."""
    try:
        check_values(decode_changes(payload), option="attributes")
    except (ConfigurationError, JournalDamaged) as error:
        raise _wrong(append, record, str(error)) from error


def _check_ids(append: ReceivedAppend, record: Record) -> None:
    """Ids that follow from a record's place must do so: else they name other runs."""
    if not isinstance(record, ChildStarted | RunContinued | Published):
        return
    if not 0 <= record.asked_at <= NUMBER_MAX:
        raise _wrong(append, record, "its time is out of bounds")
    place = {"sequence": record.sequence, "asked_at": record.asked_at}
    if isinstance(record, Published):
        found, due = record.event_id, ids.published_event_id(append.run_id, **place)
    else:
        found = record.child_run if isinstance(record, ChildStarted) else record.new_run
        due = ids.child_run_id(append.run_id, **place)
    if found != due:
        raise _wrong(append, record, f"its id is to be {due}, not {found!r}")


def _check_error(append: _Named, record: Record, payload: bytes) -> None:
    is_error = isinstance(record, _ERRORS) or (
        isinstance(record, RunEnded) and record.status != COMPLETED
    )
    if is_error:
        try:
            failures.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _wrong(append, record, f"its error cannot be read: {error}") from None


def _wrong(append: _Named, record: Record, why: str) -> ProtocolError:
    name = type(record).__name__
    return ProtocolError(
        f"run {append.run_id}: record {record.sequence}, {name}: {why}"
    )
