"""Prove that what is stored is what was written, a page at a time.

It walks the chain of commits, then every history and its digests, the payloads,
the events, and the rows that name runs; of the newest commits the write-ahead log has
checksums of its own. Each page is one short snapshot, so an
engine may own the directory meanwhile. A file that nobody owns is first checked
page by page without LMDB, which a damaged page can crash.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Final

from ironflow import codec
from ironflow.errors import JournalDamaged, JournalNewer
from ironflow.journal.lmdb import keys, opening, owner, rows
from ironflow.journal.lmdb._lmdb import MAP_BYTES_MAX, check_pages
from ironflow.journal.lmdb.checkpoint import Committed
from ironflow.journal.lmdb.follower import Follower
from ironflow.journal.lmdb.head import read_head
from ironflow.journal.lmdb.layers import Layered
from ironflow.journal.lmdb.reads import Reads, Source, with_blob
from ironflow.records import Entry

PAGE_ROWS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written.

    `run_id` is empty and `record` 0 where it is about no run or no record.
    """

    message: str
    run_id: str = ""
    record: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How many rows of a part have been looked at, of how many there were."""

    part: str
    done: int
    total: int


Report = Iterator[Finding | Progress]
_Row = tuple[bytes, bytes]


def verify(source: str | Path | Reads) -> Report:
    """Yield what is wrong with a journal, and progress on the way.

    `source` is a data directory, or a journal that this process has open. It reads
    only. A journal without a `Finding` holds every record that was acknowledged, as
    far as the head file and the chain of commits can tell; what was cut off before
    the head file last reached the disk, after a power loss, they cannot see.

    Raises:
        JournalForeign: there is no journal.
        JournalNewer: a newer ironflow wrote it.
        JournalDamaged: it is too damaged to be opened; the message says why.
        JournalOwned: this process owns it; give the open journal instead.
    """
    if isinstance(source, Reads):
        yield from _walk(source.source)
        return
    directory = Path(source)
    opening.check_directory(directory)
    opening.check_file(directory, is_still=False)
    if not owner.is_owned(directory):
        wrong = check_pages(directory / opening.DATA)
        if wrong:
            # LMDB would follow what these pages say, out of the file if need be.
            yield from (
                Finding(f"the file's pages are damaged: {text}") for text in wrong
            )
            return
    yield from verify_rows(directory)


def verify_rows(directory: Path) -> Report:
    """Yield what `verify` does, without a look at the pages before.

    Damaged ones can end the process, so this is for one that may end.
    """
    head = read_head(directory)
    store = opening.open_store(directory, readonly=True, map_bytes=MAP_BYTES_MAX)
    try:
        follower = Follower(directory, store)
        try:
            follower.check(head)
        except JournalDamaged as error:
            yield Finding(str(error))
        try:
            follower.snapshot().__exit__(None, None, None)
        except JournalDamaged:
            yield from _walk(Committed(store, digest=b""))  # LMDB alone
        else:
            yield from _walk(follower)
    finally:
        store.close()


def _walk(source: Source) -> Report:
    yield from _commits(source)
    names = _environments(source)
    yield from _histories(source, names)
    yield from _events(source)
    for table, width in _NAMES_RUN.items():
        yield from _references(source, table, width)


def _environments(source: Source) -> dict[bytes, str]:
    with source.snapshot() as snapshot:
        found = opening.environments(snapshot)
    return {keys.environment_prefix(number): name for name, number in found.items()}


def _pages(
    source: Source, table: str, look: Callable[[Layered, list[_Row]], Report]
) -> Report:
    """Let `look` see all rows of a table, one page and one snapshot at a time."""
    with source.snapshot() as snapshot:
        total = snapshot.entries(table)
    done, start = 0, b""
    while True:
        with source.snapshot() as snapshot:
            page = list(islice(snapshot.scan(table, b"", start=start), PAGE_ROWS))
            findings = [
                found for found in look(snapshot, page) if isinstance(found, Finding)
            ]
        yield from findings
        done += len(page)
        if page:
            yield Progress(table, done, max(total, done))
        if len(page) < PAGE_ROWS:
            return
        start = page[-1][0] + b"\0"


# --- the chain of commits -------------------------------------------------------


def _commits(source: Source) -> Report:
    chain = _CommitChain()
    yield from _pages(source, keys.COMMITS, chain.look)


class _CommitChain:
    """Follows the chain; what a commit did must be in the logs."""

    def __init__(self) -> None:
        self._digest = rows.HEAD_START
        self._number = 0

    def look(self, snapshot: Layered, page: list[_Row]) -> Report:
        for key, data in page:
            number, first = keys.to_number(key), self._number + 1
            self._number = number
            try:
                body, self._digest = rows.open_commit(self._digest, data)
            except JournalDamaged as error:
                yield Finding(f"commits {first} to {number}: {error}")
                self._digest = _named_digest(data) or self._digest
                continue
            if body.number != number:
                yield Finding(f"commit {body.number} stands in the place of {number}")
            yield from _commit_holds(snapshot, body)


def _named_digest(data: bytes) -> bytes | None:
    try:
        return rows.read_commit(data)[1]
    except JournalDamaged:
        return None


def _commit_holds(snapshot: Layered, body: rows.CommitBody) -> Report:
    prefix = keys.environment_prefix(body.environment)
    for change in body.runs:
        digest = _digest(snapshot, prefix + change.run, change.length)
        if digest != change.digest:
            what = "is gone" if digest is None else "is not what was written"
            yield Finding(
                f"record {change.length} of commit {body.number} {what}",
                keys.shown_run(change.run),
                change.length,
            )
    for event in body.events:
        data = snapshot.get(keys.EVENTS, prefix + keys.number(event.position))
        if data is None or data[3:19] != event.digest:
            what = "is gone" if data is None else "is not what was written"
            yield Finding(f"event {event.position} of commit {body.number} {what}")


def _digest(snapshot: Layered, run: bytes, sequence: int) -> bytes | None:
    """The digest that a record names; None if it is gone."""
    try:
        entries = snapshot.records(run, after=sequence - 1, limit=1)
    except (JournalDamaged, JournalNewer):
        return b""
    return entries[0].digest if entries else None


# --- histories -------------------------------------------------------------------


def _histories(source: Source, names: dict[bytes, str]) -> Report:
    histories = _Histories(names)
    yield from _pages(source, keys.LOG, histories.look)
    with source.snapshot() as snapshot:
        yield from histories.end(snapshot)


class _Histories:
    """Follows the digest chain of one run after the other."""

    def __init__(self, names: dict[bytes, str]) -> None:
        self._names = names
        self._run = b""
        self._length = 0
        self._previous = b""
        self._is_broken = False
        self._with_tail: set[bytes] = set()  # runs whose tails were looked at

    def look(self, snapshot: Layered, page: list[_Row]) -> Report:
        width = keys.ENVIRONMENT_BYTES + keys.RUN_BYTES
        for run, pages in groupby(page, key=lambda row: row[0][:width]):
            if run != self._run:
                yield from self._follow_tail(snapshot)
                yield from self._begin_with(snapshot, run)
            for _, data in pages:
                yield from self._follow(snapshot, data)

    def end(self, snapshot: Layered) -> Report:
        """Look at what LMDB does not have yet."""
        yield from self._follow_tail(snapshot)
        for run in snapshot.tails():
            if run not in self._with_tail:
                yield from self._begin_with(snapshot, run)
                yield from self._follow_tail(snapshot)

    def _begin_with(self, snapshot: Layered, run: bytes) -> Report:
        self._begin(run)
        yield from self._row_of(snapshot, run)

    def _follow_tail(self, snapshot: Layered) -> Report:
        """Look at the records of the run that are above LMDB."""
        if self._run:
            self._with_tail.add(self._run)
        while not self._is_broken and (
            tail := snapshot.tail(self._run, after=self._length)
        ):
            yield from self._follow(snapshot, codec.page(tail))

    def _begin(self, run: bytes) -> None:
        self._run, self._length, self._is_broken = run, 0, False
        name = self._names.get(run[: keys.ENVIRONMENT_BYTES], "")
        self._previous = codec.chain_start(name, self._shown)

    @property
    def _shown(self) -> str:
        return keys.shown_run(self._run[keys.ENVIRONMENT_BYTES :])

    def _row_of(self, snapshot: Layered, run: bytes) -> Report:
        data = snapshot.get(keys.RUNS, run)
        if data is None:
            yield Finding("the run has records, but no row", self._shown)
            return
        try:
            row = rows.RUN.decode(data)
        except JournalDamaged as error:
            yield Finding(f"the run's row is damaged: {error}", self._shown)
            return
        if row.run_id != self._shown:
            yield Finding(f"the run's row names {row.run_id}", self._shown)

    def _follow(self, snapshot: Layered, page: bytes) -> Report:
        if self._is_broken:
            return
        environment = self._run[: keys.ENVIRONMENT_BYTES]
        try:
            entries = _filled(snapshot, environment, codec.split_page(page))
            for entry in codec.verify_chain(
                entries, start=self._previous, after=self._length
            ):
                self._length += 1
                self._previous = entry.digest
        except (JournalDamaged, JournalNewer) as error:
            # What follows has no digest to start from: one finding a run.
            self._is_broken = True
            yield Finding(str(error), self._shown, self._length + 1)


def _filled(
    snapshot: Layered, environment: bytes, records: list[bytes]
) -> Iterator[tuple[bytes, Entry]]:
    for data in records:
        entry = codec.decode(data)
        if codec.needs_blob(entry):
            entry = with_blob(snapshot, environment, entry)
        yield data, entry


# --- events and rows that name runs ------------------------------------------------


def _events(source: Source) -> Report:
    yield from _pages(source, keys.EVENTS, _look_at_events)


def _look_at_events(snapshot: Layered, page: list[_Row]) -> Report:
    for key, data in page:
        environment, place = (
            key[: keys.ENVIRONMENT_BYTES],
            key[keys.ENVIRONMENT_BYTES :],
        )
        try:
            stored, _ = rows.open_event(keys.to_number(place), data)
        except JournalDamaged as error:
            yield Finding(str(error))
            continue
        name = environment + keys.text(stored.event.name)
        if snapshot.get(keys.EVENT_NAMES, name + place) is None:
            yield Finding(f"event {stored.position} is not in the list of its name")
        for run_id in stored.run_ids:
            if snapshot.get(keys.RUNS, environment + keys.run(run_id)) is None:
                yield Finding(
                    f"event {stored.position} started a run that is gone", run_id
                )


# Where the run stands in the keys of the tables that name one.
_NAMES_RUN: Final = {
    keys.RUNS: keys.ENVIRONMENT_BYTES,
    keys.READY: keys.ENVIRONMENT_BYTES,
    keys.PAUSED: keys.ENVIRONMENT_BYTES,
    keys.INBOX: keys.ENVIRONMENT_BYTES,
    keys.RUN_TIMERS: keys.ENVIRONMENT_BYTES,
    keys.RUN_WAITS: keys.ENVIRONMENT_BYTES,
    keys.CONSUMED: keys.ENVIRONMENT_BYTES,
    keys.TIMERS: keys.ENVIRONMENT_BYTES + keys.NUMBER_BYTES,
    keys.WAITS: keys.ENVIRONMENT_BYTES + 3 * keys.DIGEST_BYTES,
}


def _references(source: Source, table: str, at: int) -> Report:
    def look(snapshot: Layered, page: list[_Row]) -> Report:
        for key, _ in page:
            run = key[at : at + keys.RUN_BYTES]
            if not snapshot.length(key[: keys.ENVIRONMENT_BYTES] + run):
                yield Finding(
                    f"the table {table!r} names a run without records",
                    keys.shown_run(run),
                )

    yield from _pages(source, table, look)
