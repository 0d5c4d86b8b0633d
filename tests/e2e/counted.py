"""Functions whose steps write each execution down, where kill -9 does not reach it."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

import ironflow
from ironflow import App, Context

EFFECTS = "EFFECTS"  # the variable with the path of the file
STEP_S = 0.01  # so that a kill finds steps under way


@dataclass(frozen=True)
class Effect:
    """One execution of a step: it returned its token, if it came so far."""

    run: str
    step: str
    token: str


def write(run: str, step: str) -> str:
    """Write an execution of a step down, and return its token, which no other has."""
    token = secrets.token_hex(8)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    file = os.open(os.environ[EFFECTS], flags, 0o644)
    try:
        os.write(file, f"{run} {step} {token}\n".encode())
    finally:
        os.close(file)
    return token


def read(path: Path) -> list[Effect]:
    """Return what was written down."""
    if not path.exists():
        return []
    return [Effect(*line.split()) for line in path.read_text().splitlines()]


async def act(run: str, step: str) -> str:
    """Have an effect, and go on for a little while."""
    token = write(run, step)
    await trio.sleep(STEP_S)
    return token


@ironflow.function(id="counted", triggers=["counted.asked"])
async def counted(ctx: Context[Any]) -> int:
    run = ctx.run.id
    await ctx.step.run("reserve", act, run, "reserve:0")
    await ctx.step.wait_for_event("paid", "counted.paid", match="data.number")
    await ctx.step.run("charge", act, run, "charge:0")
    await ctx.step.sleep("settle", "20ms")
    await ctx.step.map(
        "tell",
        ["mail", "text"],
        lambda how, step, index: step.run(how, act, run, f"tell:{index}:{how}:0"),
    )
    await ctx.step.run("close", act, run, "close:0")
    return int(ctx.event.data["number"])


APP = App(functions=[counted])
