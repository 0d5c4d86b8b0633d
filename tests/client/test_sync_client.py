"""The sync client is the async one with other words."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ironflow
from tests.client.conftest import Blocking
from tests.transport.conftest import Server

ROOT = Path(__file__).parent.parent.parent
METHODS = sorted(
    name
    for name, _ in inspect.getmembers(ironflow.AsyncClient, inspect.isfunction)
    if not name.startswith("_") and name != "aclose"
)


@pytest.mark.slow
def test_it_is_what_the_script_makes() -> None:
    finished = subprocess.run(
        [sys.executable, ROOT / "scripts" / "sync-client", "--check"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(Path(sys.executable).parent)},
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize("name", METHODS)
def test_a_method_takes_the_same(name: str) -> None:
    ours = inspect.signature(getattr(ironflow.Client, name))
    theirs = inspect.signature(getattr(ironflow.AsyncClient, name))

    assert list(ours.parameters.values()) == list(theirs.parameters.values())
    assert not inspect.iscoroutinefunction(getattr(ironflow.Client, name))


async def test_a_program_without_an_event_loop_uses_a_server(
    server: Server, blocking: Blocking[Any]
) -> None:
    def work(client: ironflow.Client) -> None:
        [run] = client.emit_sync("order.placed", {"id": "o1"}, timeout="5s")
        assert run.unwrap()["order"] == "o1"
        assert client.get_run(run.id).result() == run
        assert client.list_runs() == [run]
        assert [each.id for each in client.steps(run.id)] == ["charge:0"]
        assert len(client.history(run.id)) == 3
        client.delete_run(run.id)
        with pytest.raises(ironflow.RunNotFound):
            client.get_run(run.id)

    await blocking(work)
