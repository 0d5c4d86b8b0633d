"""Histories of runs that ended long ago, as few rows instead of many.

All of it is done by the server, some records in a transaction. What a transaction takes
from `records` is what it puts into `packed`, so a crash leaves both as before or as after.
It locks only rows of runs that have ended, and passes over those that somebody changes.
"""

from collections.abc import Callable
from typing import Final

from ironflow import limits
from ironflow.journal.base import Packing
from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres._psycopg import Call, Row, Statement
from ironflow.journal.postgres.batch import BEGIN, COMMIT
from ironflow.journal.postgres.claims import RELAXED
from ironflow.journal.postgres.link import Readers

# The same rows for both statements, because they are locked: $2 the time, $3 how many.
_CHOSEN: Final = """SELECT {} FROM runs
        WHERE environment = $1::integer AND ended_at < $2::timestamptz AND NOT packed
        ORDER BY ended_at LIMIT $3::bigint FOR UPDATE SKIP LOCKED"""
# A value begins anew after so many bytes, and behind a record that is missing.
_PACK: Final = Statement(
    "pack",
    f"""WITH chosen AS ({_CHOSEN.format("run")}),
    taken AS (
        DELETE FROM records WHERE ctid = ANY (ARRAY (
            SELECT r.ctid FROM chosen c
            CROSS JOIN LATERAL (
                SELECT ctid FROM records WHERE environment = $1 AND run = c.run
                ORDER BY sequence OFFSET 0) r
            LIMIT $4::bigint))
        RETURNING run, sequence, kind, step, recorded_at, data),
    placed AS (
        SELECT *, sequence - row_number() OVER before AS island,
            sum(length(data)) OVER before / $5::bigint AS part
        FROM taken WINDOW before AS (PARTITION BY run ORDER BY sequence)),
    put AS (
        INSERT INTO packed
            (environment, run, last, first, kinds, steps, recorded_at, data)
        SELECT $1, run, max(sequence), min(sequence), array_agg(kind ORDER BY sequence),
            array_agg(step ORDER BY sequence), array_agg(recorded_at ORDER BY sequence),
            array_agg(data ORDER BY sequence)
        FROM placed GROUP BY run, island, part
        RETURNING run, last, first)
    SELECT run, last, last - first + 1, NULL::bigint FROM put
    UNION ALL
    SELECT NULL, NULL, NULL, coalesce(sum(
        length(data) + length(kind) + length(step) + {24 + 4 + 16 + 8 + 8}), 0)::bigint
    FROM taken""",  # noqa: S608 - parts of ours
)
_DONE: Final = Statement(
    "pack_done",
    f"""UPDATE runs t SET packed = true
    WHERE t.ctid = ANY (ARRAY ({_CHOSEN.format("ctid")}))
        AND (SELECT true FROM records r
            WHERE r.environment = $1 AND r.run = t.run LIMIT 1) IS NULL
    RETURNING t.run""",  # noqa: S608 - parts of ours
)
_SIZES: Final = Statement(
    "pack_sizes",
    """SELECT coalesce(sum(p.size), 0)::bigint
    FROM unnest($2::uuid[], $3::bigint[]) AS a (run, last)
    CROSS JOIN LATERAL (
        SELECT pg_column_size(kinds) + pg_column_size(steps)
            + pg_column_size(recorded_at) + pg_column_size(data) + 60 AS size
        FROM packed
        WHERE environment = $1::integer AND run = a.run AND last = a.last OFFSET 0) p""",
)


async def pack(
    readers: Readers, environment: int, *, before: int, go_on: Callable[[], bool]
) -> Packing:
    """Pack the runs that ended before a time; return how much.

    Raises:
        JournalError: the server refuses it; what was packed is.
    """
    packing, is_over = Packing(), False
    chosen = [
        pg.int4(environment),
        pg.timestamp(before),
        pg.int8(limits.PACKED_RUNS_PER_COMMIT_MAX),
    ]
    bounds = [
        pg.int8(limits.PACKED_RECORDS_PER_COMMIT_MAX),
        pg.int8(limits.PACKED_BYTES_MIN),
    ]
    calls: list[Call] = [
        (BEGIN, ()),
        (RELAXED, ()),
        (_PACK, [*chosen, *bounds]),
        (_DONE, chosen),
        (COMMIT, ()),
    ]
    while not is_over and go_on():
        # What a lost connection leaves undone is done by the next try, or was done.
        *_, values, done, _ = await readers.run(calls)
        *put, (_, _, _, size) = values
        packing += Packing(
            len(done),
            sum(pg.to_int(records) for _, _, records, _ in put),
            pg.to_int(size),
            await _size(readers, chosen[0], put),
        )
        is_over = not (put or done)
    return packing


async def _size(readers: Readers, environment: bytes, put: list[Row]) -> int:
    """How many bytes the new rows have, compressed as they are stored."""
    runs = pg.uuids([run for run, *_ in put])
    lasts = pg.int8s([pg.to_int(last) for _, last, *_ in put])
    [[[size]]] = await readers.run([(_SIZES, [environment, runs, lasts])])
    return pg.to_int(size)
