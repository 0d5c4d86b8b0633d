"""Runs by their attributes, as the part of a statement that a list begins with.

Statements are planned once, maybe on empty tables, so the order of looks is written down:
first the runs with one attribute, newest first, then row by row whatever else is asked.
"""

from collections.abc import Callable, Sequence
from typing import Final

from ironflow.journal.postgres import encoding as pg
from ironflow.policy.attributes import AttributeFilter

_READINGS_MAX: Final = 2  # of what a filter compares with: a text, and something else
_NO_RANGE: Final = (b"", b"")

_ROW: Final = (
    " CROSS JOIN LATERAL (SELECT run, data, function, status, parent FROM runs"
    " WHERE environment = $1 AND run = a.run OFFSET 0) r"
)

Put = Callable[[bytes], str]
"""Takes a parameter, returns its place: `$7`."""


def shape(filters: Sequence[AttributeFilter]) -> str:
    """Return what tells the statements of these filters from others: there are few."""
    single = sum(map(_is_one_value, filters))
    return f"is{single}_in{len(filters) - single}"


def source(filters: Sequence[AttributeFilter], bounds: str, put: Put) -> str:
    """Return the runs, as `r`, that pass filters; `a.run` is their order in lists.

    `bounds` are conditions on the column run, each behind an AND.
    """
    first, *others = sorted(filters, key=_is_one_value, reverse=True)
    text = f"({_runs_with(first, bounds, put)}) a"
    for place, each in enumerate(others):
        name, tests = put(pg.text(each.name)), _tests(each, put)
        text += (
            " CROSS JOIN LATERAL (SELECT FROM run_attributes"
            f" WHERE environment = $1 AND run = a.run AND name = {name}::text"
            f" AND ({' OR '.join(tests)}) OFFSET 0) b{place}"
        )
    return text + _ROW


def _is_one_value(wanted: AttributeFilter) -> bool:
    return wanted.is_equality and len(wanted.ranges) == 1


def _runs_with(wanted: AttributeFilter, bounds: str, put: Put) -> str:
    """One value has its runs in order; what is in ranges is gathered and sorted."""
    name = put(pg.text(wanted.name))
    parts = [
        "SELECT run FROM run_attributes WHERE environment = $1::integer"  # noqa: S608 - parts of ours
        f" AND name = {name}::text AND {test}{bounds}"
        for test in _tests(wanted, put)
    ]
    if len(parts) == 1:
        return f"{parts[0]} ORDER BY run DESC OFFSET 0"
    return f"SELECT run FROM ({' UNION ALL '.join(parts)}) u ORDER BY run DESC OFFSET 0"  # noqa: S608 - as above


def _tests(wanted: AttributeFilter, put: Put) -> list[str]:
    if _is_one_value(wanted):
        return [f"value = {put(wanted.ranges[0][0])}::bytea"]
    ranges = (*wanted.ranges, _NO_RANGE)[:_READINGS_MAX]
    return [
        f"(value >= {put(first)}::bytea AND value < {put(beyond)}::bytea)"
        for first, beyond in ranges
    ]
