"""The engine as its users hold it: emit events, look at runs, steer them."""

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, final

import msgspec
import trio
from msgspec import UNSET

from ironflow import ids, limits, values
from ironflow.engine.amending import amend
from ironflow.engine.checked import (
    checked_attributes,
    checked_key,
    checked_metadata,
    checked_text,
    checked_version,
)
from ironflow.engine.handles import Emission, Receipt, Run
from ironflow.engine.hosting import Hosting
from ironflow.engine.results import Results
from ironflow.engine.rewinding import FromStep, rewind
from ironflow.engine.runtime import Runtime
from ironflow.errors import ConfigurationError, MisusedOperation, NoRunCreated
from ironflow.journal.apply_records import INVOKE_EVENT
from ironflow.journal.base import (
    CLOSED,
    DeleteRuns,
    Done,
    EmitEvents,
    Emitted,
    RequestCancel,
    RequestPause,
    ResumeRun,
    RunQuery,
    StoredEvent,
)
from ironflow.policy.attributes import Attributes, filter_texts, parse_filters
from ironflow.policy.duration import Duration
from ironflow.policy.names import check_event_name
from ironflow.records import Draft, Entry, EventData, RunRetried, StepPatched

# Seeded by the system once: asking it for every event costs more than the event.
_random: Final = random.Random()


@final
class Engine:
    """A running engine: made by `ironflow.open_engine`, ended by leaving its block.

    Every method may be called from any task of the program; none blocks the loop.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._results = Results(runtime)
        self._names: set[str] = set()  # event names that were checked of late

    @property
    def functions(self) -> Sequence[str]:
        """Return the ids of the functions that this engine carries out."""
        return sorted(self._runtime.programs)

    @property
    def hosting(self) -> Hosting:
        """Return what transports need, to host functions whose code is elsewhere."""
        return Hosting(self._runtime)

    async def emit(
        self,
        name: str,
        data: Any = None,
        *,
        idempotency_key: str = "",
        metadata: Mapping[str, str] | None = None,
        version: int = 1,
        source: str = "",
        attributes: Attributes | None = None,
    ) -> Receipt:
        """Store an event; start the runs it triggers; wake the waits it matches.

        On return all of it is durable. A second event of this name with the same
        idempotency key gives the first one's receipt, with `duplicate=True`. The runs it
        starts have `attributes`, by which lists find them.

        Raises:
            ConfigurationError: a name or option is wrong.
            ValueRejected: `data` cannot be stored; the message names the path.
            JournalFull: there is no space; nothing was stored.
        """
        self._check_open()
        event = self._event(
            self._checked_name(name),
            data,
            idempotency_key=idempotency_key,
            metadata=metadata,
            version=version,
            source=source,
        )
        [receipt] = await self._emit((event,), (attributes,))
        return receipt

    async def emit_batch(self, events: Sequence[Emission]) -> list[Receipt]:
        """Store events in one commit: all of them or none; their receipts, in order.

        Raises:
            ConfigurationError: a name or option is wrong, or they are too many.
            EventConflict: two of them have the same idempotency key.
            ValueRejected: data cannot be stored; the message names the path.
        """
        self._check_open()
        if len(events) > limits.EMIT_BATCH_EVENTS_MAX:
            raise ConfigurationError(
                f"a batch of {len(events)} events; at most"
                f" {limits.EMIT_BATCH_EVENTS_MAX} are stored in one: send several"
            )
        checked = [
            self._event(
                self._checked_name(each.name),
                each.data,
                idempotency_key=each.idempotency_key,
                metadata=each.metadata,
                version=each.version,
                source=each.source,
            )
            for each in events
        ]
        given = tuple(each.attributes for each in events)
        return await self._emit(tuple(checked), given) if checked else []

    async def invoke(
        self,
        function_id: str,
        data: Any = None,
        *,
        idempotency_key: str = "",
        metadata: Mapping[str, str] | None = None,
        attributes: Attributes | None = None,
    ) -> Receipt:
        """Start a run of one function, whatever its triggers; it has one run id.

        What starts it is stored as an event, `ironflow.invoke`. A second call with the
        same function and idempotency key gives the first one's receipt.

        Raises:
            ConfigurationError: the id is empty, or an option is wrong.
            FunctionNotFound: nobody has registered it.
            ValueRejected: `data` cannot be stored; the message names the path.
        """
        self._check_open()
        function_id = checked_text(function_id, option="function_id")
        if not function_id:
            raise ConfigurationError("function_id is empty; say which function to run")
        key = checked_key(idempotency_key)
        event = self._event(
            INVOKE_EVENT,
            data,
            idempotency_key=f"{function_id}:{key}" if key else "",
            metadata=metadata,
        )
        [receipt] = await self._emit((event,), (attributes,), only=function_id)
        return receipt

    async def emit_sync(
        self,
        name: str,
        data: Any = None,
        *,
        timeout: Duration | None = limits.EMIT_SYNC_TIMEOUT_US_DEFAULT // 1_000_000,
        idempotency_key: str = "",
        metadata: Mapping[str, str] | None = None,
        attributes: Attributes | None = None,
    ) -> list[Run]:
        """Emit, and return the runs it started when all have ended or are paused.

        Never raises for a failed run (`.unwrap()` does). After `timeout` (seconds, or
        "5m") it returns the runs as they then are; they go on.

        Raises:
            NoRunCreated: no function takes this event; it is stored all the same.
        """
        receipt = await self.emit(
            name,
            data,
            idempotency_key=idempotency_key,
            metadata=metadata,
            attributes=attributes,
        )
        if not receipt.run_ids:
            raise NoRunCreated(
                f"no function is triggered by {name!r}; the event {receipt.event_id} is"
                f" stored. This engine has: {', '.join(self.functions) or 'none'}",
                event_id=receipt.event_id,
            )
        deadline = self._results.deadline(timeout)
        fresh = not receipt.duplicate  # nobody has given the runs a turn yet
        runs: list[Run] = []
        for run_id in receipt.run_ids:
            runs.append(await self._results.result(run_id, deadline, fresh=fresh))
            fresh = False
        return runs

    async def get_run(self, run_id: str) -> Run:
        """Return a run as it is now.

        Raises:
            RunNotFound: there is none with this id.
        """
        self._check_open()
        return await self._results.show(await self._results.summary(run_id))

    async def result(self, run_id: str, timeout: Duration | None = None) -> Run:
        """Return a run when it has ended or is paused; follows continue_as_new.

        After `timeout` (seconds, or "5m") it returns the run as it then is.

        Raises:
            RunNotFound: there is none with this id.
        """
        self._check_open()
        return await self._results.follow(run_id, timeout)

    async def list_runs(
        self,
        *,
        status: str = "",
        function_id: str = "",
        attributes: Attributes | Iterable[str] = (),
        cursor: str = "",
        limit: int = 50,
    ) -> list[Run]:
        """Return runs, newest first; `cursor` is the id of the last one seen.

        `attributes` are values (`{"customer": "c1"}`), or texts that may also compare
        (`["customer=c1", "total>=100"]`); a run passes all of them.

        Raises:
            ConfigurationError: a filter is none.
        """
        self._check_open()
        query = RunQuery(
            status=status,
            function_id=function_id,
            cursor=cursor,
            limit=limit,
            attributes=parse_filters(filter_texts(attributes)),
        )
        found = await self._runtime.journal.find(query)
        return [await self._results.show(summary) for summary in found]

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
        await self._results.summary(run_id)
        return await self._runtime.journal.history(run_id, after=after, limit=limit)

    async def cancel(self, run_id: str, *, reason: str = "", actor: str = "") -> Run:
        """Ask a run to cancel; return it as it is now. It may take a while to end.

        Raises:
            RunNotFound: there is none with this id.
        """
        self._check_open()
        now = self._runtime.clock.now()
        actor, reason = _said(actor, reason)
        await self._runtime.commit_one(
            RequestCancel(ids.check_run_id(run_id), actor, reason, now)
        )
        return await self.get_run(run_id)

    async def pause(self, run_id: str, *, reason: str = "", actor: str = "") -> Run:
        """Ask a run to stand still; return it as it is now. `resume` lets it go on.

        One that waits is paused at once. One that is being carried on begins no step any
        more, and is paused when those that run have ended. A cancel comes first, and so
        does the deadline of the run; a run that has ended stays as it is.

        Raises:
            RunNotFound: there is none with this id.
        """
        self._check_open()
        now = self._runtime.clock.now()
        actor, reason = _said(actor, reason)
        await self._runtime.commit_one(
            RequestPause(ids.check_run_id(run_id), actor, reason, now)
        )
        return await self.get_run(run_id)

    async def resume(
        self,
        run_id: str,
        *,
        from_step: str = "",
        output: Any = UNSET,
        force: bool = False,
        reason: str = "",
        actor: str = "",
    ) -> Run:
        """Let a paused run try again; return it as it is now.

        With `from_step`, a paused or failed run goes on from a step, given by its id, or
        by its name if only one has it: that step is performed again, and so is all that
        is on record after it, in every branch. What was before stays, and so does the
        whole history. With `output` the step is not performed: it gives this. A step with
        `once="at_most"` is called again only with `force`.

        Raises:
            RunNotFound: there is none with this id.
            MisusedOperation: it cannot go on from there; the message says why.
            ValueRejected: `output` cannot be stored; the message names the path.
        """
        self._check_open()
        run_id = ids.check_run_id(run_id)
        if from_step:
            said_actor, said_reason = _said(actor, reason)
            result = None if output is UNSET else values.encode(output)
            wanted = FromStep(
                step=checked_text(from_step, option="from_step"),
                result=result,
                force=force,
                actor=said_actor,
                reason=said_reason,
            )
            runtime, now = self._runtime, self._runtime.clock.now()
            await rewind(runtime.journal, runtime.commit_one, run_id, wanted, now=now)
        elif output is not UNSET or force or reason or actor:
            raise ConfigurationError(
                "output, force, reason and actor go with from_step; give a step"
            )
        else:
            await self._runtime.commit_one(ResumeRun(run_id))
        return await self.get_run(run_id)

    async def retry(self, run_id: str, *, reason: str = "", actor: str = "") -> Run:
        """Let a paused or a failed run try again; return it as it is now.

        A failed one goes on at the step that failed, as its next attempt.

        Raises:
            RunNotFound: there is none with this id.
            MisusedOperation: it cannot go on; the message says why.
        """
        self._check_open()
        summary = await self._results.summary(run_id)
        if summary.status == "paused":
            return await self.resume(run_id)
        actor, reason = _said(actor, reason)
        record = RunRetried(attempt=summary.row.attempt + 1, actor=actor, reason=reason)
        await self._amend(run_id, Draft(record))
        return await self.get_run(run_id)

    async def patch_step(
        self, run_id: str, step: str, output: Any, *, reason: str = "", actor: str = ""
    ) -> Run:
        """Replace the result of a step, by its id; what it was stays in the history.

        The run has to wait, to be paused or to have failed. Code that has seen the old
        result sees the new one when the run goes on, from its start.

        Raises:
            RunNotFound: there is none with this id.
            LeaseLost: the run is being carried on; pause it first.
            MisusedOperation: the step has no result; the message says so.
            ValueRejected: `output` cannot be stored; the message names the path.
        """
        self._check_open()
        actor, reason = _said(actor, reason)
        record = StepPatched(
            id=checked_text(step, option="step"), actor=actor, reason=reason
        )
        await self._amend(run_id, Draft(record, values.encode(output)))
        return await self.get_run(run_id)

    async def delete(self, run_id: str) -> None:
        """Forget a run that has ended, with all its records.

        Raises:
            RunNotFound: there is none with this id.
            MisusedOperation: it, or the run that it is a child of, has not ended.
        """
        self._check_open()
        summary = await self._results.summary(run_id)
        if summary.row.status not in CLOSED:
            raise MisusedOperation(
                f"run {run_id} is {summary.status}; only a run that has ended is"
                " deleted: cancel it first"
            )
        now = self._runtime.clock.now()
        runs, changed = (run_id,), True
        while changed:  # a long run goes in several commits
            answer = await self._runtime.commit_one(DeleteRuns(runs, now, asked=True))
            changed = isinstance(answer, Done) and answer.changed
        if await self._runtime.journal.run(run_id) is not None:
            raise MisusedOperation(
                f"run {run_id} is a child of {summary.row.parent_run}, which has not"
                " ended and may still ask for it; delete it after that"
            )

    # --- inside -------------------------------------------------------------------------

    def _check_open(self) -> None:
        trio.lowlevel.current_task()  # function code has none: it must use a step
        self._results.check_open()

    def _checked_name(self, name: str) -> str:
        if type(name) is str and name in self._names:
            return name
        if len(self._names) >= limits.EVENT_NAMES_KNOWN_MAX:
            self._names.clear()
        self._names.add(check_event_name(name))
        return name

    def _event(
        self,
        name: str,
        data: Any,
        *,
        idempotency_key: str = "",
        metadata: Mapping[str, str] | None = None,
        version: int = 1,
        source: str = "",
    ) -> EventData:
        now = self._runtime.clock.now()
        kept = checked_metadata(metadata)
        if self._runtime.hooks is not None:
            kept = checked_metadata(self._runtime.hooks.emitting(kept))
        return EventData(
            id=ids.event_id(ids.uuid7(now, _random.randbytes(ids.ENTROPY_BYTES))),
            name=name,
            data=msgspec.Raw(values.encode(data)),
            version=checked_version(version),
            timestamp=now,
            metadata=kept,
            idempotency_key=checked_key(idempotency_key),
            source=checked_text(source, option="source"),
        )

    async def _emit(
        self,
        events: tuple[EventData, ...],
        given: tuple[Attributes | None, ...],
        *,
        only: str = "",
    ) -> list[Receipt]:
        attributes = tuple(map(checked_attributes, given)) if any(given) else ()
        now = self._runtime.clock.now()
        command = EmitEvents(events, now, only, attributes)
        answer = await self._runtime.commit_one(command)
        assert isinstance(answer, Emitted)
        return [
            Receipt(each.event_id, each.run_ids, duplicate=each.duplicate)
            for each in answer.receipts
        ]

    async def _amend(self, run_id: str, draft: Draft) -> None:
        summary = await self._results.summary(run_id)
        await amend(self._runtime, run_id, summary.length, draft)


def _said(actor: str, reason: str) -> tuple[str, str]:
    """Return who wants something and why, as much of it as is kept."""
    who = checked_text(actor, option="actor")[: limits.REASON_CHARS_MAX]
    why = checked_text(reason, option="reason")[: limits.REASON_CHARS_MAX]
    return who, why
