"""The engine as its users hold it: emit events, look at runs, cancel them."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, final

import msgspec
import trio

from ironflow import ids, limits, values
from ironflow.engine.handles import Receipt, Run, run_of
from ironflow.engine.runtime import Runtime
from ironflow.errors import ConfigurationError, EngineClosed, NoRunCreated, RunNotFound
from ironflow.journal.base import (
    EmitEvents,
    Emitted,
    RequestCancel,
    ResumeRun,
    RunQuery,
    RunSummary,
    StoredEvent,
)
from ironflow.policy.duration import Duration, parse_duration
from ironflow.policy.names import check_event_name
from ironflow.records import Entry, ErrorInfo, EventData

_VERSION_MAX: Final = 2**31 - 1
_PLAIN_SECONDS = range(1, 86_400)
# Seeded by the system once: asking it for every event costs more than the event.
_random = random.Random()
_UNTIL = frozenset({"completed", "failed", "cancelled", "continued", "paused"})


@final
class Engine:
    """A running engine: made by `ironflow.open_engine`, ended by leaving its block.

    Every method may be called from any task of the program; none blocks the loop.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._names: set[str] = set()  # event names that were checked of late

    @property
    def functions(self) -> Sequence[str]:
        """Return the ids of the functions that this engine carries out."""
        return sorted(self._runtime.programs)

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
        """Store an event; start the runs it triggers; wake the waits it matches.

        On return all of it is durable. A second event of this name with the same
        idempotency key gives the first one's receipt, with `duplicate=True`.

        Raises:
            ConfigurationError: a name or option is wrong.
            ValueRejected: `data` cannot be stored; the message names the path.
            JournalFull: there is no space; nothing was stored.
        """
        self._check_open()
        now = self._runtime.clock.now()
        event = EventData(
            id=ids.event_id(ids.uuid7(now, _random.randbytes(ids.ENTROPY_BYTES))),
            name=self._checked_name(name),
            data=msgspec.Raw(values.encode(data)),
            version=_checked_version(version),
            timestamp=now,
            metadata=_checked_metadata(metadata),
            idempotency_key=_checked_key(idempotency_key),
            source=_checked_text(source, option="source"),
        )
        answer = await self._runtime.commit_one(EmitEvents((event,), now))
        assert isinstance(answer, Emitted)
        [receipt] = answer.receipts
        return Receipt(receipt.event_id, receipt.run_ids, duplicate=receipt.duplicate)

    async def emit_sync(
        self,
        name: str,
        data: Any = None,
        *,
        timeout: Duration | None = limits.EMIT_SYNC_TIMEOUT_US_DEFAULT // 1_000_000,
        idempotency_key: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> list[Run]:
        """Emit, and return the runs it started when all have ended or are paused.

        Never raises for a failed run (`.unwrap()` does). After `timeout` (seconds, or
        "5m") it returns the runs as they then are; they go on.

        Raises:
            NoRunCreated: no function takes this event; it is stored all the same.
        """
        receipt = await self.emit(
            name, data, idempotency_key=idempotency_key, metadata=metadata
        )
        if not receipt.run_ids:
            raise NoRunCreated(
                f"no function is triggered by {name!r}; the event {receipt.event_id} is"
                f" stored. This engine has: {', '.join(self.functions) or 'none'}",
                event_id=receipt.event_id,
            )
        deadline = self._deadline(timeout)
        fresh = not receipt.duplicate  # nobody has given the runs a turn yet
        runs: list[Run] = []
        for run_id in receipt.run_ids:
            runs.append(await self._result(run_id, deadline, fresh=fresh))
            fresh = False
        return runs

    async def get_run(self, run_id: str) -> Run:
        """Return a run as it is now.

        Raises:
            RunNotFound: there is none with this id.
        """
        self._check_open()
        return await self._run(await self._summary(run_id))

    async def result(self, run_id: str, timeout: Duration | None = None) -> Run:
        """Return a run when it has ended or is paused; follows continue_as_new.

        After `timeout` (seconds, or "5m") it returns the run as it then is.

        Raises:
            RunNotFound: there is none with this id.
        """
        self._check_open()
        deadline = self._deadline(timeout)
        return await self._result(run_id, deadline)

    async def list_runs(
        self,
        *,
        status: str = "",
        function_id: str = "",
        cursor: str = "",
        limit: int = 50,
    ) -> list[Run]:
        """Return runs, newest first; `cursor` is the id of the last one seen."""
        self._check_open()
        query = RunQuery(
            status=status, function_id=function_id, cursor=cursor, limit=limit
        )
        found = await self._runtime.journal.find(query)
        return [await self._run(summary) for summary in found]

    async def list_events(
        self, pattern: str = ">", *, after: int = 0, limit: int = 100
    ) -> Sequence[StoredEvent]:
        """Return stored events by pattern, in commit order, after a position."""
        self._check_open()
        return await self._runtime.journal.events(pattern, after=after, limit=limit)

    async def history(
        self, run_id: str, *, after: int = 0, limit: int = limits.PAGE_RECORDS_MAX
    ) -> Sequence[Entry]:
        """Return the records of a run, in order.

        Raises:
            RunNotFound: there is none with this id.
        """
        self._check_open()
        await self._summary(run_id)
        return await self._runtime.journal.history(run_id, after=after, limit=limit)

    async def cancel(self, run_id: str, *, reason: str = "", actor: str = "") -> Run:
        """Ask a run to cancel; return it as it is now. It may take a while to end.

        Raises:
            RunNotFound: there is none with this id.
        """
        self._check_open()
        now = self._runtime.clock.now()
        reason = _checked_text(reason, option="reason")[: limits.REASON_CHARS_MAX]
        actor = _checked_text(actor, option="actor")[: limits.REASON_CHARS_MAX]
        await self._runtime.commit_one(
            RequestCancel(ids.check_run_id(run_id), actor, reason, now)
        )
        return await self.get_run(run_id)

    async def resume(self, run_id: str) -> Run:
        """Let a paused run try again; return it as it is now.

        Raises:
            RunNotFound: there is none with this id.
        """
        self._check_open()
        await self._runtime.commit_one(ResumeRun(ids.check_run_id(run_id)))
        return await self.get_run(run_id)

    # --- inside -------------------------------------------------------------------------

    def _check_open(self) -> None:
        trio.lowlevel.current_task()  # function code has none: it must use a step
        if self._runtime.closing:
            raise EngineClosed(
                "the engine is closed or closing; open it again with"
                " ironflow.open_engine(app, url)"
            )

    def _checked_name(self, name: str) -> str:
        if type(name) is str and name in self._names:
            return name
        if len(self._names) >= limits.EVENT_NAMES_KNOWN_MAX:
            self._names.clear()
        self._names.add(check_event_name(name))
        return name

    def _deadline(self, timeout: Duration | None) -> int | None:
        if timeout is None or timeout == math.inf:
            return None
        now = self._runtime.clock.now()
        if type(timeout) is int and timeout in _PLAIN_SECONDS:  # as mostly
            return now + timeout * 1_000_000
        return now + parse_duration(timeout, option="timeout")

    async def _summary(self, run_id: str) -> RunSummary:
        summary = await self._runtime.journal.run(ids.check_run_id(run_id))
        if summary is None:
            raise RunNotFound(
                f"there is no run {run_id} in environment"
                f" {self._runtime.journal.environment!r} of this journal"
            )
        return summary

    async def _result(
        self, run_id: str, deadline: int | None, *, fresh: bool = False
    ) -> Run:
        while True:
            summary = await self._ended(run_id, deadline, fresh=fresh)
            fresh = False
            if summary.status != "continued":
                return await self._run(summary)
            run_id = summary.row.continued_to

    async def _ended(
        self, run_id: str, deadline: int | None, *, fresh: bool = False
    ) -> RunSummary:
        """Return the run when it has ended, is paused, or the deadline has passed.

        `fresh`: it cannot have ended before this call, which spares a look.
        """
        runtime = self._runtime
        while True:
            waiter = runtime.waiter(run_id)
            alarm = (
                None if deadline is None else runtime.alarms.set(deadline, waiter.set)
            )
            try:
                summary = None if fresh else await self._summary(run_id)
                fresh = False
                late = deadline is not None and deadline <= runtime.clock.now()
                if summary is not None and (late or summary.status in _UNTIL):
                    return summary
                await waiter.wait()
            finally:
                runtime.forget(run_id, waiter)
                if alarm is not None:
                    alarm.cancel()
            self._check_open()

    async def _run(self, summary: RunSummary) -> Run:
        last: Entry | None = None
        if summary.row.ended_at:
            [last] = await self._runtime.journal.history(
                summary.row.run_id, after=summary.length - 1, limit=1
            )
        program = self._runtime.programs.get(summary.row.function_id)
        output_type = Any if program is None else program.output
        run = run_of(summary, last, output_type=output_type, follow=self.result)
        if program is None and run.ended_at is None and run.error is None:
            return replace(run, error=self._nobody(run.function_id))
        return run

    def _nobody(self, function_id: str) -> ErrorInfo:
        """Say why a run of a function that this engine lacks does not go on."""
        return ErrorInfo(
            type="FunctionNotFound",
            message=(
                f"no function {function_id!r} is in the app of this engine, so the run"
                f" waits for one; it has: {', '.join(self.functions) or 'none'}"
            ),
            code="FUNCTION_NOT_FOUND",
        )


def _checked_text(text: object, *, option: str) -> str:
    """Return a text that can be stored: halves of surrogate pairs cannot."""
    if not isinstance(text, str):
        raise ConfigurationError(f"{option}={text!r} must be text")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise ConfigurationError(
            f"{option}={text!r} holds half of a surrogate pair, which is no text"
        )
    return text


def _checked_version(version: object) -> int:
    if type(version) is not int or not 0 <= version <= _VERSION_MAX:
        raise ConfigurationError(
            f"version={version!r} must be a whole number from 0 to {_VERSION_MAX}"
        )
    return version


def _checked_key(key: object) -> str:
    key = _checked_text(key, option="idempotency_key")
    if len(key) > limits.IDEMPOTENCY_KEY_CHARS_MAX:
        raise ConfigurationError(
            f"idempotency_key has {len(key)} characters; at most"
            f" {limits.IDEMPOTENCY_KEY_CHARS_MAX} are allowed: use a digest"
        )
    return key


def _checked_metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    entries: dict[Any, Any] = dict(metadata or {})
    if len(entries) > limits.METADATA_ENTRIES_MAX:
        raise ConfigurationError(
            f"metadata has {len(entries)} entries; at most"
            f" {limits.METADATA_ENTRIES_MAX} are allowed: put the rest into data"
        )
    for key, value in entries.items():
        _checked_text(key, option="a key of metadata")
        _checked_text(value, option=f"metadata[{key!r}]")
    return entries
