"""The statements by which questions are asked; `lookups` says with what."""

from typing import Final

from ironflow.journal.postgres._psycopg import Statement

# Each row is looked up by itself: `OFFSET 0` keeps a join from becoming one look at
# everything there is, which is cheap while the tables are small and the plan is made.

# As so many records counts a packed row where records are deleted.
PACKED_RECORDS: Final = 100
# The length of a history, by the run in the column {run}: what is packed comes first.
LENGTH: Final = """coalesce((
        SELECT l.sequence FROM records l WHERE l.environment = $1 AND l.run = {run}
        ORDER BY l.sequence DESC LIMIT 1), (
        SELECT p.last FROM packed p WHERE p.environment = $1 AND p.run = {run}
        ORDER BY p.last DESC LIMIT 1), 0)"""
# What there is of a run, by its id in the column {run}.
_FLAGS: Final = """CASE WHEN y.node IS NULL THEN 0 ELSE y.epoch END, y.run IS NOT NULL,
    -- As EXISTS these might be planned as one look at all runs there are.
    (SELECT true FROM timers t WHERE t.environment = $1 AND t.run = {run} LIMIT 1),
    (SELECT true FROM waits w WHERE w.environment = $1 AND w.run = {run} LIMIT 1),
    (SELECT true FROM consumed c WHERE c.environment = $1 AND c.run = {run} LIMIT 1)"""
_OF_RUN: Final = f"r.data, {LENGTH}, {_FLAGS}"
_WITH_RUN: Final = """CROSS JOIN LATERAL (
        SELECT data FROM runs
        WHERE environment = $1::integer AND run = {run} OFFSET 0) r
    LEFT JOIN LATERAL (
        SELECT run, node, epoch FROM ready
        WHERE environment = $1 AND run = {run} OFFSET 0) y ON true"""

_RUNS: Final = f"SELECT a.run, {_OF_RUN} FROM unnest($2::uuid[]) AS a (run) {_WITH_RUN}"  # noqa: S608 - parts of ours
RUNS: Final = Statement("runs", _RUNS.format(run="a.run"))

INBOXES: Final = Statement(
    "inboxes",
    """SELECT a.run, i.number, i.data
    FROM unnest($2::uuid[]) AS a (run)
    CROSS JOIN LATERAL (
        SELECT number, data FROM inbox
        WHERE environment = $1::integer AND run = a.run OFFSET 0) i
    ORDER BY a.run, i.number""",
)

HISTORIES: Final = Statement(
    "histories",
    """SELECT a.run, l.data
    FROM unnest($2::uuid[]) AS a (run)
    CROSS JOIN LATERAL (
        SELECT p.first + u.place - 1 AS sequence, u.data
        FROM packed p CROSS JOIN LATERAL unnest(p.data) WITH ORDINALITY AS u (data, place)
        WHERE p.environment = $1::integer AND p.run = a.run
        UNION ALL
        SELECT sequence, data FROM records
        WHERE environment = $1 AND run = a.run) l
    ORDER BY a.run, l.sequence""",
)

RECORDS: Final = Statement(
    "records",
    """SELECT a.run, a.sequence, l.data
    FROM unnest($2::uuid[], $3::bigint[]) AS a (run, sequence)
    CROSS JOIN LATERAL (
        SELECT data FROM records
        WHERE environment = $1::integer AND run = a.run AND sequence = a.sequence
        UNION ALL
        SELECT p.data[(a.sequence - p.first + 1)::integer] FROM packed p
        WHERE p.environment = $1 AND p.run = a.run AND p.last >= a.sequence
            AND p.first <= a.sequence) l""",
)

BLOBS: Final = Statement(
    "blobs",
    """SELECT a.digest, b.data FROM unnest($2::bytea[]) AS a (digest)
    CROSS JOIN LATERAL (
        SELECT data FROM blobs
        WHERE environment = $1::integer AND digest = a.digest OFFSET 0) b""",
)

TIMERS: Final = Statement(
    "timers",
    """SELECT a.run, a.step_key, a.kind, t.due
    FROM unnest($2::uuid[], $3::uuid[], $4::text[]) AS a (run, step_key, kind)
    CROSS JOIN LATERAL (
        SELECT due FROM timers
        WHERE environment = $1::integer AND run = a.run AND step_key = a.step_key
            AND kind = a.kind OFFSET 0) t""",
)

WAITS: Final = Statement(
    "waits",
    """SELECT a.run, a.step_key, w.data
    FROM unnest($2::uuid[], $3::uuid[]) AS a (run, step_key)
    CROSS JOIN LATERAL (
        SELECT data FROM waits
        WHERE environment = $1::integer AND run = a.run AND step_key = a.step_key
        OFFSET 0) w""",
)

CONSUMED: Final = Statement(
    "consumed",
    """SELECT a.run, a.position
    FROM unnest($2::uuid[], $3::bigint[]) AS a (run, position)
    CROSS JOIN LATERAL (
        SELECT FROM consumed
        WHERE environment = $1::integer AND run = a.run AND position = a.position
        OFFSET 0) c""",
)

EVENTS: Final = Statement(
    "events",
    """SELECT a.position, e.data
    FROM unnest($2::bigint[]) AS a (position)
    CROSS JOIN LATERAL (
        SELECT data FROM events
        WHERE environment = $1::integer AND position = a.position OFFSET 0) e""",
)

EVENTS_NAMED: Final = Statement(
    "events_named",
    """SELECT a.place, e.position, e.data
    FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS a (name, after, place)
    CROSS JOIN LATERAL (
        SELECT position, data FROM events
        WHERE environment = $1::integer AND name = a.name AND position > a.after
        ORDER BY position LIMIT $4::bigint) e
    ORDER BY a.place, e.position""",
)

EVENT_KEYS: Final = Statement(
    "event_keys",
    """SELECT a.key, e.position
    FROM unnest($2::uuid[]) AS a (key)
    CROSS JOIN LATERAL (
        SELECT position FROM events
        WHERE environment = $1::integer AND key = a.key OFFSET 0) e""",
)

# One jump in the index for each path, however many waits there are.
PATHS: Final = Statement(
    "paths",
    """WITH RECURSIVE found (place, event, path_key, path) AS (
        SELECT a.place, a.event, w.path_key, w.path
        FROM unnest($2::text[]) WITH ORDINALITY AS a (event, place)
        CROSS JOIN LATERAL (
            SELECT path_key, path FROM waits
            WHERE environment = $1::integer AND event = a.event
            ORDER BY path_key LIMIT 1) w
        UNION ALL
        SELECT f.place, f.event, w.path_key, w.path
        FROM found f
        CROSS JOIN LATERAL (
            SELECT path_key, path FROM waits
            WHERE environment = $1::integer AND event = f.event
                AND path_key > f.path_key
            ORDER BY path_key LIMIT 1) w)
    SELECT place, path_key, path FROM found""",
)

# With each wait what a delivery asks of its run.
WAITS_FOR: Final = Statement(
    "waits_for",
    f"""SELECT a.place, n.data, t.due, n.run, {_OF_RUN}
    FROM unnest($2::text[], $3::uuid[], $4::bytea[], $5::uuid[], $6::bigint[])
        WITH ORDINALITY AS a (event, path_key, match_key, run, sequence, place)
    CROSS JOIN LATERAL (
        SELECT run, sequence, step_key, data FROM waits
        WHERE environment = $1::integer AND event = a.event
            AND path_key = a.path_key AND match_key = a.match_key
            AND (run, sequence) > (a.run, a.sequence)
        ORDER BY run, sequence LIMIT $7::bigint) n
    {_WITH_RUN}
    LEFT JOIN LATERAL (
        SELECT due FROM timers
        WHERE environment = $1 AND run = n.run AND step_key = n.step_key
            AND kind = 'wait' OFFSET 0) t ON true
    ORDER BY a.place, n.run, n.sequence""".format(run="n.run"),  # noqa: S608 - parts of ours
)

SEEKING: Final = Statement(
    "seeking",
    """SELECT a.place, w.data
    FROM unnest($2::uuid[], $3::bigint[]) WITH ORDINALITY AS a (run, sequence, place)
    CROSS JOIN LATERAL (
        SELECT run, sequence, data FROM waits
        WHERE environment = $1::integer AND seeks = 1
            AND (run, sequence) > (a.run, a.sequence)
        ORDER BY run, sequence LIMIT $4::bigint) w
    ORDER BY a.place, w.run, w.sequence""",
)

MATCH_PATHS: Final = Statement(
    "match_paths",
    """SELECT a.place, m.data
    FROM unnest($2::text[]) WITH ORDINALITY AS a (event, place)
    CROSS JOIN LATERAL (
        SELECT path_key, data FROM match_paths
        WHERE environment = $1::integer AND event = a.event OFFSET 0) m
    ORDER BY a.place, m.path_key""",
)

MATCHES: Final = Statement(
    "matches",
    """SELECT a.place, m.position
    FROM unnest($2::text[], $3::uuid[], $4::bytea[], $5::bigint[])
        WITH ORDINALITY AS a (event, path_key, match_key, after, place)
    CROSS JOIN LATERAL (
        SELECT position FROM matches
        WHERE environment = $1::integer AND event = a.event
            AND path_key = a.path_key AND match_key = a.match_key
            AND position > a.after
        ORDER BY position LIMIT $6::bigint) m
    ORDER BY a.place, m.position""",
)

PAUSED: Final = Statement(
    "paused",
    """SELECT a.function, r.data
    FROM unnest($2::text[]) AS a (function)
    CROSS JOIN LATERAL (
        SELECT run, data FROM runs
        WHERE environment = $1::integer AND status = 'paused'
            AND function = a.function OFFSET 0) r
    ORDER BY r.run""",
)

OLDEST: Final = Statement(
    "oldest_events",
    """SELECT a.wanted, e.position, e.data
    FROM unnest($2::bigint[]) AS a (wanted)
    CROSS JOIN LATERAL (
        SELECT position, data FROM events
        WHERE environment = $1::integer ORDER BY position LIMIT a.wanted) e
    ORDER BY a.wanted, e.position""",
)

GOING: Final = Statement(
    "going",
    """SELECT a.run FROM unnest($2::uuid[]) AS a (run)
    CROSS JOIN LATERAL (
        SELECT FROM gone WHERE environment = $1::integer AND run = a.run OFFSET 0) g""",
)

RECORDS_GONE: Final = Statement(
    "records_gone",
    f"""SELECT a.wanted, (SELECT count(*) FROM (
        SELECT FROM gone g
        LEFT JOIN records r ON r.environment = g.environment AND r.run = g.run
        WHERE g.environment = $1::integer LIMIT a.wanted) AS found)
        + {PACKED_RECORDS} * (SELECT count(*) FROM (
        SELECT FROM gone g
        CROSS JOIN LATERAL (
            SELECT FROM packed
            WHERE environment = g.environment AND run = g.run OFFSET 0) p
        WHERE g.environment = $1 LIMIT a.wanted) AS found)
    FROM unnest($2::bigint[]) AS a (wanted)""",  # noqa: S608 - a number of ours
)

DOCUMENTS: Final = Statement(
    "documents",
    """SELECT a.kind, a.id, d.revision, d.updated_at, d.data
    FROM unnest($2::text[], $3::text[]) AS a (kind, id)
    CROSS JOIN LATERAL (
        SELECT revision, updated_at, data FROM documents
        WHERE environment = $1::integer AND kind = a.kind AND id = a.id OFFSET 0) d""",
)

REGISTRY: Final = Statement(
    "registry",
    "SELECT data FROM functions WHERE environment = $1::integer ORDER BY id",
)
