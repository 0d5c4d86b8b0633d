"""Runs are claimed beside the commits: a claim decides nothing that a commit reads.

A commit that appends reads who holds its run; a claim takes only runs that nobody
holds, so nobody appends to them. Claims of one environment come one after the other,
so that lanes keep their limits. A claim need not survive a crash of the server: the
run is then ready again, and an epoch is never used twice.
"""

from typing import Final

from ironflow import codec
from ironflow.journal.base import Claim, InboxRow, Pause
from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres import rows
from ironflow.journal.postgres._psycopg import Call, Row, Statement
from ironflow.journal.postgres.batch import BEGIN, COMMIT, LOCK
from ironflow.journal.postgres.memory import Held, Memory
from ironflow.journal.postgres.questions import Run
from ironflow.records import Entry

RELAXED: Final = Statement("relaxed", "SET LOCAL synchronous_commit = off")
# Whoever ends this node waits until the claim is made, and ends it too.
_NODE: Final = Statement(
    "claim_node", "SELECT id FROM nodes WHERE id = $1::bigint FOR KEY SHARE"
)
# One jump in the index for each lane in which runs wait, and as many rows of it as
# there is room for.
_TAKE: Final = Statement(
    "claim",
    """WITH RECURSIVE wanted (id, concurrency) AS (
        SELECT id, concurrency FROM functions
        WHERE environment = $1::integer AND id = ANY ($4::text[])),
    lanes (id, concurrency, lane) AS (
        SELECT w.id, w.concurrency, l.lane FROM wanted w
        CROSS JOIN LATERAL (
            SELECT lane FROM ready
            WHERE environment = $1 AND function = w.id AND node IS NULL
            ORDER BY lane LIMIT 1) l
        UNION ALL
        SELECT s.id, s.concurrency, l.lane FROM lanes s
        CROSS JOIN LATERAL (
            SELECT lane FROM ready
            WHERE environment = $1 AND function = s.id AND node IS NULL
                AND lane > s.lane
            ORDER BY lane LIMIT 1) l),
    rooms (id, lane, room) AS (
        SELECT s.id, s.lane, CASE WHEN s.concurrency = 0 THEN $5::bigint
            ELSE greatest(0, s.concurrency - (
                SELECT count(*) FROM ready h
                WHERE h.environment = $1 AND h.function = s.id AND h.lane = s.lane
                    AND h.node IS NOT NULL)) END
        FROM lanes s),
    taken AS (
        SELECT r.ctid, r.epoch FROM rooms o
        CROSS JOIN LATERAL (
            SELECT ctid, place, epoch FROM ready
            WHERE environment = $1 AND function = o.id AND lane = o.lane
                AND node IS NULL
            ORDER BY place LIMIT least(o.room, $5)) r
        ORDER BY r.place LIMIT $5)
    UPDATE ready t SET node = $2::bigint, epoch = $3::bigint FROM taken
    WHERE t.ctid = taken.ctid AND t.node IS NULL
        AND EXISTS (SELECT FROM nodes WHERE id = $2)
    RETURNING t.run, t.function, taken.epoch <> 0, t.place""",
)
# What there is of each run, and its record if that is the first. It comes after the
# inboxes: whoever has written since has left a row there that was not seen.
_HELD: Final = Statement(
    "claim_held",
    """SELECT y.run, CASE WHEN l.sequence = 1 THEN l.data END, r.data, l.sequence,
    (SELECT true FROM timers t WHERE t.environment = $1 AND t.run = y.run LIMIT 1),
    (SELECT true FROM waits w WHERE w.environment = $1 AND w.run = y.run LIMIT 1),
    (SELECT true FROM consumed c WHERE c.environment = $1 AND c.run = y.run LIMIT 1)
    FROM ready y
    CROSS JOIN LATERAL (
        SELECT data FROM runs
        WHERE environment = $1::integer AND run = y.run OFFSET 0) r
    CROSS JOIN LATERAL (
        SELECT sequence, data FROM records
        WHERE environment = $1 AND run = y.run
        ORDER BY sequence DESC LIMIT 1) l
    WHERE y.environment = $1 AND y.node = $2::bigint AND y.epoch = $3::bigint""",
)
_INBOXES: Final = Statement(
    "claim_inboxes",
    """SELECT y.run, i.number, i.data FROM ready y
    CROSS JOIN LATERAL (
        SELECT number, data FROM inbox
        WHERE environment = $1::integer AND run = y.run OFFSET 0) i
    WHERE y.environment = $1 AND y.node = $2::bigint AND y.epoch = $3::bigint
    ORDER BY y.run, i.number""",
)
# Holds of this node that nobody knows of: the answer to the claim was lost.
_FORGOTTEN: Final = Statement(
    "claim_forgotten",
    """UPDATE ready SET node = NULL, epoch = 0
    WHERE environment = $1::integer AND node = $2::bigint AND epoch = ANY ($3::bigint[])
    """,
)


def claim_calls(
    memory: Memory,
    functions: frozenset[str],
    *,
    epoch: int,
    limit: int,
    forgotten: list[int],
) -> list[Call]:
    """Return the calls that take runs; `made` reads their answer."""
    environment, node = pg.int4(memory.environment), pg.int8(memory.node)
    held = [environment, node, pg.int8(epoch)]
    names = pg.texts(sorted(functions))
    calls: list[Call] = [
        (BEGIN, ()),
        (RELAXED, ()),
        (LOCK, [pg.int8(~memory.lock)]),
        (_NODE, [node]),
        (_TAKE, [*held, names, pg.int8(limit)]),
        (_INBOXES, held),
        (_HELD, held),
        (COMMIT, ()),
    ]
    if forgotten:
        again = (_FORGOTTEN, [environment, node, pg.int8s(forgotten)])
        calls.insert(4, again)
    return calls


def made(results: list[list[Row]], epoch: int, memory: Memory) -> list[Claim] | None:
    """Return the claims in the order of the queue; None: this node was ended.

    What there is of the runs is remembered.
    """
    *_, taken, waiting, found, _ = results
    if not results[3]:
        return None
    inboxes: dict[bytes, list[InboxRow]] = {}
    for run, number, data in waiting:
        row = rows.decode_inbox(pg.to_int(number), data)
        inboxes.setdefault(run, []).append(row)
    histories: dict[bytes, tuple[int, Entry | None, Pause | None]] = {}
    for run, first, data, number, *flags in found:
        length, stored = pg.to_int(number), rows.RUN.decode(data)
        known = (stored, length, epoch, True)
        held = Held(Run(*known, *map(pg.to_bool, flags)), inboxes.get(run, []))
        memory.hold(run, held)
        histories[run] = length, _whole(first), stored.asked
    # A hold that ended with its node has left its epoch.
    order = sorted(
        (pg.to_int(place), run, name, left) for run, name, left, place in taken
    )
    claims: list[Claim] = []
    for _, run, name, left in order:
        length, only, asked = histories[run]
        claim = Claim(
            pg.shown_run(run),
            name.decode(),
            epoch,
            length,
            tuple(inboxes.get(run, ())),
            entries=() if only is None else (only,),
            is_recovered=pg.to_bool(left),
            asked=asked,
        )
        claims.append(claim)
    return claims


def _whole(data: bytes) -> Entry | None:
    """Return a record, unless there is none or its payload lies elsewhere."""
    entry = codec.decode(data) if data else None
    if entry is None or (not entry.payload and codec.needs_blob(entry)):
        return None
    return entry
