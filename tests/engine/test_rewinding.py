"""A run is resumed from a step: what is dropped, what stays, and what is refused."""

from typing import Any

import pytest

import ironflow
from ironflow import (
    ConfigurationError,
    Context,
    MisusedOperation,
    RunNotFound,
    StepInDoubt,
)
from ironflow.errors import Conflict
from ironflow.journal.base import AppendRecords
from ironflow.records import Rewound, SleepStarted
from tests.engine.bench import Bench, Commands, settle
from tests.engine.shop import Shop, failed, order

DAY = 86_400


@pytest.mark.parametrize("named", ["charge", "charge:0", "{run}:charge:0"])
async def test_a_failed_run_goes_on_from_a_step(bench: Bench, named: str) -> None:
    """It and all after it are performed again, although their input is the same."""
    shop = Shop("mail")
    async with bench.engine(order(shop)) as engine:
        run_id = await failed(engine)
        before = bench.kinds(run_id)
        shop.failing.clear()
        step = named.format(run=run_id)
        await engine.resume(run_id, from_step=step, reason="try it", actor="ann")
        run = await engine.result(run_id)

    assert (run.unwrap(), run.attempt) == ("charged 7", 1)
    assert shop.calls == ["price", "charge", "mail", "charge", "mail"]
    assert bench.kinds(run_id)[: len(before)] == before
    [rewound] = [each for each in bench.records(run_id) if isinstance(each, Rewound)]
    said = (rewound.id, rewound.to, rewound.actor, rewound.reason)
    assert said == ("charge:0", 2, "ann", "try it")


async def test_a_paused_run_goes_on_from_a_step(bench: Bench) -> None:
    """However it was paused; one that goes on has to be paused first."""
    shop = Shop()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> int:
        price = await ctx.step.run("price", shop.price)
        await ctx.step.sleep("nap", "1h")
        return price

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        [run_id] = receipt.run_ids
        await settle()
        with pytest.raises(MisusedOperation, match=r"waiting.*pause it first"):
            await engine.resume(run_id, from_step="price")
        await engine.pause(run_id)
        shop.price_now = 8
        await engine.resume(run_id, from_step="price")
        await bench.clock.advance(3600)
        run = await engine.get_run(run_id)

    assert run.unwrap() == 8
    assert shop.calls == ["price", "price"]


async def test_a_step_that_is_not_there_is_told(bench: Bench) -> None:
    """So are several of one name, a run that is not there, and a call without a step."""
    shop = Shop("mail")

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        for _ in range(7):
            await ctx.step.run("price", shop.price)
        await ctx.step.run("mail", shop.mail)

    async with bench.engine(flow) as engine:
        run_id = await failed(engine)
        for step, why in (
            ("charge", r"no step 'charge'; it has 'price:0'.*and 3 more"),
            ("price", r"7 steps 'price': 'price:0'.*and 2 more; give the id"),
        ):
            with pytest.raises(MisusedOperation, match=why):
                await engine.resume(run_id, from_step=step)
        with pytest.raises(RunNotFound):
            await engine.resume(f"run_{'0' * 32}", from_step="price")
        with pytest.raises(ConfigurationError, match="give a step"):
            await engine.resume(run_id, force=True)
        run = await engine.get_run(run_id)

    assert run.status == "failed"
    assert "Rewound" not in bench.kinds(run_id)


async def test_only_what_is_paused_or_has_failed_goes_on_from_a_step(
    bench: Bench,
) -> None:
    """What ended well, was cancelled or was undone needs a new run."""
    shop = Shop()

    async def forget(outcome: ironflow.StepOutcome[int]) -> None:
        shop.calls.append(f"forget {outcome.value}")

    @ironflow.function(triggers=["undone"])
    async def undone(ctx: Context[Any]) -> None:
        await ctx.step.run("price", shop.price, undo=forget)
        await ctx.step.run("mail", shop.mail)

    @ironflow.function(triggers=["waits"])
    async def waits(ctx: Context[Any]) -> None:
        await ctx.step.run("price", shop.price)
        await ctx.step.sleep("nap", "1h")

    async with bench.engine(order(shop), undone, waits) as engine:
        [done] = await engine.emit_sync("go")
        receipt = await engine.emit("waits")
        [cancelled] = receipt.run_ids
        await settle()
        await engine.cancel(cancelled)
        await settle()
        shop.failing.add("mail")
        [taken_back] = await engine.emit_sync("undone")
        for run_id, why in (
            (done.id, "completed.*start a new run"),
            (cancelled, "cancelled.*start a new run"),
            (taken_back.id, "has begun to undo"),
        ):
            with pytest.raises(MisusedOperation, match=why):
                await engine.resume(run_id, from_step="price")

    assert shop.calls.count("forget 7") == 1


async def test_what_was_recorded_later_in_other_branches_is_dropped(
    bench: Bench,
) -> None:
    """The order of the records decides, and what came before is not called again."""
    shop = Shop("c")

    def note(name: str) -> Any:
        async def step() -> str:
            shop._called(name)
            return name

        return step

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> list[str]:
        async def late(step: Any) -> str:
            await step.sleep("nap", "1h")
            name: str = await step.run("b", note("b"))
            return name

        async def early(step: Any) -> str:
            name: str = await step.run("a", note("a"))
            return name

        found = await ctx.step.parallel("both", [early, late])
        await ctx.step.run("c", note("c"))
        return found

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        [run_id] = receipt.run_ids
        await bench.clock.advance(3600)
        shop.failing.clear()
        await engine.resume(run_id, from_step="both:1:b:0")
        await settle()
        first = list(shop.calls)
        await engine.get_run(run_id)

    assert first == ["a", "b", "c", "b", "c"]


async def test_a_step_of_a_branch_drops_what_its_siblings_did_after_it(
    bench: Bench,
) -> None:
    """Also a sleep: it is asked anew, and lasts as long as it says from now on."""
    shop = Shop("mail")

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        async def prices(step: Any) -> None:
            await step.run("price", shop.price)

        async def naps(step: Any) -> None:
            await step.sleep("nap", "1h")
            await step.run("charge", shop.charge, 1)

        await ctx.step.parallel("both", [prices, naps])
        await ctx.step.run("mail", shop.mail)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        [run_id] = receipt.run_ids
        await bench.clock.advance(DAY)
        shop.failing.clear()
        await engine.resume(run_id, from_step="nap")
        await bench.clock.advance(3599)
        waiting = await engine.get_run(run_id)
        await bench.clock.advance(1)
        run = await engine.get_run(run_id)

    assert (waiting.status, run.status) == ("waiting", "completed")
    naps = [each for each in bench.records(run_id) if isinstance(each, SleepStarted)]
    assert naps[1].until - naps[0].until == DAY * 1_000_000
    assert shop.calls == ["price", "charge", "mail", "price", "charge", "mail"]


async def test_a_step_that_is_called_at_most_once_needs_force(bench: Bench) -> None:
    """Or its result, with which it is not called."""
    shop = Shop("mail")

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        price = await ctx.step.run("price", shop.price)
        charged = await ctx.step.run("charge", shop.charge, price, once="at_most")
        await ctx.step.run("mail", shop.mail)
        return charged

    async with bench.engine(flow) as engine:
        run_id = await failed(engine)
        shop.failing.clear()
        for step in ("price", "charge"):
            with pytest.raises(MisusedOperation, match=r"'charge:0'.*force it"):
                await engine.resume(run_id, from_step=step)
        shop.failing.add("mail")
        await engine.resume(run_id, from_step="charge", output="charged by hand")
        await engine.result(run_id)
        assert shop.calls == ["price", "charge", "mail", "mail"]
        shop.failing.clear()
        await engine.resume(run_id, from_step="charge", force=True)
        run = await engine.result(run_id)

    assert run.unwrap() == "charged 7"
    assert shop.calls == ["price", "charge", "mail", "mail", "charge", "mail"]


async def test_one_that_was_begun_before_it_is_not_called_again(bench: Bench) -> None:
    """Its outcome came after the place, and holds."""
    shop = Shop("mail")

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> Any:
        async def prices(step: Any) -> None:
            await step.run("price", shop.price)

        async def charges(step: Any) -> str:
            try:
                await step.run("charge", slow, once="at_most")
            except StepInDoubt:
                return "in doubt"
            return "charged"

        _, charged = await ctx.step.parallel("both", [prices, charges])
        await ctx.step.run("mail", shop.mail)
        return charged

    async def slow() -> None:
        shop._called("charge")
        await settle()

    async with bench.engine(flow) as engine:
        run_id = await failed(engine)
        shop.failing.clear()
        await engine.resume(run_id, from_step="price")
        run = await engine.result(run_id)

    assert run.unwrap() == "charged"
    assert shop.calls.count("charge") == 1


@pytest.mark.parametrize("step", ["price", "charge"])
async def test_a_result_is_given_and_the_run_goes_on_behind_it(
    bench: Bench, step: str
) -> None:
    """In one record: of a step that went well, and of one that failed."""
    shop = Shop("charge")
    async with bench.engine(order(shop)) as engine:
        run_id = await failed(engine)
        output = 5 if step == "price" else "by hand"
        if step == "price":
            shop.failing.clear()
        await engine.resume(run_id, from_step=step, output=output)
        run = await engine.result(run_id)

    assert run.unwrap() == ("charged 5" if step == "price" else "by hand")
    again = ["charge", "mail"] if step == "price" else ["mail"]
    assert shop.calls == ["price", "charge", *again]
    assert bench.kinds(run_id).count("Rewound") == 1


async def test_what_is_no_step_is_given_no_result(bench: Bench) -> None:
    shop = Shop("mail")

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.sleep("nap", "1h")
        await ctx.step.run("mail", shop.mail)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(3600)
        with pytest.raises(MisusedOperation, match="is no step"):
            await engine.resume(receipt.run_ids[0], from_step="nap", output=1)


async def test_a_rewind_survives_a_crash(bench: Bench) -> None:
    """Its record is all there is of it, and the next engine goes by it."""
    shop = Shop("mail")
    async with bench.crashing(order(shop)) as engine:
        run_id = await failed(engine)
        shop.failing.clear()
        await engine.resume(run_id, from_step="charge")
    async with bench.engine(order(shop)) as engine:
        run = await engine.result(run_id)

    assert run.unwrap() == "charged 7"
    assert shop.calls[-2:] == ["charge", "mail"]


async def test_a_rewind_looks_again_when_others_were_quicker(bench: Bench) -> None:
    """So often, and then it says so."""
    shop = Shop("mail")
    refusals: list[Conflict] = []

    def refuse(commands: Commands) -> Conflict | None:
        mine = any(
            isinstance(command, AppendRecords) and not command.epoch
            for command in commands
        )
        if not mine or len(refusals) % 10 == 9:
            return None
        refusals.append(Conflict("somebody was quicker"))
        return refusals[-1]

    async with bench.engine(order(shop)) as engine:
        run_id = await failed(engine)
        bench.journal.refuse = refuse
        with pytest.raises(Conflict, match="quicker"):
            await engine.resume(run_id, from_step="charge")
        assert len(refusals) == 8
        shop.failing.clear()
        await engine.resume(run_id, from_step="charge")
        run = await engine.result(run_id)

    assert len(refusals) == 9
    assert run.unwrap() == "charged 7"


async def test_a_rewind_can_be_rewound(bench: Bench) -> None:
    """Each drops what is in force behind it."""
    shop = Shop("mail")
    async with bench.engine(order(shop)) as engine:
        run_id = await failed(engine)
        for step in ("mail", "charge", "mail", "price"):
            await engine.resume(run_id, from_step=step)
            await engine.result(run_id)
        shop.failing.clear()
        await engine.resume(run_id, from_step="mail")
        run = await engine.result(run_id)

    assert run.unwrap() == "charged 7"
    whole = ["price", "charge", "mail"]
    assert shop.calls == [*whole, *whole[2:], *whole[1:], *whole[2:], *whole, "mail"]
