"""Engines on one database: they share the work, and outlive each other."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

import ironflow
from ironflow.journal.postgres import link, store
from tests.journal.postgres.engine_node import STEPS, app
from tests.journal.postgres.server import Server

RUNS = 24
ENGINES = 3
LEASE = "400ms"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where the steps write."""
    return tmp_path / "steps"


class Engines:
    """Processes with an engine each."""

    def __init__(self, url: str, file: Path) -> None:
        module = "tests.journal.postgres.engine_node"
        self.file = file
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", module, url, str(file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for _ in range(ENGINES)
        ]

    def wait_until_ready(self) -> None:
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        process.kill()
        process.communicate()
        self.processes.remove(process)

    def lines(self) -> list[tuple[int, int, int]]:
        """Return run, step and process of what was done."""
        text = self.file.read_text() if self.file.exists() else ""
        found = [line.split() for line in text.splitlines()]
        return [(int(run), int(step), int(pid)) for run, step, pid in found]


@pytest.fixture
def engines(url: str, file: Path) -> Iterator[Engines]:
    started = Engines(f"{url}&lease={LEASE}", file)
    try:
        yield started
    finally:
        for process in list(started.processes):
            started.kill(process)


@pytest.mark.e2e
async def test_engines_share_runs_and_take_over_those_of_one_that_is_killed(
    url: str, engines: Engines
) -> None:
    """Every step is recorded once; only what was in flight was done twice."""
    await trio.to_thread.run_sync(engines.wait_until_ready)
    nobody = ironflow.App(functions=[])
    async with ironflow.open_engine(nobody, f"{url}&lease={LEASE}") as engine:
        receipts = [await engine.emit("go", number) for number in range(RUNS)]
        with trio.fail_after(30):
            while len(engines.lines()) < RUNS:  # noqa: ASYNC110 - a file has no event
                await trio.sleep(0.01)
        killed = engines.processes[0]
        engines.kill(killed)
        with trio.fail_after(60):
            runs = [await engine.result(each.run_ids[0]) for each in receipts]
            kinds = [
                [type(entry.record).__name__ for entry in await engine.history(run.id)]
                for run in runs
            ]

    assert {run.status for run in runs} == {"completed"}
    assert all(names.count("StepCompleted") == STEPS for names in kinds)
    lines = engines.lines()
    done = Counter((run, step) for run, step, _ in lines)
    assert set(done) == {(run, step) for run in range(RUNS) for step in range(STEPS)}
    repeated = [key for key, times in done.items() if times > 1]
    assert all(done[key] == 2 for key in repeated)
    by_killed = {(run, step) for run, step, pid in lines if pid == killed.pid}
    assert set(repeated) <= by_killed
    assert len({pid for _, _, pid in lines}) == ENGINES


async def test_an_engine_on_its_own(url: str, file: Path) -> None:
    """Emit, steps, sleep, result."""
    async with ironflow.open_engine(app(file), url) as engine:
        [run] = await engine.emit_sync("go", 1)

    assert run.unwrap() == sum(range(STEPS))


async def test_a_run_that_was_left_goes_on_in_the_next_engine(url: str) -> None:
    """An engine that is closed gives its runs back."""
    calls: list[str] = []

    async def step(name: str) -> str:
        calls.append(name)
        return name

    @ironflow.function(triggers=["go"])
    async def flow(ctx: ironflow.Context[Any]) -> Any:
        first = await ctx.step.run("first", step, "first")
        news = await ctx.step.wait_for_event("news", "news")
        return [first, news.data, await ctx.step.run("second", step, "second")]

    shop = ironflow.App(functions=[flow])
    async with ironflow.open_engine(shop, url) as engine:
        receipt = await engine.emit("go")
        await engine.emit("news", 7)
    async with ironflow.open_engine(shop, url) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == ["first", 7, "second"]
    assert calls == ["first", "second"]


async def test_an_engine_outlives_a_restart_of_the_server(
    server: Server, url: str
) -> None:
    """Runs in flight wait for it and go on."""
    gate = trio.Event()

    async def slow() -> str:
        await gate.wait()
        return "done"

    @ironflow.function(triggers=["go"])
    async def flow(ctx: ironflow.Context[Any]) -> list[str]:
        first = await ctx.step.run("first", slow)
        return [first, await ctx.step.run("second", slow)]

    async with ironflow.open_engine(ironflow.App(functions=[flow]), url) as engine:
        receipt = await engine.emit("go")
        await trio.to_thread.run_sync(server.stop)
        gate.set()
        await trio.to_thread.run_sync(server.start)
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == ["done", "done"]


async def test_a_result_is_had_from_any_engine(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits need not be the one who carries the run on. A hint wakes it: the poll
    would come after the test's time."""
    monkeypatch.setattr(store, "Options", partial(link.Options, poll=600.0))

    @ironflow.function(triggers=["go"])
    async def flow(ctx: ironflow.Context[Any]) -> int:
        await ctx.step.sleep("nap", "100ms")
        return 7

    async with (
        ironflow.open_engine(ironflow.App(functions=[flow]), url),
        ironflow.open_engine(ironflow.App(functions=[]), url) as other,
    ):
        receipt = await other.emit("go")
        run = await other.result(receipt.run_ids[0])

    assert run.unwrap() == 7
