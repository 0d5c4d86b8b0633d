"""A server that flushes is killed in the middle: what was acknowledged is there."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import trio

from ironflow.journal.base import Claim, Refused
from ironflow.journal.postgres.store import open_postgres
from ironflow.testing.checks_asks import completed
from ironflow.testing.checks_scene import Holder, Scene
from tests.journal.postgres.conftest import store_at
from tests.journal.postgres.server import Server

KILLS = 4
COMMITS_BETWEEN = (5, 60)
WRITERS = 6


@pytest.fixture
def flushing() -> Iterator[Server]:
    """Start a server with its own settings for durability."""
    started = Server(fsync=True)
    try:
        yield started
    finally:
        started.remove()


@dataclass
class Acknowledged:
    """What callers were told, and an event when there is enough of it."""

    events: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    lengths: dict[str, int] = field(default_factory=dict[str, int])
    commits: int = 0
    wanted: int = 0
    enough: trio.Event = field(default_factory=trio.Event)

    def note(self) -> None:
        self.commits += 1
        if self.commits >= self.wanted:
            self.enough.set()

    async def more(self, count: int) -> None:
        self.wanted, self.enough = self.commits + count, trio.Event()
        await self.enough.wait()


async def emit(scene: Scene, told: Acknowledged) -> None:
    while True:
        await trio.lowlevel.checkpoint()  # a commit cannot be cancelled
        [receipt] = await scene.emit(scene.event("e"))
        told.events.append((receipt.position, receipt.event_id))
        told.note()


async def carry_on(scene: Scene, word: str, told: Acknowledged) -> None:
    """Append to a run, claimed again whenever a crash has taken the claim back."""
    while True:
        claims = await scene.claim(word)
        if not claims:  # the claim was flushed: it is still ours
            await trio.sleep(0.05)
        for claim in claims:
            await append(scene, claim, told)


async def append(scene: Scene, claim: Claim, told: Acknowledged) -> None:
    holder = await Holder.of(scene, claim)
    while True:
        await trio.lowlevel.checkpoint()
        command = holder.command(completed(f"s{holder.length}:0", 1))
        answer = await scene.commit(command)
        if isinstance(answer, Refused):
            return
        told.lengths[claim.run_id] = holder.took(command, answer).length
        told.note()


@pytest.mark.e2e
async def test_what_was_acknowledged_is_there_after_every_kill(
    flushing: Server,
) -> None:
    """Invariant 6: also what was decided from memory, and nothing is there twice."""
    chosen = random.Random(7)
    scene = Scene("crash", store_at(flushing.url("crash")))
    told = Acknowledged()
    async with scene.open():
        words = [f"job{number}" for number in range(WRITERS)]
        await scene.register(*(scene.function(word, word) for word in words))
        for word in words:
            await scene.emit(scene.event(word))
        async with trio.open_nursery() as nursery:
            for word in words:
                nursery.start_soon(emit, scene, told)
                nursery.start_soon(carry_on, scene, word, told)
            for _ in range(KILLS):
                await told.more(chosen.randint(*COMMITS_BETWEEN))
                await trio.to_thread.run_sync(flushing.kill)
                await trio.to_thread.run_sync(flushing.start)
            await told.more(1)
            nursery.cancel_scope.cancel()
    journal = await open_postgres(flushing.url("crash"))

    stored = await journal.events(limit=100_000)
    ids = {each.position: each.event.id for each in stored}
    assert all(ids[position] == event for position, event in told.events)
    assert len(set(ids.values())) == len(ids) == max(ids)
    for run_id, length in told.lengths.items():
        history = await journal.history(run_id)
        assert [each.record.sequence for each in history] == [
            *range(1, len(history) + 1)
        ]
        assert len(history) >= length
    await journal.close()
