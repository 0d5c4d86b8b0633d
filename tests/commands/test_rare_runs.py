"""Runs that are rare: continued, cancelled, held, interrupted, of another app."""

from pathlib import Path

import pytest

from tests.commands.conftest import Stock, printed

SOURCE = """
import ironflow

def refuse():
    raise ConnectionError("away")

@ironflow.function(id="loop", triggers=["loop"])
async def loop(ctx):
    if ctx.event.data:
        await ctx.continue_as_new(ctx.event.data - 1)
    return "the end"

@ironflow.function(id="held", triggers=["held"])
async def held(ctx):
    retry = ironflow.Retry(max_attempts=1, on_exhausted="pause")
    await ctx.step.run("call", refuse, retry=retry)

@ironflow.function(id="patient", triggers=["patient"])
async def patient(ctx):
    async def one(item, step, index):
        await step.sleep("nap", "1h")
    await ctx.step.run("before", len, "x")
    await ctx.step.map("all", [1, 2], one)

@ironflow.function(id="other", triggers=["shared"])
async def other(ctx):
    return 1

@ironflow.function(id="mine", triggers=["shared"])
async def mine(ctx):
    return 2

app = ironflow.App(functions=[loop, held, patient, other, mine])
"""


@pytest.fixture
def target(tmp_path: Path) -> str:
    path = tmp_path / "rare.py"
    path.write_text(SOURCE)
    return f"{path}:app"


@pytest.fixture
def data(tmp_path: Path) -> Stock:
    return Stock(tmp_path / "data", {})


def test_a_run_that_continued_is_followed_to_its_end(data: Stock, target: str) -> None:
    result = printed(data("run", target, "loop", "--data", "2", "--json"))

    [run] = result["runs"]
    assert (run["output"], result["children"]) == ("the end", [])
    assert run["continued_from"]
    chain = printed(data("runs", "list", "--json"))["runs"]
    statuses = sorted(each["status"] for each in chain)
    assert statuses == ["completed", "continued", "continued"]


def test_a_continued_run_shows_both_its_neighbours(data: Stock, target: str) -> None:
    data("run", target, "loop", "--data", "2")
    runs = printed(data("runs", "list", "--json"))["runs"]
    # Ids of one millisecond have no order among themselves.
    [middle] = [
        each for each in runs if each["continued_from"] and each["continued_to"]
    ]

    shown = data("runs", "show", middle["id"]).stdout

    assert f"Continues  {middle['continued_from']}" in shown
    assert f"Goes on    {middle['continued_to']}" in shown
    assert len(runs) == 3


def test_a_held_step_says_how_to_try_again(data: Stock, target: str) -> None:
    result = data("run", target, "held", "--idempotency-key", "k")
    [run] = printed(data("runs", "list", "--json"))["runs"]
    shown = data("runs", "show", run["id"]).stdout

    assert result.exit_code == 1
    assert "is paused" in result.stderr
    assert "repeat this command" in result.stderr
    assert "‖ held  call:0" in shown
    assert "Why        paused (step) since" in shown


def test_a_cancelled_run_shows_who_asked_and_what_ended(
    data: Stock, target: str
) -> None:
    args = ("run", target, "patient", "--idempotency-key", "k", "--timeout")
    run_id = printed(data(*args, "0.5", "--json"))["runs"][0]["id"]
    data("runs", "cancel", run_id)
    ended = data(*args, "1m")

    shown = data("runs", "show", run_id).stdout

    assert f"run {run_id} was cancelled" in ended.stderr
    assert "cancel" in shown
    assert "asked by ironflow runs cancel to cancel: no reason given" in shown
    assert shown.count("⊘ abandoned    nap:0") == 2


def test_a_run_of_another_app_is_left_to_it(data: Stock, target: str) -> None:
    data("run", target, "shared")
    alone = target.replace(":app", ":mine")

    result = data("run", alone, "shared")

    assert result.exit_code == 1
    assert "belongs to 'other', which this app does not have" in result.stderr


def test_a_key_whose_event_started_no_run_says_so(
    data: Stock, target: str, tmp_path: Path
) -> None:
    import trio

    import ironflow
    from ironflow.authoring.load import load_app

    async def emit() -> None:
        app = load_app(target.replace(":app", ":loop"))
        url = f"lmdb://{data.directory}"
        async with ironflow.open_engine(app, url) as engine:
            await engine.emit("shared", idempotency_key="k")

    trio.run(emit)

    result = data("run", target, "shared", "--idempotency-key", "k")

    assert result.exit_code == 1
    assert "started no run; use another key" in result.stderr
