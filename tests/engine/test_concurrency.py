"""How many runs of a function go on at once, in all and for each key."""

from typing import Any

import trio

import ironflow
from ironflow import Context
from tests.engine.bench import Bench, settle


class Gate:
    """A step that stays inside until it is told to leave; it knows who is there."""

    def __init__(self) -> None:
        self.inside: list[Any] = []

        self._leave: dict[Any, trio.Event] = {}

    async def enter(self, who: Any) -> None:
        self.inside.append(who)
        left = self._leave[who] = trio.Event()
        await left.wait()
        self.inside.remove(who)

    async def let_out(self, who: Any) -> None:
        self._leave[who].set()
        await settle()


async def test_runs_over_the_limit_wait_for_their_turn(bench: Bench) -> None:
    """First come, first served, as those before them end."""
    gate = Gate()

    @ironflow.function(triggers=["go"], concurrency=2)
    async def flow(ctx: Context[int]) -> None:
        await ctx.step.run("enter", gate.enter, ctx.event.data)

    seen: list[list[int]] = []
    async with bench.engine(flow) as engine:
        receipts = [await engine.emit("go", n) for n in range(4)]
        await settle()
        seen.append(sorted(gate.inside))
        waiting = await engine.get_run(receipts[2].run_ids[0])
        for who in (1, 0, 2, 3):
            await gate.let_out(who)
            seen.append(sorted(gate.inside))

    assert waiting.status == "queued"
    assert seen == [[0, 1], [0, 2], [2, 3], [3], []]


async def test_each_value_of_the_key_has_its_own_number(bench: Bench) -> None:
    gate = Gate()

    @ironflow.function(triggers=["go"], concurrency=1, concurrency_key="customer")
    async def flow(ctx: Context[dict[str, Any]]) -> None:
        await ctx.step.run("enter", gate.enter, ctx.event.data["n"])

    async with bench.engine(flow) as engine:
        for n, customer in enumerate("aabab"):
            await engine.emit("go", {"customer": customer, "n": n})
        await settle()
        first = sorted(gate.inside)
        await gate.let_out(2)
        second = sorted(gate.inside)
        for who in (0, 1, 3, 4):
            await gate.let_out(who)

    assert first == [0, 2]
    assert second == [0, 4]
    assert not gate.inside


async def test_a_run_that_waits_makes_room(bench: Bench) -> None:
    """It goes on when it has its event and there is room again."""
    gate = Gate()

    @ironflow.function(triggers=["go"], concurrency=1)
    async def flow(ctx: Context[int]) -> int:
        if ctx.event.data == 0:
            await ctx.step.wait_for_event("news", "news")
        await ctx.step.run("enter", gate.enter, ctx.event.data)
        return ctx.event.data

    async with bench.engine(flow) as engine:
        first = await engine.emit("go", 0)
        await engine.emit("go", 1)
        await settle()
        while_waiting = sorted(gate.inside)
        await engine.emit("news")
        await settle()
        woken = await engine.get_run(first.run_ids[0])
        still = sorted(gate.inside)
        await gate.let_out(1)
        after = sorted(gate.inside)
        await gate.let_out(0)
        done = await engine.get_run(first.run_ids[0])

    assert (while_waiting, still, after) == ([1], [1], [0])
    assert woken.status == "running"
    assert done.unwrap() == 0


async def test_a_function_with_a_limit_may_invoke_itself(bench: Bench) -> None:
    """A parent is parked while its child runs, so they never wait for each other."""

    @ironflow.function(id="countdown", triggers=["go"], concurrency=1)
    async def countdown(ctx: Context[int]) -> int:
        if ctx.event.data == 0:
            return 0
        below: int = await ctx.step.invoke("countdown", ctx.event.data - 1)
        return below + 1

    async with bench.engine(countdown) as engine:
        receipt = await engine.emit("go", 3)
        await settle()
        run = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == 3


async def test_after_a_crash_the_limit_holds(bench: Bench) -> None:
    """Who was inside goes on first; nobody else is let in beside them."""
    gate = Gate()

    @ironflow.function(triggers=["go"], concurrency=1)
    async def flow(ctx: Context[int]) -> None:
        await ctx.step.run("enter", gate.enter, ctx.event.data)

    async with bench.crashing(flow) as engine:
        for n in range(3):
            await engine.emit("go", n)
        await settle()
    gate.inside.clear()
    async with bench.engine(flow):
        await settle()
        seen = [sorted(gate.inside)]
        for who in range(3):
            await gate.let_out(who)
            seen.append(sorted(gate.inside))

    assert seen == [[0], [1], [2], []]
