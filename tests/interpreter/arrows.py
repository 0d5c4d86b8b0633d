"""Which lines of the tables of states a history takes."""

from collections.abc import Iterable

from ironflow.interpreter import states
from ironflow.interpreter.effective import effective
from ironflow.interpreter.states import Fact, fact
from ironflow.records import Entry, RunContinued, RunEnded

Arrow = tuple[str, str, Fact]


def drawn() -> set[Arrow]:
    """Return every line of the tables."""
    tables = {"run": states.RUN, "operation": states.OPERATION}
    return {(name, *arrow) for name, table in tables.items() for arrow in table}


def taken(history: Iterable[Entry]) -> set[Arrow]:
    """Return the lines that a history takes, up to what no run can write."""
    arrows: set[Arrow] = set()
    run, operations = states.ABSENT, dict[str, str]()
    for entry in effective(history).entries:
        record = entry.record
        if (run, fact(record)) not in states.RUN:
            break
        arrows.add(("run", run, fact(record)))
        run = states.RUN[run, fact(record)]
        ids = [record.id] if record.id else []
        if isinstance(record, RunEnded | RunContinued):
            ids = list(operations)
        for id_ in ids:
            before = operations.get(id_, states.ABSENT)
            if (before, fact(record)) in states.OPERATION:
                arrows.add(("operation", before, fact(record)))
                operations[id_] = states.OPERATION[before, fact(record)]
    return arrows
