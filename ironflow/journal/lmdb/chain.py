"""Follows the chain of commits: what a commit did must be in the logs, or deleted since."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

from ironflow.errors import JournalDamaged, JournalNewer
from ironflow.journal.lmdb import keys, rows
from ironflow.journal.lmdb.layers import Layered


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
Row = tuple[bytes, bytes]


@final
class CommitChain:
    """The chain, as far as it was followed.

    What is missing is a finding at the end only: a later commit may have deleted it.
    """

    def __init__(self) -> None:
        self._digest = rows.HEAD_START
        self._number = 0
        self._deleted: Final[set[bytes]] = set()
        self._dropped: Final[
            dict[bytes, int]
        ] = {}  # events up to there, by environment
        self._missing_runs: Final[dict[bytes, Finding]] = {}
        self._missing_events: Final[dict[bytes, Finding]] = {}

    def look(self, snapshot: Layered, page: list[Row]) -> Report:
        """Follow the chain over these rows."""
        yield from self._begin(snapshot)
        for key, data in page:
            number, first = keys.to_number(key), self._number + 1
            if number < first:
                continue
            self._number = number
            try:
                body, self._digest = rows.open_commit(self._digest, data)
            except JournalDamaged as error:
                yield Finding(f"commits {first} to {number}: {error}")
                self._digest = _named_digest(data) or self._digest
                continue
            if body.number != number:
                yield Finding(f"commit {body.number} stands in the place of {number}")
            self._take(snapshot, body)

    def _begin(self, snapshot: Layered) -> Report:
        """Begin behind the rows that were dropped, also meanwhile."""
        data = snapshot.get(keys.META, keys.CHAIN_KEY)
        if data is None:
            return
        try:
            chain = rows.CHAIN.decode(data)
        except JournalDamaged as error:
            yield Finding(f"where the chain of commits begins is damaged: {error}")
            return
        if chain.number > self._number:
            self._number, self._digest = chain.number, chain.digest

    def _take(self, snapshot: Layered, body: rows.CommitBody) -> None:
        environment = keys.environment_prefix(body.environment)
        for change in body.runs:
            run = environment + change.run
            wrong = _wrong_run(snapshot, run, change, number=body.number)
            if wrong is not None:
                self._missing_runs.setdefault(run, wrong)
        for event in body.events:
            key = environment + keys.number(event.position)
            wrong = _wrong_event(snapshot, key, event, number=body.number)
            if wrong is not None:
                self._missing_events[key] = wrong
        for deleted in body.deleted:
            self._deleted.add(environment + deleted)
            self._missing_runs.pop(environment + deleted, None)
        if body.dropped:
            self._dropped[environment] = body.dropped

    def end(self, snapshot: Layered) -> Report:
        """Yield what is missing, and was not deleted."""
        # Copies: to look at newer commits may add what is for the next `verify`.
        for run, finding in [*self._missing_runs.items()]:
            if not self.has_deleted(snapshot, run):
                yield finding
        for key, finding in [*self._missing_events.items()]:
            through = self._dropped.get(key[: keys.ENVIRONMENT_BYTES], 0)
            position = keys.to_number(key[keys.ENVIRONMENT_BYTES :])
            if position > through and not snapshot.was_deleted(keys.EVENTS, key):
                yield finding

    def has_deleted(self, snapshot: Layered, run: bytes) -> bool:
        """Say whether a commit has deleted a run, also one that came meanwhile."""
        if run in self._deleted or snapshot.was_deleted(keys.RUNS, run):
            return True
        start = keys.number(self._number + 1)
        for _ in self.look(
            snapshot, list(snapshot.scan(keys.COMMITS, b"", start=start))
        ):
            pass  # what is wrong with newer commits is for the next `verify`
        return run in self._deleted


def _named_digest(data: bytes) -> bytes | None:
    try:
        return rows.read_commit(data)[1]
    except JournalDamaged:
        return None


def _wrong_run(
    snapshot: Layered, run: bytes, change: rows.RunChange, *, number: int
) -> Finding | None:
    digest = _digest(snapshot, run, change.length)
    if digest == change.digest:
        return None
    what = "is gone" if digest is None else "is not what was written"
    return Finding(
        f"record {change.length} of commit {number} {what}",
        keys.shown_run(change.run),
        change.length,
    )


def _wrong_event(
    snapshot: Layered, key: bytes, event: rows.EventChange, *, number: int
) -> Finding | None:
    data = snapshot.get(keys.EVENTS, key)
    if data is not None and data[3:19] == event.digest:
        return None
    what = "is gone" if data is None else "is not what was written"
    return Finding(f"event {event.position} of commit {number} {what}")


def _digest(snapshot: Layered, run: bytes, sequence: int) -> bytes | None:
    """The digest that a record names; None if it is gone."""
    try:
        entries = snapshot.records(run, after=sequence - 1, limit=1)
    except (JournalDamaged, JournalNewer):
        return b""
    return entries[0].digest if entries else None
