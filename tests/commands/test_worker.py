"""`ironflow worker` as a process: its start, its work, its end."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import pytest

from tests.commands.conftest import ironflow
from tests.commands.served import ENVIRONMENT, Served, serving

EMPTY = "import ironflow\napp = ironflow.App(functions=[])\n"
FLOW = """
import pathlib, sys, threading
import ironflow

HERE = pathlib.Path(__file__).parent

def wait(name: str) -> str:
    with (HERE / "calls").open("a") as file:
        print(name, file=file)
    print("begun", name, flush=True)
    while not (HERE / "go").exists():
        threading.Event().wait(0.01)
    return name

@ironflow.function(id="flow", triggers=["go"])
async def flow(ctx):
    first = await ctx.step.run("quick", str, "a")
    return first + await ctx.step.run("wait", wait, "b")

app = ironflow.App(functions=[flow])
"""


@contextmanager
def working(server: Served, app: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Run a worker until the block ends; it is connected."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "ironflow", "worker"),
            *("--app", app, "--server", server.url, *args),
        ],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = said(process)
        assert "carries out 1 function" in line, process.communicate()[1]
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


def emit(server: Served) -> str:
    """Start a run; return its id."""
    found = ironflow("emit", "go", "--server", server.url, "--json")
    run_id: str = json.loads(found.stdout)["run_ids"][0]
    return run_id


def said(process: subprocess.Popen[str]) -> str:
    return cast("IO[str]", process.stdout).readline()


@pytest.fixture
def app(tmp_path: Path) -> str:
    (tmp_path / "flow.py").write_text(FLOW)
    return f"{tmp_path / 'flow.py'}:app"


@pytest.fixture
def empty(tmp_path: Path) -> str:
    (tmp_path / "empty.py").write_text(EMPTY)
    return f"{tmp_path / 'empty.py'}:app"


@pytest.mark.e2e
def test_a_killed_worker_is_followed_by_another(
    tmp_path: Path, app: str, empty: str
) -> None:
    """What was recorded is not done again; the run says who was lost."""
    with serving(tmp_path / "data", app=empty) as server:
        with working(server, app, "--name", "one") as one:
            run_id = emit(server)
            assert said(one) == "begun b\n"
            one.kill()
            with working(server, app, "--name", "two") as two:
                assert said(two) == "begun b\n"
                now = ironflow("runs", "show", run_id, "--server", server.url)
                (tmp_path / "go").touch()
                run = server.get(f"/api/v1/runs/{run_id}?wait=8")
                two.send_signal(signal.SIGTERM)
                two.wait(20)
        shown = ironflow("runs", "show", run_id, "--data-dir", str(tmp_path / "data"))

    assert "worker two carries it on now" in now.stdout
    assert run.json()["status"] == "completed"
    assert "carried_by" not in run.json()
    assert (tmp_path / "calls").read_text() == "b\nb\n"
    assert two.returncode == 0
    assert "Moved      worker one was lost at" in shown.stdout
    assert "(its connection was closed): carried on by two" in " ".join(
        shown.stdout.split()
    )


@pytest.mark.e2e
def test_a_stop_waits_for_the_step_and_a_second_one_does_not(
    tmp_path: Path, app: str, empty: str
) -> None:
    with (
        serving(tmp_path / "data", app=empty) as server,
        working(server, app, "--shutdown", "20s") as worker,
    ):
        emit(server)
        assert said(worker) == "begun b\n"
        worker.send_signal(signal.SIGTERM)
        assert "stopping" in cast("IO[str]", worker.stderr).readline()
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)

    assert worker.returncode == 128 + signal.SIGTERM


def test_an_app_without_functions_is_refused(empty: str) -> None:
    result = ironflow("worker", "--app", empty)

    assert result.exit_code == 1
    assert "has no functions" in result.output


def test_a_url_that_is_none_is_refused(app: str) -> None:
    result = ironflow("worker", "--app", app, "--server", "nowhere")

    assert result.exit_code == 1
    assert "is no URL of a server" in result.output
