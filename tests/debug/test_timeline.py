"""A run as rows: what happened in a branch stands below it."""

from typing import Any

import pytest

import ironflow
from ironflow.debug.timeline import local_id, timeline
from ironflow.interpreter.fold import fold
from ironflow.records import CancelRequested, Draft, SleepFired
from tests.debug.recording import Recording


def ship(item: str) -> str:
    return f"parcel of {item}"


def take_back(_outcome: Any) -> None:
    return None


@ironflow.function(id="fan")
async def fan(ctx: ironflow.Context[Any]) -> None:
    async def inner(item: str, step: ironflow.StepClient, index: int) -> None:
        await step.sleep("rest", 1)
        await step.run("ship", ship, item)

    async def one(item: str, step: ironflow.StepClient, index: int) -> None:
        await step.map("inner", ["a"], inner)

    await ctx.step.run("before", ship, "x", undo=take_back)
    await ctx.step.map("all", ["a", "b"], one)
    await ctx.step.sleep("after", "1h")


def test_branches_stand_in_their_order_with_what_began_in_them() -> None:
    recording = Recording(fan)
    for branch in (1, 0):
        recording.happen(Draft(SleepFired(id=f"all:{branch}:inner:0:rest:0")))

    rows = timeline(fold(recording.entries))

    assert [(row.depth, row.title) for row in rows] == [
        (0, "before:0"),
        (0, "all:0"),
        (1, "inner:0"),
        (2, "rest:0"),
        (2, "ship:0"),
        (0, "all:1"),
        (1, "inner:0"),
        (2, "rest:0"),
        (2, "ship:0"),
        (0, "after:0"),
    ]


def test_a_cancel_and_its_undo_stand_where_they_came() -> None:
    recording = Recording(fan)
    recording.happen(Draft(CancelRequested(reason="too late")))

    rows = timeline(fold(recording.entries))

    assert [row.title for row in rows if not row.depth] == [
        "before:0",
        "all:0",
        "all:1",
        "cancel",
        "undo",
        "compensate:before:0",
    ]


@pytest.mark.parametrize(
    ("step", "branches", "own"),
    [
        ("charge:0", (), "charge:0"),
        ("all:1:charge:0", ("all:1",), "charge:0"),
        ("all\\#2:1:in:0:a\\:b:3", ("all\\#2:1", "in:0"), "a\\:b:3"),
        ("compensate:charge:0", (), "compensate:charge:0"),
        ("all:1:compensate:charge:0", ("all:1",), "compensate:charge:0"),
        ("publish:orders.done:0", (), "publish:orders.done:0"),
        ("a\\\\:0", (), "a\\\\:0"),
    ],
)
def test_an_id_is_branches_and_the_rest(
    step: str, branches: tuple[str, ...], own: str
) -> None:
    assert local_id(step) == (branches, own)
