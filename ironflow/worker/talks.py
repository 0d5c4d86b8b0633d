"""What an endpoint says and hears about its runs: a conversation for each.

A journal in which every run has a mailbox of its own: what it has to say waits there for
the next POST about it, until the server has answered it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final, final

import trio

from ironflow import limits
from ironflow.errors import JournalError, JournalFull, LeaseLost
from ironflow.journal.base import (
    Answer,
    Appended,
    AppendRecords,
    Claim,
    Done,
    FunctionRow,
    Hint,
    JournalCommand,
    PauseRun,
    Refused,
    RegisterFunctions,
    TimerRow,
)
from ironflow.records import Entry
from ironflow.wire.frames import Commit, Frame, GiveBack, HistoryRequest, NotStored
from ironflow.worker.connection import Page, Question, Reply
from ironflow.worker.translating import answered_here, command_of
from ironflow.worker.unanswered import Unanswered

_LOST: Final = LeaseLost(
    "the server speaks of this run no more, so it is not held here; the server gives it to"
    " whoever is there"
)


@final
class Talk:
    """One run that this process has: what it says, and what it waits to hear."""

    def __init__(self, run_id: str, epoch: int) -> None:
        self.run_id: Final = run_id
        self.epoch: Final = epoch
        self.is_over = False
        self.heard = trio.current_time()
        self.listeners = 0  # POSTs that wait now
        self._said: Final[dict[int, Frame]] = {}  # not answered yet
        self._questions: Final[dict[int, Question]] = {}
        self._change = trio.Event()

    def frames(self) -> list[Frame]:
        """Return what the server has not answered."""
        return list(self._said.values())

    async def wait(self) -> None:
        """Return when there is something to say, or it is over."""
        while not (self._said or self.is_over):
            await self._change.wait()

    async def ask(self, number: int, frame: Frame) -> Reply | None:
        """Say something; return the reply, or None if it never comes."""
        if self.is_over:
            return None
        question = self._questions[number] = Question()
        self.say(number, frame)
        return await question.wait()

    def say(self, number: int, frame: Frame) -> None:
        """Say something with the next answer to a POST."""
        self._said[number] = frame
        self._changed()

    def replied(self, number: int, reply: Reply) -> None:
        """Pass a reply on; one that came before is passed over."""
        self._said.pop(number, None)
        question = self._questions.pop(number, None)
        if question is not None:
            self.is_over = self.is_over or _ends(reply)
            question.answer(reply)

    def end(self) -> None:
        """Nobody speaks of it any more: whoever waits learns that."""
        self.is_over = True
        for question in self._questions.values():
            question.answer(None)
        self._questions.clear()
        self._said.clear()
        self._changed()

    def _changed(self) -> None:
        self._change.set()
        self._change = trio.Event()


def _ends(reply: Reply) -> bool:
    """Say whether the run is not held any more after this."""
    if not isinstance(reply, list) or not reply:
        return False
    match reply[0]:
        case Appended(parked=parked):
            return parked
        case Done(changed=changed):
            return changed
        case _:
            return True


@final
class TalkJournal(Unanswered):
    """The journal of an endpoint; `offer` gives it a run."""

    def __init__(self) -> None:
        self.environment = ""
        self.talks: Final[dict[str, Talk]] = {}
        self._functions: tuple[FunctionRow, ...] = ()
        self._claims: Final[deque[Claim]] = deque()
        self._news: Final[set[str]] = set()  # of claims that nobody has taken yet
        self._callbacks: Final[list[Callable[[Hint], None]]] = []
        self._numbers: Final = count(1)

    def offer(self, claim: Claim) -> Talk:
        """Let the engine carry a run on; what was said of it before is over."""
        before = self.talks.pop(claim.run_id, None)
        if before is not None:
            before.end()
        talk = self.talks[claim.run_id] = Talk(claim.run_id, claim.epoch)
        self._claims.append(claim)
        self.tell(Hint(ready={claim.run_id}))
        return talk

    def forget(self, talk: Talk) -> None:
        """End a conversation, if it is still the one about its run."""
        if self.talks.get(talk.run_id) is talk:
            del self.talks[talk.run_id]
        talk.end()

    def news(self, run_ids: Sequence[str]) -> None:
        """Let the engine look into the inboxes of these runs, now or once it has them."""
        not_taken = {each.run_id for each in self._claims}
        self._news.update(not_taken.intersection(run_ids))
        self.tell(Hint(inbox=set(run_ids)))

    def tell(self, hint: Hint) -> None:
        """Let the engine look."""
        for callback in tuple(self._callbacks):
            callback(hint)

    async def sweep(self) -> None:
        """Forget runs of which nobody has spoken for long, for ever."""
        idle = limits.PUSH_IDLE_US_MAX / 1_000_000
        while True:
            await trio.sleep(idle / 4)
            now = trio.current_time()
            for talk in tuple(self.talks.values()):
                if not talk.listeners and now - talk.heard > idle:
                    self.forget(talk)

    # --- what an engine needs ---------------------------------------------------------------

    async def commit(self, commands: Sequence[JournalCommand]) -> Sequence[Answer]:
        """Say what one run has recorded, and wait for the server's answer.

        Raises:
            JournalFull: the server has no space; nothing was stored.
        """
        answers = [answered_here(command) for command in commands]
        for command in commands:
            if isinstance(command, RegisterFunctions):
                self._functions = command.functions
        here = [each for each in answers if each is not None]
        if len(here) == len(commands):
            return here
        first = commands[0]
        assert isinstance(first, AppendRecords | PauseRun), "a move begins with its run"
        talk = self.talks.get(first.run_id)
        if talk is None or talk.epoch != first.epoch:
            return [Refused(_LOST) for _ in commands]
        number = next(self._numbers)
        frame = Commit(number, tuple(command_of(command) for command in commands))
        reply: Reply | None = None
        with trio.CancelScope(shield=True):  # nobody can take it back
            reply = await talk.ask(number, frame)
        if isinstance(reply, NotStored):
            raise JournalFull(reply.message)
        return reply if isinstance(reply, list) else [Refused(_LOST) for _ in commands]

    async def history(
        self, run_id: str, *, after: int = 0, limit: int = limits.PAGE_RECORDS_MAX
    ) -> Sequence[Entry]:
        """Return records of a run that this process has, in order.

        Raises:
            JournalError: the server speaks of it no more.
        """
        entries: list[Entry] = []
        more = True
        while more and len(entries) < limit:
            talk = self.talks.get(run_id)
            number, begin = next(self._numbers), after + len(entries)
            request = HistoryRequest(number, run_id, begin, limit - len(entries))
            page = None if talk is None else await talk.ask(number, request)
            if not isinstance(page, Page):
                raise JournalError(f"the history of run {run_id} did not come: {_LOST}")
            entries += page.entries
            more = page.more and bool(page.entries)
        return entries

    async def claim(self, functions: frozenset[str], *, limit: int) -> Sequence[Claim]:
        """Return runs that were offered, of functions that there are."""
        claims = self._claims
        taken = [claims.popleft() for _ in range(min(limit, len(claims)))]
        news = {each.run_id for each in taken} & self._news
        if news:
            # The engine has to have taken the run up before it can look.
            self._news.difference_update(news)
            token = trio.lowlevel.current_trio_token()
            token.run_sync_soon(self.tell, Hint(inbox=news))
        await self.release(
            [each for each in taken if each.function_id not in functions]
        )
        return [each for each in taken if each.function_id in functions]

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give runs back with the next answer about them."""
        for claim in claims:
            talk = self.talks.get(claim.run_id)
            if talk is not None and talk.epoch == claim.epoch:
                talk.say(next(self._numbers), GiveBack(((claim.run_id, claim.epoch),)))

    async def due(self, now: int, *, limit: int) -> tuple[Sequence[TimerRow], int]:
        """Return nothing: timers act at the server."""
        del now, limit
        return (), 0

    async def functions(self) -> Sequence[FunctionRow]:
        """Return the functions of this endpoint."""
        return self._functions

    def watch(self, callback: Callable[[Hint], None]) -> Callable[[], None]:
        """Call back when runs or news come; return a stop."""
        self._callbacks.append(callback)

        def stop() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return stop

    async def close(self) -> None:
        """End all conversations."""
        for talk in tuple(self.talks.values()):
            self.forget(talk)
