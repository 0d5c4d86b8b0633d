"""A journal in PostgreSQL, on a server of its own: throughput, and how soon a run wakes.

The server keeps its defaults, so every commit is flushed. Beside each figure stands what
the same server needs for a bare transaction of one row, in the same round.
"""

import os
import pwd
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import trio

import ironflow
from benchmarks.flight import seconds_of
from benchmarks.functions import app
from benchmarks.rows import Row

_RUNS = 1_000
_STEPS = 10
_IN_FLIGHT = 100
_WAKES = 200
_BARE = 100


def measure(scratch: Path, rounds: int) -> list[Row]:
    """Measure on one server; each round has a schema of its own."""
    del scratch  # the server runs as another user, who cannot see it
    with _server() as place:
        steps: list[float] = []
        wakes: list[float] = []
        ends: list[float] = []
        bare: list[float] = []
        for number in range(rounds):
            url = f"postgresql:///postgres?{place}&schema=round_{number}"
            steps.append(_RUNS * _STEPS / trio.run(_work, url))
            wake, end = trio.run(_wake, url)
            wakes.append(wake)
            ends.append(end)
            bare.append(_transaction(place))
    beside = f"a transaction of one row: {statistics.median(bare):.2f} ms"
    return [
        Row(
            "PostgreSQL: 1,000 runs x 10 steps, 100 in flight",
            "steps/s",
            tuple(steps),
            must=5_000,
            aim=10_000,
            higher=True,
            beside=beside,
        ),
        Row(
            "PostgreSQL: emit in one engine until a run in another goes on, p50",
            "ms",
            tuple(wakes),
            must=15,
            aim=5,
            higher=False,
            beside=beside,
        ),
        Row(
            "PostgreSQL: emit in one engine until its end is known there, p50",
            "ms",
            tuple(ends),
            must=15,
            aim=5,
            higher=False,
            beside=beside,
        ),
    ]


async def _work(url: str) -> float:
    async with ironflow.open_engine(app, url) as engine:
        return await seconds_of(engine, runs=_RUNS, steps=_STEPS, in_flight=_IN_FLIGHT)


async def _wake(url: str) -> tuple[float, float]:
    """Return two medians in milliseconds, from an event in one engine on.

    Until the code of the run that it wakes in another engine goes on; until the first
    engine knows that this run has ended.
    """
    woken: list[float] = []

    @ironflow.function(id="waits", triggers=["wait"])
    async def waits(ctx: ironflow.Context[Any]) -> None:
        number = ctx.event.data["number"]
        await ctx.step.wait_for_event(f"wake-{number}", f"wake.{number}")
        woken.append(time.perf_counter())

    wakes: list[float] = []
    ends: list[float] = []
    async with (
        ironflow.open_engine(ironflow.App(functions=[waits]), url),
        ironflow.open_engine(ironflow.App(functions=[]), url) as other,
    ):
        for number in range(_WAKES):
            receipt = await other.emit("wait", {"number": number})
            await _parked(other, receipt.run_ids[0])
            woken.clear()
            began = time.perf_counter()
            await other.emit(f"wake.{number}")
            await other.result(receipt.run_ids[0])
            ends.append((time.perf_counter() - began) * 1_000)
            wakes.append((woken[0] - began) * 1_000)
    return statistics.median(wakes), statistics.median(ends)


async def _parked(engine: ironflow.Engine, run_id: str) -> None:
    for _ in range(5_000):
        if (await engine.get_run(run_id)).status == "waiting":
            return
        await trio.sleep(0.002)
    raise TimeoutError(run_id)


def _transaction(place: str) -> float:
    """Return the median of a transaction of one row, in milliseconds."""
    times: list[float] = []
    with psycopg.connect(f"postgresql:///postgres?{place}", autocommit=True) as bare:
        bare.execute("CREATE TABLE IF NOT EXISTS bare (number integer)")
        for number in range(_BARE):
            began = time.perf_counter()
            bare.execute("INSERT INTO bare VALUES (%s)", (number,))
            times.append((time.perf_counter() - began) * 1_000)
    return statistics.median(times)


@contextmanager
def _server() -> Generator[str]:
    """Start a server of the distribution's packages; yield where it is, for a URL."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb") or str(folders[0] / "initdb")
    programs = Path(found).parent
    directory = Path(tempfile.mkdtemp(prefix="ironflow-pg-", dir="/tmp"))
    user = _other_user()
    if user:
        shutil.chown(directory, user)
    data = str(directory / "data")
    begin = ["-D", data, "-U", "ironflow", "-A", "trust", "-E", "UTF8", "--locale=C"]
    _run(user, str(programs / "initdb"), *begin)
    options = f"-c listen_addresses= -c unix_socket_directories={directory}"
    control = [str(programs / "pg_ctl"), "-D", data, "-w"]
    log = str(directory / "log")
    _run(user, *control, "-l", log, "-o", options, "start")
    try:
        directory.chmod(0o755)
        yield f"host={directory}&user=ironflow"
    finally:
        _run(user, *control, "-m", "immediate", "stop")
        shutil.rmtree(directory, ignore_errors=True)


def _other_user() -> str:
    """Return whose the server is: it refuses to run as root."""
    if os.geteuid() != 0:
        return ""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _run(user: str, *command: str) -> None:
    identity = ["setpriv", f"--reuid={user}", "--clear-groups"] if user else []
    group = [f"--regid={pwd.getpwnam(user).pw_gid}"] if user else []
    with tempfile.TemporaryFile() as output:
        subprocess.run(
            [*identity, *group, *command],
            stdout=output,
            stderr=output,
            cwd="/",
            check=True,
        )
