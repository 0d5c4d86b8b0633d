"""Runs that came from another journal go on where they stood, and only when told."""

from typing import Any

from ironflow import Context
from ironflow.authoring.definition import Function
from ironflow.authoring.function import function
from ironflow.codec import encode_whole
from ironflow.journal.base import Done, ImportRun, ResumeRun
from ironflow.journal.memory import MemoryJournal
from tests.engine.bench import Bench, TestJournal, only_run


def imported(bench: Bench, run_id: str) -> TestJournal:
    """Return another journal with one run of the bench's, as an import leaves it."""
    standing = bench.journal.store.standing_now(run_id)
    assert standing is not None
    entries = bench.journal.store.history_now(run_id)
    command = ImportRun(
        standing.summary.row,
        tuple(entries),
        tuple(encode_whole(entry)[1] for entry in entries),
        standing.inbox,
        standing.timers,
        bench.clock.now(),
    )
    store = MemoryJournal()
    assert store.commit_now([command]) == [Done()]
    return TestJournal(store, yields=False)


def waiting(calls: list[str], **options: Any) -> Function[Any, Any]:
    """A function that does something, sleeps an hour, waits, and does something more."""

    def do(what: str) -> None:
        calls.append(what)

    @function(id="job", triggers=["go"], **options)
    async def job(ctx: Context[Any]) -> Any:
        await ctx.step.run("first", do, "first")
        await ctx.step.sleep("nap", "1h")
        event = await ctx.step.wait_for_event("answer", "answer", timeout="1d")
        await ctx.step.run("last", do, "last")
        return event.data

    return job


async def test_a_run_sleeps_and_waits_on_in_another_journal() -> None:
    """What is recorded is not done again; sleeps and waits have their rows again."""
    bench, calls = Bench(), list[str]()
    async with bench.engine(waiting(calls)) as engine:
        await engine.emit("go")
        await bench.clock.advance(60)
        run_id = await only_run(engine)
    journal = imported(bench, run_id)
    async with bench.engine(waiting(calls), on=journal) as engine:
        await bench.clock.advance(2 * 3600)
        assert (await engine.get_run(run_id)).status == "paused"
        await journal.commit([ResumeRun(run_id)])
        await bench.clock.advance(1)
        await engine.emit("answer", 42)
        run = await engine.result(run_id)

    assert (run.status, run.output) == ("completed", 42)
    assert calls == ["first", "last"]


async def test_a_deadline_ends_an_imported_run_when_it_goes_on() -> None:
    """Not before: its undo would be done by two journals."""
    bench, calls = Bench(), list[str]()
    late = waiting(calls, run_timeout="2h")
    async with bench.engine(late) as engine:
        await engine.emit("go")
        await bench.clock.advance(60)
        run_id = await only_run(engine)
    journal = imported(bench, run_id)
    async with bench.engine(late, on=journal) as engine:
        await bench.clock.advance(3 * 3600)
        before = await engine.get_run(run_id)
        await journal.commit([ResumeRun(run_id)])
        run = await engine.result(run_id)

    assert before.status == "paused"
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.code == "RUN_TIMEOUT"


async def test_other_code_lets_no_imported_run_go_on() -> None:
    """One that was paused for its code goes on where it came from."""
    bench, calls = Bench(), list[str]()

    @function(id="job", triggers=["go"], version="1")
    async def broken(_: Context[Any]) -> None:
        raise ZeroDivisionError

    async with bench.engine(broken) as engine:
        await engine.emit("go")
        await bench.clock.advance(1)
        run_id = await only_run(engine)
    journal = imported(bench, run_id)
    async with bench.engine(waiting(calls, version="2"), on=journal) as engine:
        await bench.clock.advance(1)
        run = await engine.get_run(run_id)

    assert run.status == "paused"
    assert run.error is not None
    assert "it was paused there (code)" in run.error.message
    assert calls == []
