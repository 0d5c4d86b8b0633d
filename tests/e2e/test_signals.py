"""Programs that are told to end, or that just do."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ironflow.journal.base import RunQuery
from ironflow.journal.lmdb.store import open_reader

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60

pytestmark = pytest.mark.e2e


@contextmanager
def program(how: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Run one of the programs; it is gone when the block is left."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.signalled", how, str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    """Return the next thing that the program says."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


async def recorded(directory: Path) -> list[str]:
    """Return the kinds of record of the only run."""
    journal = await open_reader(directory)
    [summary] = await journal.find(RunQuery())
    entries = await journal.history(summary.row.run_id)
    await journal.close()
    return [type(entry.record).__name__ for entry in entries]


@pytest.mark.parametrize("how", ["on_ctrl_c", "interrupted_in_a_thread"])
async def test_ctrl_c_lets_a_step_end_and_records_it(tmp_path: Path, how: str) -> None:
    """The program ends as Python programs do, and nothing is to be repeated."""
    with program(how, tmp_path / "data") as process:
        assert line(process) == "begun"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert "Group" not in errors
    assert (await recorded(tmp_path / "data"))[:2] == ["RunStarted", "StepCompleted"]


async def test_sigterm_lets_a_step_end_and_records_it(tmp_path: Path) -> None:
    """Received by the program, it closes the engine in order."""
    with program("on_sigterm", tmp_path / "data") as process:
        assert line(process) == "begun"
        process.send_signal(signal.SIGTERM)
        words, errors = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0
    assert words == "closed\n"
    assert errors == ""
    assert (await recorded(tmp_path / "data"))[:2] == ["RunStarted", "StepCompleted"]


async def test_an_acknowledged_event_is_found_after_a_kill(tmp_path: Path) -> None:
    """Invariant 4: killed the moment after it said so."""
    with program("acknowledge", tmp_path / "data") as process:
        event_id = line(process)
        process.kill()
        process.communicate(timeout=PATIENCE_S)

    journal = await open_reader(tmp_path / "data")
    [stored] = await journal.events()
    await journal.close()
    assert stored.event.id == event_id


def test_an_engine_that_is_never_closed_does_not_hold_its_program(
    tmp_path: Path,
) -> None:
    """Its thread ends with the interpreter, silently."""
    with program("forget", tmp_path / "data") as process:
        words, errors = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0
    assert words.splitlines()[0] in {"leaving", "begun"}
    assert errors == ""
