"""Functions whose steps write each execution down, where kill -9 does not reach it.

A step of a run that is *held* goes on only while its gate is open. So whoever has to be at
a step when it is killed is at it, however quick the machine is.
"""

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
LOOK_S = 0.01  # at a gate


@dataclass(frozen=True)
class Effect:
    """One execution of a step: it returned its token, if it came so far."""

    run: str
    step: str
    token: str
    process: int


def write(run: str, step: str) -> str:
    """Write an execution of a step down, and return its token, which no other has."""
    token = secrets.token_hex(8)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    file = os.open(os.environ[EFFECTS], flags, 0o644)
    try:
        os.write(file, f"{run} {step} {token} {os.getpid()}\n".encode())
    finally:
        os.close(file)
    return token


def read(path: Path) -> list[Effect]:
    """Return what was written down."""
    if not path.exists():
        return []
    lines = [line.split() for line in path.read_text().splitlines()]
    return [Effect(run, step, token, int(pid)) for run, step, token, pid in lines]


def gate(effects: Path, step: str) -> Path:
    """Return the file that is there while the gate of a step is shut."""
    return effects.with_name(f"shut-{step.partition(':')[0]}")


def is_shut(step: str) -> bool:
    """Say whether held runs wait at a step now."""
    return gate(Path(os.environ[EFFECTS]), step).exists()


async def act(run: str, step: str) -> str:
    """Have an effect, and go on for a little while."""
    token = write(run, step)
    await trio.sleep(STEP_S)
    return token


async def held(run: str, step: str) -> str:
    """Have an effect, and go on when the gate is open."""
    token = write(run, step)
    while is_shut(step):  # noqa: ASYNC110  it is opened by another process
        await trio.sleep(LOOK_S)
    return token


@ironflow.function(id="counted", triggers=["counted.asked"])
async def counted(ctx: Context[Any]) -> int:
    run = ctx.run.id
    do = held if ctx.event.data.get("held") else act
    await ctx.step.run("reserve", do, run, "reserve:0")
    await ctx.step.wait_for_event("paid", "counted.paid", match="data.number")
    await ctx.step.run("charge", do, run, "charge:0")
    await ctx.step.sleep("settle", "20ms")
    await ctx.step.map(
        "tell",
        ["mail", "text"],
        lambda how, branch, index: branch.run(how, do, run, f"tell:{index}:{how}:0"),
    )
    await ctx.step.run("close", do, run, "close:0")
    return int(ctx.event.data["number"])


APP = App(functions=[counted])
