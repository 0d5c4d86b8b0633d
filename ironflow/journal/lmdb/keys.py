"""The tables of an LMDB store and what their keys look like.

A key is made of pieces of fixed width, so ranges are prefixes. It begins with
the number of its environment (2 bytes), but in `meta` and `commits`, which
belong to the whole store. Numbers are big-endian: byte order is their order.
Names, paths and step ids are as long as users like and LMDB's keys end at 511
bytes, so they stand as 16 bytes of BLAKE2b; the row has the text.
"""

import hashlib
from functools import lru_cache
from typing import Final

from ironflow import limits
from ironflow.journal import run_bytes
from ironflow.journal.base import TimerKind

META: Final = "meta"  # layout, store id, owner, environments by name, deliveries
LOG: Final = "log"  # run, sequence of the last record -> codec.page or segments.Place
COMMITS: Final = "commits"  # number of the last commit -> rows.CommitBody
BLOBS: Final = "blobs"  # payload digest -> payload; digest, run that has it -> nothing
RUNS: Final = "runs"  # run -> RunRow
READY: Final = "ready"  # run -> place in the queue, function id
PAUSED: Final = "paused"  # run -> function id
INBOX: Final = "inbox"  # run, number -> position, draft
TIMERS: Final = "timers"  # due, run, step, kind -> TimerRow
RUN_TIMERS: Final = "run_timers"  # run, step, kind -> due
WAITS: Final = "waits"  # event name, path, match key, run, sequence -> WaitRow
RUN_WAITS: Final = "run_waits"  # run, step -> key in WAITS
EVENTS: Final = "events"  # position -> digest, event, runs
EVENT_NAMES: Final = "event_names"  # event name, position -> nothing
MATCH_PATHS: Final = "match_paths"  # event name, path -> MatchPath
MATCHES: Final = "matches"  # event name, path, match key, position -> nothing
SEEKS: Final = "seeks"  # run, sequence -> key in WAITS
EVENT_KEYS: Final = "event_keys"  # day, name and idempotency key -> position
CONSUMED: Final = "consumed"  # run, position -> nothing
FUNCTIONS: Final = "functions"  # function id -> FunctionRow
DOCUMENTS: Final = "documents"  # kind, id as UTF-8 -> digest, DocumentRow

TABLES: Final = (
    META,
    LOG,
    COMMITS,
    BLOBS,
    RUNS,
    READY,
    PAUSED,
    INBOX,
    TIMERS,
    RUN_TIMERS,
    WAITS,
    RUN_WAITS,
    EVENTS,
    EVENT_NAMES,
    MATCH_PATHS,
    MATCHES,
    SEEKS,
    EVENT_KEYS,
    CONSUMED,
    FUNCTIONS,
    DOCUMENTS,
)
ADDED: Final = (DOCUMENTS,)  # that a store of an older ironflow may lack
LAYOUT: Final = 2  # of the tables; records have a format of their own
LAYOUT_PACKED: Final = 3  # the same, and some histories are in segments
LAYOUT_REDACTED: Final = 4  # the same, and payloads were redacted

FORMAT_KEY: Final = b"format"
STORE_KEY: Final = b"store"
OWNER_KEY: Final = b"owner"
CLOSED_KEY: Final = b"closed"  # the last owner that closed the journal
ENVIRONMENT_KEY: Final = b"environment:"
DELIVERY_KEY: Final = b"delivery:"
GONE_KEY: Final = b"gone:"  # with the key of a run without a row -> nothing
TALLY_KEY: Final = b"documents:"  # with an environment -> tally.Tally
CHAIN_KEY: Final = b"chain"  # the last commit whose row was dropped: number, digest
SEGMENT_KEY: Final = b"segment"  # number of the last segment that was referred to
UNKNOWN_RUN: Final = bytes(16)  # stands for all that a blob of an older store may have

STORE_BYTES: Final = 16
ENVIRONMENT_BYTES: Final = 2
NUMBER_BYTES: Final = 8
RUN_BYTES: Final = run_bytes.RUN_BYTES
DIGEST_BYTES: Final = 16
DOCUMENT_BYTES_MAX: Final = DIGEST_BYTES + limits.DOCUMENT_ID_BYTES_MAX  # of its piece
DAY_US: Final = 24 * 3600 * 1_000_000
DAYS_BYTES: Final = 4
_KINDS: Final[dict[TimerKind, bytes]] = {
    "sleep": b"\x01",
    "wait": b"\x02",
    "invoke": b"\x03",
    "retry": b"\x04",
    "run": b"\x05",
    "start": b"\x06",
}


run: Final = run_bytes.run
shown_run: Final = run_bytes.shown_run


def number(value: int) -> bytes:
    """Return 8 bytes whose order is the order of the numbers."""
    return value.to_bytes(NUMBER_BYTES, "big")


def to_number(data: bytes) -> int:
    """Return the number in the bytes that `number` made."""
    return int.from_bytes(data, "big")


def environment_prefix(value: int) -> bytes:
    """Return the first piece of every key of an environment."""
    return value.to_bytes(ENVIRONMENT_BYTES, "big")


@lru_cache(maxsize=4096)
def text(value: str) -> bytes:
    """Return the piece that stands for a name, a path or a step id."""
    return hashlib.blake2b(
        value.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES
    ).digest()


def timer(step: str, kind: TimerKind) -> bytes:
    """Return the piece that tells a run's timers apart."""
    return text(step) + _KINDS[kind]


def timer_by_due(own: bytes, due: bytes) -> bytes:
    """Return the key of a timer by time, from its key by run."""
    return own[:ENVIRONMENT_BYTES] + due + own[ENVIRONMENT_BYTES:]


def event_key(name: str, key: str) -> bytes:
    """Return the piece that stands for an idempotency key of an event name."""
    return text(name) + text(key)


def waits(environment: bytes, name: str, path: str, match_key: bytes) -> bytes:
    """Return how the keys begin of waits and events with this value at a path."""
    key = match_key.ljust(DIGEST_BYTES, b"\0")
    assert len(key) == DIGEST_BYTES
    return b"".join((environment, text(name), text(path), key))


def document(kind: str, id_: str) -> bytes:
    """Return the piece of a document; ids of a kind are in the order of their text."""
    return text(kind) + id_.encode(errors="surrogatepass")


def day(time_us: int) -> bytes:
    """Return the piece of the day (UTC) in which an idempotency key was used."""
    return (time_us // DAY_US).to_bytes(DAYS_BYTES, "big")


def after(prefix: bytes) -> bytes:
    """Return the first key that comes after all keys with this prefix."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else prefix + b"\xff"
