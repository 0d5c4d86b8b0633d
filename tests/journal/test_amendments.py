"""Edges of a rewind: what lies in the inbox, and events that are far apart."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from msgspec import structs

from ironflow import limits
from ironflow.journal.base import Appended, Journal
from ironflow.journal.memory import MemoryJournal
from ironflow.records import Draft, Rewound
from ironflow.testing.checks_asks import fire, sleep, wait
from ironflow.testing.checks_scene import Holder, Scene
from ironflow.testing.checks_waits import received


@pytest.fixture
async def scene() -> AsyncGenerator[Scene]:
    journal = MemoryJournal()

    @asynccontextmanager
    async def open_journal() -> AsyncGenerator[Journal]:
        yield journal

    scene = Scene("amended", open_journal)
    async with scene.open():
        yield scene


async def rewind(scene: Scene, holder: Holder, to: int) -> None:
    command = structs.replace(
        holder.command(Draft(Rewound(to=to))), epoch=0, inbox_through=0
    )
    answer = await scene.commit(command)
    assert isinstance(answer, Appended), answer


async def test_a_sleep_that_has_fired_and_is_dropped_fires_no_more(
    scene: Scene,
) -> None:
    """Its name may be used again, by another sleep."""
    holder = await scene.start()
    await holder.park(sleep("s:0", until=scene.now + 1))
    await fire(scene, holder.run_id)

    await rewind(scene, holder, 1)

    again = await scene.hold("job")
    assert again.inbox == ()


async def test_a_wait_that_stays_keeps_its_row(scene: Scene) -> None:
    """Only its answer was dropped, and it finds that again."""
    holder = await scene.start()
    ask = wait("w:0", scene.name("e"))
    await holder.append(ask)
    (receipt,) = await scene.emit(scene.event("e", 1))
    await holder.append()  # it learns of the event
    await holder.append(park=True)  # it moves it into its history

    await rewind(scene, holder, 2)
    again = await scene.hold("job")
    command = structs.replace(again.command(), awaited=(ask.record,))
    answer = await scene.commit(command)

    assert isinstance(answer, Appended), answer
    drafts = [row.draft for row in answer.inbox]
    assert received(drafts) == [("w:0", receipt.event_id)]


async def test_an_event_is_found_again_pages_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PAGE_EVENTS_MAX", 2)
    holder = await scene.start()
    ask = wait("w:0", scene.name("e"), path="data", value=4)
    await holder.append(ask)
    receipts = [
        receipt for n in range(6) for receipt in await scene.emit(scene.event("e", n))
    ]
    await holder.append()  # it learns of the event
    await holder.append(park=True)  # it moves it into its history

    await rewind(scene, holder, 1)
    again = await scene.hold("job")
    looked = await again.append(ask)

    drafts = [row.draft for row in looked.inbox]
    assert received(drafts) == [("w:0", receipts[4].event_id)]
