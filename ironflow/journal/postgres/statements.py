"""Statements over many rows at once, and calls of them with the rows in arrays."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from ironflow.journal.postgres._psycopg import Call, Statement

STATEMENT_BYTES_MAX: Final = 32 * 1024 * 1024

Encoder = Callable[[Any], bytes]


def emptied(table: str) -> Statement:
    """Return the statement that deletes all rows of runs."""
    return Statement(
        f"empty_{table}",
        f"DELETE FROM {table} WHERE environment = $1::integer"  # noqa: S608 - names of tables and columns, none of them from outside
        " AND run = ANY ($2::uuid[])",
    )


def dropped(table: str, **keys: str) -> Statement:
    """Return the one that deletes rows by keys, `name="type"`, each looked up by itself."""
    arrays = ", ".join(
        f"${place}::{kind}[]" for place, kind in enumerate(keys.values(), 2)
    )
    equal = " AND ".join(f"{name} = a.{name}" for name in keys)
    return Statement(
        f"drop_{table}",
        f"DELETE FROM {table} WHERE ctid = ANY (ARRAY ("  # noqa: S608 - names of ours
        f"SELECT t.ctid FROM unnest({arrays}) AS a ({', '.join(keys)})"
        f" CROSS JOIN LATERAL (SELECT ctid FROM {table}"
        f" WHERE environment = $1::integer AND {equal} OFFSET 0) t))",
    )


def inserted(table: str, after: str = "", **columns: str) -> Statement:
    """Return the one that puts rows of columns, `name="type"`.

    `after` says what becomes of conflicts.
    """
    arrays = ", ".join(
        f"${place}::{kind}[]" for place, kind in enumerate(columns.values(), 2)
    )
    return Statement(
        f"put_{table}",
        f"INSERT INTO {table} (environment, {', '.join(columns)})"  # noqa: S608 - names of tables and columns, none of them from outside
        f" SELECT $1::integer, * FROM unnest({arrays}) {after}",
    )


def called(
    statement: Statement,
    environment: bytes,
    values: Sequence[tuple[Any, ...]],
    encoders: Sequence[Encoder],
) -> Iterator[Call]:
    """Yield a call with these rows, or several if they are large."""
    for part in _parts(values):
        columns = zip(*part, strict=True)
        arrays = [
            encode(column) for encode, column in zip(encoders, columns, strict=True)
        ]
        yield statement, [environment, *arrays]


def _parts(values: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Cut rows where their last columns, the data, become too large together."""
    begun, size = 0, 0
    for place, value in enumerate(values):
        size += len(value[-1]) if isinstance(value[-1], bytes) else 0
        if size > STATEMENT_BYTES_MAX and place > begun:
            yield values[begun:place]
            begun, size = place, 0
    if begun < len(values):
        yield values[begun:]
