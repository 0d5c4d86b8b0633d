"""Rows <-> MessagePack bytes, for every store: arrays, in the order of the fields.

Any MessagePack reader reads them. A field that is added later goes last and has a
default, so rows of older versions are read for ever. `advice`, which ends the message
about bytes that are no such row, is the store's.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from ironflow import codec
from ironflow.errors import JournalDamaged
from ironflow.journal.rows import InboxRow
from ironflow.records import Draft

Row = TypeVar("Row")
Decoder = Callable[[bytes], Any]

encode: Final = msgspec.msgpack.Encoder().encode


class RowCodec(Generic[Row]):
    """Encode and decode one class of rows, which is a Struct like an array."""

    __slots__ = ("_advice", "_decode", "_name")

    def __init__(self, row: type[Row], advice: str) -> None:
        self._name = f"a {row.__name__}"
        self._advice = advice
        self._decode: Decoder = msgspec.msgpack.Decoder(row).decode

    def encode(self, row: Row) -> bytes:
        """Return the bytes to store."""
        return encode(row)

    def decode(self, data: bytes) -> Row:
        """Return the row in these bytes.

        Raises:
            JournalDamaged: the bytes are not such a row.
        """
        row: Row = decoded(self._decode, data, name=self._name, advice=self._advice)
        return row


def decoded(decode: Decoder, data: bytes, *, name: str, advice: str) -> Any:
    """Decode, or say which kind of row these bytes are not.

    Raises:
        JournalDamaged: the bytes are not such a row.
    """
    try:
        return decode(data)
    except codec.UNREADABLE as error:
        raise JournalDamaged(
            f"{len(data)} bytes of the journal are not {name} ({error}); {advice}"
        ) from error


# --- the inbox ------------------------------------------------------------------


class _Inbox(msgspec.Struct, array_like=True):
    position: int
    draft: msgspec.Raw


_decode_inbox: Final[Decoder] = msgspec.msgpack.Decoder(_Inbox).decode


def encode_inbox(draft: Draft, *, position: int) -> bytes:
    """Return the row of a waiting record: `[event position, draft]`."""
    return encode((position, msgspec.Raw(codec.encode_draft(draft))))


def decode_inbox(number: int, data: bytes, *, advice: str) -> InboxRow:
    """Return a waiting record.

    Raises:
        JournalDamaged: the bytes are no such row.
    """
    row: _Inbox = decoded(_decode_inbox, data, name="an inbox row", advice=advice)
    return InboxRow(number, codec.decode_draft(bytes(row.draft)), row.position)
