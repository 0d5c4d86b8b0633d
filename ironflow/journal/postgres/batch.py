"""Decide and commit what many callers asked for, in one transaction.

What rests only on runs that this journal holds is decided from memory and committed in
one round trip; the server checks what it rests on. Else there are two where everything
was foreseen: one takes the lock and reads, one writes and commits. In between `apply`
decides, in memory.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

import trio

from ironflow.journal.apply import apply
from ironflow.journal.base import (
    Answer,
    AppendRecords,
    Claim,
    Hint,
    JournalCommand,
    Refused,
)
from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres import rows
from ironflow.journal.postgres._psycopg import (
    Call,
    Connection,
    ConnectionLost,
    Row,
    ServerError,
    Statement,
)
from ironflow.journal.postgres.answered import Head, Wanted
from ironflow.journal.postgres.flush import written
from ironflow.journal.postgres.foresee import foreseen
from ironflow.journal.postgres.lookups import Lookup
from ironflow.journal.postgres.memory import (
    CHANGED,
    CHANGED_STATE,
    Memory,
    is_enough,
    seed,
)
from ironflow.journal.postgres.questions import (
    Answers,
    Question,
    Registry,
    RunOf,
)
from ironflow.journal.postgres.tables import PostgresView

More = Callable[[Sequence[Question]], None]

PASSES_MAX: Final = 8  # then a thread decides, which may wait for each answer

BEGIN: Final = Statement("begin", "BEGIN")
COMMIT: Final = Statement("commit", "COMMIT")
LOCK: Final = Statement("lock", "SELECT pg_advisory_xact_lock($1::bigint)")
_HEAD: Final = Statement(
    "head",
    """SELECT number, events, registry, delivery,
        (SELECT count(*) FROM nodes WHERE environment = $1::integer AND id <> $2)
    FROM commits WHERE environment = $1 ORDER BY number DESC LIMIT 1""",
)
_PUT_COMMIT: Final = Statement(
    "put_commit",
    """INSERT INTO commits
        (environment, number, batch, node, events, registry, delivery, hint)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
)
# After whatever commit was the last, also one of another node.
_PUT_NEXT: Final = Statement(
    "put_next",
    """INSERT INTO commits
        (environment, number, batch, node, events, registry, delivery, hint)
    SELECT $1::integer, number + 1, $2::uuid, $3::bigint, events, registry, delivery,
        $4::bytea
    FROM commits WHERE environment = $1 ORDER BY number DESC LIMIT 1
    RETURNING number, events, registry, delivery, $5::bigint""",
)
_NOTIFY: Final = Statement("notify", "SELECT pg_notify($1, $2)")
_WAS_COMMITTED: Final = Statement(
    "was_committed",
    """SELECT EXISTS (SELECT FROM commits
        WHERE environment = $1 AND number > $2 AND batch = $3)""",
)


@final
@dataclass(slots=True, eq=False)
class Submission:
    """What one caller asks for and, later, what became of it.

    `claims` are holds that it gives up. `leads`: its task shall commit for all who
    wait.
    """

    commands: Sequence[JournalCommand]
    claims: Sequence[Claim]
    task: "trio.lowlevel.Task"
    leads: bool = False
    is_done: bool = False
    answers: Sequence[Answer] = ()
    error: BaseException | None = None


@final
class Batch:
    """Submissions that share a transaction, and how far it got.

    `is_sent`: the commit was sent, so that after a lost connection only the database
    knows whether it was made.
    """

    def __init__(self, memory: Memory, submissions: Sequence[Submission]) -> None:
        self.submissions: Final = submissions
        self.is_sent = False
        self.view: PostgresView | None = None
        self._memory: Final = memory
        self._environment: Final = pg.int4(memory.environment)
        self._id: Final = secrets.token_bytes(16)
        self._head = _NO_HEAD
        self._answers = Answers()

    async def commit(self, connection: Connection) -> None:
        """Decide, and make it durable.

        Raises:
            ServerError: nothing is stored; unless the connection is lost and
                `is_sent`: then `was_committed` says what became of it.
        """
        self.is_sent = False
        if await self._committed_from_memory(connection):
            return
        self.view = view = await self._decided(connection)
        if view.changes.is_empty():
            await connection.run([(COMMIT, ())])
            return
        await self._send(connection, [], view, exact=True)

    async def _committed_from_memory(self, connection: Connection) -> bool:
        """Commit in one round trip; False if what is known is not enough, or not so."""
        memory = self._memory
        view = self._decided_from_memory()
        if view is None:
            return False
        runs = [question.run for question in self._answers.runs]
        exact = view.uses_head
        begin: list[Call] = [
            (BEGIN, ()),
            (LOCK, [pg.int8(memory.lock)]),
            memory.guard(self._head, runs, exact=exact),
        ]
        self.view = view
        try:
            await self._send(connection, begin, view, exact=exact)
        except ConnectionLost:
            raise
        except ServerError as error:
            if error.state != CHANGED_STATE or CHANGED not in str(error):
                raise
            self.is_sent = False
            memory.forget(runs)
            memory.head = None
            return False
        return True

    async def _send(
        self,
        connection: Connection,
        begin: list[Call],
        view: PostgresView,
        *,
        exact: bool,
    ) -> None:
        """Write and commit; remember what is stored then."""
        calls = [*begin, *written(view.changes, self._environment)]
        sealed = self._sealed(view) if exact else self._sealed_next(view)
        calls += sealed
        self.is_sent = True
        found = await connection.run(calls)
        if exact:
            head = self._following(view)
        else:
            [row] = found[-len(sealed)]
            head = _head(row)
        self._memory.committed(head, view, self._answers)

    def _following(self, view: PostgresView) -> Head:
        """The commit that follows the last, if it is this one."""
        head = self._head
        number, log = head.number + 1, view.log()
        registry = number if view.changes.functions else head.registry
        return Head(number, log.length, registry, log.delivery, head.others)

    async def was_committed(self, connection: Connection) -> bool:
        """Say whether the commit was made whose answer was lost.

        The lock was held when it was sent, so who has it now sees its end.
        """
        number = pg.int8(self._head.number)
        self._memory.forget()
        *_, [[found]], _ = await connection.run(
            [
                (BEGIN, ()),
                (LOCK, [pg.int8(self._memory.lock)]),
                (_WAS_COMMITTED, [self._environment, number, self._id]),
                (COMMIT, ()),
            ]
        )
        return pg.to_bool(found)

    # --- decide -----------------------------------------------------------------

    def _decided_from_memory(self) -> PostgresView | None:
        """Decide by what is known; None if that is not enough.

        A refusal, and an append that changes nothing, are no news without a look.
        """
        memory = self._memory
        answers = self._known()
        if memory.head is None or answers is None:
            return None
        self._head, self._answers = memory.head, answers
        view = PostgresView(self._head, memory.functions, answers)
        try:
            wanted = self._apply(view)
        except _Excluded:
            for submission in self.submissions:
                submission.error = None
            return None
        refused = any(
            type(answer) is Refused
            for submission in self.submissions
            for answer in submission.answers
        )
        if wanted or refused or view.changes.is_empty():
            return None
        return None if view.uses_head and self._head.others else view

    def _known(self) -> Answers | None:
        """What is known of the runs of these appends; None if that is not enough."""
        memory, answers = self._memory, Answers()
        for submission in self.submissions:
            if submission.claims or submission.error is not None:
                return None
            for command in submission.commands:
                if type(command) is not AppendRecords:
                    return None
                run = pg.run(command.run_id)
                held = memory.held.get(run)
                if held is None or not is_enough(command, held):
                    return None
                seed(answers, run, held)
        return answers

    async def _decided(self, connection: Connection) -> PostgresView:
        self._answers = answers = Answers()
        lookup = Lookup(self._questions())
        head = [self._environment, pg.int8(self._memory.node)]
        calls: list[Call] = [
            (BEGIN, ()),
            (LOCK, [pg.int8(self._memory.lock)]),
            (_HEAD, head),
        ]
        found = await connection.run([*calls, *lookup.calls(self._environment)])
        self._head = _head(found[2][0])
        lookup.fill(answers, found[len(calls) :])
        await self._learn_functions(connection)
        for _ in range(PASSES_MAX):
            view, wanted = self._applied(answers)
            if not wanted:
                return view
            lookup = Lookup(wanted)
            found = await connection.run(lookup.calls(self._environment))
            lookup.fill(answers, found)
        return await trio.to_thread.run_sync(self._decide_waiting, connection, answers)

    def _questions(self) -> list[Question]:
        functions, paths = self._memory.functions, self._memory.paths
        questions: list[Question] = []
        for submission in self.submissions:
            for command in submission.commands:
                questions += foreseen(command, functions, paths)
            questions += [RunOf(pg.run(claim.run_id)) for claim in submission.claims]
        return questions

    async def _learn_functions(self, connection: Connection) -> None:
        memory = self._memory
        if memory.registry == self._head.registry:
            return
        answers, lookup = Answers(), Lookup([Registry()])
        lookup.fill(answers, await connection.run(lookup.calls(self._environment)))
        assert answers.registry is not None
        memory.functions, memory.registry = answers.registry, self._head.registry

    def _applied(
        self, answers: Answers, more: More | None = None
    ) -> tuple[PostgresView, list[Question]]:
        """Apply everything that can be applied to a fresh view."""
        while True:
            functions = self._memory.functions
            view = PostgresView(self._head, functions, answers, more=more)
            try:
                return view, self._apply(view)
            except _Excluded:
                pass

    def _apply(self, view: PostgresView) -> list[Question]:
        """Apply everything; return what is wanted before it can be done again.

        After the first that wants something, the others are applied only to learn
        what they want: what they came to is not to be believed.
        """
        wanted: list[Question] = []
        for submission in self.submissions:
            if submission.error is not None:
                continue
            try:
                self._apply_one(view, submission)
            except Wanted as more:
                wanted += more.questions
            except Exception as error:
                if not wanted:
                    submission.error = error
                    raise _Excluded from error
        return wanted

    def _apply_one(self, view: PostgresView, submission: Submission) -> None:
        name = self._memory.name
        submission.answers = [
            apply(view, command, environment=name) for command in submission.commands
        ]
        view.release(submission.claims)

    def _decide_waiting(self, connection: Connection, answers: Answers) -> PostgresView:
        """Decide on a thread that waits for each answer where it is wanted."""

        def more(questions: Sequence[Question]) -> None:
            lookup = Lookup(questions)
            found = connection.run_blocking(lookup.calls(self._environment))
            lookup.fill(answers, found)

        return self._applied(answers, more)[0]

    # --- write ------------------------------------------------------------------

    def _sealed(self, view: PostgresView) -> list[Call]:
        """The calls that end a commit: its own row, a word to the others, COMMIT."""
        following = self._following(view)
        hint, told = self._told(view)
        row = [
            self._environment,
            pg.int8(following.number),
            self._id,
            pg.int8(self._memory.node),
            pg.int8(following.events),
            pg.int8(following.registry),
            rows.DELIVERY.encode(following.delivery) if following.delivery else b"",
            hint,
        ]
        return [(_PUT_COMMIT, row), *told, (COMMIT, ())]

    def _sealed_next(self, view: PostgresView) -> list[Call]:
        """As `_sealed`, for a commit that rests on no other: it has the next number."""
        hint, told = self._told(view)
        node, others = pg.int8(self._memory.node), pg.int8(self._head.others)
        row = [self._environment, self._id, node, hint, others]
        return [(_PUT_NEXT, row), *told, (COMMIT, ())]

    def _told(self, view: PostgresView) -> tuple[bytes, list[Call]]:
        """What the other nodes may look at, and the call that tells them so."""
        if not self._head.others or view.hint == _NO_HINT:
            return b"", []
        memory = self._memory
        told = [pg.text(memory.channel), pg.text(str(memory.node))]
        return rows.HINT.encode(view.hint), [(_NOTIFY, told)]


_NO_HINT: Final = Hint()
_NO_HEAD: Final = Head(0, 0, 0, None)


@final
class _Excluded(Exception):
    """A submission has failed by itself; the others are decided without it."""


def _head(row: Row) -> Head:
    number, events, registry, delivery, others = row
    return Head(
        number=pg.to_int(number),
        events=pg.to_int(events),
        registry=pg.to_int(registry),
        delivery=rows.DELIVERY.decode(delivery) if delivery else None,
        others=pg.to_int(others),
    )
