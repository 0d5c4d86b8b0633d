"""Records <-> MessagePack bytes; the format number and the digest chain.

A stored record is one MessagePack array that any reader can take apart:

    [format, header, digest, payload]

`header` is the array of the record's class (its kind first), `digest` 16
bytes, `payload` any value. Without a payload, or with one that lies in the
blob table under the header's payload digest, the array has three elements.

A payload that was redacted has another one in its place, which the header does not
name. Such a record has a format of its own, so that nobody takes it for a damaged one:

    [2, header, digest, payload, [at, actor, reason, check]]

The digest of a record is H(previous digest, header); the header holds the
digest of the stored payload, so the chain holds when a payload is moved. A
chain starts from H(format, environment, run id). H is BLAKE2b with 16 bytes
(RFC 7693).
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Annotated, Final, cast

import msgspec

from ironflow import limits
from ironflow.errors import JournalDamaged, JournalNewer
from ironflow.records import (
    FORMAT,
    FORMAT_ATTRIBUTES,
    MSGPACK_CODEC,
    NO_CODEC,
    NO_PAYLOAD,
    REDACTED_FORMAT,
    AttributesSet,
    Draft,
    Entry,
    Payload,
    Record,
    Redaction,
)

DIGEST_BYTES: Final = 16
_blake2b: Final = hashlib.blake2b

# What msgspec raises for bytes that are not what they should be: text that is no
# UTF-8 has an error of its own.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_BLOB_BYTES_MIN: Final = limits.BLOB_BYTES_MIN
_NIL: Final = msgspec.Raw(b"\xc0")
# A record of a kind that came later has a format of its own: who does not know it is told
# to upgrade, and everything else is read as before.
FORMATS: Final = (FORMAT, REDACTED_FORMAT, FORMAT_ATTRIBUTES)
_NEWER: Final[dict[type[Record], int]] = {AttributesSet: FORMAT_ATTRIBUTES}
_FOUR: Final = {format_: b"\x94" + bytes([format_]) for format_ in FORMATS}
_THREE: Final = {format_: b"\x93" + bytes([format_]) for format_ in FORMATS}
_FIVE: Final = b"\x95" + bytes([REDACTED_FORMAT])
_DIGEST_HEAD: Final = b"\xc4\x10"
_ARRAY: Final = struct.Struct(">BI")  # MessagePack's array 32

_LENGTH: Final = msgspec.Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)
_REDACTED_RECORD: Final = b"redacted record\0"
_REDACTED_EVENT: Final = b"redacted event\0"
_SEQUENCE: Final = struct.Struct(">Q")

_encode_header = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(Record).decode


class _StoredEntry(Entry, frozen=True, array_like=True, gc=False):
    """An entry as it is read: without a payload when that lies elsewhere."""

    digest: Annotated[bytes, _LENGTH]
    payload: msgspec.Raw = NO_PAYLOAD  # type: ignore[assignment]  # nothing to read


class _StoredHeader(msgspec.Struct, array_like=True, gc=False):
    """What comes first in every format, and the header as it was hashed."""

    format: int
    header: msgspec.Raw = _NIL


_decode_entry = msgspec.msgpack.Decoder(_StoredEntry).decode
_decode_entries = msgspec.msgpack.Decoder(list[_StoredEntry]).decode
_format_in: Final = attrgetter("format")
_split = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_stored_header = msgspec.msgpack.Decoder(_StoredHeader).decode


def digest_of(data: Payload) -> bytes:
    """Return the digest of a stored payload."""
    return _blake2b(data, digest_size=DIGEST_BYTES).digest()


def chain_start(environment: str, run_id: str) -> bytes:
    """Return the digest that stands before the first record of a run."""
    text = f"{FORMAT}\0{environment}\0{run_id}"
    return digest_of(text.encode())


def chained(previous: bytes, header: Payload) -> bytes:
    """Return the digest of a record with this header after `previous`."""
    return _blake2b(previous + bytes(header), digest_size=DIGEST_BYTES).digest()


def seal(
    draft: Draft, *, sequence: int, recorded_at: int, previous: bytes
) -> tuple[Entry, bytes]:
    """Give a draft its place; return the entry and its header's bytes."""
    payload = draft.payload
    changes: dict[str, object] = {"sequence": sequence, "recorded_at": recorded_at}
    if payload:
        changes["payload_digest"] = digest_of(payload)
        changes["codec"] = MSGPACK_CODEC
    record = msgspec.structs.replace(draft.record, **changes)
    return chain(record, payload, previous=previous)


def chain(record: Record, payload: Payload, *, previous: bytes) -> tuple[Entry, bytes]:
    """Chain a record that is complete; return the entry and its header's bytes."""
    header = _encode_header(record)
    digest = _blake2b(previous + header, digest_size=DIGEST_BYTES).digest()
    return Entry(format_of(record), record, digest, payload), header


def format_of(record: Record) -> int:
    """Return the format in which a record is stored: that of its kind."""
    return _NEWER.get(type(record), FORMAT)


def is_blob(payload: Payload) -> bool:
    """Say whether this payload belongs into the blob table."""
    plain = payload if type(payload) is bytes else memoryview(payload)
    return len(plain) > _BLOB_BYTES_MIN


def encode(entry: Entry, header: Payload | None = None) -> bytes:
    """Return the bytes to store; a payload for the blob table is left out.

    `header` spares encoding it again where `seal` or `chain` has just done so.
    """
    head = _encode_header(entry.record) if header is None else header
    payload = entry.payload
    if entry.redaction is not None:
        return _encode_redacted(entry, bytes(head), entry.redaction)
    if not payload or is_blob(payload):
        return b"".join((_THREE[entry.format], bytes(head), _DIGEST_HEAD, entry.digest))
    return b"".join(
        (_FOUR[entry.format], bytes(head), _DIGEST_HEAD, entry.digest, payload)
    )


def encode_whole(entry: Entry) -> tuple[bytes, bytes]:
    """Return a record's bytes with its payload in them, however large; and its header's."""
    head = _encode_header(entry.record)
    if entry.redaction is not None:
        return _encode_redacted(entry, head, entry.redaction), head
    if not entry.payload:
        return b"".join((_THREE[entry.format], head, _DIGEST_HEAD, entry.digest)), head
    whole = (_FOUR[entry.format], head, _DIGEST_HEAD, entry.digest, entry.payload)
    return b"".join(whole), head


def _encode_redacted(entry: Entry, head: bytes, redaction: Redaction) -> bytes:
    fact = _encode_header(redaction)
    return b"".join((_FIVE, head, _DIGEST_HEAD, entry.digest, entry.payload, fact))


def filled(data: bytes, payload: Payload) -> bytes:
    """Return a record's bytes with its payload in them, which lay in the blob table."""
    assert data[:1] == _THREE[FORMAT][:1]
    return b"".join((_FOUR[FORMAT][:1], data[1:], payload))


def header_of(data: bytes) -> bytes:
    """Return the header in a record's bytes, as it was stored.

    Raises:
        JournalDamaged: the bytes are not a record.
    """
    try:
        return bytes(_decode_stored_header(data).header)
    except UNREADABLE as error:
        raise _damaged(data, error) from error


def decode(data: bytes) -> Entry:
    """Return the entry in these bytes; `needs_blob` says if its payload is away.

    Raises:
        JournalNewer: the format number is higher than ours.
        JournalDamaged: the bytes are not a record.
    """
    try:
        entry = _decode_entry(data)
    except UNREADABLE as error:
        _check_format(data)
        raise _damaged(data, error) from error
    if entry.format not in FORMATS:
        _check_format(data)
    return entry


def page(records: Sequence[bytes]) -> bytes:
    """Return the bytes that hold encoded records together: an array of them."""
    return b"".join((_ARRAY.pack(0xDD, len(records)), *records))


def decode_page(data: bytes) -> list[Entry]:
    """Return the entries of a page, as `decode` returns each.

    Raises:
        JournalNewer: the format number of one is higher than ours.
        JournalDamaged: the bytes are not records.
    """
    try:
        entries = _decode_entries(data)
    except UNREADABLE:
        return _decode_each(data)
    if set(map(_format_in, entries)).difference(FORMATS):
        return _decode_each(data)
    return cast("list[Entry]", entries)


def _decode_each(data: bytes) -> list[Entry]:
    """The first record of the page that cannot be read says why."""
    return list(map(decode, split_page(data)))


def split_page(data: bytes) -> list[bytes]:
    """Return the encoded records of a page one by one.

    Raises:
        JournalDamaged: the bytes are not a page.
    """
    try:
        return list(map(bytes, _split(data)))
    except UNREADABLE as error:
        raise _damaged(data, error) from error


def _check_format(data: bytes) -> None:
    """Refuse what a newer ironflow has written, whatever it looks like."""
    try:
        found = _decode_stored_header(data).format
    except UNREADABLE as error:
        raise _damaged(data, error) from error
    if found < FORMAT:
        raise _damaged(data, ValueError(f"there is no format {found}"))
    if found > FORMATS[-1]:
        raise JournalNewer(
            f"a record has format {found}; this ironflow reads up to {FORMATS[-1]}:"
            " upgrade ironflow to open this journal"
        )


def needs_blob(entry: Entry) -> bool:
    """Say whether the entry's payload lies in the blob table."""
    return entry.record.codec != NO_CODEC and not entry.payload


def encode_draft(draft: Draft) -> bytes:
    """Return the bytes of an inbox row: [header, payload] or [header]."""
    head = _encode_header(draft.record)
    if not draft.payload:
        return b"\x91" + head
    return b"".join((b"\x92", head, draft.payload))


class _StoredDraft(msgspec.Struct, array_like=True):
    header: msgspec.Raw
    payload: msgspec.Raw = _NIL


_decode_stored_draft = msgspec.msgpack.Decoder(_StoredDraft).decode


def decode_draft(data: bytes) -> Draft:
    """Return the draft in the bytes of an inbox row.

    Raises:
        JournalDamaged: the bytes are not a draft.
    """
    try:
        stored = _decode_stored_draft(data)
        record = _decode_header(stored.header)
    except UNREADABLE as error:
        raise _damaged(data, error) from error
    payload = stored.payload
    return Draft(record, NO_PAYLOAD if payload is _NIL else payload)


def verify_chain(
    entries: Iterable[tuple[bytes, Entry]], *, start: bytes, after: int = 0
) -> Iterator[Entry]:
    """Check stored bytes against the chain, one by one, yielding good entries.

    `entries` pairs the stored bytes with the entry whose payload is filled in. A
    later page of a history starts from the digest of record `after`.

    Raises:
        JournalDamaged: the first record that is not what was written, by number.
    """
    previous = start
    for number, (data, entry) in enumerate(entries, after + 1):
        header = _decode_stored_header(data).header
        if entry.record.sequence != number:
            raise JournalDamaged(
                f"record {number} of the run says that it is record"
                f" {entry.record.sequence}: one is missing or out of place"
            )
        if chained(previous, header) != entry.digest:
            raise JournalDamaged(
                f"record {number} of the run has another digest than the chain:"
                " it or one before it was changed after it was written"
            )
        if not is_intact(entry):
            raise JournalDamaged(
                f"the payload of record {number} of the run has another digest"
                " than its header says: it was changed after it was written"
            )
        previous = entry.digest
        yield entry


def check(entry: Entry, *, previous: bytes) -> bytes:
    """Return the header of an entry that is what was written after `previous`.

    Raises:
        JournalDamaged: it is not, or its payload is not there.
    """
    record = entry.record
    header = _encode_header(record)
    if (
        chained(previous, header) != entry.digest
        or needs_blob(entry)
        or not is_intact(entry)
    ):
        raise JournalDamaged(f"record {record.sequence} is not what was written")
    return header


# --- redactions -----------------------------------------------------------------


def redacted(entry: Entry, payload: bytes, redaction: Redaction) -> Entry:
    """Return an entry with another payload in the place of its own.

    The chain stays as it is: the header still names the payload that was there.
    """
    proved = msgspec.structs.replace(
        redaction, check=_redaction_check(entry.record, payload, redaction)
    )
    return Entry(REDACTED_FORMAT, entry.record, entry.digest, payload, proved)


def is_intact(entry: Entry) -> bool:
    """Say whether a payload is what its header names, or what a redaction put there.

    One that lies elsewhere is for whoever has it.
    """
    payload, redaction = entry.payload, entry.redaction
    if redaction is None:
        is_plain = entry.format == format_of(entry.record)
        return is_plain and not (
            payload and digest_of(payload) != entry.record.payload_digest
        )
    check = _redaction_check(entry.record, payload, redaction)
    return entry.format == REDACTED_FORMAT and check == redaction.check


def _redaction_check(record: Record, payload: Payload, redaction: Redaction) -> bytes:
    """A digest of what was there, of what stands there, and of when, who and why.

    Not of the chain: a history keeps its redactions in another environment.
    """
    place = _SEQUENCE.pack(record.sequence) + record.payload_digest
    return digest_of(
        b"".join((_REDACTED_RECORD, place, _fact_of(redaction), bytes(payload)))
    )


def redaction_of_event(position: int, body: bytes, redaction: Redaction) -> Redaction:
    """Return the redaction of an event with its check; `body` is what stands there.

    It is the array of the event and the runs that it started.
    """
    place = _REDACTED_EVENT + _SEQUENCE.pack(position)
    check = digest_of(b"".join((place, _fact_of(redaction), body)))
    return msgspec.structs.replace(redaction, check=check)


def _fact_of(redaction: Redaction) -> bytes:
    return _encode_header(msgspec.structs.replace(redaction, check=b""))


def _damaged(data: bytes, error: Exception) -> JournalDamaged:
    return JournalDamaged(
        f"{len(data)} bytes of the journal are not a record ({error});"
        " 'ironflow verify' shows what else is damaged"
    )
