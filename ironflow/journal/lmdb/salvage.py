"""What is intact of a damaged journal, into a new one.

The new journal takes it by the commands of any import: events in the places that they
had, then runs, a parent before its children. Each is checked against its digests. The
damaged store is read by a process of its own; when that dies of a page, the run that it
was reading is given up, and another process goes on behind it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from ironflow import codec, limits
from ironflow.errors import (
    ConfigurationError,
    IronflowError,
    JournalDamaged,
    JournalOwned,
)
from ironflow.journal.archive import in_order
from ironflow.journal.base import (
    CLOSED,
    ImportRun,
    Journal,
    Refused,
    RegisterFunctions,
    RunRow,
)
from ironflow.journal.lmdb import apart, keys, opening, ordered, owner, rows
from ironflow.journal.lmdb._lmdb import MAP_BYTES_MAX, Environment
from ironflow.journal.lmdb.chain import Row
from ironflow.journal.lmdb.checkpoint import Committed
from ironflow.journal.lmdb.follower import Follower
from ironflow.journal.lmdb.layers import Layered
from ironflow.journal.lmdb.reading import Source
from ironflow.journal.lmdb.reads import read_history, read_inbox, read_timers
from ironflow.journal.lmdb.salvage_documents import save_documents
from ironflow.journal.lmdb.salvage_events import EventSaver
from ironflow.journal.lmdb.store import open_lmdb
from ironflow.records import Entry

DEATHS_MAX: Final = 1_000

Look = Callable[[int, int], object]
"""Told how many runs were tried, of how many."""


@dataclass(slots=True)
class Salvaged:
    """What was saved, and what was lost with the reason, by run id.

    `kept` and `gone` are about events, by environment: how many, and the first and last
    position of each gap. `documents` and `documents_lost` are counts by environment.
    """

    runs: set[str] = field(default_factory=set[str])
    cut: dict[str, str] = field(default_factory=dict[str, str])
    lost: dict[str, str] = field(default_factory=dict[str, str])
    kept: dict[str, int] = field(default_factory=dict[str, int])
    gone: dict[str, list[tuple[int, int]]] = field(
        default_factory=dict[str, list[tuple[int, int]]]
    )

    documents: dict[str, int] = field(default_factory=dict[str, int])
    documents_lost: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def events(self) -> int:
        """How many events were saved."""
        return sum(self.kept.values())

    @property
    def events_lost(self) -> list[tuple[int, int]]:
        """First and last of events that were lost, of one environment after the other."""
        return [gap for gaps in self.gone.values() for gap in gaps]


class Plan(msgspec.Struct):
    """What the process that reads is told: which runs not to touch, and how to save."""

    skip: dict[str, str] = {}
    resume: bool = False
    partial: bool = False


def salvage(
    directory: Path, target: Path, look: Look, *, damaged: Sequence[str], plan: Plan
) -> Salvaged:
    """Write what is intact into a new journal; `damaged` are runs known to be.

    Raises:
        JournalOwned: a process works on the damaged journal.
        ConfigurationError: the target is not empty.
        JournalDamaged: not even the list of runs can be read.
    """
    _check(directory, target)
    if not plan.partial:
        plan.skip.update(dict.fromkeys(damaged, "its history is damaged"))
    found = Salvaged()
    for _ in range(DEATHS_MAX):
        if _is_through(directory, target, look, found=found, plan=plan):
            break
    return found


def _check(directory: Path, target: Path) -> None:
    holder = owner.read_owner(directory)
    if holder is not None:
        raise JournalOwned(
            f"{directory} is owned by process {holder}; stop it before what is intact is"
            " saved, so that nothing is done twice"
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigurationError(
            f"{target} is there and not empty; what is intact is written into a new or"
            " an empty directory"
        )


def _is_through(
    directory: Path, target: Path, look: Look, *, found: Salvaged, plan: Plan
) -> bool:
    """Let a process read and write; False: it died of a run, which is skipped now."""
    trying = ""
    args = (str(directory), str(target), msgspec.json.encode(plan).decode())
    try:
        for message in apart.told_by(read_and_write, *args):
            trying = message.get("trying", trying)
            _note(found, message)
            look(message.get("done", 0), message.get("total", 0))
    except JournalDamaged as error:
        if not trying or trying in plan.skip:
            raise
        plan.skip[trying] = str(error)
        return False
    return True


def _note(found: Salvaged, message: dict[str, Any]) -> None:
    if "events" in message:
        found.kept[message["environment"]] = message["events"]
        found.gone[message["environment"]] = [(a, b) for a, b in message["lost"]]
    elif "documents" in message:
        found.documents[message["environment"]] = message["documents"]
        found.documents_lost[message["environment"]] = message["lost"]
    elif message.get("saved"):
        found.runs.add(message["run"])
        if message["why"]:
            found.cut[message["run"]] = message["why"]
    elif "saved" in message:
        found.lost[message["run"]] = message["why"]


# --- in a process of its own ------------------------------------------------------


def read_and_write(directory: str, target: str, plan: str) -> None:
    """Read a damaged store and write what is intact; it may end the process."""
    decoded = msgspec.json.decode(plan, type=Plan)
    trio.run(_salvage, Path(directory), Path(target), decoded)


async def _salvage(directory: Path, target: Path, plan: Plan) -> None:
    store = opening.open_store(directory, readonly=True, map_bytes=MAP_BYTES_MAX)
    try:
        source = _source(directory, store)
        with source.snapshot() as snapshot:
            environments = opening.environments(snapshot)
        for name, number in environments.items():
            journal = await open_lmdb(target, environment=name)
            try:
                await _Reading(source, number, journal, plan).save()
            finally:
                await journal.close()
    finally:
        store.close()


def _source(directory: Path, store: Environment) -> Source:
    """What is committed; without the log if that is damaged."""
    follower = Follower(directory, store)
    try:
        follower.snapshot().__exit__(None, None, None)
    except JournalDamaged:
        return Committed(store, digest=b"")
    return follower


class _Reading:
    """One environment of a damaged journal, on its way into another."""

    def __init__(
        self, source: Source, number: int, journal: Journal, plan: Plan
    ) -> None:
        self._source = source
        self._number = number
        self._prefix = keys.environment_prefix(number)
        self._journal = journal
        self._plan = plan
        self._now = time.time_ns() // 1_000

    async def save(self) -> None:
        """Save the registry, the documents, the events and the runs."""
        await self._save_functions()
        await save_documents(self._source, self._prefix, self._journal)
        found = dict(self._rows())
        await EventSaver(self._source, self._number, self._journal).save(found)
        causes = {
            run_id: tuple(filter(None, (row.parent_run, row.continued_from)))
            for run_id, row in found.items()
        }
        for done, run_id in enumerate(in_order(causes, found), 1):
            apart.say({"trying": run_id, "done": done, "total": len(found)})
            saved, why = await self._save_run(found[run_id])
            apart.say({"run": run_id, "saved": saved, "why": why})

    async def _save_functions(self) -> None:
        functions = [
            rows.FUNCTION.decode(data)
            for page in ordered.scan(self._source, keys.FUNCTIONS, self._prefix)
            for _, data in page
        ]
        await self._journal.commit([RegisterFunctions(tuple(functions), self._now)])

    def _rows(self) -> Iterator[tuple[str, RunRow]]:
        """Yield rows of runs that can be read; what cannot is lost with its reason."""
        for key, data in self._listed():
            run_id = keys.shown_run(key[keys.ENVIRONMENT_BYTES :])
            why = self._plan.skip.get(run_id, "")
            if not why:
                try:
                    yield run_id, rows.RUN.decode(data)
                    continue
                except JournalDamaged as error:
                    why = str(error)
            apart.say({"run": run_id, "saved": False, "why": why})

    def _listed(self) -> Iterator[Row]:
        for page in ordered.scan(self._source, keys.RUNS, self._prefix):
            apart.say({})
            yield from page

    async def _save_run(self, row: RunRow) -> tuple[bool, str]:
        """Save a run; say whether, and why it is lost or cut."""
        if await self._journal.run(row.run_id) is not None:
            return True, ""
        key = self._prefix + keys.run(row.run_id)
        try:
            with self._source.snapshot() as snapshot:
                command, why = self._command(snapshot, key, row)
            [answer] = await self._journal.commit([command])
        except IronflowError as error:
            return False, str(error)
        if isinstance(answer, Refused):
            return False, str(answer.error)
        return True, why

    def _command(
        self, snapshot: Layered, key: bytes, row: RunRow
    ) -> tuple[ImportRun, str]:
        length = snapshot.length(key)
        entries, headers, why = self._history(snapshot, key, row.run_id, length)
        if why:
            # Its end is gone with the rest: what came after is done again, if at all.
            row = msgspec.structs.replace(row, status="open", pause=None, ended_at=0)
        closed = row.status in CLOSED
        skipped = len(key)
        consumed = tuple(
            keys.to_number(each[skipped:])
            for each, _ in snapshot.scan(keys.CONSUMED, key)
        )
        command = ImportRun(
            row,
            entries,
            headers,
            () if closed or why else read_inbox(snapshot, key),
            () if closed or why else tuple(read_timers(snapshot, key)),
            self._now,
            position=row.trigger_position,
            consumed=() if closed else consumed,
            resume=self._plan.resume and not why,
        )
        return command, why

    def _history(
        self, snapshot: Layered, key: bytes, run_id: str, length: int
    ) -> tuple[tuple[Entry, ...], tuple[bytes, ...], str]:
        """The records of a run up to the first that is damaged, and how that is so.

        Raises:
            JournalDamaged: one is, and such a run shall not be saved.
        """
        digest = codec.chain_start(self._journal.environment, run_id)
        entries, headers = list[Entry](), list[bytes]()
        try:
            while len(entries) < length:
                limit = 1 if self._plan.partial else limits.PAGE_RECORDS_MAX
                page = read_history(snapshot, key, after=len(entries), limit=limit)
                if not page:
                    raise JournalDamaged(f"record {len(entries) + 1} is gone")
                for entry in page:
                    header = codec.check(entry, previous=digest)
                    digest = entry.digest
                    entries.append(entry)
                    headers.append(header)
        except IronflowError as error:
            if not (self._plan.partial and entries):
                raise
            why = f"only its first {len(entries)} records are intact: {error}"
            return tuple(entries), tuple(headers), why
        return tuple(entries), tuple(headers), ""
