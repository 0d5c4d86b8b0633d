"""What an engine has to do now: moves to commit and attempts to make.

One task at a time *serves*: it makes one attempt after the other, and commits together
the moves that come of them, until nothing is left. An attempt that has to wait keeps the
task that makes it, and so does a commit; another task serves on, if there is anything to
do. So a step that never waits costs no task and no wake-up.
"""

from collections import deque
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextvars import copy_context  # noqa: TID251  each attempt has a context of its own
from types import coroutine
from typing import Any, Final, NamedTuple, Protocol, final

import trio

from ironflow import limits
from ironflow.engine.runtime import Runtime
from ironflow.engine.steps import Attempt
from ironflow.errors import JournalFull
from ironflow.journal.base import Answer, JournalCommand
from ironflow.records import Draft

TURNS_IN_A_ROW_MAX: Final = 32  # a millisecond or two, then other tasks run
# Moves of one commit: those of many runs wait less for each other, and whoever waits for
# their ends is not woken with a hundred others.
MOVES_TOGETHER_MAX: Final = 32
COMMITS_AT_ONCE_MAX: Final = 2  # one is written while runs go on to the next


class Worker(Protocol):
    """A run, as far as its work goes."""

    is_closed: bool

    def pump(self) -> None:
        """Look whether there are news, and go on with them."""
        ...

    def committed(self, answer: Answer) -> None:
        """Go on after a move, whose first command has this answer."""
        ...

    def outcome(self, attempt: Attempt) -> Coroutine[Any, Any, Draft]:
        """Return, to be awaited, what comes of an attempt."""
        ...

    def noted(self, attempt: Attempt, outcome: Draft) -> None:
        """Go on with what came of an attempt."""
        ...


_Move = tuple[Worker, Sequence[JournalCommand]]


class _Attempt(NamedTuple):
    """An attempt to be made; `outcomes` has what came of one that was cut short."""

    run: Worker
    attempt: Attempt
    outcomes: list[Draft]


@final
class _Waiting(NamedTuple):
    """An attempt that waits for something: what it has yielded to Trio is `trap`."""

    body: Coroutine[Any, Any, Draft]
    run_in: Callable[..., Any]
    trap: Any

    @coroutine
    def end(self) -> Generator[Any, Any, Draft]:
        """Await the rest of the attempt."""
        body, run_in, trap = self
        while True:
            try:
                try:
                    sent = yield trap
                except BaseException as error:  # noqa: BLE001  for the body to see
                    trap = run_in(body.throw, error)
                else:
                    trap = run_in(body.send, sent)
            except StopIteration as stop:
                outcome: Draft = stop.value
                return outcome


@final
class Work:
    """The work of one engine."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime: Final = runtime
        self._woken: Final[deque[Worker]] = deque()
        self._moves: list[_Move] = []
        self._commits = 0  # under way
        self._attempts: Final[deque[_Attempt]] = deque()
        self._server: trio.CancelScope | None = None  # of the task that serves
        self._is_served = False

    def wake(self, run: Worker) -> None:
        """Let a run look at its news: its code never runs where they come from."""
        self._woken.append(run)
        if not self._is_served:
            self._call_server()

    def commit(self, run: Worker, commands: Sequence[JournalCommand]) -> None:
        """Commit a move of a run; `run.committed` is called when it is durable."""
        self._moves.append((run, commands))
        if not self._is_served and self._commits < COMMITS_AT_ONCE_MAX:
            self._call_server()

    def make(self, run: Worker, attempt: Attempt) -> None:
        """Make an attempt; `run.noted` is called with what came of it."""
        self._attempts.append(_Attempt(run, attempt, []))
        if not self._is_served:
            self._call_server()

    def _call_server(self) -> None:
        self._is_served = True
        self._runtime.start(self._serve)

    async def _serve(self) -> None:
        while self._is_served and self._server is None:
            await self._serve_in_scope()

    async def _serve_in_scope(self) -> None:
        """Serve until nothing is left, or an attempt has kept this task.

        One cancel scope serves all attempts that this task makes: making one costs as
        much as a whole step. It is spent when an attempt was cut short.
        """
        asked: _Attempt | None = None
        turns = 0
        with trio.CancelScope() as scope:
            self._server = scope
            while self._server is scope:
                turns += 1
                if turns % TURNS_IN_A_ROW_MAX == 0:
                    await trio.lowlevel.cancel_shielded_checkpoint()
                if self._woken:
                    self._woken.popleft().pump()
                    continue
                if self._should_commit():
                    await self._commit(scope)
                    continue
                if not self._attempts:
                    self._server, self._is_served = None, False
                    break
                asked = self._attempts.popleft()
                waiting = self._begin(asked, scope)
                if waiting is not None:
                    await self._wait(asked, waiting, scope)
                if asked.attempt.is_cut:
                    break
        self._spent(scope, asked)

    def _spent(self, scope: trio.CancelScope, asked: _Attempt | None) -> None:
        if self._server is scope:
            self._server = None  # serve on in another
        if asked is not None and asked.attempt.is_cut:
            self._end_cut(asked)

    def _begin(self, asked: _Attempt, scope: trio.CancelScope) -> _Waiting | None:
        """Begin an attempt, in a context of its own; None: it has ended already."""
        run, attempt, _ = asked
        if attempt.is_left:
            return None
        attempt.scope = scope
        body, run_in = run.outcome(attempt), copy_context().run
        try:
            trap = run_in(body.send, None)
        except StopIteration as stop:
            attempt.scope = None
            run.noted(attempt, stop.value)
            return None
        return _Waiting(body, run_in, trap)

    async def _wait(
        self, asked: _Attempt, waiting: _Waiting, scope: trio.CancelScope
    ) -> None:
        """Go on with an attempt that waits, while another task serves.

        Afterwards this task serves again, if nobody else does.
        """
        if self._server is scope:
            self._let_serve()
        run, attempt, _ = asked
        outcome = await waiting.end()
        if attempt.is_cut:
            asked.outcomes.append(outcome)
            return
        if not self._is_served:
            self._server, self._is_served = scope, True
        attempt.scope = None
        if not run.is_closed:
            run.noted(attempt, outcome)

    def _end_cut(self, asked: _Attempt) -> None:
        """Note an attempt that was cut short, if that is to be recorded."""
        run, attempt, outcomes = asked
        attempt.scope = None
        outcome = outcomes[0] if outcomes else attempt.cut_short()
        if outcome is None or run.is_closed:
            return
        self._is_served = True  # if nobody serves, this task does, in another scope
        run.noted(attempt, outcome)

    # --- commits --------------------------------------------------------------------------

    def _should_commit(self) -> bool:
        """Say whether to commit now what moves there are.

        When there are enough they do not wait for those of other runs, which go on while
        the disk works.
        """
        if not self._moves or self._commits == COMMITS_AT_ONCE_MAX:
            return False
        return not self._attempts or len(self._moves) >= MOVES_TOGETHER_MAX

    async def _commit(self, scope: trio.CancelScope) -> None:
        """Commit the moves of all runs that have one, while another task serves.

        Afterwards this task serves again, if nobody else does.
        """
        count, commands = _together(self._moves)
        moves, self._moves = self._moves[:count], self._moves[count:]
        self._commits += 1
        self._let_serve()
        try:
            answers = await self._runtime.commit(commands)
        except JournalFull:
            for run, own in moves:
                self._runtime.start(self._commit_alone, run, own)
        else:
            at = 0
            for run, own in moves:
                run.committed(answers[at])
                at += len(own)
        finally:
            self._commits -= 1
        if not self._is_served:
            self._server, self._is_served = scope, True

    def _let_serve(self) -> None:
        """Let another task serve, if there is anything to do."""
        self._server, self._is_served = None, False
        if self._attempts or self._woken or self._should_commit():
            self._call_server()

    async def _commit_alone(
        self, run: Worker, commands: Sequence[JournalCommand]
    ) -> None:
        """Let a move find out whether there is space for it, and wait for some."""
        answer, *_ = await self._runtime.commit_all_surely(commands)
        run.committed(answer)


def _together(moves: list[_Move]) -> tuple[int, list[JournalCommand]]:
    """Return how many moves one commit may have, and their commands."""
    commands: list[JournalCommand] = []
    for count, (_, own) in enumerate(moves):
        full = len(commands) + len(own) > limits.COMMIT_COMMANDS_MAX
        if count and (full or count == MOVES_TOGETHER_MAX):
            return count, commands
        commands += own
    return len(moves), commands
