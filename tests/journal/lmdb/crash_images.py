"""What a disk may hold after a crash: images of a journal's files, at any instant.

A `Recorder` notes what an open journal writes, and in which order, while other commits
go on. Between two syncs a disk may have written any of what is under way, in any order,
by sectors; `images` draws such states, with what had been acknowledged by then.

Frames and the head file are recorded where they are written. What LMDB writes in a
transaction is found by comparing its file before and after: first its data pages, in any
order, then, behind a sync, a meta page; `test_crash_images.py` holds LMDB to that.
"""

import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ironflow.journal.lmdb._lmdb import Changes, Environment
from ironflow.journal.lmdb.wal import SECTOR_BYTES

PAGE_BYTES = 4096
CHECKPOINTS = "ironflow-checkpoint"  # the thread that makes them
FILES = ("data.mdb", "wal", "head")


@dataclass
class Write:
    """Bytes at a place of a file."""

    file: str
    at: int
    data: bytes


@dataclass
class Synced:
    """The last write of a frame is durable."""


@dataclass
class Told:
    """So many events had been acknowledged."""

    events: int


@dataclass
class Begun:
    """LMDB writes a transaction: pages in any order, then the meta pages."""

    pages: list[Write] = field(default_factory=list)
    metas: list[Write] = field(default_factory=list)


@dataclass
class Ended:
    """LMDB's transaction is durable."""

    begun: Begun


Event = Write | Synced | Told | Begun | Ended


@dataclass(frozen=True)
class Image:
    """Files as a crash left them; at least `told` events must be there."""

    files: dict[str, bytes]
    told: int
    instant: int

    def write(self, directory: Path) -> None:
        """Put the files into a directory of their own."""
        directory.mkdir()
        for name, data in self.files.items():
            (directory / name).write_bytes(data)


class Recorder:
    """Notes what is written in a directory while it is active."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch) -> None:
        self.before = {
            name: (directory / name).read_bytes()
            for name in FILES
            if (directory / name).exists()
        }
        self.events: list[Event] = []
        self._directory = directory
        self._lock = threading.Lock()
        self._pwrite = os.pwrite
        self._write = Environment.write
        self._gate = threading.Event()
        patch.setattr(os, "pwrite", self._on_pwrite)

        def write(
            environment: Environment, changes: Changes, **_: Callable[[], object]
        ) -> None:
            if environment._path == directory:
                self._on_lmdb(environment, changes)
            else:  # the index of runs, which is made again
                self._write(environment, changes)

        patch.setattr(Environment, "write", write)

    def told(self, events: int) -> None:
        """Note that so many events have been acknowledged."""
        self._note(Told(events))

    def let_checkpoints_end(self, *, may: bool) -> None:
        """Let checkpoints go on to their ends, or hold them while commits go on."""
        if may:
            self._gate.set()
        else:
            self._gate.clear()

    def _note(self, event: Event) -> None:
        with self._lock:
            self.events.append(event)

    def _on_pwrite(self, file: int, data: bytes, at: int) -> int:
        path = Path(f"/proc/self/fd/{file}").readlink()
        if path.parent != self._directory:
            return self._pwrite(file, data, at)
        self._note(Write(path.name, at, bytes(data)))
        written = self._pwrite(file, data, at)
        if path.name == "wal":
            self._note(Synced())
        return written

    def _on_lmdb(self, environment: Environment, changes: Changes) -> None:
        begun = Begun()
        self._note(begun)
        if threading.current_thread().name == CHECKPOINTS:
            assert self._gate.wait(20)
        data = self._directory / "data.mdb"
        before = data.read_bytes()
        self._write(environment, changes)
        for write in changed_pages(before, data.read_bytes()):
            (begun.metas if write.at < 2 * PAGE_BYTES else begun.pages).append(write)
        self._note(Ended(begun))


def changed_pages(before: bytes, after: bytes) -> Iterator[Write]:
    """Yield the pages that differ."""
    for at in range(0, len(after), PAGE_BYTES):
        page = after[at : at + PAGE_BYTES]
        if page != before[at : at + PAGE_BYTES]:
            yield Write("data.mdb", at, page)


def images(recorder: Recorder, chosen: random.Random, *, each: int) -> Iterator[Image]:
    """Yield what a crash may leave: so many states of each instant."""
    disk = Disk(dict(recorder.before), chosen)
    for instant, event in enumerate(recorder.events):
        disk.take(event)
        for number in range(each):
            yield Image(disk.state(number), disk.told, instant)


class Disk:
    """Files with what is durable of them, and what is under way."""

    def __init__(self, files: dict[str, bytes], chosen: random.Random) -> None:
        self.told = 0
        self._files = files
        self._chosen = chosen
        self._frame: Write | None = None
        self._transaction: Begun | None = None
        self._heads = [files.get("head")]  # never synced: the disk may have any

    def take(self, event: Event) -> None:
        """Go on by one event."""
        match event:
            case Told():
                self.told = event.events
            case Write(file="head"):
                self._heads.append(event.data)
            case Write():
                self._frame = event
            case Synced():
                assert self._frame is not None
                self._files["wal"] = put(self._files["wal"], self._frame)
                self._frame = None
            case Begun():
                self._transaction = event
            case Ended(begun):
                for write in (*begun.pages, *begun.metas):
                    self._files["data.mdb"] = put(self._files["data.mdb"], write)
                self._transaction = None

    def state(self, number: int) -> dict[str, bytes]:
        """Draw a state; the first ones of an instant are the plain ones."""
        files = dict(self._files)
        if self._frame is not None:
            for sector in self._some(sectors(self._frame), number):
                files["wal"] = put(files["wal"], sector)
        if self._transaction is not None:
            for write in self._of_transaction(self._transaction, number):
                files["data.mdb"] = put(files["data.mdb"], write)
        head = self._heads[-1] if number < 2 else self._chosen.choice(self._heads)
        files.pop("head", None)
        if head is not None:
            files["head"] = head
        return files

    def _of_transaction(self, begun: Begun, number: int) -> list[Write]:
        if number == 1 or self._chosen.random() < 0.2:
            return [*begun.pages, *begun.metas]  # ended, and nobody knew yet
        pieces = [piece for page in begun.pages for piece in self._torn(page)]
        return self._some(pieces, number)

    def _torn(self, page: Write) -> list[Write]:
        return sectors(page) if self._chosen.random() < 0.3 else [page]

    def _some(self, writes: list[Write], number: int) -> list[Write]:
        """None, all, all but one, one, or any of them."""
        kind = number if number < 4 else self._chosen.randrange(6)
        one = self._chosen.randrange(len(writes)) if writes else 0
        match kind:
            case 0:
                return []
            case 1:
                return writes
            case 2:
                return writes[:one] + writes[one + 1 :]
            case 3:
                return writes[one : one + 1]
            case _:
                return [write for write in writes if self._chosen.random() < 0.5]


def sectors(write: Write) -> list[Write]:
    """The write, sector by sector."""
    return [
        Write(write.file, write.at + at, write.data[at : at + SECTOR_BYTES])
        for at in range(0, len(write.data), SECTOR_BYTES)
    ]


def put(data: bytes, write: Write) -> bytes:
    """Return the bytes of a file after a write."""
    start = data[: write.at].ljust(write.at, b"\0")
    return start + write.data + data[write.at + len(write.data) :]
