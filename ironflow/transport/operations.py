"""What clients may ask of a server, once for REST and Connect: plain values in and out.

Each operation checks what it is given and raises errors of ironflow; what they are to a
client is said in `wire/failures.py`. Nothing here knows HTTP or a codec.
"""

import heapq
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

import msgspec
import trio

import ironflow
from ironflow import ids, limits, values
from ironflow.engine.clock import Clock
from ironflow.engine.engine import Engine
from ironflow.engine.handles import Emission, Receipt
from ironflow.errors import (
    ConfigurationError,
    FunctionNotFound,
    MisusedOperation,
    RunNotFound,
)
from ironflow.interpreter import failures
from ironflow.interpreter.fold import RunState, fold
from ironflow.journal.base import (
    EmitEvents,
    Emitted,
    FunctionRow,
    Refused,
    RegisterFunctions,
    RunCount,
    RunQuery,
    RunSummary,
)
from ironflow.journal.base import Receipt as Published
from ironflow.journal.served import ServedJournal
from ironflow.policy.duration import Duration, parse_duration
from ironflow.policy.names import TOPIC, check_text, check_topic
from ironflow.records import (
    COMPLETED,
    NO_PAYLOAD,
    Entry,
    ErrorInfo,
    EventData,
    Payload,
    RunEnded,
)
from ironflow.transport.event_pages import EventReads, check_after, page_size
from ironflow.transport.keyring import Keyring
from ironflow.transport.registry import check_host, config_of, row_of
from ironflow.transport.workers import Workers
from ironflow.wire.functions import FunctionConfig, Standing, registered

_decode_event = msgspec.msgpack.Decoder(EventData).decode
# Reading and folding are done in pieces: nothing else goes on meanwhile.
_PAGE: Final = 1_000
# Seeded by the system once: asking it for every message costs more than the message.
_random = random.Random()
_ENDED: Final = frozenset({"completed", "failed", "cancelled", "paused"})


@dataclass(frozen=True, slots=True)
class RunDetails:
    """A run with what it was given and what came of it.

    `event` is what started it, `output` the stored value of one that completed.
    """

    summary: RunSummary
    event: EventData | None
    output: Payload
    error: ErrorInfo | None

    @property
    def is_settled(self) -> bool:
        """Whether it has ended or is paused: it does not go on by itself."""
        return self.summary.status in _ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs: those that meet all of it, newest first, after `cursor` (a run id).

    `statuses` are our words, none for all. `since` and `until` (exclusive) are in
    microseconds, 0 for none. More than `PAGE_RUNS_MAX` are not given at once.
    """

    statuses: Sequence[str] = ()
    function_id: str = ""
    parent_run: str = ""
    since: int = 0
    until: int = 0
    cursor: str = ""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class RunPage:
    """Runs, newest first; `next_cursor` is empty on the last page."""

    runs: Sequence[RunSummary]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class Health:
    """That the server answers: its version, and the time (microseconds)."""

    version: str
    now: int


@dataclass(slots=True)
class Capabilities:
    """What a client may expect; the parts of a server add themselves at its start."""

    transports: set[str] = field(default_factory=set[str])
    features: set[str] = field(default_factory=set[str])
    auth_required: bool = False


@final
class Operations:
    """The operations of one engine, in the environment of its journal.

    `events` reads the log of events; `workers`, `capabilities`, `registered` and `issues` are filled by the parts of the
    server.
    """

    def __init__(self, engine: Engine, journal: ServedJournal, clock: Clock) -> None:
        self._engine = engine
        self._journal = journal
        self._clock = clock
        self.events = EventReads(journal)
        self.keys = Keyring(journal, clock)
        self.workers = Workers()
        self.capabilities = Capabilities()
        self.registered: list[Callable[[FunctionRow], None]] = []  # told of new ones
        self.issues: set[str] = set()  # why the server takes no work

    @property
    def environment(self) -> str:
        """The name of the environment."""
        return self._journal.environment

    # --- events -------------------------------------------------------------------------

    async def emit(
        self,
        name: str,
        data: Any = None,
        *,
        idempotency_key: str = "",
        metadata: Mapping[str, str] | None = None,
        version: int = 1,
        source: str = "",
    ) -> Receipt:
        """Store an event and start its runs; see `Engine.emit`."""
        return await self._engine.emit(
            name,
            data,
            idempotency_key=idempotency_key,
            metadata=metadata,
            version=version,
            source=source,
        )

    async def emit_batch(self, events: Sequence[Emission]) -> list[Receipt]:
        """Store events in one commit, all or none; see `Engine.emit_batch`."""
        return await self._engine.emit_batch(events)

    async def invoke(
        self,
        function_id: str,
        data: Any = None,
        *,
        idempotency_key: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Receipt:
        """Start a run of one function, whatever its triggers; see `Engine.invoke`."""
        return await self._engine.invoke(
            function_id, data, idempotency_key=idempotency_key, metadata=metadata
        )

    async def publish(
        self,
        topic: str,
        data: Any = None,
        *,
        idempotency_key: str = "",
        source: str = "",
    ) -> Published:
        """Store a message to a topic; wake the runs that wait for it, start none.

        A second one with the same topic and idempotency key gives the first one's.

        Raises:
            ConfigurationError: the topic is no name.
            ValueRejected: `data` cannot be stored; the message names the path.
            JournalFull: there is no space; nothing was stored.
        """
        now = self._clock.now()
        event = EventData(
            id=ids.event_id(ids.uuid7(now, _random.randbytes(ids.ENTROPY_BYTES))),
            name=TOPIC + check_topic(topic),
            data=msgspec.Raw(values.encode(data)),
            timestamp=now,
            idempotency_key=idempotency_key,
            source=source,
        )
        [answer] = await self._journal.commit([EmitEvents((event,), now)])
        if isinstance(answer, Refused):
            raise answer.error
        assert isinstance(answer, Emitted)
        return answer.receipts[0]

    async def results(
        self, run_ids: Sequence[str], timeout: Duration
    ) -> list[RunDetails]:
        """Return these runs when all have ended or are paused, or when time is up.

        A run that goes on in another (continue_as_new) is followed.

        Raises:
            ConfigurationError: the timeout is none, or too long.
        """
        left_us = parse_duration(timeout, option="timeout")
        if left_us > limits.RESULT_WAIT_US_MAX:
            raise ConfigurationError(
                f"timeout={timeout!r} is too long: a request waits for"
                f" {limits.RESULT_WAIT_US_MAX // 1_000_000} s at most; ask again for"
                " runs that take longer"
            )
        deadline = self._clock.now() + left_us
        found: list[RunDetails] = []
        for run_id in run_ids:
            left = max(deadline - self._clock.now(), 0) / 1_000_000
            run = await self._engine.result(run_id, left)
            found.append(await self.get_run(run.id))
        return found

    # --- runs ---------------------------------------------------------------------------

    async def list_runs(self, wanted: RunFilter) -> RunPage:
        """Return a page of runs, newest first.

        Raises:
            ConfigurationError: the limit is none, or a name or id is wrong.
        """
        limit = page_size(wanted.limit, limits.PAGE_RUNS_MAX)
        found = [
            await self._journal.find(self._query(wanted, status, limit))
            for status in wanted.statuses or ("",)
        ]
        # Ids are in the order of time.
        merged = heapq.merge(*found, key=lambda each: each.row.run_id, reverse=True)
        runs = [run for run, _ in zip(merged, range(limit), strict=False)]
        full = len(runs) == limit
        return RunPage(runs, runs[-1].row.run_id if full else "")

    async def get_run(self, run_id: str) -> RunDetails:
        """Return a run with what it was given and what came of it.

        Raises:
            ConfigurationError: this is no run id.
            RunNotFound: there is none with this id.
        """
        summary = await self.get_summary(run_id)
        first = await self._journal.history(run_id, limit=1)
        last: Sequence[Entry] = ()
        if summary.row.ended_at:
            last = await self._journal.history(
                run_id, after=summary.length - 1, limit=1
            )
        return _details(summary, first, last)

    async def get_summary(self, run_id: str) -> RunSummary:
        """Return a run without what it was given and what came of it.

        Raises:
            ConfigurationError: this is no run id.
            RunNotFound: there is none with this id.
        """
        summary = await self._journal.run(ids.check_run_id(run_id))
        if summary is None:
            raise RunNotFound(
                f"there is no run {run_id} in environment {self.environment!r}"
            )
        return summary

    async def run_state(self, run_id: str) -> RunState:
        """Return what the history of a run says: its operations above all.

        Raises:
            RunNotFound: there is none with this id.
            MisusedOperation: it is longer than `limits.FOLDED_RECORDS_MAX`.
        """
        summary = await self.get_summary(run_id)
        if summary.length > limits.FOLDED_RECORDS_MAX:
            raise MisusedOperation(
                f"run {run_id} has {summary.length} records; the operations of at most"
                f" {limits.FOLDED_RECORDS_MAX} are shown: read its records page by page"
            )
        entries: list[Entry] = []
        while len(entries) < summary.length:
            page = await self._journal.history(run_id, after=len(entries), limit=_PAGE)
            if not page:  # deleted meanwhile
                break
            entries.extend(page)
        if len(entries) <= _PAGE:
            return fold(entries)
        # It may take a second, in which others want their answers.
        return await trio.to_thread.run_sync(fold, entries)

    async def history(
        self, run_id: str, *, after: int = 0, limit: int = _PAGE
    ) -> Sequence[Entry]:
        """Return records of a run after one, in order; `_PAGE` of them at most.

        Raises:
            ConfigurationError: this is no run id, or a number is wrong.
            RunNotFound: there is none with this id.
        """
        check_after(after)
        size = page_size(limit, _PAGE)
        await self.get_summary(run_id)
        return await self._journal.history(run_id, after=after, limit=size)

    async def counts(self) -> Sequence[RunCount]:
        """Return how many runs there are of each function and status."""
        return await self._journal.counts()

    async def cancel_run(
        self, run_id: str, *, reason: str = "", actor: str = ""
    ) -> RunDetails:
        """Ask a run to cancel; return it as it is now. It may take a while to end.

        Raises:
            RunNotFound: there is none with this id.
        """
        await self._engine.cancel(run_id, reason=reason, actor=actor)
        return await self.get_run(run_id)

    async def pause_run(
        self, run_id: str, *, reason: str = "", actor: str = ""
    ) -> RunDetails:
        """Ask a run to stand still; return it as it is now. See `Engine.pause`.

        Raises:
            RunNotFound: there is none with this id.
        """
        await self._engine.pause(run_id, reason=reason, actor=actor)
        return await self.get_run(run_id)

    async def resume_run(
        self, run_id: str, *, reason: str = "", actor: str = ""
    ) -> RunDetails:
        """Let a paused or failed run try again; return it as it is now.

        Raises:
            RunNotFound: there is none with this id.
            MisusedOperation: it is neither, or cannot go on.
        """
        summary = await self.get_summary(run_id)
        if summary.status not in {"paused", "failed"}:
            raise MisusedOperation(
                f"run {run_id} is {summary.status}; only a run that is paused or has"
                " failed can be resumed"
            )
        await self._engine.retry(run_id, reason=reason, actor=actor)
        return await self.get_run(run_id)

    async def patch_step(
        self, run_id: str, step: str, output: Any, *, reason: str = "", actor: str = ""
    ) -> RunDetails:
        """Replace the result of a step, by its id; see `Engine.patch_step`."""
        await self._engine.patch_step(
            ids.check_run_id(run_id), step, output, reason=reason, actor=actor
        )
        return await self.get_run(run_id)

    async def delete_run(self, run_id: str) -> None:
        """Forget a run that has ended, with all its records; see `Engine.delete`."""
        await self._engine.delete(ids.check_run_id(run_id))

    def _query(self, wanted: RunFilter, status: str, limit: int) -> RunQuery:
        if wanted.function_id:
            check_text(wanted.function_id, option="function_id")
        for run_id in (wanted.parent_run, wanted.cursor):
            if run_id:
                ids.check_run_id(run_id)
        return RunQuery(
            status=status,
            function_id=wanted.function_id,
            parent_run=wanted.parent_run,
            since=wanted.since,
            until=wanted.until,
            cursor=wanted.cursor,
            limit=limit,
        )

    # --- functions ----------------------------------------------------------------------

    async def list_functions(self) -> Sequence[FunctionRow]:
        """Return the registry, by id."""
        return await self._journal.functions()

    async def get_function(self, function_id: str) -> FunctionRow:
        """Return a function of the registry.

        Raises:
            FunctionNotFound: there is none with this id.
        """
        for row in await self._journal.functions():
            if row.id == function_id:
                return row
        raise FunctionNotFound(
            f"there is no function {function_id[:80]!r} in environment"
            f" {self.environment!r}; an app or a worker that has it makes it known"
        )

    async def register_function(self, config: FunctionConfig) -> FunctionRow:
        """Make a function known whose code lives elsewhere; return its row.

        Whoever hosts such functions is told (`registered`) before this returns. One that
        was archived begins anew.

        Raises:
            ConfigurationError: the server's own app has one of this id.
        """
        known = {row.id: row for row in await self._journal.functions()}.get(config.id)
        check_host(known, config)
        before = config_of(known) if known else None
        if before is not None and before.status == "archived":
            before = None
        return await self._keep(registered(config, before, now=self._clock.now()))

    async def set_standing(self, function_id: str, status: Standing) -> FunctionRow:
        """Let events start a function or not; its runs go on in either case.

        Raises:
            FunctionNotFound: there is none with this id.
            MisusedOperation: it is one of the server's own app.
        """
        config = config_of(await self.get_function(function_id))
        if config is None:
            raise MisusedOperation(
                f"function {function_id!r} is hosted by the server itself, in its app;"
                " take it out of the app, or change its triggers there"
            )
        changed = msgspec.structs.replace(
            config,
            status=status,
            revision=config.revision + (status != config.status),
            updated_at=self._clock.now(),
        )
        return await self._keep(changed)

    async def _keep(self, config: FunctionConfig) -> FunctionRow:
        """Write a function into the registry, and tell its host."""
        row, now = row_of(config), self._clock.now()
        [answer] = await self._journal.commit([RegisterFunctions((row,), now)])
        if isinstance(answer, Refused):
            raise answer.error
        for tell in self.registered:
            tell(row)
        return row

    # --- the server ---------------------------------------------------------------------

    def health(self) -> Health:
        """Return the version of the server and its time."""
        return Health(ironflow.__version__, self._clock.now())


def _details(
    summary: RunSummary, first: Sequence[Entry], last: Sequence[Entry]
) -> RunDetails:
    event = _decode_event(first[0].payload) if first and first[0].payload else None
    output: Payload = NO_PAYLOAD
    error: ErrorInfo | None = None
    for entry in last:
        if isinstance(entry.record, RunEnded) and entry.payload:
            if entry.record.status == COMPLETED:
                output = entry.payload
            else:
                error = failures.decode(entry.payload)
    pause = summary.row.pause
    if pause is not None:
        error = ErrorInfo(type=pause.reason, message=pause.message, code="PAUSED")
    return RunDetails(summary, event, output, error)
