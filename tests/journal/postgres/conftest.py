"""A server for the session, a schema for each test, and a scene on it."""

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count

import psycopg
import pytest
from psycopg import sql

from ironflow.journal.base import Journal
from ironflow.journal.postgres.link import Options
from ironflow.journal.postgres.store import open_postgres
from ironflow.testing.checks_scene import Scene
from tests.journal.postgres.server import NoServer, Server

_schemas = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Start a server; without one the tests are skipped, except in CI."""
    try:
        started = Server()
    except NoServer as error:
        if os.environ.get("CI"):
            pytest.fail(f"{error}; CI needs one: install postgresql")
        pytest.skip(str(error))
    try:
        yield started
    finally:
        started.remove()


@pytest.fixture(scope="session", autouse=True)
def takeover(
    request: pytest.FixtureRequest,
) -> "Iterator[subprocess.Popen[str] | None]":
    """Begin what takes long by the clock and little else, beside all other tests."""
    if not any(item.path.name == "test_takeover.py" for item in request.session.items):
        yield None
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.journal.postgres.takeover"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """Return the URL of a journal that nobody has opened yet."""
    if not server.is_running:  # a test was ended while it had stopped the server
        server.start()
    schema = f"test_{next(_schemas)}"
    yield server.url(schema)
    if server.is_running:
        with psycopg.connect(server.url(), autocommit=True) as database:
            name = sql.Identifier(schema)
            database.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(name))


def store_at(
    url: str, *, environment: str = "default", options: Options | None = None
) -> Callable[[], AbstractAsyncContextManager[Journal]]:
    """Return a function that opens the journal each time it is called."""

    @asynccontextmanager
    async def open_journal() -> AsyncGenerator[Journal]:
        journal = await open_postgres(url, environment=environment, options=options)
        try:
            yield journal
        finally:
            await journal.close()

    return open_journal


@pytest.fixture
def scene(url: str) -> Scene:
    return Scene("postgres", store_at(url))
