"""Clients and a real server, over sockets: every kind of program, and a crash in between."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit

import pytest
import trio

import ironflow
from tests.commands.conftest import APP
from tests.commands.served import Served, start

pytestmark = pytest.mark.e2e
ORDER = {"id": "o1", "total": 10, "items": ["book", "pen"]}
PATIENT = ironflow.Retry(max_attempts=1_000, initial_delay="200ms", factor=1)


def opened(directory: Path, *args: str) -> tuple[Served, dict[str, Any]]:
    """Start a server; return it, and the line that it prints when it is ready."""
    process = start("--app", APP, "--data-dir", str(directory), "--json", *args)
    line = cast("IO[str]", process.stdout).readline()
    if not line:
        raise RuntimeError(process.communicate()[1])
    first = json.loads(line)
    return Served(first["url"], process), first


async def order(client: ironflow.AsyncClient) -> object:
    async with client:
        [run] = await client.emit_sync("order.placed", ORDER)
        return run.unwrap()["parcels"]


def test_every_kind_of_program_uses_a_server_that_asks_for_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, first = opened(tmp_path / "data")
    try:
        monkeypatch.setenv("IRONFLOW_SERVER_URL", server.url)
        with (
            ironflow.Client() as stranger,
            pytest.raises(ironflow.ServerError, match="IRONFLOW_API_KEY") as caught,
        ):
            stranger.list_runs()
        monkeypatch.setenv("IRONFLOW_API_KEY", first["api_key"])

        on_trio = trio.run(order, ironflow.AsyncClient())
        on_asyncio = asyncio.run(order(ironflow.AsyncClient()))
        with ironflow.Client() as client:
            [run] = client.emit_sync("order.placed", ORDER)
            counts = {each.function_id: each.runs for each in client.count_runs()}
    finally:
        server.process.kill()
        server.end()

    assert caught.value.status == 401
    assert on_trio == on_asyncio == run.unwrap()["parcels"]
    assert counts["process-order"] == 3


def test_who_waits_for_a_run_waits_through_a_crash_of_the_server(
    tmp_path: Path,
) -> None:
    server, _ = opened(tmp_path / "data", "--dev")
    port = str(urlsplit(server.url).port)
    with (
        ironflow.Client(server.url, retry=PATIENT) as client,
        ThreadPoolExecutor() as threads,
    ):
        try:
            [run_id] = client.emit("approval.asked", {"id": 1}).run_ids
            waiting = threads.submit(client.result, run_id, "3m")
        finally:
            server.process.kill()
            server.end()
        second, _ = opened(tmp_path / "data", "--dev", "--port", port)
        try:
            client.emit("approval.given", {"id": 1})
            run = waiting.result(timeout=200)
        finally:
            second.process.kill()
            second.end()

    assert run.unwrap() == {"id": 1}
