"""What is read from a disk or a file of somebody: records, rows, values, bundles."""

import io
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ironflow import codec, values
from ironflow.errors import IronflowError, JournalDamaged, JournalNewer
from ironflow.interpreter.effective import effective
from ironflow.interpreter.fold import fold
from ironflow.interpreter.segments_news import SleepAsked
from ironflow.journal.bundle import BundleFile, BundleWriter, RunHead
from ironflow.journal.documents import DocumentRow
from ironflow.journal.row_codec import RowCodec, decode_inbox, encode_inbox
from ironflow.journal.rows import FunctionRow, Pause, RunRow, TimerRow, WaitRow
from ironflow.records import CancelRequested, Draft, Entry
from tests.fuzz.target import Target
from tests.interpreter.segments_world import (
    ENVIRONMENT,
    RUN_ID,
    SegmentWorld,
    done,
    pack,
)

_UNREADABLE: Final = (JournalDamaged, JournalNewer)


def records(data: bytes) -> None:
    """Any bytes are a page of records or damaged; what is read can be folded or is damaged."""
    with suppress(*_UNREADABLE):
        codec.decode_draft(data)
    with suppress(*_UNREADABLE):
        codec.header_of(data)
    try:
        entries = codec.decode_page(data)
    except _UNREADABLE:
        return
    again = codec.decode_page(codec.page([codec.encode(each) for each in entries]))
    assert again == entries or b"nan" in repr(entries).encode()
    with suppress(IronflowError):
        fold(effective(entries).entries)


def rows(data: bytes) -> None:
    """Any bytes are a row or damaged; a row is written as it is read."""
    if not data:
        return
    number, raw = data[0] % (len(_ROWS) + 1), data[1:]
    with suppress(*_UNREADABLE):
        if number == len(_ROWS):
            row = decode_inbox(1, raw, advice="")
            encode_inbox(row.draft, position=row.position)
            return
        kind = _ROWS[number]
        read = kind.decode(raw)
        assert kind.decode(kind.encode(read)) == read


def stored_values(data: bytes) -> None:
    """Any bytes are a value of an annotation or refused; plain ones can be shown."""
    if not data:
        return
    annotation = _ANNOTATIONS[data[0] % len(_ANNOTATIONS)]
    try:
        value = values.decode(data[1:], annotation)
    except IronflowError:
        return
    with suppress(IronflowError):
        values.to_json(data[1:])
    if annotation is Any:
        with suppress(IronflowError):  # MessagePack has more than values are made of
            assert values.decode(values.encode(value)) == value or _has_nan(value)


def _has_nan(value: object) -> bool:
    return "nan" in repr(value)


def bundles(data: bytes) -> None:
    """Any file is a bundle, or not one, or damaged."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with suppress(IronflowError):
            _read(BundleFile(Path(file.name)))


def _read(bundle: BundleFile) -> None:
    try:
        for run in bundle.runs():
            list(bundle.records(run))
            bundle.rest(run)
    finally:
        bundle.close()


@dataclass
class _Order:
    id: str
    total: float = 0
    at: datetime | None = None


_ANNOTATIONS: Final = (
    Any,
    int,
    str,
    bytes,
    list[int],
    dict[str, Any],
    _Order,
    datetime,
)
_PAUSE: Final = Pause("asked", "m", "v1", 5, "me")
_ROWS: Final[tuple[RowCodec[Any], ...]] = tuple(
    RowCodec(kind, "") for kind in (FunctionRow, RunRow, TimerRow, WaitRow, DocumentRow)
)


def _history() -> list[Entry]:
    world = SegmentWorld({"n": 1})
    world.begin()
    world.tell(done("a:0", {"x": [1]}), then=SleepAsked("nap:0", 10**15))
    return world.history


def _bundle() -> bytes:
    """A bundle of one run."""
    file = io.BytesIO()
    writer = BundleWriter(file, environment=ENVIRONMENT, ironflow="1", now=1)
    history = _history()
    row = RunRow(RUN_ID, "hello", "open", "evt_1", "order.created", 1, 1)
    writer.begin(RunHead(row, "open", len(history)))
    writer.take(history)
    writer.end([], [TimerRow(RUN_ID, "nap:0", "sleep", 10**15)])
    writer.close()
    return file.getvalue()


_TOKENS: Final = [b"\xc0", b"\xc3", b"\x91", b"\xdd\xff\xff\xff\xff", b"\xc7\x08\x01"]
_VALUES: Final = [
    {"a": [1, None, 2.5, -(2**63), b"x", "ä"]},
    2**64 - 1,
    datetime(2030, 1, 1, tzinfo=UTC),
    {"id": "o", "total": 1.5},
]
TARGETS: Final = (
    Target(
        "records",
        records,
        [
            codec.page([codec.encode(each) for each in _history()]),
            codec.encode_draft(Draft(CancelRequested(actor="me", reason="enough"))),
        ],
        _TOKENS,
    ),
    Target(
        "rows",
        rows,
        [
            b"\x00" + pack(FunctionRow("f", "v", ("a",), config=b"x")),
            b"\x01"
            + pack(RunRow(RUN_ID, "f", "open", "evt_1", "n", 1, 1, pause=_PAUSE)),
            b"\x02" + pack(TimerRow(RUN_ID, "a:0", "sleep", 5)),
            b"\x03" + pack(WaitRow(RUN_ID, "a:0", 3, "e", "data.x", b"k")),
            b"\x04" + pack(DocumentRow("k", "i", b"d", 1, 1)),
            b"\x05" + encode_inbox(Draft(CancelRequested(actor="me")), position=3),
        ],
        _TOKENS,
    ),
    Target(
        "values",
        stored_values,
        [
            bytes([number]) + pack(value)
            for number in range(len(_ANNOTATIONS))
            for value in _VALUES
        ],
        _TOKENS,
    ),
    Target("bundles", bundles, [_bundle()], _TOKENS, many=200),
)
