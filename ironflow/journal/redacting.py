"""Redacts whole runs, steps and events: looks where their values are, and takes them away.

It works on any store, in several commits. Each of them is whole; whoever was interrupted
does it again, and what was done stays done. Everything that has a copy must have ended,
else nothing is changed.
"""

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, final

import msgspec

from ironflow import limits
from ironflow.errors import EventNotFound, MisusedOperation, RunNotFound
from ironflow.journal import markers
from ironflow.journal import redaction_plan as plan
from ironflow.journal.apply_redactions import not_ended
from ironflow.journal.base import (
    CLOSED,
    Done,
    JournalCommand,
    RedactEvent,
    RedactRecords,
    Refused,
    RunQuery,
    RunSummary,
    StoredEvent,
)
from ironflow.journal.event_lists import time_of
from ironflow.journal.redaction_plan import Pick, Relative, Seen
from ironflow.journal.redactions import Replacement
from ironflow.journal.served import ServedJournal
from ironflow.records import Entry, EventReceived, Rewound, RunEnded

_PAGE: Final = 100  # records that are read at once, with their payloads
_steps_of: Final = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Wish:
    """When, by whom and why something is redacted."""

    now: int
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Redacted:
    """How many payloads went, and of which runs any went.

    `event_ids` are events in the log that still have data which the runs got or gave:
    they are others' as well, and are redacted by themselves.
    """

    payloads: int
    run_ids: tuple[str, ...]
    event_ids: tuple[str, ...] = ()


async def redact_run(journal: ServedJournal, run_id: str, wish: Wish) -> Redacted:
    """Take away all payloads of a run that has ended, and what others have of them.

    Raises:
        RunNotFound: there is no such run.
        MisusedOperation: it has not ended, or a run that has a copy has not.
    """
    return await _redact(journal, run_id, plan.of_run, wish)


async def redact_step(
    journal: ServedJournal, run_id: str, step: str, wish: Wish
) -> Redacted:
    """Take away what a step gave: its result, the errors of its attempts, and copies.

    A wait, a child and a message are steps, too.

    Raises:
        RunNotFound: there is no such run.
        MisusedOperation: it has no such step, or a run that has a copy has not ended.
    """

    def pick(history: plan.History) -> set[int]:
        if not plan.has_step(history, step):
            raise MisusedOperation(
                f"run {run_id} has no step {step[:200]!r}; 'ironflow runs show {run_id}'"
                " shows the ids of its steps"
            )
        return plan.of_step(step)(history)

    return await _redact(journal, run_id, pick, wish)


async def _redact(
    journal: ServedJournal, run_id: str, pick: Pick, wish: Wish
) -> Redacted:
    family = _Family(journal)
    await family.add(run_id, pick)
    payloads = await family.redact(wish)
    return Redacted(payloads, family.run_ids, await family.events())


async def redact_event(journal: ServedJournal, event_id: str, wish: Wish) -> Redacted:
    """Take away the data of an event: in the log, and of all runs that have a copy.

    Raises:
        EventNotFound: there is none with this id.
        MisusedOperation: a run that has a copy has not ended. It may be one that got it
            just now: then the event is redacted, and the copy when it is done again.
    """
    stored = await journal.event(event_id)
    if stored is None:
        raise EventNotFound(
            f"there is no event {event_id} in environment {journal.environment!r}"
        )
    before = await _holders(journal, stored)
    payloads = await before.redact(wish)
    command = RedactEvent(stored.position, event_id, wish.now, wish.actor, wish.reason)
    payloads += await _changed(journal, command)
    # A run that waited may have got it before it went.
    after = await _holders(journal, stored)
    payloads += await after.redact(wish)
    return Redacted(payloads, tuple(dict.fromkeys((*before.run_ids, *after.run_ids))))


# --- runs that have copies of each other's values ----------------------------------------


@dataclass(slots=True)
class _Member:
    """A run, what is known of its records, and which of them shall go."""

    summary: RunSummary
    history: list[Seen]
    wanted: set[int]


@final
class _Family:
    """Runs in which something shall go."""

    def __init__(self, journal: ServedJournal) -> None:
        self._journal: Final = journal
        self._members: Final[dict[str, _Member]] = {}

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs in which something goes, the one that was meant first."""
        return tuple(run_id for run_id, each in self._members.items() if each.wanted)

    async def add(self, run_id: str, pick: Pick) -> None:
        """Choose records of a run, and where their values are in others.

        Raises:
            RunNotFound: there is no such run.
            MisusedOperation: one of these runs has not ended.
        """
        first = await self._member(run_id)
        if first is None:
            raise RunNotFound(
                f"there is no run {run_id} in environment {self._journal.environment!r}"
            )
        todo = deque(self._chosen(first, pick, ""))
        while todo:
            relative = todo.popleft()
            member = await self._related(relative)
            if member is not None:  # else it was deleted: nothing of it is left
                pick = plan.of_relative(relative)
                todo += self._chosen(member, pick, ", which has a copy,")

    def _chosen(self, member: _Member, pick: Pick, why: str) -> list[Relative]:
        """Choose records of a run; return where their values are in others."""
        row = member.summary.row
        if row.status not in CLOSED:
            raise not_ended(row, why)
        wanted = plan.with_copies(member.history, pick(member.history))
        more = wanted - member.wanted
        member.wanted |= more
        return [*plan.relatives(member.history, more)]

    async def _related(self, relative: Relative) -> _Member | None:
        """Return the run of a relative: of one that went on in others, the last."""
        member = await self._member(relative.run_id)
        while relative.kind is RunEnded and member and member.summary.row.continued_to:
            member = await self._member(member.summary.row.continued_to)
        return member

    async def _member(self, run_id: str) -> _Member | None:
        member = self._members.get(run_id)
        if member is not None:
            return member
        summary = await self._journal.run(run_id)
        if summary is None:
            return None
        history: list[Seen] = []
        async for page in _pages(self._journal, summary):
            history += map(_seen, page)
        if len(history) < summary.length:  # it is being deleted
            return None
        member = self._members[run_id] = _Member(summary, history, set())
        return member

    async def redact(self, wish: Wish) -> int:
        """Take the payloads away, those of others first; return how many went.

        Raises:
            MisusedOperation: a run goes on again; what was redacted by then stays so.
        """
        payloads = 0
        for member in reversed(self._members.values()):
            for portion in plan.portions(member.history, member.wanted):
                command = await self._command(member, portion, wish)
                if await _changed(self._journal, command):
                    payloads += len(portion)
        return payloads

    async def _command(
        self, member: _Member, portion: list[int], wish: Wish
    ) -> RedactRecords:
        run_id = member.summary.row.run_id
        replacements: list[Replacement] = []
        for first, count in plan.ranges(portion):
            page = await self._journal.history(run_id, after=first - 1, limit=count)
            replacements += (_replacement(entry, wish) for entry in page)
        return RedactRecords(
            run_id,
            member.summary.length,
            tuple(replacements),
            wish.now,
            wish.actor,
            wish.reason,
        )

    async def events(self) -> tuple[str, ...]:
        """Return the events of the log whose data the runs got or gave."""
        found: dict[str, None] = {}
        for member in self._members.values():
            for event_id in plan.events_in(member.history, member.wanted):
                stored = await self._journal.event(event_id)
                if stored is not None and stored.redaction is None:
                    found[event_id] = None
        return tuple(found)


def _replacement(entry: Entry, wish: Wish) -> Replacement:
    record = entry.record
    payload = markers.payload_in_place_of(entry, at=wish.now)
    return Replacement(record.sequence, record.payload_digest, payload)


def _seen(entry: Entry) -> Seen:
    return plan.seen(entry, _steps_of(entry.payload) if _has_steps(entry) else ())


def _has_steps(entry: Entry) -> bool:
    return isinstance(entry.record, Rewound) and bool(entry.payload)


async def _pages(
    journal: ServedJournal, summary: RunSummary
) -> AsyncGenerator[Sequence[Entry]]:
    """Yield a history as long as it was."""
    after = 0
    while after < summary.length:
        limit = min(summary.length - after, _PAGE)
        page = await journal.history(summary.row.run_id, after=after, limit=limit)
        if not page:  # it is being deleted
            return
        yield page
        after += len(page)


async def _changed(journal: ServedJournal, command: JournalCommand) -> bool:
    [answer] = await journal.commit((command,))
    if isinstance(answer, Refused):
        raise answer.error
    assert isinstance(answer, Done)
    return answer.changed


# --- runs that have copies of an event ----------------------------------------------------


async def _holders(journal: ServedJournal, stored: StoredEvent) -> _Family:
    """Return the runs that have a copy of an event.

    Raises:
        MisusedOperation: one of them has not ended.
    """
    family, event = _Family(journal), stored.event
    made_at = time_of(event.id) or event.timestamp
    async with aclosing(_runs_about(journal, made_at)) as found:
        async for summary in found:
            if await _has(journal, summary, event.id):
                await family.add(summary.row.run_id, plan.of_event(event.id))
    return family


async def _runs_about(
    journal: ServedJournal, made_at: int
) -> AsyncGenerator[RunSummary]:
    """Yield runs that had begun and had not ended at a time, or nearly so.

    No run gets an event that was there before its own, but one that another gave it.
    """
    skew = limits.REDACTION_CLOCKS_APART_US_MAX
    query = RunQuery(until=made_at + skew, limit=limits.PAGE_RUNS_MAX)
    while page := await journal.find(query):
        for summary in page:
            ended_at = summary.row.ended_at
            if not ended_at or ended_at >= made_at - skew:
                yield summary
        query = replace(query, cursor=page[-1].row.run_id)


async def _has(journal: ServedJournal, summary: RunSummary, event_id: str) -> bool:
    pick = plan.of_event(event_id)
    async with aclosing(_pages(journal, summary)) as pages:
        async for page in pages:
            if pick([*map(plan.seen, page)]):
                return True
    if summary.row.status in CLOSED:
        return False
    standing = await journal.standing(summary.row.run_id)
    inbox = () if standing is None else standing.inbox
    for waiting in inbox:
        record = waiting.draft.record
        if isinstance(record, EventReceived) and record.event_id == event_id:
            raise not_ended(summary.row, ", which got this event,")
    return False
