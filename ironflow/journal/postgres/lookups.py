"""How questions are asked: all of a kind in one statement, and where answers go."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, final

from ironflow import limits
from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres import queries as sql
from ironflow.journal.postgres import rows
from ironflow.journal.postgres._psycopg import Call, Row, Statement
from ironflow.journal.postgres.questions import (
    Answers,
    ConsumedBy,
    DocumentOf,
    EventAt,
    EventByKey,
    EventsNamed,
    GoingOf,
    HistoryOf,
    InboxOf,
    MatchesOf,
    MatchPathsOf,
    OldestEvents,
    PathsOf,
    PausedOf,
    PayloadOf,
    Question,
    RecordOf,
    RecordsGone,
    Registry,
    Run,
    RunOf,
    Seeking,
    TimerOf,
    WaitOf,
    WaitsFor,
)

PAGE_OF_EVENTS: Final = 200  # looked through at once for one that a new wait may have


# --- how a kind of question is asked and answered ---------------------------------

Params = Callable[[Sequence[Any]], list[bytes]]
Fill = Callable[[Answers, Sequence[Any], Sequence[Row]], None]


def _ask_runs(asked: Sequence[RunOf | InboxOf | HistoryOf]) -> list[bytes]:
    return [pg.uuids([each.run for each in asked])]


def _fill_runs(answers: Answers, asked: Sequence[RunOf], found: Sequence[Row]) -> None:
    answers.runs.update({each: Run() for each in asked})
    for run, *columns in found:
        answers.runs[RunOf(run)] = _run(columns)


def _run(columns: Sequence[bytes]) -> Run:
    data, length, epoch, *flags = columns
    return Run(
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


def _ask_records(asked: Sequence[RecordOf]) -> list[bytes]:
    runs, sequences = zip(*asked, strict=True)
    return [pg.uuids(runs), pg.int8s(sequences)]


def _fill_records(
    answers: Answers, asked: Sequence[RecordOf], found: Sequence[Row]
) -> None:
    for run, sequence, data in found:
        answers.records[RecordOf(run, pg.to_int(sequence))] = data


def _ask_payloads(asked: Sequence[PayloadOf]) -> list[bytes]:
    return [pg.byteas([each.digest for each in asked])]


def _fill_payloads(
    answers: Answers, asked: Sequence[PayloadOf], found: Sequence[Row]
) -> None:
    answers.payloads.update({PayloadOf(digest): data for digest, data in found})


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
    answers.events.update(dict.fromkeys(asked))
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
    for place, data, due, run, *columns in found:
        row = rows.WAIT.decode(data)
        key = pg.digest(row.step)
        answers.fitting[asked[pg.to_int(place) - 1]].append(row)
        answers.waits[WaitOf(run, key)] = row
        answers.timers[TimerOf(run, key, "wait")] = pg.to_time(due) if due else 0
        if RunOf(run) not in answers.runs:
            answers.runs[RunOf(run)] = _run(columns)


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


def _ask_limits(asked: Sequence[OldestEvents | RecordsGone]) -> list[bytes]:
    return [pg.int8s([each.limit for each in asked])]


def _fill_oldest(
    answers: Answers, asked: Sequence[OldestEvents], found: Sequence[Row]
) -> None:
    answers.oldest.update({each: [] for each in asked})
    for wanted, position, data in found:
        stored = rows.decode_event(pg.to_int(position), data)
        answers.oldest[OldestEvents(pg.to_int(wanted))].append(stored)


def _ask_going(asked: Sequence[GoingOf]) -> list[bytes]:
    return [pg.uuids([each.run for each in asked])]


def _fill_going(
    answers: Answers, asked: Sequence[GoingOf], found: Sequence[Row]
) -> None:
    answers.going.update(dict.fromkeys(asked, False))
    answers.going.update({GoingOf(run): True for (run,) in found})


def _fill_gone(
    answers: Answers, _: Sequence[RecordsGone], found: Sequence[Row]
) -> None:
    for wanted, count in found:
        answers.gone[RecordsGone(pg.to_int(wanted))] = pg.to_int(count)


def _ask_documents(asked: Sequence[DocumentOf]) -> list[bytes]:
    kinds, names = zip(*asked, strict=True)
    return [pg.texts(kinds), pg.texts(names)]


def _fill_documents(
    answers: Answers, asked: Sequence[DocumentOf], found: Sequence[Row]
) -> None:
    answers.documents.update(dict.fromkeys(asked))
    for columns in found:
        row = rows.document(columns)
        answers.documents[DocumentOf(row.kind, row.id)] = row


def _ask_registry(_: Sequence[Registry]) -> list[bytes]:
    return []


def _fill_registry(
    answers: Answers, _: Sequence[Registry], found: Sequence[Row]
) -> None:
    functions = [rows.FUNCTION.decode(data) for (data,) in found]
    answers.registry = {row.id: row for row in functions}


_KINDS: Final[dict[type[Question], tuple[Statement, Params, Fill]]] = {
    RunOf: (sql.RUNS, _ask_runs, _fill_runs),
    InboxOf: (sql.INBOXES, _ask_runs, _fill_inboxes),
    HistoryOf: (sql.HISTORIES, _ask_runs, _fill_histories),
    RecordOf: (sql.RECORDS, _ask_records, _fill_records),
    PayloadOf: (sql.BLOBS, _ask_payloads, _fill_payloads),
    TimerOf: (sql.TIMERS, _ask_timers, _fill_timers),
    WaitOf: (sql.WAITS, _ask_waits, _fill_waits),
    ConsumedBy: (sql.CONSUMED, _ask_consumed, _fill_consumed),
    EventAt: (sql.EVENTS, _ask_events, _fill_events),
    EventsNamed: (sql.EVENTS_NAMED, _ask_pages, _fill_pages),
    EventByKey: (sql.EVENT_KEYS, _ask_keys, _fill_keys),
    PathsOf: (sql.PATHS, _ask_paths, _fill_paths),
    WaitsFor: (sql.WAITS_FOR, _ask_fitting, _fill_fitting),
    Seeking: (sql.SEEKING, _ask_seeking, _fill_seeking),
    MatchPathsOf: (sql.MATCH_PATHS, _ask_match_paths, _fill_match_paths),
    MatchesOf: (sql.MATCHES, _ask_matches, _fill_matches),
    PausedOf: (sql.PAUSED, _ask_paused, _fill_paused),
    OldestEvents: (sql.OLDEST, _ask_limits, _fill_oldest),
    GoingOf: (sql.GOING, _ask_going, _fill_going),
    RecordsGone: (sql.RECORDS_GONE, _ask_limits, _fill_gone),
    DocumentOf: (sql.DOCUMENTS, _ask_documents, _fill_documents),
    Registry: (sql.REGISTRY, _ask_registry, _fill_registry),
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
