"""Rows <-> MessagePack: what the `data` columns hold.

A row is an array, in the order of its fields. A field that is added later goes last and
has a default, so rows of older versions are read for ever.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from ironflow import codec
from ironflow.errors import JournalDamaged
from ironflow.journal.base import (
    Delivery,
    FunctionRow,
    Hint,
    InboxRow,
    MatchPath,
    RunRow,
    StoredEvent,
    WaitRow,
)
from ironflow.records import Draft, EventData

Row = TypeVar("Row")
Decoder = Callable[[bytes], Any]

_encode: Final = msgspec.msgpack.Encoder().encode


class RowCodec(Generic[Row]):
    """Encode and decode one class of rows."""

    __slots__ = ("_decode", "_name")

    def __init__(self, row: type[Row]) -> None:
        self._name = row.__name__
        self._decode: Decoder = msgspec.msgpack.Decoder(row).decode

    def encode(self, row: Row) -> bytes:
        """Return the bytes to store."""
        return _encode(row)

    def decode(self, data: bytes) -> Row:
        """Return the row in these bytes.

        Raises:
            JournalDamaged: the bytes are not such a row.
        """
        row: Row = decoded(self._decode, data, name=self._name)
        return row


def decoded(decode: Decoder, data: bytes, *, name: str) -> Any:
    """Decode, or say which kind of row these bytes are not.

    Raises:
        JournalDamaged: the bytes are not such a row.
    """
    try:
        return decode(data)
    except codec.UNREADABLE as error:
        raise JournalDamaged(
            f"{len(data)} bytes of the journal are not a {name} ({error}); restore the"
            " database from a backup"
        ) from error


FUNCTION: Final = RowCodec(FunctionRow)
RUN: Final = RowCodec(RunRow)
WAIT: Final = RowCodec(WaitRow)
MATCH_PATH: Final = RowCodec(MatchPath)
DELIVERY: Final = RowCodec(Delivery)
HINT: Final = RowCodec(Hint)


# --- the inbox ------------------------------------------------------------------


class _Inbox(msgspec.Struct, array_like=True):
    position: int
    draft: msgspec.Raw


_decode_inbox: Final[Decoder] = msgspec.msgpack.Decoder(_Inbox).decode


def encode_inbox(draft: Draft, *, position: int) -> bytes:
    """Return the bytes of a waiting record: `[event position, draft]`."""
    return _encode((position, msgspec.Raw(codec.encode_draft(draft))))


def decode_inbox(number: int, data: bytes) -> InboxRow:
    """Return a waiting record."""
    row: _Inbox = decoded(_decode_inbox, data, name="waiting record")
    return InboxRow(number, codec.decode_draft(bytes(row.draft)), row.position)


# --- events ---------------------------------------------------------------------


class _Event(msgspec.Struct, array_like=True):
    event: EventData
    run_ids: tuple[str, ...]


_decode_event: Final[Decoder] = msgspec.msgpack.Decoder(_Event).decode


def encode_event(stored: StoredEvent) -> bytes:
    """Return the bytes of an event: `[event, run ids]`."""
    return _encode((stored.event, stored.run_ids))


def decode_event(position: int, data: bytes) -> StoredEvent:
    """Return the event at a position."""
    row: _Event = decoded(_decode_event, data, name="event")
    return StoredEvent(position, row.event, row.run_ids)
