"""The statements that put something in the place of payloads which are taken away."""

from collections.abc import Iterator, Sequence
from typing import Final

from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres import rows
from ironflow.journal.postgres._psycopg import Call, Statement
from ironflow.journal.postgres.changes import Changes
from ironflow.journal.postgres.statements import Encoder, called, dropped

_REDACT_RECORDS: Final = Statement(
    "redact_records",
    """UPDATE records t SET data = found.data FROM (
        SELECT y.ctid, a.data
        FROM unnest($2::uuid[], $3::bigint[], $4::bytea[]) AS a (run, sequence, data)
        CROSS JOIN LATERAL (
            SELECT ctid FROM records
            WHERE environment = $1::integer AND run = a.run
                AND sequence = a.sequence OFFSET 0) y) found
    WHERE t.ctid = found.ctid""",
)
# It comes after the one before: what was packed meanwhile is here.
_REDACT_PACKED: Final = Statement(
    "redact_packed",
    """UPDATE packed t SET data = ARRAY (
        SELECT coalesce((
            SELECT a.data
            FROM unnest($2::uuid[], $3::bigint[], $4::bytea[]) AS a (run, sequence, data)
            WHERE a.run = t.run AND a.sequence = t.first + u.place - 1 LIMIT 1), u.data)
        FROM unnest(t.data) WITH ORDINALITY AS u (data, place) ORDER BY u.place)
    WHERE t.ctid = ANY (ARRAY (
        SELECT y.ctid FROM unnest($2::uuid[], $3::bigint[]) AS a (run, sequence)
        CROSS JOIN LATERAL (
            SELECT ctid FROM packed
            WHERE environment = $1::integer AND run = a.run AND last >= a.sequence
                AND first <= a.sequence OFFSET 0) y))""",
)
_REDACT_EVENTS: Final = Statement(
    "redact_events",
    """UPDATE events t SET data = found.data FROM (
        SELECT y.ctid, a.data
        FROM unnest($2::bigint[], $3::bytea[]) AS a (position, data)
        CROSS JOIN LATERAL (
            SELECT ctid FROM events
            WHERE environment = $1::integer AND position = a.position OFFSET 0) y) found
    WHERE t.ctid = found.ctid""",
)
_DROP_BLOB_RUNS: Final = dropped("blob_runs", digest="bytea", run="uuid")
_DROP_LEFT_BLOBS: Final = Statement(
    "drop_left_blobs",
    """DELETE FROM blobs WHERE ctid = ANY (ARRAY (
        SELECT b.ctid FROM unnest($2::bytea[]) AS a (digest)
        CROSS JOIN LATERAL (
            SELECT ctid FROM blobs
            WHERE environment = $1::integer AND digest = a.digest OFFSET 0) b
        WHERE (SELECT true FROM blob_runs o
            WHERE o.environment = $1 AND o.digest = a.digest LIMIT 1) IS NULL))""",
)


def redacted(changes: Changes, environment: bytes) -> Iterator[Call]:
    """Yield the calls that put something in the place of payloads."""
    records = [(*place, data) for place, data in changes.redacted_records.items()]
    encoders: Sequence[Encoder] = (pg.uuids, pg.int8s, pg.byteas)
    yield from called(_REDACT_RECORDS, environment, records, encoders)
    yield from called(_REDACT_PACKED, environment, records, encoders)
    events = [
        (position, rows.encode_event(stored))
        for position, stored in changes.redacted_events.items()
    ]
    yield from called(_REDACT_EVENTS, environment, events, (pg.int8s, pg.byteas))
    left = list(changes.blobs_left)
    if left:
        yield from called(_DROP_BLOB_RUNS, environment, left, (pg.byteas, pg.uuids))
        digests = pg.byteas([digest for digest, _ in left])
        yield _DROP_LEFT_BLOBS, [environment, digests]
