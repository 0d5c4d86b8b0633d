"""A run that was amended in the journal goes on by its amended history."""

from typing import Any

import msgspec
import pytest

import ironflow
from ironflow import Context, NonRetryableError, codec, limits
from ironflow.journal.base import Appended, AppendRecords
from ironflow.records import Draft, Rewound, RunRetried, StepPatched
from tests.engine.bench import Bench, settle


@pytest.fixture(params=[1, 2, limits.REPLAY_RECORDS_MAX], autouse=True)
def replayed_at_once(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many records a run's code runs over in one go, it comes to the same."""
    monkeypatch.setattr(limits, "REPLAY_RECORDS_MAX", request.param)


def amend(bench: Bench, run_id: str, draft: Draft) -> None:
    """Append one amendment, as a command of an operator will."""
    history = bench.journal.store.history_now(run_id)
    entry, header = codec.seal(
        draft,
        sequence=len(history) + 1,
        recorded_at=bench.clock.now(),
        previous=history[-1].digest,
    )
    command = AppendRecords(run_id, 0, len(history), (entry,), (header,))
    [answer] = bench.journal.store.commit_now([command])
    assert isinstance(answer, Appended), answer


def packed(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


class Calls:
    """Steps that note how often they are called."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.broken = False

    async def price(self) -> int:
        self.names.append("price")
        return 7

    async def charge(self, price: int) -> str:
        self.names.append(f"charge {price}")
        if self.broken:
            raise NonRetryableError("the card has expired")
        return f"charged {price}"


async def test_a_run_that_waits_is_rewound_and_patched(bench: Bench) -> None:
    """What lies before the record is used again, with the change; the rest is not."""
    calls = Calls()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        price = await ctx.step.run("price", calls.price)
        charged = await ctx.step.run("charge", calls.charge, price)
        await ctx.step.wait_for_event("paid", "paid")
        return charged

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await engine.emit("paid")
        await settle()
        [first] = await engine.list_runs()
        assert first.unwrap() == "charged 7"
        receipt = await engine.emit("go")
        run_id = receipt.run_ids[0]
        await settle()
        changes = packed({"price:0": 8})
        amend(bench, run_id, Draft(Rewound(to=2, reason="a wrong price"), changes))
        await settle()
        await engine.emit("paid")
        await settle()
        run = await engine.get_run(run_id)

    assert run.unwrap() == "charged 8"
    assert calls.names[2:] == ["price", "charge 7", "charge 8"]


async def test_a_failed_run_is_patched_and_retried(bench: Bench) -> None:
    """It goes on at the step that failed, with the new result before it."""
    calls = Calls()
    calls.broken = True

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        price = await ctx.step.run("price", calls.price)
        return await ctx.step.run("charge", calls.charge, price)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        run_id = receipt.run_ids[0]
        failed = await engine.result(run_id)
        calls.broken = False
        amend(bench, run_id, Draft(StepPatched(id="price:0"), packed(9)))
        amend(bench, run_id, Draft(RunRetried(attempt=2)))
        await settle()
        run = await engine.result(run_id)

    assert failed.status == "failed"
    assert run.unwrap() == "charged 9"
    assert calls.names == ["price", "charge 7", "charge 9"]


async def test_a_run_is_rewound_to_a_wait_that_was_over(bench: Bench) -> None:
    """Its sleep and its wait are answered again: nothing waits for ever."""
    seen: list[str] = []

    async def note(name: str) -> None:
        seen.append(name)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.sleep("nap", "1h")
        event = await ctx.step.wait_for_event("news", "news")
        await ctx.step.run("note", note, event.data)
        await ctx.step.sleep("long", "1d")

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        run_id = receipt.run_ids[0]
        await engine.emit("news", "old")
        await bench.clock.advance(3600)
        kinds = bench.kinds(run_id)
        amend(bench, run_id, Draft(Rewound(to=2)))
        await bench.clock.advance(1)
        await bench.clock.advance(25 * 3600)
        run = await engine.get_run(run_id)
        after = bench.kinds(run_id)[len(kinds) :]

    assert kinds[1:3] == ["SleepStarted", "SleepFired"]
    assert after[:2] == ["Rewound", "SleepFired"]
    assert after.count("EventReceived") == 1
    assert seen == ["old"], "the step had the same input, so its result is used again"
    assert run.status == "completed"
