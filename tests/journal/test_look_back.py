"""Edges of looking back: the index is filled, cut into commits, and forgotten."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from ironflow import limits
from ironflow.journal.base import Journal, MatchPath
from ironflow.journal.memory import MemoryJournal
from ironflow.testing.checks_asks import wait
from ironflow.testing.checks_crowds import deliver_all
from ironflow.testing.checks_scene import Scene
from ironflow.testing.checks_waits import received


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


@pytest.fixture
async def scene(journal: MemoryJournal) -> AsyncGenerator[Scene]:
    @asynccontextmanager
    async def open_journal() -> AsyncGenerator[Journal]:
        yield journal

    scene = Scene("back", open_journal)
    async with scene.open():
        yield scene


def known(journal: MemoryJournal, scene: Scene) -> dict[str, MatchPath]:
    return journal._durable.match_paths.get(scene.name("e"), {})


async def emit(scene: Scene, count: int) -> list[str]:
    events = [scene.event("e", {"n": n}) for n in range(count)]
    await scene.emit(*events)
    return [event.id for event in events]


async def test_few_events_are_looked_at_without_an_index(
    scene: Scene, journal: MemoryJournal
) -> None:
    holder = await scene.start()
    ids = await emit(scene, limits.LOOK_BACK_SCAN_EVENTS_MAX)

    looked = await holder.append(wait("w:0", scene.name("e"), path="data.n", value=3))

    drafts = [row.draft for row in looked.inbox]
    assert received(drafts) == [("w:0", ids[3])]
    assert not known(journal, scene)
    assert not journal._durable.matches


@pytest.mark.parametrize("bound", range(1, 8))
async def test_a_fill_ends_wherever_it_is_cut(
    scene: Scene, journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    """Also where the last event of a commit is the last of all."""
    monkeypatch.setattr(limits, "LOOK_BACK_SCAN_EVENTS_MAX", 0)
    monkeypatch.setattr(limits, "LOOK_BACK_EVENTS_PER_COMMIT_MAX", bound)
    old = await scene.start("old")
    ids = await emit(scene, 3)
    young = await scene.start("young")
    ids += await emit(scene, 3)

    for holder in (young, old):
        await holder.park(wait("w:0", scene.name("e"), path="data.n", value=-1))
        await deliver_all(scene)
    again = await scene.start("again")
    await again.append()
    await scene.emit(scene.event("e", {"n": -1}))

    [row] = known(journal, scene).values()
    assert row.start == row.through == row.after == old_trigger(journal, old.run_id)
    assert [len(await each.woken()) for each in (old, young)] == [1, 1]


def old_trigger(journal: MemoryJournal, run_id: str) -> int:
    summary = journal.run_now(run_id)
    assert summary is not None
    return summary.row.trigger_position


async def test_a_path_too_many_takes_the_place_of_the_last(
    scene: Scene, journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others stay as they are; a path that was forgotten is filled again."""
    monkeypatch.setattr(limits, "MATCH_PATHS_MAX", 2)
    monkeypatch.setattr(limits, "LOOK_BACK_SCAN_EVENTS_MAX", 0)
    holder = await scene.start()
    name, paths = scene.name("e"), ("data.n", "n", "$.n")
    await emit(scene, 2)
    kept: list[list[str]] = []

    for count, path in enumerate((*paths, "n")):
        await holder.append(wait(f"w:{count}", name, path=path, value=count + 2))
        kept.append(sorted(known(journal, scene)))
        await emit(scene, 1)
    ids = await emit(scene, 6)
    looked = await holder.append()

    assert kept == [["data.n"], ["data.n", "n"], ["$.n", "data.n"], ["data.n", "n"]]
    drafts = [row.draft for row in looked.inbox]
    assert received(drafts) == [(f"w:{n}", ids[n + 2]) for n in range(4)]
