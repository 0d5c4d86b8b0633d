"""Tables come into being once, whoever is first; what is newer or foreign is refused."""

import psycopg
import pytest
import trio

from ironflow.errors import ConfigurationError, JournalForeign, JournalNewer
from ironflow.journal.postgres import schema
from ironflow.journal.postgres.address import parse_address
from ironflow.journal.postgres.store import open_postgres
from tests.journal.postgres.server import Server


def connected(url: str) -> "psycopg.Connection[tuple[object, ...]]":
    address = parse_address(url)
    path = f"-csearch_path={address.schema}"
    return psycopg.connect(address.conninfo, autocommit=True, options=path)


async def test_engines_that_start_at_once_make_the_tables_once(url: str) -> None:
    async def start() -> None:
        await (await open_postgres(url)).close()

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(start)

    with connected(url) as database:
        found = database.execute("SELECT version FROM schema_version").fetchall()
    assert sorted(found) == [(number + 1,) for number in range(schema.VERSION)]


async def test_environments_in_one_schema_do_not_see_each_other(url: str) -> None:
    one = await open_postgres(url, environment="one")
    other = await open_postgres(url, environment="other")
    await one.close()
    await other.close()

    with connected(url) as database:
        names = database.execute("SELECT name FROM environments").fetchall()
    assert sorted(names) == [("one",), ("other",)]


async def test_tables_of_a_newer_version_are_left_alone(url: str) -> None:
    await (await open_postgres(url)).close()
    with connected(url) as database:
        database.execute(
            "INSERT INTO schema_version VALUES (%s)", (schema.VERSION + 1,)
        )

    with pytest.raises(JournalNewer, match="upgrade ironflow"):
        await open_postgres(url)


async def test_tables_of_something_else_are_left_alone(url: str) -> None:
    name = parse_address(url).schema
    with connected(url) as database:
        database.execute(f"CREATE SCHEMA {name}")
        database.execute("CREATE TABLE customers (id integer)")

    with pytest.raises(JournalForeign, match="'customers'"):
        await open_postgres(url)


async def test_a_migration_that_fails_leaves_the_version_before(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await open_postgres(url)).close()
    good = "CREATE TABLE more (x integer)"
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    monkeypatch.setattr(
        schema, "MIGRATIONS", (*schema.MIGRATIONS, f"{good}; SELECT 1/0")
    )
    with pytest.raises(ConfigurationError, match="division by zero"):
        await open_postgres(url)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS[:-1], good))

    await (await open_postgres(url)).close()

    with connected(url) as database:
        found = database.execute("SELECT max(version) FROM schema_version").fetchone()
        assert found == (schema.VERSION,)
        assert database.execute("SELECT * FROM more").fetchall() == []


async def test_a_database_that_stores_no_unicode_is_refused(server: Server) -> None:
    with psycopg.connect(server.url(), autocommit=True) as database:
        database.execute(
            "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
        )

    with pytest.raises(ConfigurationError, match=r"LATIN1.*UTF8"):
        await open_postgres(server.url(database="latin"))


async def test_every_table_and_its_riddles_are_explained(url: str) -> None:
    await (await open_postgres(url)).close()

    with connected(url) as database:
        bare = database.execute(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace ="
            " current_schema()::regnamespace AND c.relkind = 'r'"
            " AND obj_description(c.oid, 'pg_class') IS NULL"
        ).fetchall()
    assert bare == []
