"""Workers of a published SDK that are killed: who has their runs, and what runs say of it."""

import subprocess
import sys
import time
from typing import Any

import pytest

from tests.interop.conftest import Stage

pytestmark = pytest.mark.e2e

NOTICED_S = 5  # a dead worker


def shown(stage: Stage, run_id: str) -> str:
    """Return what `ironflow runs show` says, in one line."""
    command = [sys.executable, "-m", "ironflow", "runs", "show", run_id]
    found = subprocess.run(
        [*command, "--server", stage.url],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return " ".join(found.stdout.split())


def hanging(stage: Stage, how: str, name: str) -> tuple["subprocess.Popen[str]", str]:
    """Start a worker whose step hangs; return it, and the run that it is at."""
    worker = stage.program(how, name, HANG="1")
    run_id = stage.emit("slow.asked")
    assert worker.stdout is not None
    while "hang" not in stage.effects():
        assert worker.stdout.readline()
    return worker, run_id


def kill(worker: "subprocess.Popen[str]") -> None:
    worker.kill()
    worker.wait()


def test_a_killed_stream_is_noticed_and_followed_at_once(stage: Stage) -> None:
    """By another worker that is there; the run says so, and so does `runs show`."""
    first, run_id = hanging(stage, "streaming", "w1")
    second = stage.program("streaming", "w2")
    stage.result(stage.emit("flaky.asked"))  # it is at work

    kill(first)
    killed_at = time.monotonic()
    run = stage.result(run_id)
    took = time.monotonic() - killed_at

    assert second.poll() is None
    assert run["output"] == "woke", stage.told()
    assert took < NOTICED_S
    assert_moved(stage, run, why="its stream ended", by="w2")


def test_a_killed_stream_is_followed_by_its_successor(stage: Stage) -> None:
    """Under the same id: it is sent the job again, and begins it."""
    first, run_id = hanging(stage, "streaming", "w1")

    kill(first)
    stage.program("streaming", "w1")
    run = stage.result(run_id)

    assert run["output"] == "woke", stage.told()
    assert stage.effects().count("hang") == 2
    assert_moved(stage, run, why="its stream ended", by="w1")


def test_a_killed_poller_is_followed_by_its_successor(stage: Stage) -> None:
    first, run_id = hanging(stage, "worker", "w1")

    kill(first)
    stage.program("worker", "w1")
    run = stage.result(run_id)

    assert run["output"] == "woke", stage.told()
    assert_moved(stage, run, why="it registered again", by="w1")


def assert_moved(stage: Stage, run: Any, *, why: str, by: str) -> None:
    """The run and `runs show` say that its worker was lost, and who has it since."""
    lost = run["lost"]
    assert (lost["worker"], lost["why"], lost["by"]) == ("w1", why, by)
    words = shown(stage, run["id"])
    assert "Moved worker w1 was lost at" in words
    assert f"({why}): carried on by {by}" in words
