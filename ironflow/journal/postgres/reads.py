"""What a journal answers, for its engines and for readers beside them."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ironflow import codec, limits
from ironflow.errors import JournalDamaged, RunNotFound
from ironflow.journal.base import (
    DocumentRow,
    FunctionRow,
    RunCount,
    RunQuery,
    RunSummary,
    Standing,
    TimerRow,
    shown_status,
)
from ironflow.journal.documents import name_bytes
from ironflow.journal.lists import id_range
from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres import rows
from ironflow.journal.postgres._psycopg import Row, Statement
from ironflow.journal.postgres.attribute_lists import Put, shape, source
from ironflow.journal.postgres.event_reads import EventReads
from ironflow.journal.postgres.queries import BLOBS, LENGTH, REGISTRY
from ironflow.records import Entry

_HISTORY: Final = Statement(
    "history",
    """SELECT h.data FROM (
        SELECT p.first + u.place - 1 AS sequence, u.data
        FROM packed p CROSS JOIN LATERAL unnest(p.data) WITH ORDINALITY AS u (data, place)
        WHERE p.environment = $1::integer AND p.run = $2::uuid AND p.last > $3::bigint
            AND p.first <= $3 + $4::bigint
        UNION ALL
        SELECT sequence, data FROM records
        WHERE environment = $1 AND run = $2 AND sequence > $3 AND sequence <= $3 + $4) h
    WHERE h.sequence > $3 AND h.sequence <= $3 + $4 AND EXISTS (
        SELECT FROM runs r WHERE r.environment = $1 AND r.run = $2)
    ORDER BY h.sequence""",
)
_SUMMARIES: Final = f"""SELECT r.data, y.run IS NOT NULL, y.node IS NOT NULL,
    {LENGTH.format(run="r.run")}
FROM {{}} LEFT JOIN LATERAL (
    SELECT run, node FROM ready WHERE environment = $1 AND run = r.run OFFSET 0) y
    ON true
WHERE """  # noqa: S608 - a part of ours
_SUMMARY: Final = _SUMMARIES.format("runs r") + "r.environment = $1::integer"
_RUN: Final = Statement("run", _SUMMARY + " AND r.run = $2::uuid")
# One statement sees one moment.
_STANDING: Final = Statement(
    "standing",
    f"""WITH found (data, is_ready, is_held, number) AS ({_SUMMARY} AND r.run = $2::uuid)
    SELECT 0, data, is_ready, is_held, number, NULL::uuid, '', '',
        NULL::timestamptz FROM found
    UNION ALL
    SELECT 1, data, false, false, number, NULL, '', '', NULL FROM inbox
        WHERE environment = $1 AND run = $2
    UNION ALL
    SELECT 2, NULL, false, false, 0, run, step, kind, due FROM timers
        WHERE environment = $1 AND run = $2
    ORDER BY 1, 5, 9, 7, 8""",  # noqa: S608 - a text from above
)
_COUNTS: Final = Statement(
    "counts",
    """SELECT function, status, count(*) FROM runs
    WHERE environment = $1::integer AND status <> 'open' GROUP BY function, status
    UNION ALL
    SELECT r.function, CASE WHEN y.run IS NULL THEN 'waiting'
        WHEN y.node IS NULL AND NOT EXISTS (
            SELECT FROM records l WHERE l.environment = $1 AND l.run = r.run
                AND l.sequence > 1) THEN 'queued'
        ELSE 'running' END AS status, count(*)
    FROM runs r LEFT JOIN ready y ON y.environment = $1 AND y.run = r.run
    WHERE r.environment = $1 AND r.status = 'open' GROUP BY 1, 2""",
)
_DOCUMENTS: Final = Statement(
    "documents_of_kind",
    """SELECT kind, id, revision, updated_at, data FROM documents
    WHERE environment = $1::integer AND kind = $2::text AND id > $3::text
    ORDER BY id LIMIT $4::bigint""",
)
_DOCUMENT: Final = Statement(
    "document",
    """SELECT kind, id, revision, updated_at, data FROM documents
    WHERE environment = $1::integer AND kind = $2::text AND id = $3::text""",
)
_TIMERS: Final = Statement(
    "timers_of_run",
    """SELECT run, step, kind, due FROM timers
    WHERE environment = $1::integer AND run = $2::uuid ORDER BY due, step, kind""",
)
_DUE: Final = Statement(
    "timers_due",
    """SELECT run, step, kind, due FROM timers
    WHERE environment = $1::integer AND due <= $2::timestamptz
    ORDER BY due, run LIMIT $3::bigint""",
)
_NEXT_DUE: Final = Statement(
    "timers_next",
    """SELECT due FROM timers
    WHERE environment = $1::integer ORDER BY due OFFSET $2::bigint LIMIT 1""",
)


class Reads(EventReads):
    """The reading half of a journal; `number` is its environment."""

    async def history(
        self, run_id: str, *, after: int = 0, limit: int = 10_000
    ) -> Sequence[Entry]:
        """Return records `after+1 .. after+limit` with their payloads, in order.

        A page has at most `limits.PAGE_RECORDS_MAX`.

        Raises:
            JournalDamaged: a record or a payload is gone or no record.
        """
        try:
            run = pg.run(run_id)
        except RunNotFound:
            return []
        limit = min(limit, limits.PAGE_RECORDS_MAX)
        params = [self._number, run, pg.int8(after), pg.int8(limit)]
        [found] = await self._readers.run([(_HISTORY, params)])
        entries = [codec.decode(data) for (data,) in found]
        for place, entry in enumerate(entries, after + 1):
            if entry.record.sequence != place:
                raise JournalDamaged(
                    f"{run_id} lacks record {place}; restore the database from a backup"
                )
        if any(not entry.payload and codec.needs_blob(entry) for entry in entries):
            await self._fill(entries)
        return entries

    async def _fill(self, entries: list[Entry]) -> None:
        """Put payloads that lie in the blob table where they belong."""
        away = {
            place: entry
            for place, entry in enumerate(entries)
            if not entry.payload and codec.needs_blob(entry)
        }
        digests = list({entry.record.payload_digest for entry in away.values()})
        params = [self._number, pg.byteas(digests)]
        [found] = await self._readers.run([(BLOBS, params)])
        blobs = {row[0]: row[1] for row in found}
        for place, entry in away.items():
            record = entry.record
            payload = blobs.get(record.payload_digest)
            if payload is None:
                raise JournalDamaged(
                    f"the payload of record {record.sequence} is gone; restore the"
                    " database from a backup"
                )
            entries[place] = Entry(entry.format, record, entry.digest, payload)

    async def find(self, query: RunQuery) -> Sequence[RunSummary]:
        """Return a page of runs, newest first, at most `limits.PAGE_RUNS_MAX`."""
        try:
            statement, params = _search(query)
        except RunNotFound:
            return []
        [found] = await self._readers.run([(statement, [self._number, *params])])
        return [_summary(row) for row in found]

    async def counts(self) -> Sequence[RunCount]:
        """Return how many runs there are of each function and status, in this order."""
        [found] = await self._readers.run([(_COUNTS, [self._number])])
        return sorted(
            RunCount(function.decode(), status.decode(), pg.to_int(count))
            for function, status, count in found
        )

    async def run(self, run_id: str) -> RunSummary | None:
        """Return one run, or None."""
        try:
            params = [self._number, pg.run(run_id)]
        except RunNotFound:
            return None
        [found] = await self._readers.run([(_RUN, params)])
        return _summary(found[0]) if found else None

    async def standing(self, run_id: str) -> Standing | None:
        """Return one run with its inbox and timers, of one moment, or None."""
        try:
            params = [self._number, pg.run(run_id)]
        except RunNotFound:
            return None
        [found] = await self._readers.run([(_STANDING, params)])
        if not found or pg.to_int(found[0][0]) != 0:
            return None
        parts: dict[int, list[Row]] = {0: [], 1: [], 2: []}
        for part, *row in found:
            parts[pg.to_int(part)].append(tuple(row))
        inbox = [
            rows.decode_inbox(pg.to_int(number), data)
            for data, _, _, number, *_ in parts[1]
        ]
        timers = tuple(_timers([row[4:] for row in parts[2]]))
        return Standing(_summary(parts[0][0][:4]), tuple(inbox), timers)

    async def functions(self) -> Sequence[FunctionRow]:
        """Return the registry: all functions that were made known, by id."""
        [found] = await self._readers.run([(REGISTRY, [self._number])])
        return tuple(rows.FUNCTION.decode(data) for (data,) in found)

    async def documents(
        self, kind: str, *, after: str = "", limit: int = 100
    ) -> Sequence[DocumentRow]:
        """Return documents of a kind after an id, in the order of the ids.

        A page has at most `limits.PAGE_DOCUMENTS_MAX`.
        """
        limit = min(limit, limits.PAGE_DOCUMENTS_MAX)
        params = [self._number, pg.text(kind), pg.text(after), pg.int8(limit)]
        [found] = await self._readers.run([(_DOCUMENTS, params)])
        return [rows.document(columns) for columns in found]

    async def document(self, kind: str, id_: str) -> DocumentRow | None:
        """Return one document, or None."""
        if not (name_bytes(kind) and name_bytes(id_)):
            return None
        params = [self._number, pg.text(kind), pg.text(id_)]
        [found] = await self._readers.run([(_DOCUMENT, params)])
        return rows.document(found[0]) if found else None

    async def timers(self, run_id: str) -> Sequence[TimerRow]:
        """Return the timers of one run: what it waits for and until when."""
        try:
            params = [self._number, pg.run(run_id)]
        except RunNotFound:
            return []
        [found] = await self._readers.run([(_TIMERS, params)])
        return list(_timers(found))

    async def due(self, now: int, *, limit: int) -> tuple[Sequence[TimerRow], int]:
        """Return timers due at `now`, earliest first, and when the next is due.

        At most `limits.DUE_TIMERS_MAX`; the second value is 0 if no timer remains.
        """
        limit = min(limit, limits.DUE_TIMERS_MAX)
        first = [self._number, pg.timestamp(now), pg.int8(limit)]
        [found] = await self._readers.run([(_DUE, first)])
        timers = list(_timers(found))
        second = [self._number, pg.int8(len(timers))]
        [following] = await self._readers.run([(_NEXT_DUE, second)])
        return timers, pg.to_time(following[0][0]) if following else 0


def _timers(found: Sequence[Row]) -> Iterator[TimerRow]:
    for run, step, kind, due in found:
        name: Any = kind.decode()
        yield TimerRow(pg.shown_run(run), step.decode(), name, pg.to_time(due))


def _summary(row: Row) -> RunSummary:
    data, is_ready, is_held, number = row
    run, length = rows.RUN.decode(data), pg.to_int(number)
    ready, held = pg.to_bool(is_ready), pg.to_bool(is_held)
    status = shown_status(run, length=length, ready=ready, held=held)
    return RunSummary(run, status, length)


# --- a search -------------------------------------------------------------------

_FIRST_ONLY: Final = """ AND y.run IS NOT NULL AND {}(y.node IS NULL AND NOT EXISTS (
    SELECT FROM records l WHERE l.environment = $1 AND l.run = r.run
        AND l.sequence > 1))"""
# What the words of `RunSummary.status` mean for the rows.
_STATUSES: Final = {
    "waiting": " AND r.status = 'open' AND y.run IS NULL",
    "queued": " AND r.status = 'open'" + _FIRST_ONLY.format(""),
    "running": " AND r.status = 'open'" + _FIRST_ONLY.format("NOT "),
}


def _search(query: RunQuery) -> tuple[Statement, list[bytes]]:
    """Return the statement for a query, and its parameters after the first.

    Raises:
        RunNotFound: it names a run id that is none, so it finds nothing.
    """
    words, params = ["find"], list[bytes]()

    def put(value: bytes) -> str:
        params.append(value)
        return f"${len(params) + 1}"

    bounds = ""
    for word, sign, run_id in zip(
        ("first", "beyond"), (">=", "<"), id_range(query), strict=True
    ):
        if run_id:
            bounds += f" AND {{run}} {sign} {put(pg.run(run_id))}::uuid"
            words.append(word)
    if query.attributes:
        runs = source(query.attributes, bounds.format(run="run"), put)
        text, order = _SUMMARIES.format(runs) + "true", "a.run"
        words.append(shape(query.attributes))
    else:
        text, order = _SUMMARY + bounds.format(run="r.run"), "r.run"
    for word, value, kind, encode in (
        ("parent", query.parent_run, "uuid", pg.run),
        ("function", query.function_id, "text", pg.text),
    ):
        if value:
            text += f" AND r.{word} = {put(encode(value))}::{kind}"
            words.append(word)
    if query.status:
        text += _STATUSES.get(query.status) or _of_status(query.status, put)
        words.append(query.status if query.status in _STATUSES else "status")
    limit = put(pg.int8(min(query.limit, limits.PAGE_RUNS_MAX)))
    text += f" ORDER BY {order} DESC LIMIT {limit}::bigint"
    return Statement("_".join(words), text), params


def _of_status(status: str, put: Put) -> str:
    return f" AND r.status = {put(pg.text(status))}::text"
