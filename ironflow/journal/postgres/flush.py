"""Changes -> the statements that write them: one for a table, however many rows.

First what goes, then what comes. A statement with much data is cut in pieces, so
that no message to the server grows without bound.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres import rows
from ironflow.journal.postgres._psycopg import Call, Statement
from ironflow.journal.postgres.changes import Changes, RunTable
from ironflow.journal.postgres.flush_redactions import redacted
from ironflow.journal.postgres.queries import PACKED_RECORDS
from ironflow.journal.postgres.statements import (
    Encoder,
    called,
    dropped,
    emptied,
    inserted,
)
from ironflow.policy.attributes import keys_of

Item = TypeVar("Item")


# --- what goes ------------------------------------------------------------------


_EMPTY_INBOX: Final = emptied("inbox")
_EMPTY_TIMERS: Final = emptied("timers")
_EMPTY_WAITS: Final = emptied("waits")
_EMPTY_CONSUMED: Final = emptied("consumed")
_DROP_READY: Final = emptied("ready")
_DROP_INBOX: Final = dropped("inbox", run="uuid", number="bigint")
_DROP_TIMERS: Final = dropped("timers", run="uuid", step_key="uuid", kind="text")
_DROP_WAITS: Final = dropped("waits", run="uuid", step_key="uuid")
_DROP_CONSUMED: Final = dropped("consumed", run="uuid", position="bigint")

_DROP_MATCH_PATHS: Final = dropped("match_paths", event="text", path_key="uuid")

_DROP_MATCHES: Final = dropped(
    "matches", event="text", path_key="uuid", match_key="bytea", position="bigint"
)
_DROP_DOCUMENTS: Final = dropped("documents", kind="text", id="text")
_DROP_EVENTS: Final = Statement(
    "drop_events",
    "DELETE FROM events WHERE environment = $1::integer AND position <= $2::bigint",
)
_DROP_RUNS: Final = emptied("runs")
_DROP_ATTRIBUTES: Final = emptied("run_attributes")
_PUT_GONE: Final = Statement(
    "put_gone",
    """INSERT INTO gone (environment, run) SELECT $1::integer, * FROM unnest($2::uuid[])
    ON CONFLICT DO NOTHING""",
)
_DROP_RECORDS: Final = Statement(
    "drop_records",
    """DELETE FROM records WHERE ctid = ANY (ARRAY (
        SELECT r.ctid FROM gone g
        CROSS JOIN LATERAL (
            SELECT ctid FROM records
            WHERE environment = $1::integer AND run = g.run OFFSET 0) r
        WHERE g.environment = $1 ORDER BY g.run LIMIT $2::bigint))""",
)
_DROP_PACKED: Final = Statement(
    "drop_packed",
    f"""DELETE FROM packed WHERE ctid = ANY (ARRAY (
        SELECT r.ctid FROM gone g
        CROSS JOIN LATERAL (
            SELECT ctid FROM packed
            WHERE environment = $1::integer AND run = g.run OFFSET 0) r
        WHERE g.environment = $1 ORDER BY g.run
        LIMIT ($2::bigint - 1) / {PACKED_RECORDS} + 1))""",  # noqa: S608 - a number of ours
)
# Runs of which nothing is left are among the first: their records go in that order.
_ENDED: Final = """(
    SELECT ctid, run FROM gone WHERE environment = $1::integer
    ORDER BY run LIMIT $2::bigint) g
    WHERE (SELECT true FROM records r
        WHERE r.environment = $1 AND r.run = g.run LIMIT 1) IS NULL
    AND (SELECT true FROM packed p
        WHERE p.environment = $1 AND p.run = g.run LIMIT 1) IS NULL"""
# Payloads that only such runs have and others that nobody can read any more.
_DROP_BLOBS: Final = Statement(
    "drop_blobs",
    f"""DELETE FROM blobs WHERE ctid = ANY (ARRAY (
        SELECT b.ctid FROM (
            SELECT DISTINCT ON (digest) y.digest
            FROM (SELECT g.run FROM {_ENDED}) AS ended
            CROSS JOIN LATERAL (
                SELECT digest FROM blob_runs
                WHERE environment = $1 AND run = ended.run OFFSET 0) y) d
        CROSS JOIN LATERAL (
            SELECT ctid FROM blobs
            WHERE environment = $1 AND digest = d.digest OFFSET 0) b
        WHERE (SELECT true FROM blob_runs o
            WHERE o.environment = $1 AND o.digest = d.digest
                AND (SELECT true FROM gone other
                    WHERE other.environment = $1 AND other.run = o.run) IS NULL
            LIMIT 1) IS NULL))""",  # noqa: S608 - a part of ours
)
_END_GONE: Final = Statement(
    "end_gone",
    f"""WITH ended AS (
        DELETE FROM gone WHERE ctid = ANY (ARRAY (SELECT g.ctid FROM {_ENDED}))
        RETURNING run)
    DELETE FROM blob_runs WHERE ctid = ANY (ARRAY (
        SELECT y.ctid FROM ended
        CROSS JOIN LATERAL (
            SELECT ctid FROM blob_runs
            WHERE environment = $1 AND run = ended.run OFFSET 0) y))""",  # noqa: S608 - a part of ours
)

_RELEASE: Final = Statement(
    "release",
    """UPDATE ready t SET node = NULL, epoch = 0, place = found.place FROM (
        SELECT y.ctid, a.place
        FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS a (run, epoch, place)
        CROSS JOIN LATERAL (
            SELECT ctid FROM ready
            WHERE environment = $1::integer AND run = a.run AND epoch = a.epoch
            OFFSET 0) y) found
    WHERE t.ctid = found.ctid""",
)


# --- what comes -----------------------------------------------------------------


_PUT_RUNS: Final = Statement(
    "put_runs",
    """INSERT INTO runs (environment, run, function, status, attempt, event_name,
        created_at, ended_at, parent, pause_reason, data)
    SELECT $1::integer, run, function, status, attempt, event_name, created_at,
        nullif(ended_at, to_timestamp(0)),
        nullif(parent, '00000000-0000-0000-0000-000000000000'),
        nullif(pause_reason, ''), data
    FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::text[],
        $7::timestamptz[], $8::timestamptz[], $9::uuid[], $10::text[], $11::bytea[])
        AS a (run, function, status, attempt, event_name, created_at, ended_at,
        parent, pause_reason, data)
    ON CONFLICT (environment, run) DO UPDATE SET status = excluded.status,
        attempt = excluded.attempt, ended_at = excluded.ended_at,
        pause_reason = excluded.pause_reason, data = excluded.data, packed = false""",
)
_PUT_ATTRIBUTES: Final = inserted(
    "run_attributes", run="uuid", name="text", value="bytea"
)
_PUT_RECORDS: Final = inserted(
    "records",
    run="uuid",
    sequence="bigint",
    kind="text",
    step="text",
    recorded_at="timestamptz",
    data="bytea",
)
_PUT_BLOBS: Final = inserted(
    "blobs", "ON CONFLICT DO NOTHING", digest="bytea", data="bytea"
)
_PUT_BLOB_RUNS: Final = inserted(
    "blob_runs", "ON CONFLICT DO NOTHING", digest="bytea", run="uuid"
)
_PUT_EVENTS: Final = Statement(
    "put_events",
    """INSERT INTO events (environment, position, id, name, at, key, data)
    SELECT $1::integer, position, id, name, at,
        nullif(key, '00000000-0000-0000-0000-000000000000'), data
    FROM unnest($2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::uuid[],
        $7::bytea[]) AS a (position, id, name, at, key, data)""",
)
_PUT_FUNCTIONS: Final = inserted(
    "functions",
    "ON CONFLICT (environment, id) DO UPDATE"
    " SET version = excluded.version, concurrency = excluded.concurrency,"
    " data = excluded.data",
    id="text",
    version="text",
    concurrency="bigint",
    data="bytea",
)
_PUT_READY: Final = inserted(
    "ready",
    "ON CONFLICT DO NOTHING",
    run="uuid",
    function="text",
    lane="bytea",
    place="bigint",
)
_PUT_INBOX: Final = inserted(
    "inbox", run="uuid", number="bigint", kind="text", step="text", data="bytea"
)
_PUT_TIMERS: Final = inserted(
    "timers",
    run="uuid",
    step_key="uuid",
    kind="text",
    step="text",
    due="timestamptz",
)
_PUT_WAITS: Final = inserted(
    "waits",
    run="uuid",
    step_key="uuid",
    sequence="bigint",
    event="text",
    path_key="uuid",
    match_key="bytea",
    path="text",
    step="text",
    seeks="bigint",
    data="bytea",
)
_PUT_MATCH_PATHS: Final = inserted(
    "match_paths",
    "ON CONFLICT (environment, event, path_key) DO UPDATE SET data = excluded.data",
    event="text",
    path_key="uuid",
    path="text",
    data="bytea",
)
_PUT_MATCHES: Final = inserted(
    "matches",
    "ON CONFLICT DO NOTHING",
    event="text",
    path_key="uuid",
    match_key="bytea",
    position="bigint",
)
_PUT_DOCUMENTS: Final = inserted(
    "documents",
    "ON CONFLICT (environment, kind, id) DO UPDATE SET revision = excluded.revision,"
    " updated_at = excluded.updated_at, data = excluded.data",
    kind="text",
    id="text",
    revision="bigint",
    updated_at="timestamptz",
    data="bytea",
)
_PUT_CONSUMED: Final = inserted("consumed", run="uuid", position="bigint")


def written(changes: Changes, environment: bytes) -> Iterator[Call]:
    """Yield the calls that make these changes."""
    yield from _gone(changes, environment)
    yield from _come(changes, environment)
    yield from redacted(changes, environment)
    yield from _past(changes, environment)


def _past(changes: Changes, environment: bytes) -> Iterator[Call]:
    """Yield the calls that delete what is past its retention."""
    if changes.runs_gone:
        runs = pg.uuids(changes.runs_gone)
        yield _DROP_RUNS, [environment, runs]
        yield _DROP_ATTRIBUTES, [environment, runs]
        yield _PUT_GONE, [environment, runs]
    if changes.records_gone:
        so_many = [environment, pg.int8(changes.records_gone)]
        yield _DROP_RECORDS, so_many
        yield _DROP_PACKED, so_many
        yield _DROP_BLOBS, so_many
        yield _END_GONE, so_many
    if changes.events_gone:
        last = changes.events_gone[-1].position
        yield _DROP_EVENTS, [environment, pg.int8(last)]
    encoders = (pg.texts, pg.uuids, pg.byteas, pg.int8s)
    yield from called(_DROP_MATCHES, environment, changes.matches_gone, encoders)


def _gone(changes: Changes, environment: bytes) -> Iterator[Call]:
    emptied: tuple[tuple[Statement, Iterable[bytes]], ...] = (
        (_EMPTY_INBOX, changes.inbox.emptied),
        (_EMPTY_TIMERS, changes.timers.emptied),
        (_EMPTY_WAITS, changes.waits.emptied),
        (_EMPTY_CONSUMED, changes.consumed.emptied),
        (_DROP_READY, changes.ready.drops),
        (_DROP_ATTRIBUTES, changes.attributes),
    )
    for statement, runs in emptied:
        if runs:
            yield statement, [environment, pg.uuids(list(runs))]
    inbox = _dropped_keys(changes.inbox)
    yield from called(_DROP_INBOX, environment, inbox, (pg.uuids, pg.int8s))
    timers = [(run, *key) for run, key in _dropped_keys(changes.timers)]
    yield from called(_DROP_TIMERS, environment, timers, (pg.uuids, pg.uuids, pg.texts))
    waits = _dropped_keys(changes.waits)
    yield from called(_DROP_WAITS, environment, waits, (pg.uuids, pg.uuids))
    consumed = _dropped_keys(changes.consumed)
    yield from called(_DROP_CONSUMED, environment, consumed, (pg.uuids, pg.int8s))
    paths = [
        (name, pg.digest(path))
        for (name, path), row in changes.match_paths.items()
        if row is None
    ]
    yield from called(_DROP_MATCH_PATHS, environment, paths, (pg.texts, pg.uuids))
    documents = [key for key, row in changes.documents.items() if row is None]
    yield from called(_DROP_DOCUMENTS, environment, documents, (pg.texts, pg.texts))
    released = [(row.run, row.epoch, row.place) for row in changes.released.values()]
    yield from called(_RELEASE, environment, released, (pg.uuids, pg.int8s, pg.int8s))


def _dropped_keys(table: RunTable[Any, Any]) -> list[tuple[bytes, Any]]:
    return [(run, key) for run, keys in table.drops.items() for key in keys]


def _come(changes: Changes, environment: bytes) -> Iterator[Call]:
    for make in (_functions, _events, _runs, _attributes, _records, _blobs, _blob_runs):
        statement, values, encoders = make(changes)
        yield from called(statement, environment, values, encoders)
    of_runs = (_ready, _inbox, _timers, _waits, _consumed)
    for make in (*of_runs, _match_paths, _matches, _documents):
        statement, values, encoders = make(changes)
        yield from called(statement, environment, values, encoders)


# --- the rows of each table -------------------------------------------------------

Made = tuple[Statement, Sequence[tuple[Any, ...]], Sequence[Encoder]]


def _functions(changes: Changes) -> Made:
    values = [
        (row.id, row.version, row.concurrency, rows.FUNCTION.encode(row))
        for row in {row.id: row for row in changes.functions}.values()
    ]
    return _PUT_FUNCTIONS, values, (pg.texts, pg.texts, pg.int8s, pg.byteas)


def _events(changes: Changes) -> Made:
    values: list[tuple[Any, ...]] = []
    for stored in changes.events:
        event = stored.event
        key = event.idempotency_key
        values.append(
            (
                stored.position,
                event.id,
                event.name,
                event.timestamp,
                pg.digest(event.name, key) if key else pg.NO_RUN,
                rows.encode_event(stored),
            )
        )
    encoders = (pg.int8s, pg.texts, pg.texts, pg.timestamps, pg.uuids, pg.byteas)
    return _PUT_EVENTS, values, encoders


def _runs(changes: Changes) -> Made:
    values: list[tuple[Any, ...]] = [
        (
            run,
            row.function_id,
            row.status,
            row.attempt,
            row.event_name,
            row.created_at,
            row.ended_at,
            pg.run(row.parent_run) if row.parent_run else pg.NO_RUN,
            pause.reason if (pause := row.pause or row.asked) else "",
            rows.RUN.encode(row),
        )
        for run, row in changes.runs.items()
    ]
    return (
        _PUT_RUNS,
        values,
        (
            *(pg.uuids, pg.texts, pg.texts, pg.int8s, pg.texts),
            *(pg.timestamps, pg.timestamps, pg.uuids, pg.texts, pg.byteas),
        ),
    )


def _attributes(changes: Changes) -> Made:
    values: list[tuple[Any, ...]] = [
        (run, name, value)
        for run, attributes in changes.attributes.items()
        for name, value in keys_of(attributes)
    ]
    return _PUT_ATTRIBUTES, values, (pg.uuids, pg.texts, pg.byteas)


def _records(changes: Changes) -> Made:
    encoders = (pg.uuids, pg.int8s, pg.texts, pg.texts, pg.timestamps, pg.byteas)
    return _PUT_RECORDS, changes.records, encoders


def _blobs(changes: Changes) -> Made:
    return _PUT_BLOBS, list(changes.blobs.items()), (pg.byteas, pg.byteas)


def _blob_runs(changes: Changes) -> Made:
    return _PUT_BLOB_RUNS, list(changes.blob_runs), (pg.byteas, pg.uuids)


def _ready(changes: Changes) -> Made:
    values: list[tuple[Any, ...]] = [
        (run, row.function_id, row.lane, row.place)
        for run, put in changes.ready.puts.items()
        for row in put.values()
    ]
    return _PUT_READY, values, (pg.uuids, pg.texts, pg.byteas, pg.int8s)


def _inbox(changes: Changes) -> Made:
    values: list[tuple[Any, ...]] = []
    for run, put in changes.inbox.puts.items():
        for number, row in put.items():
            record = row.draft.record
            data = rows.encode_inbox(row.draft, position=row.position)
            values.append((run, number, type(record).__name__, record.id, data))
    return _PUT_INBOX, values, (pg.uuids, pg.int8s, pg.texts, pg.texts, pg.byteas)


def _timers(changes: Changes) -> Made:
    values: list[tuple[Any, ...]] = [
        (run, step, kind, row.step, row.due)
        for run, put in changes.timers.puts.items()
        for (step, kind), row in put.items()
    ]
    encoders = (pg.uuids, pg.uuids, pg.texts, pg.texts, pg.timestamps)
    return _PUT_TIMERS, values, encoders


def _waits(changes: Changes) -> Made:
    values: list[tuple[Any, ...]] = [
        (
            run,
            step,
            row.sequence,
            row.event,
            pg.digest(row.path),
            row.match_key if row.path else b"",
            row.path,
            row.step,
            int(row.seeks),
            rows.WAIT.encode(row),
        )
        for run, put in changes.waits.puts.items()
        for step, row in put.items()
    ]
    return (
        _PUT_WAITS,
        values,
        (
            *(pg.uuids, pg.uuids, pg.int8s, pg.texts, pg.uuids, pg.byteas),
            *(pg.texts, pg.texts, pg.int8s, pg.byteas),
        ),
    )


def _match_paths(changes: Changes) -> Made:
    values: list[tuple[Any, ...]] = [
        (name, pg.digest(path), path, rows.MATCH_PATH.encode(row))
        for (name, path), row in changes.match_paths.items()
        if row is not None
    ]
    return _PUT_MATCH_PATHS, values, (pg.texts, pg.uuids, pg.texts, pg.byteas)


def _matches(changes: Changes) -> Made:
    values: list[tuple[Any, ...]] = [
        (*group, position)
        for group, positions in changes.matches.items()
        for position in positions
    ]
    return _PUT_MATCHES, values, (pg.texts, pg.uuids, pg.byteas, pg.int8s)


def _documents(changes: Changes) -> Made:
    values = [
        (row.kind, row.id, row.revision, row.updated_at, row.data)
        for row in changes.documents.values()
        if row is not None
    ]
    encoders = (pg.texts, pg.texts, pg.int8s, pg.timestamps, pg.byteas)
    return _PUT_DOCUMENTS, values, encoders


def _consumed(changes: Changes) -> Made:
    values: list[tuple[Any, ...]] = [
        (run, position)
        for run, put in changes.consumed.puts.items()
        for position in put
    ]
    return _PUT_CONSUMED, values, (pg.uuids, pg.int8s)
