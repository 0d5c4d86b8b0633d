"""When a report is answered, and what becomes of jobs whose run is not there any more."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio

from ironflow.engine.alarms import Alarms
from ironflow.interpreter import outcomes
from ironflow.interpreter.segments_news import Finished, News, StepDone
from ironflow.testing.virtual_clock import VirtualClock
from ironflow.transport.segment_book import Assignment, Book, Receipt, Stale
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
class Desk:
    """A book with one run, whose host is the test."""

    book: Book
    clock: VirtualClock
    world: SegmentWorld
    nursery: trio.Nursery
    found: list[Report]

    async def ask(self) -> None:
        """Let the run wait for news."""

        async def wait() -> None:
            self.found.append(await self.book.next_report(self.world.player, "hello"))

        self.nursery.start_soon(wait)
        await self.clock.settle()

    def take(self) -> Assignment:
        [job] = self.book.take(Taker(), limit=5)
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
        yield Desk(Book(clock, alarms), clock, world, nursery, [])
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
        desk.book.worker_gone("w1")
        before = desk.book.take(Taker(), limit=5)
        desk.record()
        await desk.ask()
        desk.record()
        await desk.ask()
        after = desk.take()

    assert before == []
    assert [row.id for row in after.segment.rows] == ["a:0", "b:0"]
