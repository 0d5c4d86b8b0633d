"""Prove that what is stored is what was written, a page at a time.

It walks the chain of commits, then every history and its digests, the payloads,
the events, the documents, and the rows that name runs; of the newest commits the write-ahead log has
checksums of its own. Each page is one short snapshot, so an
engine may own the directory meanwhile. A file that nobody owns is first checked
page by page without LMDB, which a damaged page can crash.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Final

from ironflow import codec
from ironflow.errors import JournalDamaged, JournalNewer
from ironflow.journal.lmdb import keys, opening, owner, rows, segments, tally
from ironflow.journal.lmdb._lmdb import MAP_BYTES_MAX, check_pages
from ironflow.journal.lmdb.chain import CommitChain, Finding, Progress, Report, Row
from ironflow.journal.lmdb.checkpoint import Committed
from ironflow.journal.lmdb.follower import Follower
from ironflow.journal.lmdb.head import read_head
from ironflow.journal.lmdb.layers import Layered
from ironflow.journal.lmdb.ordered import ordered
from ironflow.journal.lmdb.reading import Source
from ironflow.journal.lmdb.reads import Reads
from ironflow.policy import attributes
from ironflow.records import Entry

__all__ = ["Finding", "Progress", "Report", "verify"]

PAGE_ROWS: Final = 1_000


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
    chain = CommitChain()
    yield from _pages(source, keys.COMMITS, chain.look)
    with source.snapshot() as snapshot:
        yield from chain.end(snapshot)
    names = _environments(source)
    yield from _histories(source, names, chain)
    yield from _pages(source, keys.EVENTS, partial(_look_at_events, chain))
    with source.snapshot() as snapshot:
        yield from chain.unproved(snapshot)
    yield from _documents(source, names)
    for table, width in _NAMES_RUN.items():
        yield from _references(source, table, width)
    yield from _segments(source.environment.path)


def _environments(source: Source) -> dict[bytes, str]:
    with source.snapshot() as snapshot:
        found = opening.environments(snapshot)
    return {keys.environment_prefix(number): name for name, number in found.items()}


def _pages(
    source: Source, table: str, look: Callable[[Layered, list[Row]], Report]
) -> Report:
    """Let `look` see all rows of a table, one page and one snapshot at a time."""
    with source.snapshot() as snapshot:
        total = snapshot.entries(table)
    done, start = 0, b""
    while True:
        with source.snapshot() as snapshot:
            found_rows = ordered(snapshot.scan(table, b"", start=start), start=start)
            try:
                page = list(islice(found_rows, PAGE_ROWS))
            except JournalDamaged as error:
                yield Finding(f"table {table!r}: {error}")
                return
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


# --- histories -------------------------------------------------------------------


def _histories(source: Source, names: dict[bytes, str], chain: CommitChain) -> Report:
    histories = _Histories(names, chain)
    yield from _pages(source, keys.LOG, histories.look)
    with source.snapshot() as snapshot:
        yield from histories.end(snapshot)


class _Histories:
    """Follows the digest chain of one run after the other."""

    def __init__(self, names: dict[bytes, str], chain: CommitChain) -> None:
        self._names = names
        self._chain = chain
        self._run = b""
        self._length = 0
        self._previous = b""
        self._is_broken = False
        self._attributes = b""
        self._with_tail: set[bytes] = set()  # runs whose tails were looked at

    def look(self, snapshot: Layered, page: list[Row]) -> Report:
        width = keys.ENVIRONMENT_BYTES + keys.RUN_BYTES
        for run, pages in groupby(page, key=lambda row: row[0][:width]):
            if run != self._run:
                yield from self._follow_tail(snapshot)
                yield from self._begin_with(snapshot, run)
            for key, data in pages:
                yield from self._follow(snapshot, data, keys.to_number(key[width:]))

    def end(self, snapshot: Layered) -> Report:
        """Look at what LMDB does not have yet."""
        yield from self._follow_tail(snapshot)
        for run in snapshot.tails():
            if run not in self._with_tail:
                yield from self._begin_with(snapshot, run)
                yield from self._follow_tail(snapshot)

    def _begin_with(self, snapshot: Layered, run: bytes) -> Report:
        self._begin(run)
        if snapshot.get(keys.META, keys.GONE_KEY + run) is None:
            yield from self._row_of(snapshot, run)
        else:
            self._is_broken = True  # it was forgotten, and its records are going

    def _follow_tail(self, snapshot: Layered) -> Report:
        """Look at the records of the run that are above LMDB."""
        if self._run:
            self._with_tail.add(self._run)
        while not self._is_broken and (
            tail := snapshot.tail(self._run, after=self._length)
        ):
            last = self._length + len(tail)
            yield from self._follow(snapshot, codec.page(tail), last)
        if self._run and not self._is_broken:
            yield from self._attributes_of(snapshot)

    def _attributes_of(self, snapshot: Layered) -> Report:
        """Compare the run's row with the history, if that was seen to its end."""
        if snapshot.length(self._run) != self._length:
            return
        data = snapshot.get(keys.RUNS, self._run)
        if data is None:
            return
        try:
            row = rows.RUN.decode(data)
        except JournalDamaged:
            return  # it was told before
        if row.attributes != self._attributes and not row.redacted_at:
            yield Finding(
                "the run's row has other attributes than its history", self._shown
            )

    def _begin(self, run: bytes) -> None:
        self._run, self._length, self._is_broken = run, 0, False
        self._attributes = b""
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

    def _follow(self, snapshot: Layered, page: bytes, last: int) -> Report:
        """Look at a page up to record `last`, which a segment may have."""
        if self._is_broken:
            return
        try:
            records = codec.split_page(snapshot.unpacked(page))
            # What was packed meanwhile comes again, together with what follows.
            seen = max(0, self._length - (last - len(records)))
            entries = _filled(snapshot, self._run, records[seen:])
            for entry in codec.verify_chain(
                entries, start=self._previous, after=self._length
            ):
                self._length += 1
                self._previous = entry.digest
                self._chain.claims(self._run, self._length, entry.redaction)
                self._attributes = attributes.after(self._attributes, entry)
        except (JournalDamaged, JournalNewer) as error:
            # What follows has no digest to start from: one finding a run.
            self._is_broken = True
            yield Finding(str(error), self._shown, self._length + 1)


def _filled(
    snapshot: Layered, run: bytes, records: list[bytes]
) -> Iterator[tuple[bytes, Entry]]:
    for data in records:
        yield data, snapshot.with_payload(run, codec.decode(data))


# --- segments ---------------------------------------------------------------------------


def _segments(directory: Path) -> Report:
    """Look at every byte of the segments: what histories need of them was seen before."""
    paths = [*segments.files(directory)]
    for done, path in enumerate(paths, 1):
        try:
            segments.check(path)
        except FileNotFoundError:
            pass  # it was deleted meanwhile
        except (JournalDamaged, JournalNewer, OSError) as error:
            yield Finding(str(error))
        yield Progress("segments", done, len(paths))


# --- events and rows that name runs ------------------------------------------------


def _look_at_events(chain: CommitChain, snapshot: Layered, page: list[Row]) -> Report:
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
        chain.claims(environment, stored.position, stored.redaction)
        name = environment + keys.text(stored.event.name)
        if snapshot.get(keys.EVENT_NAMES, name + place) is None:
            yield Finding(f"event {stored.position} is not in the list of its name")
        for run_id in stored.run_ids:
            run = environment + keys.run(run_id)
            if not (
                snapshot.get(keys.RUNS, run) is not None
                or chain.has_deleted(snapshot, run)
            ):
                yield Finding(
                    f"event {stored.position} started a run that is gone", run_id
                )


def _documents(source: Source, names: dict[bytes, str]) -> Report:
    has_table = source.environment.has_table(keys.DOCUMENTS)
    if has_table:
        yield from _pages(source, keys.DOCUMENTS, _look_at_documents)
    # In one snapshot: between two pages documents may change.
    with source.snapshot() as snapshot:
        wrong = [*tally.compared(snapshot, names.items(), has_table=has_table)]
    yield from map(Finding, wrong)


def _look_at_documents(_: Layered, page: list[Row]) -> Report:
    for key, data in page:
        try:
            row = rows.decode_document(data)
        except JournalDamaged as error:
            yield Finding(str(error))
            continue
        if key[keys.ENVIRONMENT_BYTES :] != keys.document(row.kind, row.id):
            yield Finding(f"document {row.id!r} of the kind {row.kind!r} is misplaced")


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
    def look(snapshot: Layered, page: list[Row]) -> Report:
        for key, _ in page:
            run = key[at : at + keys.RUN_BYTES]
            if not snapshot.length(key[: keys.ENVIRONMENT_BYTES] + run):
                yield Finding(
                    f"the table {table!r} names a run without records",
                    keys.shown_run(run),
                )

    yield from _pages(source, table, look)
