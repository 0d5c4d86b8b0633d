"""The runs that one worker holds: claims out, commits in, and what is left at its end.

It knows journals and frames, and nothing of links: WebSocket and POST share it. A journal
sees the server as the holder; that the code runs elsewhere is known here alone.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, final

import msgspec

from ironflow import codec, limits
from ironflow.engine.log import log
from ironflow.errors import JournalFull, ProtocolError
from ironflow.journal.base import (
    Answer,
    Appended,
    AppendRecords,
    Claim,
    CountClaims,
    Counted,
    Done,
    ForgiveClaims,
    InboxRow,
    Journal,
    JournalCommand,
    NoteLost,
    NoteWorker,
    Pause,
    PauseRun,
    Refused,
    RequestCancel,
)
from ironflow.records import Entry, RunContinued, RunEnded
from ironflow.transport.admitted import check_awaited, entries_of, kept_drafts
from ironflow.transport.moved import Moved
from ironflow.wire.frames import (
    Answers,
    CancelChild,
    Carried,
    Claimed,
    HistoryPage,
    HistoryRequest,
    NotStored,
    Outcome,
    PauseHeld,
    ReceivedAppend,
    ReceivedCommand,
    ReceivedCommit,
    Refusal,
    Stored,
    Waiting,
)

_LAST: Final = (RunEnded, RunContinued)
_PAUSES: Final = frozenset({"code", "step", "asked"})


@final
class HeldRun(msgspec.Struct, eq=False):
    """A run in the hand of a worker; `digest` is of its last record."""

    function_id: str
    epoch: int
    length: int
    digest: bytes = b""


@final
class Holding:
    """What one worker holds. Whatever it sends is checked against this first."""

    def __init__(
        self,
        journal: Journal,
        now: Callable[[], int],
        moved: Moved,
        *,
        worker: str,
        process: str,
    ) -> None:
        self._journal: Final = journal
        self._now: Final = now
        self._moved: Final = moved
        self._worker: Final = worker
        self._process: Final = process
        self.runs: Final[dict[str, HeldRun]] = {}
        # Parked runs whose code the worker may still have, with length and digest: it
        # goes on with them without reading their histories again.
        self._kept: Final[OrderedDict[str, tuple[int, bytes]]] = OrderedDict()
        self._counted: Final[dict[str, int]] = {}

    # --- claims ---------------------------------------------------------------------------

    def take(self, claims: Sequence[Claim]) -> None:
        """Note that these runs are the worker's now; `describe` them next."""
        for claim in claims:
            self.runs[claim.run_id] = HeldRun(
                claim.function_id, claim.epoch, claim.length
            )

    async def describe(self, claims: Sequence[Claim]) -> tuple[Claimed, ...]:
        """Return what the worker is sent for claims that were taken.

        Claims of runs that may have ended a process before are counted first, and those
        that had too many are not among them.
        """
        recovered = [each for each in claims if each.is_recovered]
        if recovered:
            await self._count(recovered)
        back, over = self._moved.taken([each.run_id for each in claims], self._process)
        if back or over:
            await self._note(back, over)
        return tuple(
            [
                await self._described(claim)
                for claim in claims
                if claim.run_id in self.runs
            ]
        )

    async def _count(self, claims: Sequence[Claim]) -> None:
        found = {each.run_id: each.epoch for each in claims}
        command = CountClaims(tuple(found.items()), self._now())
        [answer] = await self._journal.commit([command])
        assert isinstance(answer, Counted)
        self._counted.update(found)
        self._forget(answer.paused)

    def _forget(self, poison: Iterable[str]) -> None:
        for run_id in poison:
            self.runs.pop(run_id, None)
            log.error(
                "run %s is paused as poison: worker after worker ended while it was"
                " carried on; 'ironflow runs show %s' says more",
                run_id,
                run_id,
            )

    async def _note(self, back: frozenset[str], over: frozenset[str]) -> None:
        """Write who carries on what was lost; forgive a process that has come back."""
        commands: list[JournalCommand] = [
            NoteWorker(self._epochs(back | over), self._worker)
        ]
        if back:
            commands.append(ForgiveClaims(self._epochs(back)))
        await self._journal.commit(commands)

    def _epochs(self, run_ids: Iterable[str]) -> tuple[tuple[str, int], ...]:
        return tuple(
            (run_id, self.runs[run_id].epoch)
            for run_id in run_ids
            if run_id in self.runs
        )

    async def _described(self, claim: Claim) -> Claimed:
        run_id, held = claim.run_id, self.runs[claim.run_id]
        inbox = waiting(claim.inbox)
        length, digest = self._kept.pop(run_id, (0, b""))
        sent = Claimed(
            run_id,
            claim.function_id,
            claim.epoch,
            claim.length,
            inbox,
            asked=claim.asked is not None,
        )
        entries = claim.entries
        if length == claim.length:
            held.digest = digest
            return sent
        if not entries:
            entries = await self._end_of(claim)
        held.digest = entries[-1].digest
        if len(entries) < claim.length:
            return sent
        page, taken = _page(entries)
        if taken < claim.length:
            return sent
        return msgspec.structs.replace(sent, history=page)

    async def _end_of(self, claim: Claim) -> Sequence[Entry]:
        """Read a history that is short, or else its last record."""
        after, limit = 0, claim.length
        if claim.length > limits.CLAIM_HISTORY_RECORDS_MAX:
            after, limit = claim.length - 1, 1
        return await self._journal.history(claim.run_id, after=after, limit=limit)

    # --- commits ----------------------------------------------------------------------------

    async def commit(self, frame: ReceivedCommit) -> Answers | NotStored:
        """Carry a commit of the worker out, in one commit of the journal.

        Raises:
            ProtocolError: something in it is not what may follow; nothing was stored.
        """
        if len(frame.commands) > limits.COMMIT_COMMANDS_MAX:
            raise ProtocolError(f"{len(frame.commands)} commands are too many at once")
        asked = [await self._asked(command) for command in frame.commands]
        commands = [each for each in asked if not isinstance(each, Refusal)]
        try:
            answers = iter(await self._journal.commit(commands) if commands else ())
        except JournalFull as error:
            return NotStored(frame.number, str(error))
        outcomes = [
            each if isinstance(each, Refusal) else self._noted(each, next(answers))
            for each in asked
        ]
        return Answers(frame.number, tuple(outcomes))

    async def _asked(self, command: ReceivedCommand) -> JournalCommand | Refusal:
        if isinstance(command, CancelChild):
            return await self._cancel(command)
        held = self.runs.get(command.run_id)
        if held is None or held.epoch != command.epoch:
            return Refusal(
                "LEASE_LOST",
                f"epoch {command.epoch} does not hold run {command.run_id} over this"
                " connection; forget what you have of the run",
            )
        if isinstance(command, PauseHeld):
            return self._pause(command)
        if command.length != held.length:
            return Refusal(
                "CONFLICT",
                f"run {command.run_id} has {held.length} records, not {command.length}",
            )
        return _append(command, held)

    def _pause(self, command: PauseHeld) -> PauseRun:
        if command.reason not in _PAUSES:
            raise ProtocolError(
                f"run {command.run_id}: a worker cannot pause a run for"
                f" {command.reason!r}"
            )
        kept = kept_drafts(command)
        pause = Pause(
            command.reason,
            command.message[: limits.ERROR_MESSAGE_CHARS_MAX],
            command.version[: limits.NAME_CHARS_MAX],
            self._now(),
        )
        return PauseRun(
            command.run_id, command.epoch, pause, command.inbox_through, kept
        )

    async def _cancel(self, command: CancelChild) -> RequestCancel | Refusal:
        """Let a worker cancel children of what it holds, and nothing else."""
        parent = command.parent_run
        child = await self._journal.run(command.child_run)
        is_strange = child is not None and child.row.parent_run != parent
        if parent not in self.runs or is_strange:
            return Refusal("LEASE_LOST", f"run {parent} is not held by this worker")
        reason = command.reason[: limits.REASON_CHARS_MAX]
        return RequestCancel(command.child_run, f"run {parent}", reason, self._now())

    def _noted(self, command: JournalCommand, answer: Answer) -> Outcome:
        """Learn what became of a command; return it as the worker is told."""
        if isinstance(answer, Refused):  # the worker gives the run back
            return Refusal(answer.error.code, str(answer.error))
        if isinstance(answer, Appended):
            assert isinstance(command, AppendRecords)
            self._appended(command, answer)
            return Stored(
                answer.length,
                waiting(answer.inbox),
                answer.parked,
                answer.asked is not None,
            )
        assert isinstance(answer, Done)
        if isinstance(command, PauseRun) and answer.changed:
            self.runs.pop(command.run_id, None)
        return Carried(answer.changed)

    def _appended(self, command: AppendRecords, answer: Appended) -> None:
        run_id, entries = command.run_id, command.entries
        held = self.runs.get(run_id)
        if held is None or held.epoch != command.epoch:
            return  # it was taken away meanwhile
        held.length = answer.length
        if entries:
            held.digest = entries[-1].digest
        if not answer.parked:
            return
        del self.runs[run_id]
        if entries and isinstance(entries[-1].record, _LAST):
            return
        self._kept[run_id] = held.length, held.digest
        if len(self._kept) > limits.RUNS_CACHED_MAX:
            self._kept.popitem(last=False)

    # --- histories --------------------------------------------------------------------------

    async def history(self, request: HistoryRequest) -> HistoryPage:
        """Return a page of a run's history, cut to what a message may hold."""
        if request.run_id not in self.runs:
            return HistoryPage(request.number, msgspec.Raw(codec.page(())), more=False)
        limit = max(1, min(request.limit, limits.REPLAY_RECORDS_MAX))
        after = max(0, request.after)
        entries = await self._journal.history(request.run_id, after=after, limit=limit)
        page, taken = _page(entries)
        return HistoryPage(
            request.number, page, more=taken < len(entries) or len(entries) == limit
        )

    # --- ends -------------------------------------------------------------------------------

    async def give_back(self, pairs: Iterable[tuple[str, int]]) -> None:
        """Release runs that the worker does not carry on, if it holds them."""
        found: list[Claim] = []
        for run_id, epoch in pairs:
            held = self.runs.get(run_id)
            if held is not None and held.epoch == epoch:
                found.append(_claim(run_id, self.runs.pop(run_id)))
                self._kept.pop(run_id, None)
        if found:
            await self._journal.release(found)

    async def let_go(self) -> None:
        """Release everything: the worker, or this server, ends in order."""
        counted = tuple(
            pair for pair in self._counted.items() if self._epochs([pair[0]]) == (pair,)
        )
        if counted:
            await self._journal.commit([ForgiveClaims(counted)])
        await self._release_all()

    async def lose(self, why: str) -> None:
        """Count the claims of a worker that was lost, say so in its runs, release them."""
        held = self._epochs(self.runs)
        if held:
            now = self._now()
            command = CountClaims(held, now, lost=self._worker, why=why)
            [answer] = await self._journal.commit([command])
            assert isinstance(answer, Counted)
            self._forget(answer.paused)
        self._moved.lost(self.runs, self._process)
        await self._release_all()

    async def count_lost(self, why: str) -> None:
        """Count the claims of a process that was lost, before another gets the same runs."""
        held = self._epochs(self.runs)
        count = CountClaims(held, self._now(), lost=self._worker, why=why)
        [answer, _] = await self._journal.commit(
            [count, NoteWorker(held, self._worker)]
        )
        assert isinstance(answer, Counted)
        self._forget(answer.paused)

    async def set_aside(self, why: str) -> None:
        """Say in its runs why a worker has them no more, and release them uncounted."""
        note = NoteLost(self._epochs(self.runs), self._now(), self._worker, why)
        await self._journal.commit([note])
        self._moved.lost(self.runs, self._process)
        await self.let_go()

    async def _release_all(self) -> None:
        claims = [_claim(run_id, held) for run_id, held in self.runs.items()]
        self.runs.clear()
        self._kept.clear()
        if claims:
            await self._journal.release(claims)


def waiting(rows: Iterable[InboxRow]) -> tuple[Waiting, ...]:
    """Return inbox rows as they travel."""
    return tuple(
        [
            Waiting(
                row.number, msgspec.Raw(codec.encode_draft(row.draft)), row.position
            )
            for row in rows
        ]
    )


def _append(command: ReceivedAppend, held: HeldRun) -> AppendRecords:
    entries, headers = entries_of(command, digest=held.digest)
    check_awaited(command)
    return AppendRecords(
        command.run_id,
        command.epoch,
        command.length,
        entries,
        headers,
        command.inbox_through,
        command.park,
        command.abandoned,
        command.awaited,
    )


def _page(entries: Sequence[Entry]) -> tuple[msgspec.Raw, int]:
    """Return the first entries, as many as a message may hold, and how many those are."""
    records: list[bytes] = []
    size = 0
    for entry in entries:
        data, _ = codec.encode_whole(entry)
        size += len(data)
        if records and size > limits.WIRE_PAGE_BYTES_MAX:
            break
        records.append(data)
    return msgspec.Raw(codec.page(records)), len(records)


def _claim(run_id: str, held: HeldRun) -> Claim:
    return Claim(run_id, held.function_id, held.epoch, held.length, ())
