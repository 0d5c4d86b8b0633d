"""Statements find rows by index, also when they were planned on empty tables."""

import re
from collections.abc import Iterator
from types import ModuleType

import pytest
import trio

from ironflow.journal.base import RunQuery
from ironflow.journal.postgres import (
    batch,
    claims,
    event_reads,
    flush,
    flush_redactions,
    memory,
    packing,
    queries,
    reads,
)
from ironflow.journal.postgres._psycopg import (
    Database,
    Statement,
    connect_plain,
)
from ironflow.journal.postgres.address import parse_address
from ironflow.journal.postgres.link import Options, Server
from ironflow.journal.postgres.store import open_postgres
from ironflow.policy.attributes import parse_filters
from tests.journal.postgres.server import Server as PostgresServer

MODULES: tuple[ModuleType, ...] = (
    batch,
    claims,
    event_reads,
    flush,
    flush_redactions,
    memory,
    packing,
    queries,
    reads,
)
# These look at all rows of an environment, at most until a limit.
WHOLE = {"registry", "counts"}
# These are passed over: they have no plan, or look at a handful of nodes.
PLAIN = {"begin", "commit", "relaxed", "lock", "notify", "head"}
# This looks at that handful besides what is looked at here.
NODES = re.compile(r"Seq Scan on nodes")
FORBIDDEN = re.compile(r"Seq Scan|Bitmap|Materialize|hashed SubPlan|Join Filter|Hash")
ONLY_ENVIRONMENT = re.compile(r"Index Cond: \((\w+\.)?environment = \S+\)$")


def statements() -> Iterator[Statement]:
    for module in MODULES:
        for value in vars(module).values():
            if isinstance(value, Statement) and value.name not in PLAIN:
                yield value
    yield reads._search(RunQuery(status="waiting"))[0]
    yield reads._search(RunQuery(function_id="f", status="failed"))[0]
    yield reads._search(RunQuery(parent_run="run_" + 32 * "0"))[0]
    yield reads._search(RunQuery(function_id="f", since=1, until=9))[0]
    for texts in (["a=x"], ["a=x", "b=1"], ["a>=1"]):
        yield reads._search(RunQuery(attributes=parse_filters(texts)))[0]


UNIQUE = {statement.name: statement for statement in statements()}


@pytest.fixture(scope="module")
def empty(server: PostgresServer) -> Iterator[Database]:
    """Return a session of the journal on tables that were just made."""
    address = parse_address(server.url("plans"))

    async def make() -> None:
        await (await open_postgres(server.url("plans"))).close()

    trio.run(make)
    settings = Server(address, Options()).settings
    with connect_plain(address.conninfo, settings) as database:
        yield database
        database.execute("DROP SCHEMA plans CASCADE")


@pytest.mark.parametrize("name", sorted(UNIQUE))
def test_a_plan_made_on_empty_tables_is_good_for_full_ones(
    empty: Database, name: str
) -> None:
    """It is kept: a table that grows to millions of rows must not be read whole."""
    sql = UNIQUE[name].sql
    count = max((int(each) for each in re.findall(r"\$(\d+)", sql)), default=0)
    values = f"({', '.join(['NULL'] * count)})" if count else ""
    empty.execute(f"PREPARE tried AS {sql}".encode())
    rows = empty.execute(f"EXPLAIN EXECUTE tried{values}".encode()).fetchall()
    empty.execute("DEALLOCATE tried")
    plan = "\n".join(str(line) for (line,) in rows)

    assert not FORBIDDEN.search(NODES.sub("", plan)), plan
    if name not in WHOLE:
        assert not reads_an_environment(plan.splitlines()), plan


def reads_an_environment(plan: list[str]) -> bool:
    """Say whether a node reads all rows of an environment, and not the first alone."""
    return any(
        ONLY_ENVIRONMENT.search(line) and not is_limited(plan[:place])
        for place, line in enumerate(plan)
    )


def is_limited(above: list[str]) -> bool:
    """Say whether the last of these nodes stops at a limit.

    Not if a node between them must have all rows before it gives one.
    """
    depth = len(above[-1])
    for line in reversed(above):
        indent = len(line) - len(line.lstrip())
        if "(cost=" not in line or indent >= depth:
            continue
        depth = indent
        if re.search(r"(Sort|Aggregate|Hash|Unique|Group) ", line):
            return False
        if "Limit " in line:
            return True
    return False
