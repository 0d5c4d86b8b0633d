"""When a report is answered, and what becomes of jobs whose run is not there any more."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio

from ironflow.engine.alarms import Alarms
from ironflow.interpreter import outcomes
from ironflow.interpreter.segments_news import Finished, News, StepDone
from ironflow.testing.virtual_clock import VirtualClock
from ironflow.transport.segment_book import Book
from ironflow.transport.segment_jobs import Assignment, Receipt, Stale
from ironflow.wire.segments import Report
from tests.interpreter.segments_world import RUN_ID, SegmentWorld, pack


@dataclass(frozen=True)
class Taker:
    """A worker."""

    id: str = "w1"
    functions: tuple[str, ...] = ("hello",)
    takes_failures: bool = True
    revoked: None = None


@dataclass
class Told:
    """Who was told of workers that were lost."""

    words: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])

    def lost(self, run_id: str, worker: str, why: str) -> None:
        assert run_id == RUN_ID
        self.words.append(("lost", worker, why))

    def taken(self, run_id: str, worker: str) -> None:
        if self.words and self.words[-1][0] == "lost":
            self.words.append(("taken", worker))


@dataclass
class Desk:
    """A book with one run, whose host is the test."""

    book: Book
    clock: VirtualClock
    world: SegmentWorld
    nursery: trio.Nursery
    found: list[Report]
    told: Told

    async def ask(self) -> None:
        """Let the run wait for news."""

        async def wait() -> None:
            self.found.append(await self.book.next_report(self.world.player, "hello"))

        self.nursery.start_soon(wait)
        await self.clock.settle()

    async def ask_bounded(self, timeout_us: int) -> None:
        """Wait for news of a function that may take so long."""
        player = self.world.player
        self.found.append(
            await self.book.next_report(player, "hello", timeout_us=timeout_us)
        )

    def take(self, worker: str = "w1") -> Assignment:
        [job] = self.book.take(Taker(worker), limit=5)
        return job

    async def tell(self, job: Assignment, news: News) -> Receipt:
        lease = job.lease
        receipt = self.book.report(
            RUN_ID, lease.execution_seq, lease.token, Report(news)
        )
        await self.clock.settle()
        return receipt

    def record(self) -> None:
        """Let the run absorb what it was told last, and commit it."""
        self.world.player.offer(self.found[-1].news)
        self.world.absorb(outcomes.completed(self.world.performed, pack(None)))


@asynccontextmanager
async def open_desk() -> AsyncGenerator[Desk]:
    clock, world = VirtualClock(), SegmentWorld()
    world.begin()
    async with trio.open_nursery() as nursery:
        alarms = Alarms(clock)
        nursery.start_soon(alarms.run)
        told = Told()
        yield Desk(Book(clock, alarms, told), clock, world, nursery, [], told)
        nursery.cancel_scope.cancel()


def step(id_: str) -> News:
    return News((StepDone(id=id_, payload=pack(1)),))


async def test_a_report_is_answered_when_its_move_is_durable_and_not_before() -> None:
    async with open_desk() as desk:
        await desk.ask()
        receipt = await desk.tell(desk.take(), step("a:0"))
        heard = receipt.is_settled
        desk.world.player.offer(desk.found[-1].news)
        desk.book.durable(desk.world.player)  # of a move that began before
        offered = receipt.is_settled
        desk.world.absorb(outcomes.completed(desk.world.performed, pack(None)))
        absorbed = receipt.is_settled
        desk.book.durable(desk.world.player)

    assert (heard, offered, absorbed) == (False, False, False)
    assert receipt.is_settled
    assert receipt.is_durable


async def test_a_book_knows_who_is_at_a_run() -> None:
    async with open_desk() as desk:
        await desk.ask()
        queued = desk.book.holder_of(RUN_ID)
        desk.take()
        taken = desk.book.holder_of(RUN_ID)

    assert (queued, taken) == ("", "worker w1")


async def test_reports_that_come_while_one_is_recorded_are_told_together() -> None:
    async with open_desk() as desk:
        await desk.ask()
        job = desk.take()
        first = await desk.tell(job, step("a:0"))
        second = await desk.tell(job, step("b:0"))
        last = await desk.tell(job, News(then=Finished(pack(3))))
        desk.record()
        await desk.ask()
        desk.record()
        desk.book.durable(desk.world.player)

    assert [each.id for each in desk.found[1].news.steps] == ["b:0"]
    assert desk.found[1].news.then == Finished(pack(3))
    assert all(each.is_durable for each in (first, second, last))
    assert desk.world.state.status == "completed"


async def test_a_job_ends_with_its_run() -> None:
    async with open_desk() as desk:
        await desk.ask()
        job = desk.take()
        receipt = await desk.tell(job, step("a:0"))
        late = await desk.tell(job, step("b:0"))
        desk.book.forget(desk.world.player)

        with pytest.raises(Stale):
            await desk.tell(job, step("c:0"))

    assert not receipt.is_settled
    assert late.is_settled
    assert not late.is_durable


async def test_a_run_that_is_loaded_afresh_gets_a_job_of_its_own() -> None:
    """The hold before was lost: what its worker says belongs to nobody."""
    async with open_desk() as desk:
        await desk.ask()
        old = desk.take()
        await desk.tell(old, step("a:0"))
        desk.world.player = desk.world.loaded()
        await desk.ask()
        new = desk.take()

        with pytest.raises(Stale):
            await desk.tell(old, step("b:0"))

    assert new.lease.execution_seq > old.lease.execution_seq


async def test_a_job_that_nobody_waits_for_goes_with_its_lease() -> None:
    async with open_desk() as desk:
        await desk.ask()
        await desk.tell(desk.take(), step("a:0"))

        await desk.clock.advance("90s")
        jobs = desk.book.take(Taker(), limit=5)

    assert jobs == []
    assert desk.book.jobs_of("w1") == []


async def test_a_job_waits_for_what_it_has_told_to_be_recorded() -> None:
    """Given out before, it would execute a step again that was reported."""
    async with open_desk() as desk:
        await desk.ask()
        job = desk.take()
        await desk.tell(job, step("a:0"))
        await desk.tell(job, step("b:0"))
        desk.book.worker_gone("w1", "it registered again")
        before = desk.book.take(Taker(), limit=5)
        desk.record()
        await desk.ask()
        desk.record()
        await desk.ask()
        after = desk.take()

    assert before == []
    assert [row.id for row in after.segment.rows] == ["a:0", "b:0"]


async def test_every_way_to_lose_a_worker_is_told() -> None:
    """And who has the job next; a job that is not wanted is not lost."""
    async with open_desk() as desk:
        await desk.ask()
        desk.take("a")
        await desk.clock.advance("15s")
        job = desk.take("b")
        desk.book.acknowledge(RUN_ID, job.lease.execution_seq, job.lease.token)
        await desk.clock.advance("90s")
        desk.take("c")
        desk.book.worker_gone("c", "it registered again")
        desk.take("d")
        desk.book.take_back("d", RUN_ID)
        desk.take("e")
        desk.book.loosen("e", "its stream ended")
        job = desk.take("f")
        desk.book.give_back(RUN_ID, job.lease.execution_seq, job.lease.token)
        desk.take("g")

    assert desk.told.words == [
        ("lost", "a", "it did not begin the job within 15 s"),
        ("taken", "b"),
        ("lost", "b", "it said nothing of the job for 90 s"),
        ("taken", "c"),
        ("lost", "c", "it registered again"),
        ("taken", "d"),
        ("lost", "d", "it came back and did not know the job"),
        ("taken", "e"),
        ("lost", "e", "its stream ended"),
        ("taken", "f"),
    ]


async def test_a_loose_job_is_its_worker_s_until_another_has_it() -> None:
    """What it says keeps the job for it."""
    async with open_desk() as desk:
        await desk.ask()
        job = desk.take()
        desk.book.loosen("w1", "its stream ended")
        receipt = await desk.tell(job, step("a:0"))
        desk.record()
        desk.book.durable(desk.world.player)
        await desk.ask()
        others = desk.book.take(Taker("w2"), limit=5)
        kept = desk.book.jobs_of("w1")

    assert receipt.is_durable
    assert others == []
    assert kept == [RUN_ID]
    assert desk.told.words[1:] == [("taken", "w1")]


async def test_a_loose_job_that_another_has_is_lost_to_its_worker() -> None:
    async with open_desk() as desk:
        await desk.ask()
        old = desk.take()
        desk.book.loosen("w1", "its stream ended")
        new = desk.take("w2")

        with pytest.raises(Stale):
            await desk.tell(old, step("a:0"))
        back = desk.book.come_back(Taker("w1"))

    assert new.lease.execution_seq > old.lease.execution_seq
    assert back == []
    assert desk.book.renew("w1", RUN_ID) is None


async def test_a_loose_job_is_offered_when_what_it_has_told_is_recorded() -> None:
    """Given out before, it would execute a step again that was reported."""
    async with open_desk() as desk:
        await desk.ask()
        await desk.tell(desk.take(), step("a:0"))
        desk.book.loosen("w1", "its stream ended")
        before = desk.book.take(Taker("w2"), limit=5)
        desk.record()
        await desk.ask()
        after = desk.take("w2")

    assert before == []
    assert [row.id for row in after.segment.rows] == ["a:0"]


async def test_a_worker_that_is_back_keeps_its_jobs_to_itself() -> None:
    async with open_desk() as desk:
        await desk.ask()
        job = desk.take()
        desk.book.loosen("w1", "its stream ended")
        back = desk.book.come_back(Taker("w1"))
        others = desk.book.take(Taker("w2"), limit=5)
        again = desk.book.again("w1", RUN_ID)

    assert back == [RUN_ID]
    assert others == []
    assert again is not None
    assert again.lease == job.lease


async def test_a_loose_job_goes_with_its_lease() -> None:
    """Its worker may not come back to it any more; others may still have it."""
    async with open_desk() as desk:
        await desk.ask()
        job = desk.take()
        desk.book.loosen("w1", "its stream ended")

        await desk.clock.advance("15s")
        with pytest.raises(Stale):
            await desk.tell(job, step("a:0"))
        desk.take("w2")


async def test_a_function_out_of_time_whose_worker_is_gone_fails_once() -> None:
    """Nobody else begins what has failed."""
    async with open_desk() as desk:
        desk.nursery.start_soon(desk.ask_bounded, 1_000_000)
        await desk.clock.settle()
        desk.take()
        desk.book.loosen("w1", "its stream ended")
        await desk.clock.advance("1s")
        others = desk.book.take(Taker("w2"), limit=5)

    [report] = desk.found
    assert report.news.error is not None
    assert report.news.error.code == "TIMEOUT"
    assert others == []
