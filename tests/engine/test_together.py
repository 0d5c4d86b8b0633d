"""Moves of many runs share commits, and nobody waits for a commit that is not its own."""

from collections.abc import Sequence
from typing import Any

import trio

import ironflow
from ironflow.engine.work import COMMITS_AT_ONCE_MAX, MOVES_TOGETHER_MAX
from ironflow.journal.base import Answer, AppendRecords, JournalCommand
from ironflow.journal.memory import MemoryJournal
from tests.engine.bench import Bench, Commands, TestJournal, settle

RUNS = 3 * MOVES_TOGETHER_MAX


class CountingJournal(TestJournal):
    """A journal that notes how many moves a commit has, and how many are under way."""

    __test__ = False

    def __init__(self) -> None:
        super().__init__(MemoryJournal(), yields=True)
        self.sizes: list[int] = []
        self.under_way: list[int] = []
        self._open = 0

    async def commit(self, commands: Sequence[JournalCommand]) -> Sequence[Answer]:
        if not isinstance(commands[0], AppendRecords):
            return await super().commit(commands)
        self._open += 1
        self.sizes.append(len(commands))
        self.under_way.append(self._open)
        try:
            return await super().commit(commands)
        finally:
            self._open -= 1


async def one() -> int:
    """Return something at once."""
    return 1


@ironflow.function(id="flow", triggers=["go"])
async def flow(ctx: ironflow.Context[Any]) -> int:
    """Do three steps."""
    return sum([await ctx.step.run("one", one) for _ in range(3)])


async def emit_all(engine: ironflow.Engine) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(RUNS):
            nursery.start_soon(engine.emit_sync, "go")


async def test_a_commit_has_the_moves_of_so_many_runs() -> None:
    bench, journal = Bench(), CountingJournal()
    async with bench.engine(flow, on=journal) as engine:
        await emit_all(engine)

    assert max(journal.sizes) == MOVES_TOGETHER_MAX


async def test_the_next_moves_are_made_while_a_commit_is_under_way() -> None:
    bench, journal = Bench(), CountingJournal()
    async with bench.engine(flow, on=journal) as engine:
        await emit_all(engine)

    assert max(journal.under_way) == COMMITS_AT_ONCE_MAX


async def test_a_run_goes_on_while_another_waits_for_its_commit() -> None:
    bench = Bench()

    def appends(commands: Commands) -> bool:
        return isinstance(commands[0], AppendRecords)

    async with bench.engine(flow) as engine:
        held = bench.journal.hold_after(appends)
        first = await engine.emit("go")
        await held.reached.wait()
        [second] = await engine.emit_sync("go")

        assert second.output == 3
        assert (await engine.get_run(first.run_ids[0])).status == "running"

        held.released.set()
        await settle()
        assert (await engine.get_run(first.run_ids[0])).output == 3


async def test_moves_wait_where_as_many_commits_as_may_be_are_under_way() -> None:
    bench = Bench()

    def appends(commands: Commands) -> bool:
        return isinstance(commands[0], AppendRecords)

    async with bench.engine(flow) as engine:
        held = [bench.journal.hold_after(appends) for _ in range(COMMITS_AT_ONCE_MAX)]
        for hold in held:
            await engine.emit("go")
            await hold.reached.wait()
        last = await engine.emit("go")
        await settle()

        assert len(await engine.history(last.run_ids[0])) == 1

        held[0].released.set()
        [run] = [await engine.result(each) for each in last.run_ids]
        assert run.output == 3
        held[1].released.set()
