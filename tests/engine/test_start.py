"""`ironflow.start`: the engine in a thread, for plain and for asyncio programs."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

import ironflow
from ironflow import (
    App,
    ConfigurationError,
    Context,
    EngineClosed,
    JournalFailed,
    JournalForeign,
    JournalOwned,
    RunNotFound,
)
from ironflow.journal.memory import MemoryJournal

UNKNOWN = "run_" + "0" * 32


@ironflow.function(triggers=["go"])
async def echo(ctx: Context[Any]) -> Any:
    return ctx.event.data


@ironflow.function(triggers=["wait"])
async def waits(ctx: Context[Any]) -> Any:
    return (await ctx.step.wait_for_event("news", "news")).data


APP = App(functions=[echo, waits])


def test_a_plain_program_calls_blocking_methods() -> None:
    """They are those of the engine."""
    with ironflow.start(APP, "memory:") as engine:
        [run] = engine.emit_sync("go", 1)
        receipt = engine.emit("wait")
        engine.emit("news", 2)
        waited = engine.result(receipt.run_ids[0])
        listed = engine.list_runs()
        records = engine.history(run.id)

    assert run.unwrap() == 1
    assert waited.unwrap() == 2
    assert len(listed) == 2
    assert len(records) == 2


def test_a_blocking_method_raises_what_the_engine_raises() -> None:
    """As itself, in the caller's thread."""
    with ironflow.start(APP, "memory:") as engine:
        with pytest.raises(RunNotFound):
            engine.get_run(UNKNOWN)
        with pytest.raises(ConfigurationError):
            engine.emit("two words")


def test_many_threads_may_call_at_once() -> None:
    """Each gets its own answer."""

    def call(number: int) -> Any:
        [run] = engine.emit_sync("go", number)
        return run.unwrap()

    with (
        ironflow.start(APP, "memory:") as engine,
        ThreadPoolExecutor(8) as threads,
    ):
        answers = list(threads.map(call, range(40)))

    assert answers == list(range(40))


def test_a_plain_step_may_call_the_engine() -> None:
    """It has a thread of its own."""

    def emits() -> str:
        return engine.emit("news", 1).event_id

    @ironflow.function(triggers=["emit"])
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("emit", emits)

    with ironflow.start(App(functions=[flow]), "memory:") as engine:
        [run] = engine.emit_sync("emit")
        [_, stored] = engine.list_events()

    assert run.unwrap() == stored.event.id


def test_blocking_in_the_engines_own_thread_is_refused() -> None:
    """It would wait for itself, for ever."""

    async def blocks() -> None:
        engine.emit("news", 1)

    @ironflow.function(triggers=["emit"], retry=ironflow.Retry(max_attempts=1))
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("emit", blocks)

    with ironflow.start(App(functions=[flow]), "memory:") as engine:
        [run] = engine.emit_sync("emit")

    assert run.error is not None
    assert "plain step function" in run.error.message


@pytest.mark.parametrize(
    ("url", "kind"),
    [("memory:x", ConfigurationError), ("lmdb:", ConfigurationError)],
)
def test_what_goes_wrong_on_opening_is_raised(url: str, kind: type[Exception]) -> None:
    """Where the block begins, and nothing is left running."""
    before = threading.active_count()

    starting = ironflow.start(APP, url)
    with pytest.raises(kind):
        starting.__enter__()

    assert threading.active_count() <= before + 1


def test_a_directory_that_is_owned_or_foreign_is_refused(tmp_path: Path) -> None:
    """Also when the owner is another engine of this process."""
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "letter.txt").write_text("dear")
    with ironflow.start(APP, f"lmdb://{tmp_path}/data"):
        owned = ironflow.start(APP, f"lmdb://{tmp_path}/data")
        with pytest.raises(JournalOwned):
            owned.__enter__()
    with pytest.raises(JournalForeign):
        ironflow.start(APP, f"lmdb://{tmp_path}/foreign").__enter__()


def test_a_directory_is_free_when_the_block_is_left(tmp_path: Path) -> None:
    """The next engine finds what the last one stored."""
    url = f"lmdb://{tmp_path}/data"
    with ironflow.start(APP, url) as engine:
        receipt = engine.emit("wait")
    with ironflow.start(APP, url) as engine:
        engine.emit("news", 3)
        run = engine.result(receipt.run_ids[0])

    assert run.unwrap() == 3


def test_a_call_after_closing_says_so() -> None:
    """From any thread."""
    with ironflow.start(APP, "memory:") as engine:
        pass

    with pytest.raises(EngineClosed):
        engine.emit("go")


def test_a_call_that_waits_when_the_engine_closes_ends() -> None:
    """With an error that an `except Exception` sees."""
    waiting = threading.Event()
    errors: list[BaseException] = []

    def wait(run_id: str) -> None:
        waiting.set()
        try:
            engine.result(run_id)
        except BaseException as error:  # noqa: BLE001  its class is the question
            errors.append(error)

    with ironflow.start(APP, "memory:") as engine:
        receipt = engine.emit("wait")
        thread = threading.Thread(target=wait, args=receipt.run_ids)
        thread.start()
        waiting.wait()
    thread.join()

    assert [type(error) for error in errors] == [EngineClosed]


def test_a_call_while_the_engine_closes_is_refused() -> None:
    """A step that takes its time to end keeps the engine closing."""
    begun, release = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def slow() -> None:
        begun.set()
        release.wait()

    @ironflow.function(triggers=["slow"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("slow", slow)

    def late() -> None:
        try:
            while True:
                engine.emit("news")
        except BaseException as error:  # noqa: BLE001  its class is the question
            errors.append(error)
        release.set()

    with ironflow.start(App(functions=[flow]), "memory:") as engine:
        engine.emit("slow")
        begun.wait()
        thread = threading.Thread(target=late)
        thread.start()
    thread.join()

    assert [type(error) for error in errors] == [EngineClosed]


def test_an_exception_in_the_block_comes_out_as_itself() -> None:
    """And the engine is closed."""
    with (
        pytest.raises(ZeroDivisionError),
        ironflow.start(APP, "memory:") as engine,
    ):
        raise ZeroDivisionError

    with pytest.raises(EngineClosed):
        engine.emit("go")


def test_an_engine_that_fails_says_why_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Calls meanwhile find it closed; leaving the block raises the reason."""

    def fail(*_: object) -> None:
        raise JournalFailed("the disk is gone")

    def block() -> None:
        with ironflow.start(APP, "memory:") as engine:
            engine.emit("wait")
            monkeypatch.setattr(MemoryJournal, "commit_now", fail)
            while True:  # until the engine has stopped
                with suppress(JournalFailed):
                    engine.emit("news")

    with pytest.raises(JournalFailed, match="the disk is gone") as caught:
        block()

    assert isinstance(caught.value.__context__, EngineClosed | None)


# --- asyncio ----------------------------------------------------------------------


def test_an_asyncio_program_awaits_its_methods() -> None:
    """Runs that it holds may be awaited too."""

    async def main() -> list[Any]:
        async with ironflow.start(APP, "memory:") as engine:
            [run] = await engine.emit_sync("go", 1)
            receipt = await engine.emit("wait")
            waiting = await engine.get_run(receipt.run_ids[0])
            _, waited = await asyncio.gather(engine.emit("news", 2), waiting.result())
            return [run.unwrap(), waited.unwrap()]

    assert asyncio.run(main()) == [1, 2]


def test_an_asyncio_step_runs_on_the_callers_loop() -> None:
    """Where its pools live."""
    loops: list[asyncio.AbstractEventLoop] = []

    @ironflow.asyncio_step
    async def where() -> str:
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return threading.current_thread().name

    @ironflow.function(triggers=["where"])
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("where", where)

    async def main() -> Any:
        loops.append(asyncio.get_running_loop())
        async with ironflow.start(App(functions=[flow]), "memory:") as engine:
            [run] = await engine.emit_sync("where")
            return run.unwrap()

    assert asyncio.run(main()) == threading.current_thread().name
    assert loops[0] is loops[1]


def test_without_asyncio_its_steps_share_one_thread_of_ours() -> None:
    """Which ends with the engine."""

    @ironflow.asyncio_step
    async def where() -> str:
        await asyncio.sleep(0)
        return threading.current_thread().name

    @ironflow.function(triggers=["where"])
    async def flow(ctx: Context[Any]) -> list[str]:
        return [await ctx.step.run("where", where) for _ in range(3)]

    with ironflow.start(App(functions=[flow]), "memory:") as engine:
        [run] = engine.emit_sync("where")

    assert run.unwrap() == ["ironflow-asyncio"] * 3
    assert all(each.name != "ironflow-asyncio" for each in threading.enumerate())


def test_a_cancelled_asyncio_step_cleans_up_before_it_is_settled() -> None:
    """A cancel reaches it as asyncio's own, and its clean-up is part of it."""
    seen: list[str] = []

    async def main() -> str:
        begun = asyncio.Event()

        @ironflow.asyncio_step
        async def slow() -> None:
            begun.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                await asyncio.sleep(0)
                seen.append("cleaned up")
                raise

        @ironflow.function(triggers=["slow"])
        async def flow(ctx: Context[Any]) -> None:
            await ctx.step.run("slow", slow)

        async with ironflow.start(App(functions=[flow]), "memory:") as engine:
            receipt = await engine.emit("slow")
            await begun.wait()
            await engine.cancel(receipt.run_ids[0])
            run = await engine.result(receipt.run_ids[0])
            seen.append(type((await engine.history(run.id))[-2].record).__name__)
            return run.status

    assert asyncio.run(main()) == "cancelled"
    assert seen == ["cleaned up", "StepInDoubt"]


def test_an_asyncio_step_that_cancels_itself_fails() -> None:
    """It is not taken for a cancel of the run."""

    @ironflow.asyncio_step
    async def confused() -> None:
        raise asyncio.CancelledError

    @ironflow.function(triggers=["go"], retry=ironflow.Retry(max_attempts=1))
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("confused", confused)

    with ironflow.start(App(functions=[flow]), "memory:") as engine:
        [run] = engine.emit_sync("go")

    assert run.status == "failed"
    assert run.error is not None
    assert "cancelled itself" in run.error.message


def test_a_cancelled_call_ends_and_the_engine_goes_on() -> None:
    """The caller's timeout reaches the engine."""

    async def main() -> Any:
        async with ironflow.start(APP, "memory:") as engine:
            receipt = await engine.emit("wait")
            waiting = asyncio.ensure_future(engine.result(receipt.run_ids[0]))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            [run] = await engine.emit_sync("go", 1)
            return run.unwrap()

    assert asyncio.run(main()) == 1


def test_a_block_that_is_cancelled_closes_before_it_is_left(tmp_path: Path) -> None:
    """The directory is free again, whenever the cancel comes."""
    url = f"lmdb://{tmp_path}/data"

    async def block(entered: asyncio.Event | None) -> None:
        async with ironflow.start(APP, url):
            if entered is not None:
                entered.set()
            await asyncio.Event().wait()

    async def main() -> list[str]:
        opening = asyncio.ensure_future(block(None))
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        entered = asyncio.Event()
        inside = asyncio.ensure_future(block(entered))
        await entered.wait()
        inside.cancel()
        await asyncio.wait([inside])
        async with ironflow.start(APP, url) as engine:
            [run] = await engine.emit_sync("go", "still here")
            return [str(opening.cancelled()), str(inside.cancelled()), run.unwrap()]

    assert asyncio.run(main()) == ["True", "True", "still here"]


def test_a_close_that_is_cancelled_goes_on(tmp_path: Path) -> None:
    """A step that ends in time is recorded all the same."""
    url = f"lmdb://{tmp_path}/data"
    release = threading.Event()

    async def main() -> Any:
        loop, begun, leaving = (
            asyncio.get_running_loop(),
            asyncio.Event(),
            asyncio.Event(),
        )

        def slow() -> str:
            loop.call_soon_threadsafe(begun.set)
            release.wait()
            return "done"

        @ironflow.function(triggers=["slow"])
        async def flow(ctx: Context[Any]) -> str:
            return await ctx.step.run("slow", slow)

        app = App(functions=[flow])

        async def block() -> None:
            async with ironflow.start(app, url) as engine:
                await engine.emit("slow")
                await begun.wait()
                leaving.set()

        task = asyncio.ensure_future(block())
        await leaving.wait()
        task.cancel()
        await asyncio.sleep(0)
        release.set()
        await asyncio.wait([task])
        async with ironflow.start(app, url) as engine:
            [run] = await engine.list_runs()
            run = await engine.result(run.id)
            return [
                type(entry.record).__name__ for entry in await engine.history(run.id)
            ]

    assert asyncio.run(main()) == ["RunStarted", "StepCompleted", "RunEnded"]


async def test_an_engine_may_be_started_beside_trio() -> None:
    """A thread is a thread; the blocking form blocks a worker thread of Trio."""

    def plain() -> Any:
        with ironflow.start(APP, "memory:") as engine:
            [run] = engine.emit_sync("go", 5)
            return run.unwrap()

    assert await trio.to_thread.run_sync(plain) == 5
