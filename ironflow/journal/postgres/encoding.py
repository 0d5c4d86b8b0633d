"""Values <-> PostgreSQL's binary formats: what a parameter and a column hold.

Every statement takes its rows as one array for each column, so that a group of
rows costs one statement. Text cannot hold a zero byte; whoever passes text that a
user may choose freely passes a digest beside it.
"""

import hashlib
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from ironflow.journal import run_bytes

EPOCH_US: Final = 946_684_800_000_000  # 2000-01-01, from which PostgreSQL counts
DIGEST_BYTES: Final = 16
NO_RUN: Final = bytes(16)
WORD_CHARACTERS_MAX: Final = 100
WORDS_KNOWN_MAX: Final = 4_096  # texts whose bytes are remembered

_BYTEA: Final = 17
_INT8: Final = 20
_TEXT: Final = 25
_TIMESTAMPTZ: Final = 1184
_UUID: Final = 2950

_header: Final = struct.Struct(">iiiii").pack
_empty: Final = struct.Struct(">iii").pack
_length: Final = struct.Struct(">i").pack
_int8: Final = struct.Struct(">q")
_sized_int8: Final = struct.Struct(">iq").pack
_16: Final = _length(16)


# --- parameters -----------------------------------------------------------------


def int4(value: int) -> bytes:
    """Return an `integer`."""
    return _length(value)


def int8(value: int) -> bytes:
    """Return a `bigint`."""
    return _int8.pack(value)


def timestamp(time_us: int) -> bytes:
    """Return a `timestamptz` of microseconds since 1970."""
    return _int8.pack(time_us - EPOCH_US)


def text(value: str) -> bytes:
    """Return a `text`; a zero byte, which PostgreSQL refuses, is shown as U+FFFD."""
    return value.replace("\0", "\ufffd").encode(errors="replace")


def int8s(values: Sequence[int]) -> bytes:
    """Return a `bigint[]`."""
    return _array(_INT8, [_sized_int8(8, value) for value in values])


def timestamps(times_us: Sequence[int]) -> bytes:
    """Return a `timestamptz[]` of microseconds since 1970."""
    return _array(_TIMESTAMPTZ, [_sized_int8(8, us - EPOCH_US) for us in times_us])


def texts(values: Sequence[str]) -> bytes:
    """Return a `text[]`; zero bytes are shown as U+FFFD."""
    return _array(
        _TEXT,
        [
            _word(value) if len(value) <= WORD_CHARACTERS_MAX else _sized(text(value))
            for value in values
        ],
    )


@lru_cache(maxsize=WORDS_KNOWN_MAX)
def _word(value: str) -> bytes:
    """Return a kind, a name or a step id: they come again and again."""
    return _sized(text(value))


def byteas(values: Sequence[bytes]) -> bytes:
    """Return a `bytea[]`."""
    return _array(_BYTEA, [_sized(value) for value in values])


def uuids(values: Sequence[bytes]) -> bytes:
    """Return a `uuid[]` of 16 bytes each."""
    return _array(_UUID, [_16 + value for value in values])


def _array(kind: int, items: list[bytes]) -> bytes:
    if not items:
        return _empty(0, 0, kind)
    return b"".join((_header(1, 0, kind, len(items), 1), *items))


def _sized(value: bytes) -> bytes:
    return _length(len(value)) + value


# --- columns --------------------------------------------------------------------


def to_int(data: bytes) -> int:
    """Return the number in an `integer` or `bigint`."""
    return int.from_bytes(data, "big", signed=True)


def to_time(data: bytes) -> int:
    """Return the microseconds since 1970 of a `timestamptz`."""
    return int.from_bytes(data, "big", signed=True) + EPOCH_US


def to_bool(data: bytes) -> bool:
    """Return a `boolean`."""
    return data == b"\1"


# --- keys -----------------------------------------------------------------------


run: Final = run_bytes.run
shown_run: Final = run_bytes.shown_run


def digest(*parts: str) -> bytes:
    """Return 16 bytes that stand for text of any length and alphabet."""
    data = "\0".join(parts).encode(errors="surrogatepass")
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
