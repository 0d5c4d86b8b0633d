"""Rows <-> MessagePack: what the `data` columns hold.

A row is an array, in the order of its fields. A field that is added later goes last and
has a default, so rows of older versions are read for ever.
"""

from functools import partial
from typing import Final

import msgspec

from ironflow.journal import row_codec
from ironflow.journal.base import (
    Delivery,
    DocumentRow,
    FunctionRow,
    Hint,
    MatchPath,
    RunRow,
    StoredEvent,
    WaitRow,
)
from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres._psycopg import Row
from ironflow.journal.row_codec import Decoder, RowCodec, encode
from ironflow.records import EventData, Redaction

_ADVICE: Final = "restore the database from a backup"

encode_inbox: Final = row_codec.encode_inbox
decode_inbox: Final = partial(row_codec.decode_inbox, advice=_ADVICE)


FUNCTION: Final = RowCodec(FunctionRow, _ADVICE)
RUN: Final = RowCodec(RunRow, _ADVICE)
WAIT: Final = RowCodec(WaitRow, _ADVICE)
MATCH_PATH: Final = RowCodec(MatchPath, _ADVICE)
DELIVERY: Final = RowCodec(Delivery, _ADVICE)
HINT: Final = RowCodec(Hint, _ADVICE)


# --- events ---------------------------------------------------------------------


class _Event(msgspec.Struct, array_like=True):
    event: EventData
    run_ids: tuple[str, ...]
    redaction: Redaction | None = None


_decode_event: Final[Decoder] = msgspec.msgpack.Decoder(_Event).decode


def encode_event(stored: StoredEvent) -> bytes:
    """Return the bytes of an event: `[event, run ids]`, and a redaction behind them."""
    if stored.redaction is not None:
        return encode((stored.event, stored.run_ids, stored.redaction))
    return encode((stored.event, stored.run_ids))


def decode_event(position: int, data: bytes) -> StoredEvent:
    """Return the event at a position."""
    row: _Event = row_codec.decoded(
        _decode_event, data, name="an event", advice=_ADVICE
    )
    return StoredEvent(position, row.event, row.run_ids, row.redaction)


# --- documents ------------------------------------------------------------------


def document(columns: Row) -> DocumentRow:
    """Return the document in the columns kind, id, revision, updated_at and data."""
    kind, id_, revision, updated_at, data = columns
    return DocumentRow(
        kind.decode(), id_.decode(), data, pg.to_int(revision), pg.to_time(updated_at)
    )
