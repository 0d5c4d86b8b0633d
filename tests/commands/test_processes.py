"""The command line as its users have it: processes, an owner beside them, signals."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from tests.commands.conftest import APP, ORDER, Stock

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
OWNER = """
import sys, trio
import ironflow
from ironflow.authoring.load import load_app

async def main():
    async with ironflow.open_engine(load_app(sys.argv[1]), sys.argv[2]) as engine:
        receipt = await engine.emit("approval.asked", {"id": "owned"})
        print(*receipt.run_ids, flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)

trio.run(main)
"""
SLOW = """
import sys, threading
import ironflow

def first() -> str:
    print("first", file=sys.stderr, flush=True)
    return "done"

def second() -> str:
    print("second", file=sys.stderr, flush=True)
    if "FAST" not in __import__("os").environ:
        threading.Event().wait(60)
    return "done, too"

@ironflow.function(id="slow", triggers=["slow"])
async def slow(ctx):
    return [await ctx.step.run("first", first), await ctx.step.run("second", second)]
"""


def start(*args: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ironflow", *args],
        env=ENVIRONMENT | options.pop("env", {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run(*args: str, **options: Any) -> tuple[int, str, str]:
    process = start(*args, **options)
    stdout, stderr = process.communicate()
    return process.returncode, stdout, stderr


@contextmanager
def owned(directory: Path) -> Iterator[tuple[int, str]]:
    """Let another process own the directory; give its id and its run's."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, APP, f"lmdb://{directory}"],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    try:
        yield owner.pid, owner.stdout.readline().strip()
    finally:
        owner.communicate("")


def test_reads_work_beside_an_owner(own_stock: Stock) -> None:
    directory = ("--data-dir", str(own_stock.directory))
    with owned(own_stock.directory) as (pid, run_id):
        status, listed, _ = run("runs", "list", "--json", *directory)
        _, shown, _ = run("runs", "show", run_id, *directory)
        _, events, _ = run("events", "list", *directory)
        verified, whole, _ = run("verify", *directory)
        _, replayed, _ = run("replay", "--all", "--app", APP, "--verify", *directory)
        _, done, _ = run(
            "runs", "show", own_stock.runs["process-order"], "--json", *directory
        )

    assert (status, verified) == (0, 0)
    assert json.loads(listed)["runs"][0]["id"] == run_id
    assert "wait approval:0: event approval.given" in shown
    assert "approval.asked" in events
    assert ": whole, " in whole
    assert "6 runs, " in replayed
    assert json.loads(done)["status"] == "completed"
    assert pid


def test_changes_beside_an_owner_name_it(own_stock: Stock) -> None:
    directory = ("--data-dir", str(own_stock.directory))
    with owned(own_stock.directory) as (pid, run_id):
        answers = [
            run("runs", "cancel", run_id, *directory),
            run("runs", "retry", run_id, *directory),
            run("run", APP, "order.placed", "--data", ORDER, *directory),
        ]
    cancelled = run("runs", "cancel", run_id, *directory)

    for status, stdout, stderr in answers:
        assert (status, stdout) == (1, "")
        assert f"owned by process {pid}" in stderr
    assert cancelled[0] == 0


@contextmanager
def slow_run(directory: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Start a run and wait until its second step is under way."""
    app = directory / "slow.py"
    app.write_text(SLOW)
    args = [
        *("run", f"{app}:slow", "slow", "--idempotency-key", "k"),
        *("--data-dir", str(directory / "data")),
    ]
    process = start(*args)
    stderr: IO[str] | None = process.stderr
    assert stderr is not None
    assert [stderr.readline(), stderr.readline()] == ["first\n", "second\n"]
    yield process, args
    process.kill()
    process.wait()


def test_a_killed_run_goes_on_with_its_key(tmp_path: Path) -> None:
    with slow_run(tmp_path) as (process, args):
        process.kill()
        process.communicate()

        status, stdout, stderr = run(*args, env={"FAST": "1"})

    assert status == 0
    assert '["done", "done, too"]' in stdout
    assert stderr == "second\n"


def test_an_interrupt_is_quiet_and_exits_130(tmp_path: Path) -> None:
    with slow_run(tmp_path) as (process, _):
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()

    assert process.returncode == 130
    assert (stdout, stderr) == ("", "")


def test_a_reader_that_leaves_is_not_an_error(own_stock: Stock) -> None:
    process = start(
        *("events", "list", "--json", "--data-dir", str(own_stock.directory))
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()

    assert process.stderr.read() == ""
    process.wait()
    process.stderr.close()


def test_the_data_directory_comes_from_the_environment(
    stock: Stock, tmp_path: Path
) -> None:
    named = run("runs", "list", env={"IRONFLOW_DATA_DIR": str(stock.directory)})
    default = run("runs", "list", cwd=tmp_path)

    assert named[0] == 0
    assert default[0] == 1
    assert "the data directory .ironflow does not exist" in default[2]


def test_a_terminal_sees_colors_and_a_bar_and_a_pipe_does_not(stock: Stock) -> None:
    args = ("replay", "--all", "--app", APP, "--data-dir", str(stock.directory))
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ironflow", *args],
        env=ENVIRONMENT | {"TERM": "xterm-256color", "COLUMNS": "100"},
        stdout=terminal,
        stderr=terminal,
        close_fds=True,
    )
    process.wait()
    os.close(terminal)
    seen = os.read(main, 1 << 16).decode()
    os.close(main)

    assert "\x1b[31m✗ stops\x1b[0m" in seen
    assert "Replaying" in seen
    assert "\x1b" not in "".join(map(str, run(*args)))


def test_ascii_is_enough(stock: Stock) -> None:
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    directory = ("--data-dir", str(stock.directory))

    status, stdout, stderr = run("runs", "list", *directory, env=environment)
    shown = run("runs", "show", stock.runs["approve"], *directory, env=environment)

    assert (status, stderr) == (0, "")
    assert "+ completed" in stdout
    assert shown[0] == 0


def test_the_module_is_the_command() -> None:
    assert run("--version")[1].startswith("ironflow, version ")
