"""What function code logs is shown once, when it is true."""

import logging
from typing import Any

import pytest

import ironflow
from ironflow import Context
from tests.engine.bench import Bench, settle


async def step(name: str) -> str:
    return name


@ironflow.function(triggers=["go"])
async def flow(ctx: Context[Any]) -> None:
    ctx.logger.info("begin %s", ctx.event.data)
    await ctx.step.run("a", step, "a")
    ctx.logger.info("after a")
    await ctx.step.sleep("nap", "1m")
    ctx.logger.info("after nap")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "ironflow.run"
    ]


@pytest.mark.parametrize("cached", [0, 9])
async def test_a_line_is_shown_once(
    bench: Bench, caplog: pytest.LogCaptureFixture, cached: int
) -> None:
    """Not again when the code is executed again."""
    caplog.set_level(logging.INFO)

    async with bench.engine(flow, cached=cached) as engine:
        await engine.emit("go", 1)
        await bench.clock.advance(60)

    assert lines(caplog) == ["begin 1", "after a", "after nap"]


async def test_a_line_is_shown_once_over_a_crash(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """What was shown before the crash is not shown after it."""
    caplog.set_level(logging.INFO)

    async with bench.crashing(flow) as engine:
        await engine.emit("go", 1)
        await settle()
    async with bench.engine(flow):
        await bench.clock.advance(60)

    assert lines(caplog) == ["begin 1", "after a", "after nap"]


async def test_a_line_names_its_run(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """As attributes of the record, for whoever formats it."""
    caplog.set_level(logging.INFO)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go", 1)
        await settle()

    record: Any = caplog.records[0]
    assert record.run_id == receipt.run_ids[0]
    assert record.function_id == "flow"


async def test_lines_before_a_bug_are_shown(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """They are what its writer looks for."""
    caplog.set_level(logging.INFO)

    @ironflow.function(triggers=["go"])
    async def buggy(ctx: Context[Any]) -> None:
        await ctx.step.run("a", step, "a")
        ctx.logger.info("just before")
        raise ZeroDivisionError("a bug")

    async with bench.engine(buggy) as engine:
        await engine.emit_sync("go", 1)

    assert lines(caplog) == ["just before"]


async def test_an_exception_is_shown_with_its_line(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """`ctx.logger.exception` works as in the standard library."""

    async def fails() -> None:
        raise ironflow.NonRetryableError("never")

    @ironflow.function(triggers=["go"])
    async def catches(ctx: Context[Any]) -> None:
        try:
            await ctx.step.run("fail", fails)
        except ironflow.StepError:
            ctx.logger.exception("it failed")

    async with bench.engine(catches) as engine:
        await engine.emit_sync("go")

    [record] = [each for each in caplog.records if each.name == "ironflow.run"]
    assert record.exc_info is not None
    assert record.exc_info[0] is ironflow.StepError


class Raising(logging.Handler):
    """A handler that does not do what the documentation of `logging` asks for."""

    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("the log server is away")


@pytest.mark.parametrize("name", ["ironflow.run", "ironflow.engine"])
async def test_a_handler_that_raises_stops_nothing(
    bench: Bench, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """What it raises is printed, as `logging` does with its own."""
    logger, handler = logging.getLogger(name), Raising()
    logger.addHandler(handler)
    before = logger.level
    logger.setLevel(logging.INFO)

    @ironflow.function(triggers=["go"])
    async def broken(ctx: Context[Any]) -> None:
        raise KeyError("a bug, which the engine logs")

    try:
        async with bench.engine(flow, broken) as engine:
            receipt = await engine.emit("go", 1)
            await bench.clock.advance(60)
            runs = [await engine.get_run(each) for each in receipt.run_ids]
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)

    assert {run.function_id: run.status for run in runs} == {
        "flow": "completed",
        "broken": "paused",
    }
    assert "the log server is away" in capsys.readouterr().err


async def test_a_line_names_the_place_that_logged_it(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Not the engine's own wrapper around `logging`."""

    @ironflow.function(triggers=["go"])
    async def broken(ctx: Context[Any]) -> None:
        raise KeyError("a bug")

    async with bench.engine(broken) as engine:
        await engine.emit("go")
        await settle()

    lines = [each for each in caplog.records if each.name == "ironflow.engine"]
    [record] = [each for each in lines if each.levelno >= logging.WARNING]
    assert record.filename == "active.py"
