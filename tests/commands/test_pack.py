"""`ironflow pack`."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.commands.conftest import Stock, ironflow, printed
from tests.commands.test_processes import ENVIRONMENT, ROOT

# Kills itself before the n-th call that changes something in the data directory.
PACKING: Final = """
import os, signal, sys
from pathlib import Path
from ironflow.cli import cli
from ironflow.journal.lmdb._lmdb import Environment

left = int(sys.argv[1])
directory = sys.argv[2]

def counted(real):
    def call(*args, **options):
        own = args[0]
        if isinstance(own, int):
            own = Path(f"/proc/self/fd/{own}").readlink()
        elif not isinstance(own, Path):
            own = own.path
        global left
        if str(own).startswith(directory) and "index" not in own.parts:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **options)
    return call

for name in ("write", "pwrite", "fsync"):
    setattr(os, name, counted(getattr(os, name)))
for owner, name in ((Path, "rename"), (Path, "unlink"), (Environment, "write")):
    setattr(owner, name, counted(getattr(owner, name)))
cli(["pack", "--older-than", "1us", "--data-dir", directory, "--json"])
"""


def closed(stock: Stock) -> list[object]:
    """What there is of runs that have ended, with all records."""
    found = printed(stock("runs", "list", "--json"))["runs"]
    ids = [each["id"] for each in found if each["ended_at"]]
    return [printed(stock("runs", "show", run, "--json")) for run in sorted(ids)]


def test_what_has_ended_is_packed_and_read_as_before(own_stock: Stock) -> None:
    before = closed(own_stock)

    early = own_stock("pack")
    result = own_stock("pack", "--older-than", "1us")
    again = printed(own_stock("pack", "--older-than", "1us", "--json"))

    assert early.stdout == "0 runs packed, with 0 records: 0 bytes before, 0 after\n"
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{len(before)} runs packed, with ")
    assert again == {"runs": 0, "records": 0, "bytes_before": 0, "bytes_after": 0}
    assert [path.name for path in (own_stock.directory / "segments").iterdir()]
    assert closed(own_stock) == before
    assert own_stock("verify").exit_code == 0


def test_an_age_is_a_duration(own_stock: Stock) -> None:
    result = own_stock("pack", "--older-than", "soon")

    assert result.exit_code == 1
    assert "--older-than" in result.stderr


def test_there_must_be_a_journal(tmp_path: Path) -> None:
    result = ironflow("pack", "--data-dir", str(tmp_path / "none"))

    assert result.exit_code == 1
    assert "there is no journal" in result.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.timeout(240)
def test_a_kill_at_any_call_loses_nothing(own_stock: Stock, tmp_path: Path) -> None:
    """What was killed is finished by the next time, whatever is left of the first."""
    before, at, is_done = closed(own_stock), 0, False
    while not is_done:
        at += 1
        copy = Stock(tmp_path / f"copy-{at}", own_stock.runs)
        shutil.copytree(own_stock.directory, copy.directory)
        killed = subprocess.run(
            [sys.executable, "-c", PACKING, str(at), str(copy.directory)],
            env=ENVIRONMENT,
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
        )
        is_done = killed.returncode == 0
        assert is_done or killed.returncode == -signal.SIGKILL, killed.stderr

        assert closed(copy) == before, at
        assert copy("verify").exit_code == 0, at
        again = printed(copy("pack", "--older-than", "1us", "--json"))
        assert closed(copy) == before, at
        if is_done:
            assert json.loads(killed.stdout)["runs"] == len(before)
            assert again["runs"] == 0
        shutil.rmtree(copy.directory)
    assert at > 15
