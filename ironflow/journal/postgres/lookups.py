"""How questions are asked: all of a kind in one statement, and where answers go."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, final

from ironflow import limits
from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres import rows
from ironflow.journal.postgres._psycopg import Call, Row, Statement
from ironflow.journal.postgres.questions import (
    Answers,
    ConsumedBy,
    EventAt,
    EventByKey,
    EventsNamed,
    HistoryOf,
    InboxOf,
    MatchesOf,
    MatchPathsOf,
    PathsOf,
    PausedOf,
    Question,
    Registry,
    Run,
    RunOf,
    Seeking,
    TimerOf,
    WaitOf,
    WaitsFor,
)

PAGE_OF_EVENTS: Final = 200  # looked through at once for one that a new wait may have


# --- statements -----------------------------------------------------------------

# Each row is looked up by itself: `OFFSET 0` keeps a join from becoming one look at
# everything there is, which is cheap while the tables are small and the plan is made.

_RUNS: Final = Statement(
    "runs",
    """SELECT a.run, r.data, coalesce(
        (SELECT l.sequence FROM records l WHERE l.environment = $1 AND l.run = a.run
         ORDER BY l.sequence DESC LIMIT 1), 0),
    CASE WHEN y.node IS NULL THEN 0 ELSE y.epoch END, y.run IS NOT NULL,
    -- As EXISTS these might be planned as one look at all runs there are.
    (SELECT true FROM timers t WHERE t.environment = $1 AND t.run = a.run LIMIT 1),
    (SELECT true FROM waits w WHERE w.environment = $1 AND w.run = a.run LIMIT 1),
    (SELECT true FROM consumed c WHERE c.environment = $1 AND c.run = a.run LIMIT 1)
    FROM unnest($2::uuid[]) AS a (run)
    CROSS JOIN LATERAL (
        SELECT data FROM runs
        WHERE environment = $1::integer AND run = a.run OFFSET 0) r
    LEFT JOIN LATERAL (
        SELECT run, node, epoch FROM ready
        WHERE environment = $1 AND run = a.run OFFSET 0) y ON true""",
)

_INBOXES: Final = Statement(
    "inboxes",
    """SELECT a.run, i.number, i.data
    FROM unnest($2::uuid[]) AS a (run)
    CROSS JOIN LATERAL (
        SELECT number, data FROM inbox
        WHERE environment = $1::integer AND run = a.run OFFSET 0) i
    ORDER BY a.run, i.number""",
)

_HISTORIES: Final = Statement(
    "histories",
    """SELECT a.run, l.data
    FROM unnest($2::uuid[]) AS a (run)
    CROSS JOIN LATERAL (
        SELECT sequence, data FROM records
        WHERE environment = $1::integer AND run = a.run OFFSET 0) l
    ORDER BY a.run, l.sequence""",
)

_TIMERS: Final = Statement(
    "timers",
    """SELECT a.run, a.step_key, a.kind, t.due
    FROM unnest($2::uuid[], $3::uuid[], $4::text[]) AS a (run, step_key, kind)
    CROSS JOIN LATERAL (
        SELECT due FROM timers
        WHERE environment = $1::integer AND run = a.run AND step_key = a.step_key
            AND kind = a.kind OFFSET 0) t""",
)

_WAITS: Final = Statement(
    "waits",
    """SELECT a.run, a.step_key, w.data
    FROM unnest($2::uuid[], $3::uuid[]) AS a (run, step_key)
    CROSS JOIN LATERAL (
        SELECT data FROM waits
        WHERE environment = $1::integer AND run = a.run AND step_key = a.step_key
        OFFSET 0) w""",
)

_CONSUMED: Final = Statement(
    "consumed",
    """SELECT a.run, a.position
    FROM unnest($2::uuid[], $3::bigint[]) AS a (run, position)
    CROSS JOIN LATERAL (
        SELECT FROM consumed
        WHERE environment = $1::integer AND run = a.run AND position = a.position
        OFFSET 0) c""",
)

_EVENTS: Final = Statement(
    "events",
    """SELECT a.position, e.data
    FROM unnest($2::bigint[]) AS a (position)
    CROSS JOIN LATERAL (
        SELECT data FROM events
        WHERE environment = $1::integer AND position = a.position OFFSET 0) e""",
)

_EVENTS_NAMED: Final = Statement(
    "events_named",
    """SELECT a.place, e.position, e.data
    FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS a (name, after, place)
    CROSS JOIN LATERAL (
        SELECT position, data FROM events
        WHERE environment = $1::integer AND name = a.name AND position > a.after
        ORDER BY position LIMIT $4::bigint) e
    ORDER BY a.place, e.position""",
)

_EVENT_KEYS: Final = Statement(
    "event_keys",
    """SELECT a.key, e.position
    FROM unnest($2::uuid[]) AS a (key)
    CROSS JOIN LATERAL (
        SELECT position FROM events
        WHERE environment = $1::integer AND key = a.key OFFSET 0) e""",
)

# One jump in the index for each path, however many waits there are.
_PATHS: Final = Statement(
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

_WAITS_FOR: Final = Statement(
    "waits_for",
    """SELECT a.place, w.data
    FROM unnest($2::text[], $3::uuid[], $4::bytea[], $5::uuid[], $6::bigint[])
        WITH ORDINALITY AS a (event, path_key, match_key, run, sequence, place)
    CROSS JOIN LATERAL (
        SELECT run, sequence, data FROM waits
        WHERE environment = $1::integer AND event = a.event
            AND path_key = a.path_key AND match_key = a.match_key
            AND (run, sequence) > (a.run, a.sequence)
        ORDER BY run, sequence LIMIT $7::bigint) w
    ORDER BY a.place, w.run, w.sequence""",
)

_SEEKING: Final = Statement(
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

_MATCH_PATHS: Final = Statement(
    "match_paths",
    """SELECT a.place, m.data
    FROM unnest($2::text[]) WITH ORDINALITY AS a (event, place)
    CROSS JOIN LATERAL (
        SELECT path_key, data FROM match_paths
        WHERE environment = $1::integer AND event = a.event OFFSET 0) m
    ORDER BY a.place, m.path_key""",
)

_MATCHES: Final = Statement(
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

_PAUSED: Final = Statement(
    "paused",
    """SELECT a.function, r.data
    FROM unnest($2::text[]) AS a (function)
    CROSS JOIN LATERAL (
        SELECT run, data FROM runs
        WHERE environment = $1::integer AND status = 'paused'
            AND function = a.function OFFSET 0) r
    ORDER BY r.run""",
)

_REGISTRY: Final = Statement(
    "registry",
    "SELECT data FROM functions WHERE environment = $1::integer ORDER BY id",
)


# --- how a kind of question is asked and answered ---------------------------------

Params = Callable[[Sequence[Any]], list[bytes]]
Fill = Callable[[Answers, Sequence[Any], Sequence[Row]], None]


def _ask_runs(asked: Sequence[RunOf | InboxOf | HistoryOf]) -> list[bytes]:
    return [pg.uuids([each.run for each in asked])]


def _fill_runs(answers: Answers, asked: Sequence[RunOf], found: Sequence[Row]) -> None:
    answers.runs.update({each: Run() for each in asked})
    for run, data, length, epoch, *flags in found:
        answers.runs[RunOf(run)] = Run(
            rows.RUN.decode(data),
            pg.to_int(length),
            pg.to_int(epoch),
            *map(pg.to_bool, flags),
        )


def _fill_inboxes(
    answers: Answers, asked: Sequence[InboxOf], found: Sequence[Row]
) -> None:
    answers.inboxes.update({each: [] for each in asked})
    for run, number, data in found:
        row = rows.decode_inbox(pg.to_int(number), data)
        answers.inboxes[InboxOf(run)].append(row)


def _fill_histories(
    answers: Answers, asked: Sequence[HistoryOf], found: Sequence[Row]
) -> None:
    answers.histories.update({each: [] for each in asked})
    for run, data in found:
        answers.histories[HistoryOf(run)].append(data)


def _ask_timers(asked: Sequence[TimerOf]) -> list[bytes]:
    runs, steps, kinds = zip(*asked, strict=True)
    return [pg.uuids(runs), pg.uuids(steps), pg.texts(kinds)]


def _fill_timers(
    answers: Answers, asked: Sequence[TimerOf], found: Sequence[Row]
) -> None:
    answers.timers.update(dict.fromkeys(asked, 0))
    for run, step, kind, due in found:
        answers.timers[TimerOf(run, step, kind.decode())] = pg.to_time(due)


def _ask_waits(asked: Sequence[WaitOf]) -> list[bytes]:
    runs, steps = zip(*asked, strict=True)
    return [pg.uuids(runs), pg.uuids(steps)]


def _fill_waits(
    answers: Answers, asked: Sequence[WaitOf], found: Sequence[Row]
) -> None:
    answers.waits.update(dict.fromkeys(asked))
    for run, step, data in found:
        answers.waits[WaitOf(run, step)] = rows.WAIT.decode(data)


def _ask_consumed(asked: Sequence[ConsumedBy]) -> list[bytes]:
    runs, positions = zip(*asked, strict=True)
    return [pg.uuids(runs), pg.int8s(positions)]


def _fill_consumed(
    answers: Answers, asked: Sequence[ConsumedBy], found: Sequence[Row]
) -> None:
    answers.consumed.update(dict.fromkeys(asked, False))
    for run, position in found:
        answers.consumed[ConsumedBy(run, pg.to_int(position))] = True


def _ask_events(asked: Sequence[EventAt]) -> list[bytes]:
    return [pg.int8s([each.position for each in asked])]


def _fill_events(
    answers: Answers, asked: Sequence[EventAt], found: Sequence[Row]
) -> None:
    for place, data in found:
        position = pg.to_int(place)
        answers.events[EventAt(position)] = rows.decode_event(position, data)


def _ask_pages(asked: Sequence[EventsNamed]) -> list[bytes]:
    names, places = zip(*asked, strict=True)
    return [pg.texts(names), pg.int8s(places), pg.int8(PAGE_OF_EVENTS)]


def _fill_pages(
    answers: Answers, asked: Sequence[EventsNamed], found: Sequence[Row]
) -> None:
    answers.pages.update({each: [] for each in asked})
    for place, position, data in found:
        stored = rows.decode_event(pg.to_int(position), data)
        answers.pages[asked[pg.to_int(place) - 1]].append(stored)


def _ask_keys(asked: Sequence[EventByKey]) -> list[bytes]:
    return [pg.uuids([each.key for each in asked])]


def _fill_keys(
    answers: Answers, asked: Sequence[EventByKey], found: Sequence[Row]
) -> None:
    answers.keys.update(dict.fromkeys(asked))
    for key, position in found:
        answers.keys[EventByKey(key)] = pg.to_int(position)


def _ask_paths(asked: Sequence[PathsOf]) -> list[bytes]:
    return [pg.texts([each.event for each in asked])]


def _fill_paths(
    answers: Answers, asked: Sequence[PathsOf], found: Sequence[Row]
) -> None:
    answers.paths.update({each: {} for each in asked})
    for place, key, path in found:
        answers.paths[asked[pg.to_int(place) - 1]][path.decode()] = key


def _ask_fitting(asked: Sequence[WaitsFor]) -> list[bytes]:
    events, paths, keys, runs, sequences = zip(*asked, strict=True)
    return [
        pg.texts(events),
        pg.uuids(paths),
        pg.byteas(keys),
        pg.uuids(runs),
        pg.int8s(sequences),
        pg.int8(limits.DELIVERIES_PER_COMMIT_MAX),
    ]


def _fill_fitting(
    answers: Answers, asked: Sequence[WaitsFor], found: Sequence[Row]
) -> None:
    answers.fitting.update({each: [] for each in asked})
    for place, data in found:
        row = rows.WAIT.decode(data)
        answers.fitting[asked[pg.to_int(place) - 1]].append(row)
        answers.waits[WaitOf(pg.run(row.run_id), pg.digest(row.step))] = row


def _ask_seeking(asked: Sequence[Seeking]) -> list[bytes]:
    runs, sequences = zip(*asked, strict=True)
    limit = pg.int8(limits.DELIVERIES_PER_COMMIT_MAX)
    return [pg.uuids(runs), pg.int8s(sequences), limit]


def _fill_seeking(
    answers: Answers, asked: Sequence[Seeking], found: Sequence[Row]
) -> None:
    answers.seeking.update({each: [] for each in asked})
    for place, data in found:
        row = rows.WAIT.decode(data)
        answers.seeking[asked[pg.to_int(place) - 1]].append(row)


def _ask_match_paths(asked: Sequence[MatchPathsOf]) -> list[bytes]:
    return [pg.texts([each.event for each in asked])]


def _fill_match_paths(
    answers: Answers, asked: Sequence[MatchPathsOf], found: Sequence[Row]
) -> None:
    answers.match_paths.update({each: {} for each in asked})
    for place, data in found:
        row = rows.MATCH_PATH.decode(data)
        answers.match_paths[asked[pg.to_int(place) - 1]][row.path] = row


def _ask_matches(asked: Sequence[MatchesOf]) -> list[bytes]:
    events, paths, keys, places = zip(*asked, strict=True)
    limit = pg.int8(PAGE_OF_EVENTS)
    arrays = pg.texts(events), pg.uuids(paths), pg.byteas(keys), pg.int8s(places)
    return [*arrays, limit]


def _fill_matches(
    answers: Answers, asked: Sequence[MatchesOf], found: Sequence[Row]
) -> None:
    answers.matches.update({each: [] for each in asked})
    for place, position in found:
        answers.matches[asked[pg.to_int(place) - 1]].append(pg.to_int(position))


def _ask_paused(asked: Sequence[PausedOf]) -> list[bytes]:
    return [pg.texts([each.function for each in asked])]


def _fill_paused(
    answers: Answers, asked: Sequence[PausedOf], found: Sequence[Row]
) -> None:
    answers.paused.update({each: [] for each in asked})
    for function, data in found:
        answers.paused[PausedOf(function.decode())].append(rows.RUN.decode(data))


def _ask_registry(_: Sequence[Registry]) -> list[bytes]:
    return []


def _fill_registry(
    answers: Answers, _: Sequence[Registry], found: Sequence[Row]
) -> None:
    functions = [rows.FUNCTION.decode(data) for (data,) in found]
    answers.registry = {row.id: row for row in functions}


_KINDS: Final[dict[type[Question], tuple[Statement, Params, Fill]]] = {
    RunOf: (_RUNS, _ask_runs, _fill_runs),
    InboxOf: (_INBOXES, _ask_runs, _fill_inboxes),
    HistoryOf: (_HISTORIES, _ask_runs, _fill_histories),
    TimerOf: (_TIMERS, _ask_timers, _fill_timers),
    WaitOf: (_WAITS, _ask_waits, _fill_waits),
    ConsumedBy: (_CONSUMED, _ask_consumed, _fill_consumed),
    EventAt: (_EVENTS, _ask_events, _fill_events),
    EventsNamed: (_EVENTS_NAMED, _ask_pages, _fill_pages),
    EventByKey: (_EVENT_KEYS, _ask_keys, _fill_keys),
    PathsOf: (_PATHS, _ask_paths, _fill_paths),
    WaitsFor: (_WAITS_FOR, _ask_fitting, _fill_fitting),
    Seeking: (_SEEKING, _ask_seeking, _fill_seeking),
    MatchPathsOf: (_MATCH_PATHS, _ask_match_paths, _fill_match_paths),
    MatchesOf: (_MATCHES, _ask_matches, _fill_matches),
    PausedOf: (_PAUSED, _ask_paused, _fill_paused),
    Registry: (_REGISTRY, _ask_registry, _fill_registry),
}


@final
class Lookup:
    """Questions that are asked together: their calls, and where their answers go."""

    def __init__(self, questions: Iterable[Question]) -> None:
        # Questions of two kinds may be equal: they are tuples.
        groups: dict[type[Question], dict[Question, None]] = {}
        for question in questions:
            groups.setdefault(type(question), {})[question] = None
        self._groups: Final = {kind: list(asked) for kind, asked in groups.items()}

    def calls(self, environment: bytes) -> list[Call]:
        """Return one call for each kind of question."""
        return [
            (statement, [environment, *params(asked)])
            for statement, params, _, asked in self._kinds()
        ]

    def fill(self, answers: Answers, results: Sequence[Sequence[Row]]) -> None:
        """Take the rows of those calls into the answers."""
        for (_, _, fill, asked), found in zip(self._kinds(), results, strict=True):
            fill(answers, asked, found)

    def _kinds(self) -> Iterator[tuple[Statement, Params, Fill, Sequence[Any]]]:
        for kind, asked in self._groups.items():
            yield (*_KINDS[kind], asked)
