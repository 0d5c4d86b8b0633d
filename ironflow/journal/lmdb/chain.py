"""Follows the chain of commits: what a commit did must be in the logs, or deleted since."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, final

from ironflow.errors import JournalDamaged, JournalNewer
from ironflow.journal.lmdb import keys, rows
from ironflow.journal.lmdb.layers import Layered
from ironflow.records import Redaction


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
        self._is_whole = True  # it begins with the first commit
        self._redacted: Final[set[bytes]] = set()  # checks of redactions
        self._claimed: Final[list[_Claimed]] = []

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
            self._is_whole = False

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
        for redacted in body.redacted:
            self._take_redaction(snapshot, environment, redacted)
        for deleted in body.deleted:
            self._deleted.add(environment + deleted)
            self._missing_runs.pop(environment + deleted, None)
        if body.dropped:
            self._dropped[environment] = body.dropped

    def _take_redaction(
        self, snapshot: Layered, environment: bytes, change: rows.RedactionChange
    ) -> None:
        """What a commit took away must not have come back."""
        self._redacted.add(change.check)
        key = environment + (change.run or keys.number(change.place))
        found = _redaction(snapshot, key, change.place, is_event=not change.run)
        if found is not None and found.check == change.check:
            return
        if change.run:
            shown = keys.shown_run(change.run)
            what = f"record {change.place} was redacted, and is not as it was left"
            self._missing_runs.setdefault(key, Finding(what, shown, change.place))
        else:
            what = f"event {change.place} was redacted, and is not as it was left"
            self._missing_events.setdefault(key, Finding(what))

    def claims(self, run: bytes, place: int, redaction: Redaction | None) -> None:
        """Note what a record, or with `run` an environment's event, says of itself."""
        if redaction is not None:
            self._claimed.append(_Claimed(run, place, redaction.check))

    def unproved(self, snapshot: Layered) -> Report:
        """Yield redactions that no commit tells of, as far as the chain goes back."""
        if all(each.check in self._redacted for each in self._claimed):
            return
        self._look_on(snapshot)
        for each in self._claimed if self._is_whole else ():
            if each.check not in self._redacted and not each.is_new(snapshot):
                yield each.finding()

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
        self._look_on(snapshot)
        return run in self._deleted

    def _look_on(self, snapshot: Layered) -> None:
        """Look at commits that came meanwhile."""
        start = keys.number(self._number + 1)
        for _ in self.look(
            snapshot, list(snapshot.scan(keys.COMMITS, b"", start=start))
        ):
            pass  # what is wrong with newer commits is for the next `verify`


@final
@dataclass(frozen=True, slots=True)
class _Claimed:
    """A redaction, as it stands where the payload was: of a record, or of an event.

    `key` is that of the run, or of the event's environment.
    """

    key: bytes
    place: int
    check: bytes

    @property
    def _is_event(self) -> bool:
        return len(self.key) == keys.ENVIRONMENT_BYTES

    def is_new(self, snapshot: Layered) -> bool:
        """Say whether it is of a commit that LMDB, and so the chain, does not have yet."""
        place = self.key + keys.number(self.place)
        if self._is_event:
            return snapshot.was_changed(keys.EVENTS, place)
        if snapshot.has_tail(self.key):
            return True
        rows_behind = snapshot.scan(keys.LOG, self.key, start=place)
        return any(
            snapshot.was_changed(keys.LOG, key) for key, _ in islice(rows_behind, 1)
        )

    def finding(self) -> Finding:
        """Say that nobody redacted it."""
        what = "says that it was redacted, and no commit says so"
        if self._is_event:
            return Finding(f"event {self.place} {what}")
        run_id = keys.shown_run(self.key[keys.ENVIRONMENT_BYTES :])
        return Finding(f"record {self.place} {what}", run_id, self.place)


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
    if data is not None and data[rows.NAMED_DIGEST] == event.digest:
        return None
    what = "is gone" if data is None else "is not what was written"
    return Finding(f"event {event.position} of commit {number} {what}")


def _redaction(
    snapshot: Layered, key: bytes, place: int, *, is_event: bool
) -> Redaction | None:
    """The redaction of a record or an event; None: it is gone, or was not redacted."""
    try:
        if is_event:
            data = snapshot.get(keys.EVENTS, key)
            return None if data is None else rows.decode_event(place, data).redaction
        entries = snapshot.records(key, after=place - 1, limit=1)
    except (JournalDamaged, JournalNewer):
        return None
    return entries[0].redaction if entries else None


def _digest(snapshot: Layered, run: bytes, sequence: int) -> bytes | None:
    """The digest that a record names; None if it is gone."""
    try:
        entries = snapshot.records(run, after=sequence - 1, limit=1)
    except (JournalDamaged, JournalNewer):
        return b""
    return entries[0].digest if entries else None
