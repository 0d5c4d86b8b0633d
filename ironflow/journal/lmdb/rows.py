"""Rows <-> MessagePack bytes: arrays, in the order of the fields of their class.

Any MessagePack reader reads them. A field that is added later goes last and
has a default, so rows of older versions are read for ever.
"""

import hashlib
from functools import partial
from typing import Final

import msgspec

from ironflow import codec
from ironflow.errors import JournalDamaged
from ironflow.journal import row_codec
from ironflow.journal.base import (
    Delivery,
    DocumentRow,
    FunctionRow,
    MatchPath,
    RunRow,
    StoredEvent,
    TimerRow,
    WaitRow,
)
from ironflow.journal.lmdb import keys
from ironflow.journal.row_codec import Decoder, RowCodec, encode
from ironflow.records import EventData, Redaction

_DIGESTED: Final = b"\x92\xc4\x10"  # an array of two whose first is 16 bytes
_REDACTED: Final = b"\x93\xc4\x10"  # one of three
NAMED_DIGEST: Final = slice(len(_DIGESTED), len(_DIGESTED) + keys.DIGEST_BYTES)
ADVICE: Final = "'ironflow verify' shows what else is damaged"

decoded: Final = partial(row_codec.decoded, advice=ADVICE)
encode_inbox: Final = row_codec.encode_inbox
decode_inbox: Final = partial(row_codec.decode_inbox, advice=ADVICE)


FUNCTION: Final = RowCodec(FunctionRow, ADVICE)
RUN: Final = RowCodec(RunRow, ADVICE)
TIMER: Final = RowCodec(TimerRow, ADVICE)
WAIT: Final = RowCodec(WaitRow, ADVICE)
DELIVERY: Final = RowCodec(Delivery, ADVICE)
MATCH_PATH: Final = RowCodec(MatchPath, ADVICE)


# --- the ready queue ------------------------------------------------------------


class _Ready(msgspec.Struct, array_like=True):
    place: int
    function_id: str
    lane: bytes = b""


_decode_ready: Final[Decoder] = msgspec.msgpack.Decoder(_Ready).decode


def encode_ready(place: int, function_id: str, lane: bytes = b"") -> bytes:
    """Return the row of a ready run: its place in the queue, its function and lane."""
    return encode((place, function_id, lane) if lane else (place, function_id))


def decode_ready(data: bytes) -> tuple[int, str, bytes]:
    """Return place, function id and lane of a ready run."""
    row: _Ready = decoded(_decode_ready, data, name="a ready row")
    return row.place, row.function_id, row.lane


# --- events ---------------------------------------------------------------------


class _Event(msgspec.Struct, array_like=True):
    digest: bytes
    body: msgspec.Raw
    redaction: Redaction | None = None


class _EventBody(msgspec.Struct, array_like=True):
    event: EventData
    run_ids: tuple[str, ...]


_decode_event: Final[Decoder] = msgspec.msgpack.Decoder(_Event).decode
_decode_event_body: Final[Decoder] = msgspec.msgpack.Decoder(_EventBody).decode


def encode_event(stored: StoredEvent, original: bytes = b"") -> tuple[bytes, bytes]:
    """Return the row `[digest, [event, run ids]]` and its digest.

    One that was redacted has its redaction behind it, and the digest of what was there,
    which the chain of commits names; `original` is that, if it is known.
    """
    body = encode((stored.event, stored.run_ids))
    digest = original or event_digest(stored.position, body)
    if stored.redaction is None:
        return b"".join((_DIGESTED, digest, body)), digest
    fact = encode(stored.redaction)
    return b"".join((_REDACTED, digest, body, fact)), digest


def event_digest(position: int, body: bytes) -> bytes:
    """Return the digest of an event in its place."""
    return hashlib.blake2b(
        keys.number(position) + body, digest_size=keys.DIGEST_BYTES
    ).digest()


def decode_event(position: int, data: bytes) -> StoredEvent:
    """Return the event; the digest is not checked (`open_event` does)."""
    row: _Event = decoded(_decode_event, data, name="an event")
    body: _EventBody = decoded(_decode_event_body, bytes(row.body), name="an event")
    return StoredEvent(position, body.event, body.run_ids, row.redaction)


class EventHead(msgspec.Struct):
    """What of an event is looked at by the thousand."""

    id: str = ""
    name: str = ""
    source: str = ""


class _HeadBody(msgspec.Struct, array_like=True):
    event: EventHead


class _HeadOfEvent(msgspec.Struct, array_like=True):
    digest: bytes
    body: _HeadBody


_decode_head: Final[Decoder] = msgspec.msgpack.Decoder(_HeadOfEvent).decode


def decode_event_head(data: bytes) -> EventHead:
    """Return the head of an event; nothing is checked."""
    row: _HeadOfEvent = decoded(_decode_head, data, name="an event")
    return row.body.event


def open_event(position: int, data: bytes) -> tuple[StoredEvent, bytes]:
    """Return the event and its digest, checked.

    Raises:
        JournalDamaged: the event is not what was written.
    """
    row: _Event = decoded(_decode_event, data, name="an event")
    stored = decode_event(position, data)
    if row.redaction is not None:
        body = bytes(row.body)
        proved = codec.redaction_of_event(position, body, row.redaction)
        is_intact = proved == row.redaction
    else:
        is_intact = event_digest(position, bytes(row.body)) == row.digest
    if not is_intact:
        raise JournalDamaged(
            f"event {position} has another digest than when it was written"
        )
    return stored, row.digest


# --- documents ------------------------------------------------------------------


class _Document(msgspec.Struct, array_like=True):
    digest: bytes
    body: msgspec.Raw


_decode_document: Final[Decoder] = msgspec.msgpack.Decoder(_Document).decode
_decode_document_row: Final[Decoder] = msgspec.msgpack.Decoder(DocumentRow).decode


def encode_document(row: DocumentRow) -> bytes:
    """Return the row `[digest, document]`."""
    body = encode(row)
    return b"".join((_DIGESTED, chained(b"", body), body))


def decode_document(data: bytes) -> DocumentRow:
    """Return the document, checked.

    Raises:
        JournalDamaged: it is not what was written.
    """
    row: _Document = decoded(_decode_document, data, name="a document")
    body = bytes(row.body)
    if chained(b"", body) != row.digest:
        raise JournalDamaged("a document has another digest than when it was written")
    found: DocumentRow = decoded(_decode_document_row, body, name="a document")
    return found


# --- commits --------------------------------------------------------------------


class RunChange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A run that a commit appended to: its length and last digest after it."""

    run: bytes
    length: int
    digest: bytes


class EventChange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event that a commit stored."""

    position: int
    digest: bytes


class RedactionChange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A payload that a commit took away: of a record, or of an event (`run` is empty).

    `place` is the sequence or the position, `check` that of the redaction.
    """

    run: bytes
    place: int
    check: bytes


class CommitBody(msgspec.Struct, frozen=True, array_like=True):
    """What the commits of one checkpoint did to the logs of one environment.

    `number` is the last one's. `heads` has the head digest after each of them, one
    behind the other: after the last one the write-ahead log goes on. `touched` are runs
    that changed without a record: paused, resumed, woken; None in rows of before.
    `deleted` are runs that they forgot; events up to `dropped` are past their retention.
    `redacted` are payloads that they took away.
    """

    number: int
    environment: int
    runs: list[RunChange]
    events: list[EventChange]
    heads: bytes
    touched: list[bytes] | None = None
    deleted: list[bytes] = []
    dropped: int = 0
    redacted: list[RedactionChange] = []

    @property
    def head(self) -> bytes:
        """Return the head digest after the last commit."""
        return self.heads[-keys.DIGEST_BYTES :]

    def head_at(self, number: int) -> bytes:
        """Return the head digest after one of the commits; empty if it is none."""
        end = len(self.heads) - (self.number - number) * keys.DIGEST_BYTES
        return self.heads[max(0, end - keys.DIGEST_BYTES) : max(0, end)]


class _Commit(msgspec.Struct, array_like=True):
    digest: bytes
    body: msgspec.Raw


_decode_commit: Final[Decoder] = msgspec.msgpack.Decoder(_Commit).decode
_decode_commit_body: Final[Decoder] = msgspec.msgpack.Decoder(CommitBody).decode


class Chain(msgspec.Struct, frozen=True, array_like=True):
    """Where the chain of commits begins: after commit `number`, with this digest."""

    number: int = 0
    digest: bytes = bytes(keys.DIGEST_BYTES)


CHAIN: Final = RowCodec(Chain, ADVICE)
HEAD_START: Final = bytes(keys.DIGEST_BYTES)


def encode_commit(previous: bytes, body: CommitBody) -> tuple[bytes, bytes]:
    """Return the row `[digest, body]` and its digest, which the next one follows."""
    data = encode(body)
    digest = chained(previous, data)
    return b"".join((_DIGESTED, digest, data)), digest


def read_commit(data: bytes) -> tuple[CommitBody, bytes]:
    """Return a commit's row and the digest that it names, which is not checked."""
    row: _Commit = decoded(_decode_commit, data, name="a commit")
    body: CommitBody = decoded(_decode_commit_body, row.body, name="a commit")
    return body, row.digest


def open_commit(previous: bytes, data: bytes) -> tuple[CommitBody, bytes]:
    """Return what commits did and the row's digest, checked against the chain.

    Raises:
        JournalDamaged: it or a commit before it is not what was written.
    """
    row: _Commit = decoded(_decode_commit, data, name="a commit")
    body = bytes(row.body)
    if chained(previous, body) != row.digest:
        raise JournalDamaged("the commit has another digest than the chain of commits")
    found: CommitBody = decoded(_decode_commit_body, body, name="a commit")
    return found, row.digest


def chained(previous: bytes, body: bytes) -> bytes:
    """Return the digest of what follows the digest `previous` in a chain."""
    return hashlib.blake2b(previous + body, digest_size=keys.DIGEST_BYTES).digest()
