"""The thread that keeps a node alive among the others, and listens to them.

It renews the node's lease, ends the holds of nodes whose lease has run out, and reads
the hints of other nodes' commits, in order. A notification only says when to look, and
who has committed: one that is lost costs the time until the next look. It has a thread because a lease must
live on while a step blocks the event loop.
"""

import os
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final, final

import psycopg
from psycopg import sql

from ironflow.journal.base import Hint
from ironflow.journal.postgres import rows
from ironflow.journal.postgres._psycopg import Database, ServerError, connect_plain
from ironflow.journal.postgres.link import Server
from ironflow.journal.postgres.memory import Memory

RENEWALS_PER_LEASE: Final = 3.3  # one lost renewal must not lose the node
COMMITS_KEPT_SECONDS: Final = 600.0
PRUNE_SECONDS: Final = 60.0
HINTS_PER_LOOK: Final = 1_000
RECONNECT_SECONDS: Final = 0.5

_LOCK: Final = "SELECT pg_advisory_xact_lock(%s)"
_REGISTER: Final = """
INSERT INTO nodes (environment, name, until, seen)
VALUES (%s, %s, clock_timestamp() + make_interval(secs => %s),
    (SELECT max(number) FROM commits WHERE environment = %s))
RETURNING id, seen"""
# Also says in how many seconds the first of the others may be ended: never before the
# server is up for as long as a lease, because nobody could renew while it was down.
_RENEW: Final = """
UPDATE nodes SET until = clock_timestamp() + make_interval(secs => %(lease)s),
    seen = %(seen)s
WHERE id = %(node)s
RETURNING (SELECT extract(epoch FROM greatest(min(until),
        pg_postmaster_start_time() + make_interval(secs => %(lease)s))
        - clock_timestamp())
    FROM nodes WHERE environment = %(environment)s AND id <> %(node)s)"""
_EXPIRED: Final = """
DELETE FROM nodes WHERE environment = %(environment)s AND id <> %(node)s
    AND until < clock_timestamp()
    AND pg_postmaster_start_time() + make_interval(secs => %(lease)s)
        < clock_timestamp()
RETURNING id"""
_END_HOLDS: Final = """
UPDATE ready SET node = NULL WHERE environment = %s AND node = ANY (%s)
RETURNING run::text"""
_FORGET_EPOCHS: Final = """
UPDATE ready SET epoch = 0 WHERE environment = %s AND node = %s"""
_PUT_COMMIT: Final = """
INSERT INTO commits
    (environment, number, batch, node, events, registry, delivery, hint)
SELECT environment, number + 1, gen_random_uuid(), %s, events, registry, delivery, %s
FROM commits WHERE environment = %s ORDER BY number DESC LIMIT 1"""
_FEED: Final = """
SELECT number, node, hint FROM commits WHERE environment = %s AND number > %s
ORDER BY number LIMIT %s"""
_PRUNE: Final = """
DELETE FROM commits WHERE environment = %(environment)s
    AND at < clock_timestamp() - make_interval(secs => %(kept)s)
    AND number < (SELECT min(seen) FROM nodes WHERE environment = %(environment)s)
    AND number < (SELECT max(number) FROM commits
        WHERE environment = %(environment)s)"""


def node_name() -> str:
    """Return what others see of this process: host and number."""
    return f"{socket.gethostname()}:{os.getpid()}"


def register(database: Database, memory: Memory, *, lease: float) -> int:
    """Make this journal a node; return the number of the last commit before it.

    It happens under the lock of the environment, so every later commit knows that
    there is one more to be told.
    """
    environment = memory.environment
    with database.transaction():
        database.execute(_LOCK, (memory.lock,))
        row = database.execute(
            _REGISTER, (environment, node_name(), lease, environment)
        ).fetchone()
    assert row is not None
    memory.node, seen = row
    return int(seen)


def leave(database: Database, memory: Memory) -> None:
    """Stop being a node: what it held can be claimed at once."""
    with database.transaction():
        database.execute(_LOCK, (memory.lock,))
        database.execute("DELETE FROM nodes WHERE id = %s", (memory.node,))
        # Without an epoch, a run that was held is none that a dead node left.
        database.execute(_FORGET_EPOCHS, (memory.environment, memory.node))
        _end_holds(database, memory, [memory.node])


def _end_holds(database: Database, memory: Memory, nodes: list[int]) -> Hint:
    """Let others claim what these nodes held, and tell them so."""
    found = database.execute(_END_HOLDS, (memory.environment, nodes)).fetchall()
    hint = Hint(ready={"run_" + run.replace("-", "") for (run,) in found})
    if found:
        data = rows.HINT.encode(hint)
        values = (memory.node, data, memory.environment)
        database.execute(_PUT_COMMIT, values)
        database.execute("SELECT pg_notify(%s, '')", (memory.channel,))
    return hint


@final
class Heartbeat:
    """The thread. `tell` is called on it, with hints of other nodes' commits."""

    def __init__(
        self, server: Server, memory: Memory, *, seen: int, tell: Callable[[Hint], None]
    ) -> None:
        self._server: Final = server
        self._memory: Final = memory
        self._tell: Final = tell
        self._seen = seen
        self._own: Final = {memory.node}
        self._stopping = False
        self._wake, self._woken = socket.socketpair()
        self._renew_at = self._look_at = self._end_at = self._prune_at = 0.0
        self._thread: Final = threading.Thread(
            target=self._run, name="ironflow-heartbeat", daemon=True
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; it is gone when this returns. Idempotent."""
        if self._stopping:
            return
        self._stopping = True
        self._woken.send(b"x")
        self._thread.join()
        self._wake.close()
        self._woken.close()

    def _run(self) -> None:
        while not self._stopping:
            with suppress(psycopg.Error, ServerError):
                self._stay_connected()
            if not self._stopping:
                select.select([self._wake.fileno()], [], [], RECONNECT_SECONDS)

    def _stay_connected(self) -> None:
        address = self._server.address
        with connect_plain(address.conninfo, self._server.settings) as database:
            channel = sql.Identifier(self._memory.channel)
            database.execute(sql.SQL("LISTEN {}").format(channel))
            self._renew_at = self._look_at = 0.0
            while not self._stopping:
                self._do_what_is_due(database)
                next_at = min(
                    self._renew_at, self._look_at, self._end_at, self._prune_at
                )
                wait = max(0.0, next_at - monotonic())
                select.select([database.fileno(), self._wake.fileno()], [], [], wait)
                own = {str(node) for node in self._own}
                if any(
                    each.payload not in own for each in database.notifies(timeout=0)
                ):
                    self._look_at = 0.0

    def _do_what_is_due(self, database: Database) -> None:
        now = monotonic()
        if now >= self._renew_at:
            self._renew(database)
        if now >= self._end_at:
            self._end_the_dead(database)
        if now >= self._look_at:
            self._look(database)
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_SECONDS
            database.execute(_PRUNE, self._names())

    def _renew(self, database: Database) -> None:
        lease = self._server.options.lease
        row = database.execute(_RENEW, self._names()).fetchone()
        now = monotonic()
        self._renew_at = now + lease / RENEWALS_PER_LEASE
        if row is None:
            # Others have ended this node: it begins again, as another one.
            register(database, self._memory, lease=lease)
            self._own.add(self._memory.node)
            self._tell(Hint(everything=True))
            row = database.execute(_RENEW, self._names()).fetchone()
        first = row[0] if row is not None else None
        self._end_at = now + (lease if first is None else max(0.0, float(first)))

    def _names(self) -> dict[str, object]:
        return {
            "environment": self._memory.environment,
            "node": self._memory.node,
            "lease": self._server.options.lease,
            "seen": self._seen,
            "kept": COMMITS_KEPT_SECONDS,
        }

    def _end_the_dead(self, database: Database) -> None:
        self._end_at = monotonic() + self._server.options.lease
        with database.transaction():
            database.execute(_LOCK, (self._memory.lock,))
            dead = database.execute(_EXPIRED, self._names()).fetchall()
            nodes = [node for (node,) in dead]
            hint = _end_holds(database, self._memory, nodes) if nodes else Hint()
        if hint.ready:
            self._tell(hint)

    def _look(self, database: Database) -> None:
        """Read the hints of the commits since the last look, and pass them on."""
        self._look_at = monotonic() + self._server.options.poll
        values = (self._memory.environment, self._seen, HINTS_PER_LOOK)
        found = database.execute(_FEED, values).fetchall()
        if not found:
            return
        merged = Hint(everything=found[0][0] > self._seen + 1)
        self._seen = found[-1][0]
        for _, node, data in found:
            if node not in self._own:
                _merge(merged, data)
        if len(found) == HINTS_PER_LOOK:
            self._look_at = 0.0
        if merged != Hint():
            self._tell(merged)


def _merge(hint: Hint, data: bytes) -> None:
    """Add the hint of another node's commit, if it left one."""
    if not data:
        return
    other = rows.HINT.decode(data)
    hint.ready |= other.ready
    hint.inbox |= other.inbox
    hint.ended |= other.ended
    hint.due = min(filter(None, (hint.due, other.due)), default=0)
    hint.undelivered |= other.undelivered
    hint.room |= other.room
