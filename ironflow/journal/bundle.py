"""The file format of bundles: runs with their histories, readable by any program.

A bundle is a stream of MessagePack objects. Every second one is an object of ours, a
map with a `kind`; the number before it says how many bytes it takes. In this order:

    bundle   format, version, ironflow, environment, exported_at; and `fields`: what
             stands in the arrays of this file, by name
    run      row, status and number of records of a run; then, as often as needed,
    records    [format, header, digest, payload], as the journal stores them, but
               with large payloads in their place
    inbox      [header, payload]: on its way into the history
    timers     [run id, step, kind, due]
    end      the number of runs, and a digest of all bytes before this object's number

It knows nothing of journals; `archive.py` does.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, final, get_args

import msgspec

from ironflow import codec, limits
from ironflow.errors import (
    ConfigurationError,
    JournalDamaged,
    JournalForeign,
    JournalNewer,
)
from ironflow.journal.base import InboxRow, RunRow, TimerRow
from ironflow.records import FORMAT, Draft, Entry, Record

VERSION: Final = 1
_NAME: Final = "ironflow bundle"
_SIZE: Final = struct.Struct(">BI")
_UINT32: Final = 0xCE  # MessagePack's uint 32
MARK: Final = b"\xa4kind\xa6bundle"  # how the first object begins
_PAGE_BYTES: Final = 1024 * 1024
_DIGEST_BYTES: Final = 16

_encode: Final = msgspec.msgpack.Encoder().encode


class Head(msgspec.Struct, tag_field="kind", tag="bundle", frozen=True):
    """What a bundle says of itself. `exported_at` is in microseconds since 1970."""

    environment: str
    ironflow: str
    exported_at: int
    format: str = _NAME
    version: int = VERSION
    records: int = FORMAT
    fields: dict[str, Any] = {}


class RunHead(msgspec.Struct, tag_field="kind", tag="run", frozen=True):
    """A run: its row, how it stood, and the length of its history."""

    row: RunRow
    status: str
    records: int


class Records(msgspec.Struct, tag_field="kind", tag="records"):
    """Some records of the run before."""

    records: list[msgspec.Raw]


class Inbox(msgspec.Struct, tag_field="kind", tag="inbox"):
    """Some rows of its inbox."""

    inbox: list[msgspec.Raw]


class Timers(msgspec.Struct, tag_field="kind", tag="timers"):
    """Some of its timers."""

    timers: list[TimerRow]


class End(msgspec.Struct, tag_field="kind", tag="end", frozen=True):
    """The end of a whole bundle."""

    runs: int
    digest: bytes


Part = Head | RunHead | Records | Inbox | Timers | End
_decode: Final = msgspec.msgpack.Decoder(Part).decode


class _Version(msgspec.Struct):
    format: str
    version: int


_decode_version: Final = msgspec.msgpack.Decoder(_Version).decode


# --- writing --------------------------------------------------------------------


@final
class BundleWriter:
    """Writes runs into an open file, one after the other; `close` makes it whole."""

    def __init__(
        self, file: BinaryIO, *, environment: str, ironflow: str, now: int
    ) -> None:
        self.runs = 0
        self._file: Final = file
        self._environment: Final = environment
        self._digest: Final = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        self._page: Final[list[bytes]] = []
        self._page_bytes = 0
        self._run_id = ""
        self._previous = b""
        self._length = 0
        self._run_bytes = 0
        self._put(Head(environment, ironflow, now, fields=_fields()))

    def begin(self, head: RunHead) -> None:
        """Begin a run; its records come next."""
        self.runs += 1
        self._run_id = head.row.run_id
        self._previous = codec.chain_start(self._environment, self._run_id)
        self._length = self._run_bytes = 0
        self._put(head)

    def take(self, entries: Iterable[Entry]) -> None:
        """Write the next records of the run, checked against its chain.

        Raises:
            JournalDamaged: one is not what was written.
            ConfigurationError: the run is too large.
        """
        for entry in entries:
            self._length += 1
            data, header = codec.encode_whole(entry)
            self._check(entry, header)
            self._previous = entry.digest
            self._add(data)
        self._flush()

    def end(self, inbox: Sequence[InboxRow], timers: Sequence[TimerRow]) -> None:
        """Write what else there is of the run."""
        for row in inbox:
            self._add(codec.encode_draft(row.draft), inbox=True)
        self._flush(inbox=True)
        for at in range(0, len(timers), limits.PAGE_RECORDS_MAX):
            self._put(Timers(list(timers[at : at + limits.PAGE_RECORDS_MAX])))

    def close(self) -> None:
        """Write the end: a bundle without one is not whole."""
        self._put(End(self.runs, self._digest.digest()))

    def _check(self, entry: Entry, header: bytes) -> None:
        if (
            entry.record.sequence != self._length
            or codec.chained(self._previous, header) != entry.digest
            or not codec.is_intact(entry)
        ):
            raise JournalDamaged(
                f"record {self._length} of {self._run_id} is not what was written;"
                " 'ironflow doctor' says what is intact and how to save it"
            )

    def _add(self, data: bytes, *, inbox: bool = False) -> None:
        self._page.append(data)
        self._page_bytes += len(data)
        self._run_bytes += len(data)
        if self._run_bytes > limits.BUNDLE_RUN_BYTES_MAX:
            raise ConfigurationError(
                f"{self._run_id} has more than {limits.BUNDLE_RUN_BYTES_MAX} bytes, the"
                " most that a bundle takes of one run; 'ironflow backup' copies a whole"
                " journal"
            )
        if self._page_bytes >= _PAGE_BYTES:
            self._flush(inbox=inbox)

    def _flush(self, *, inbox: bool = False) -> None:
        if self._page:
            raw = list(map(msgspec.Raw, self._page))
            self._put(Inbox(raw) if inbox else Records(raw))
            self._page.clear()
            self._page_bytes = 0

    def _put(self, part: Part) -> None:
        data = _encode(part)
        for piece in (_SIZE.pack(_UINT32, len(data)), data):
            self._digest.update(piece)
            self._file.write(piece)


def _fields() -> dict[str, Any]:
    """Names for what stands in arrays: who reads the file needs no code of ours."""
    kinds = {kind.__struct_config__.tag: kind for kind in get_args(Record)}
    return {
        "record": ["format", "header", "digest", "payload"],
        "inbox": ["header", "payload"],
        "row": list(RunRow.__struct_fields__),
        "timer": list(TimerRow.__struct_fields__),
        "header": {
            str(tag): [kind.__name__, *kind.__struct_fields__]
            for tag, kind in sorted(kinds.items())
        },
    }


# --- reading --------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class BundledRun:
    """A run of a bundle: what it says of it, and where its records begin."""

    head: RunHead
    at: int


class StoredRecord(NamedTuple):
    """A record with its header as it was stored."""

    entry: Entry
    header: bytes


@final
class BundleFile:
    """A bundle, open to be read; every part is checked when it is read.

    Raises:
        ConfigurationError: the file cannot be read.
        JournalForeign: it is no bundle.
        JournalNewer: a newer ironflow wrote it.
        JournalDamaged: it is not what was written.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        try:
            self._file: Final = path.open("rb")
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be read: {error.strerror}; check the name"
            ) from error
        try:
            self.head: Final = self._read_head()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file; idempotent."""
        self._file.close()

    def runs(self) -> Iterator[BundledRun]:
        """Yield the runs in the order of the file; at its end, all of it was checked."""
        digest, at, runs = hashlib.blake2b(digest_size=_DIGEST_BYTES), 0, 0
        for start, data in self._objects(0):
            part = self._part(data)
            if isinstance(part, End):
                self._check_end(part, digest.digest(), runs)
                return
            digest.update(_SIZE.pack(_UINT32, len(data)))
            digest.update(data)
            at = start + _SIZE.size + len(data)
            if isinstance(part, RunHead):
                runs += 1
                yield BundledRun(part, at)
        raise self._cut_off()

    def records(self, run: BundledRun) -> Iterator[StoredRecord]:
        """Yield the records of a run, checked against its chain."""
        row = run.head.row
        stored = (
            (bytes(data), codec.decode(bytes(data)))
            for part in self._parts(run)
            if isinstance(part, Records)
            for data in part.records
        )
        start = codec.chain_start(self.head.environment, row.run_id)
        length = 0
        headers: list[bytes] = []
        for entry in codec.verify_chain(_noted(stored, headers), start=start):
            if codec.needs_blob(entry):
                raise self._damaged(f"the payload of record {length + 1} is gone")
            length += 1
            yield StoredRecord(entry, headers.pop())
        if length != run.head.records:
            raise self._damaged(
                f"{row.run_id} has {length} records, not {run.head.records}"
            )

    def rest(self, run: BundledRun) -> tuple[list[Draft], list[TimerRow]]:
        """Return the inbox and the timers of a run."""
        inbox: list[Draft] = []
        timers: list[TimerRow] = []
        for part in self._parts(run):
            if isinstance(part, Inbox):
                inbox += (codec.decode_draft(bytes(data)) for data in part.inbox)
            elif isinstance(part, Timers):
                timers += part.timers
        return inbox, timers

    def _parts(self, run: BundledRun) -> Iterator[Part]:
        size = 0
        for _, data in self._objects(run.at):
            part = self._part(data)
            if isinstance(part, RunHead | End):
                return
            size += len(data)
            if size > limits.BUNDLE_RUN_BYTES_MAX * 2:
                raise self._damaged(f"{run.head.row.run_id} is larger than any run")
            yield part
        raise self._cut_off()

    def _objects(self, at: int) -> Iterator[tuple[int, bytes]]:
        """Yield the objects from this place on, each with its own."""
        while True:
            self._file.seek(at)
            size = self._file.read(_SIZE.size)
            if not size:
                return
            if len(size) < _SIZE.size:
                raise self._cut_off()
            kind, length = _SIZE.unpack(size)
            if kind != _UINT32 or length > limits.BUNDLE_PART_BYTES_MAX:
                raise self._damaged(f"at byte {at} there is no length")
            data = self._file.read(length)
            if len(data) < length:
                raise self._cut_off()
            yield at, data
            at += _SIZE.size + length

    def _read_head(self) -> Head:
        try:
            data = next((data for _, data in self._objects(0)), b"")
            found = _decode_version(data)
        except (JournalDamaged, *codec.UNREADABLE) as error:
            raise self._foreign() from error
        if found.format != _NAME:
            raise self._foreign()
        if found.version > VERSION:
            raise JournalNewer(
                f"{self.path} is a bundle of version {found.version}; this ironflow reads"
                f" version {VERSION}: upgrade ironflow to read it"
            )
        head = self._part(data)
        if not isinstance(head, Head):
            raise self._foreign()
        return head

    def _part(self, data: bytes) -> Part:
        try:
            part: Part = _decode(data)
        except codec.UNREADABLE as error:
            raise self._damaged(str(error)) from error
        return part

    def _check_end(self, end: End, digest: bytes, runs: int) -> None:
        if (end.digest, end.runs) != (digest, runs):
            raise self._damaged("its bytes have another digest than its end says")

    def _foreign(self) -> JournalForeign:
        return JournalForeign(
            f"{self.path} is not a bundle; 'ironflow export' writes one"
        )

    def _cut_off(self) -> JournalDamaged:
        return self._damaged("it ends too early")

    def _damaged(self, what: str) -> JournalDamaged:
        return JournalDamaged(
            f"the bundle {self.path} is damaged: {what}; take another copy, or export"
            " again"
        )


def _noted(
    stored: Iterable[tuple[bytes, Entry]], headers: list[bytes]
) -> Iterator[tuple[bytes, Entry]]:
    for data, entry in stored:
        headers.append(codec.header_of(data))
        yield data, entry
