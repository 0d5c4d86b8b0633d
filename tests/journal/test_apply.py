"""Edges of `apply` that no store can get wrong: they are decided above it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

import msgspec
import pytest

from ironflow import ids, limits
from ironflow.journal.base import (
    DeliverEvents,
    EmitEvents,
    FireTimer,
    Journal,
    JournalCommand,
    Pause,
    RegisterFunctions,
    RequestCancel,
    RequestPause,
)
from ironflow.journal.memory import MemoryJournal, Snapshot
from ironflow.records import (
    CancelRequested,
    ChildStarted,
    CodeChanged,
    DeadlinePassed,
    Draft,
    EventData,
    EventReceived,
    Published,
    Record,
    SleepFired,
    StepStarted,
    UndoStarted,
)
from ironflow.testing.checks_asks import (
    completed,
    continued,
    ended,
    failed,
    fire,
    sleep,
    wait,
)
from ironflow.testing.checks_imports import foreign
from ironflow.testing.checks_scene import SECOND_US, Holder, Scene, encoded


class Bench:
    """A scene on a journal in memory that is opened once."""

    def __init__(self) -> None:
        self.journal = MemoryJournal()
        self.scene = Scene("bench", self._open)

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[Journal]:
        yield self.journal


@pytest.fixture
async def bench() -> AsyncGenerator[Bench]:
    bench = Bench()
    async with bench.scene.open():
        yield bench


def without_counter(snapshot: Snapshot) -> Snapshot:
    """A number that was drawn is not drawn again, also after a rollback."""
    return replace(snapshot, durable=replace(snapshot.durable, counter=0))


async def parked_waiters(scene: Scene, count: int) -> list[Holder]:
    """Parked runs that wait for `e` until a minute from now."""
    holders = [await scene.start(f"waiter{n}") for n in range(count)]
    ask = wait("w:0", scene.name("e"), timeout_at=scene.now + 60 * SECOND_US)
    for holder in holders:
        await holder.park(ask)
    return holders


# --- nothing or all of it -----------------------------------------------------------


async def test_a_commit_that_raises_leaves_nothing_behind(bench: Bench) -> None:
    """Invariant 6: a commit is whole or absent, also its waits and timers."""
    scene = bench.scene
    waiter = await scene.start("waiter")
    await waiter.park(wait("w:0", scene.name("e"), timeout_at=scene.now + SECOND_US))
    holder = await scene.start()
    await holder.append(failed("a:0", attempt=1, retry_at=scene.now + SECOND_US))
    before = bench.journal.snapshot()
    broken = holder.command(ended(), sleep("nap:0", until=scene.now))
    event = scene.event("e", key="k")

    with pytest.raises(AssertionError, match="after the end"):
        await bench.journal.commit(
            [
                RegisterFunctions((scene.function("new", "e"),), scene.now),
                EmitEvents((event,), scene.now),
                RequestCancel(waiter.run_id, "", "", scene.now),
                broken,
            ]
        )

    assert without_counter(bench.journal.snapshot()) == without_counter(before)
    assert bench.journal.due_now(scene.now + 99 * SECOND_US, limit=9)[0][0].kind
    [receipt] = await scene.emit(event)
    assert not receipt.duplicate
    assert [d.record.id for d in await waiter.woken()] == ["w:0"]


async def test_an_unknown_command_is_our_bug(bench: Bench) -> None:
    """It raises, and the commands before it in the commit are undone."""
    before = bench.journal.snapshot()
    unknown = cast("JournalCommand", "boom")
    register = RegisterFunctions((bench.scene.function("new"),), bench.scene.now)

    with pytest.raises(AssertionError):
        bench.journal.commit_now([register, unknown])

    assert without_counter(bench.journal.snapshot()) == without_counter(before)


async def test_a_rolled_back_commit_keeps_the_order_of_the_queue(bench: Bench) -> None:
    """A run that a failed commit parked is claimed in its old place."""
    scene = bench.scene
    holders = [await scene.start() for _ in range(3)]
    parking = holders[1].command(sleep("nap:0", until=scene.now), park=True)

    with pytest.raises(AssertionError):
        bench.journal.commit_now([parking, cast("JournalCommand", "boom")])
    restored = MemoryJournal.restored(bench.journal.snapshot())

    claims = restored.claim_now(frozenset({scene.name("job")}), limit=9)
    assert [c.run_id for c in claims] == [h.run_id for h in holders]
    await holders[1].append()  # and it is held as before


# --- events -----------------------------------------------------------------------


async def test_an_event_named_like_a_topic_starts_nothing(bench: Bench) -> None:
    """A function that takes everything does not take messages."""
    scene = bench.scene
    await scene.register(
        msgspec.structs.replace(scene.function("all"), triggers=(">", "topic:>"))
    )
    event = msgspec.structs.replace(scene.event("news"), name="topic:news")

    [receipt] = await scene.emit(event)

    assert receipt.run_ids == ()


async def test_an_event_keeps_the_time_it_brings(bench: Bench) -> None:
    """Only an event without a time is stamped."""
    event = msgspec.structs.replace(bench.scene.event("e"), timestamp=7)

    await bench.scene.emit(event)

    [stored] = bench.journal.events_now()
    assert stored.event.timestamp == 7


async def test_a_batch_of_different_events_is_no_conflict(bench: Bench) -> None:
    """Equal keys under different names are different keys."""
    scene = bench.scene

    receipts = await scene.emit(scene.event("a", key="k"), scene.event("b", key="k"))

    assert [receipt.duplicate for receipt in receipts] == [False, False]


async def test_a_time_out_waits_for_a_delivery_that_takes_long(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invariant 8: the event was there first, however many other waits it has."""
    monkeypatch.setattr(limits, "DELIVERIES_PER_COMMIT_MAX", 2)
    scene = bench.scene
    holders = await parked_waiters(scene, 7)
    event = scene.event("e")
    await scene.emit(event)
    [timer] = bench.journal.timers_now(holders[-1].run_id)

    for _ in range(2):
        assert await scene.done(FireTimer(timer, timer.due), what="a timeout")
        assert bench.journal.timers_now(holders[-1].run_id) == [timer]
    await scene.done(FireTimer(timer, timer.due), what="the last")

    assert bench.journal.timers_now(holders[-1].run_id) == []
    [draft] = await holders[-1].woken()
    assert isinstance(draft.record, EventReceived)


async def test_a_delivery_goes_through_many_events(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that nobody waits for cost a little of the budget, so a commit ends."""
    monkeypatch.setattr(limits, "DELIVERIES_PER_COMMIT_MAX", 2)
    scene = bench.scene
    holders = await parked_waiters(scene, 3)
    await scene.emit(scene.event("e"), *(scene.event("idle") for _ in range(5)))

    rounds = 0
    while await scene.done(DeliverEvents(scene.now), what="a delivery"):
        rounds += 1

    assert rounds == 4  # six events at two a commit, the first of them counted twice
    for holder in holders:
        assert [draft.record.id for draft in await holder.woken()] == ["w:0"]


async def test_the_older_wait_takes_an_event_that_is_still_on_its_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A younger wait of the run does not reach past the delivery by looking back."""
    monkeypatch.setattr(limits, "DELIVERIES_PER_COMMIT_MAX", 1)
    scene = bench.scene
    first, holder = await scene.start("first"), await scene.start()
    old, young = (
        wait(step, scene.name("e"), path="data", value=2)
        for step in ("old:0", "young:0")
    )
    await first.park(old)
    await holder.append(old)
    await scene.emit(scene.event("e", 1), scene.event("e", 2))

    looked = await holder.append(young)
    while await scene.done(DeliverEvents(scene.now), what="a delivery"):
        pass

    assert looked.inbox == ()
    inbox = (await holder.append()).inbox
    assert [row.draft.record.id for row in inbox] == ["old:0"]


async def test_a_delivery_goes_on_in_the_middle_of_a_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invariant 8: a wait that may not have the event does not hide the next one."""
    monkeypatch.setattr(limits, "DELIVERIES_PER_COMMIT_MAX", 1)
    scene = bench.scene
    first, holder = await scene.start("first"), await scene.start()
    await first.park(wait("w:0", scene.name("e")))
    event = scene.event("e")
    await scene.emit(event)
    ask = wait("now:0", scene.name("e"), look_back=False)
    await holder.append(ask, wait("old:0", scene.name("e")))
    await scene.done(DeliverEvents(scene.now), what="up to the wait since now")

    looked = await holder.append(wait("young:0", scene.name("e")))
    while await scene.done(DeliverEvents(scene.now), what="a delivery"):
        pass

    inbox = (*looked.inbox, *(await holder.append()).inbox)
    assert [row.draft.record.id for row in inbox] == ["old:0"]


async def test_messages_of_one_append_share_a_budget(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much a run publishes, the work in its commit is bounded."""
    monkeypatch.setattr(limits, "DELIVERIES_PER_COMMIT_MAX", 3)
    scene = bench.scene
    waiters = [await scene.start(f"w{n}") for n in range(4)]
    for n, waiter in enumerate(waiters):
        await waiter.park(wait("w:0", f"topic:{'ab'[n % 2]}"))
    holder = await scene.start()
    messages = [
        Published(id=f"p:{topic}", topic=topic, event_id=scene.event("x").id)
        for topic in "ab"
    ]

    await holder.append(*(Draft(message, encoded(1)) for message in messages))

    woken = {c.run_id for c in await scene.claim("w0", "w1", "w2", "w3")}
    assert len(woken) == 3
    await scene.done(DeliverEvents(scene.now), what="a delivery")
    assert len(await scene.claim("w0", "w1", "w2", "w3")) == 1


# --- what is abandoned --------------------------------------------------------------


async def test_an_event_given_back_stays_with_its_run(bench: Bench) -> None:
    """A younger run that waits for later events does not get it."""
    scene = bench.scene
    holder, other = await scene.start(), await scene.start("other")
    await holder.append(wait("w:0", scene.name("e")))
    await scene.emit(scene.event("e"))
    await other.park(wait("w:0", scene.name("e"), look_back=False))
    await holder.append()

    after = await holder.append(abandoned=("w:0",))

    assert after.inbox == ()
    assert await other.woken() == []


async def test_an_event_given_back_skips_a_wait_since_now(bench: Bench) -> None:
    """It was stored before that wait was asked."""
    scene = bench.scene
    holder = await scene.start()
    name = scene.name("e")
    await holder.append(wait("old:0", name))
    event = scene.event("e")
    await scene.emit(event)
    command = holder.command(
        wait("now:0", name, look_back=False), wait("young:0", name)
    )
    holder.took(command, await scene.commit(command))

    after = await holder.append(abandoned=("old:0",))

    assert [row.draft.record.id for row in after.inbox] == ["young:0"]
    received = cast("EventReceived", after.inbox[0].draft.record)
    assert received.event_id == event.id


async def test_a_sleep_that_fired_can_be_abandoned(bench: Bench) -> None:
    """Its inbox row goes; there is no event to give back."""
    scene = bench.scene
    holder = await scene.start()
    await holder.append(sleep("nap:0", until=scene.now), sleep("b:0", until=scene.now))
    await fire(scene, holder.run_id)
    looked = await holder.append()
    assert {type(row.draft.record) for row in looked.inbox} == {SleepFired}

    after = await holder.append(abandoned=("nap:0",))

    assert after.inbox == ()
    records = [e.record for e in bench.journal.history_now(holder.run_id)]
    assert [r.id for r in records if isinstance(r, SleepFired)] == ["b:0"]


async def test_what_is_asked_and_abandoned_in_one_append_leaves_no_row(
    bench: Bench,
) -> None:
    """Nobody waits for it: it takes no event and sets no timer."""
    scene = bench.scene
    holder = await scene.start()
    name, due = scene.name("e"), scene.now + SECOND_US

    await holder.append(
        wait("old:0", name, timeout_at=due),
        sleep("nap:0", until=due),
        abandoned=("old:0", "nap:0"),
    )
    await scene.emit(scene.event("e"))
    after = await holder.append(wait("new:0", name))

    assert bench.journal.timers_now(holder.run_id) == []
    assert [row.draft.record.id for row in after.inbox] == ["new:0"]


async def test_what_is_abandoned_after_the_holder_looked_goes_too(bench: Bench) -> None:
    """Its row has a higher number than the holder has seen."""
    scene = bench.scene
    holder = await scene.start()
    await holder.append(wait("w:0", scene.name("e")))
    late = holder.command(abandoned=("w:0",), park=True)
    await scene.emit(scene.event("e"))

    appended = holder.took(late, await scene.commit(late))

    assert appended.parked


# --- runs -------------------------------------------------------------------------


async def test_records_that_only_the_history_needs_change_nothing_else(
    bench: Bench,
) -> None:
    """They are appended, and that is all."""
    scene = bench.scene
    holder = await scene.start()
    records: list[Record] = [
        StepStarted(id="a:0"),
        UndoStarted(),
        CodeChanged(version="v2"),
        CancelRequested(),
        DeadlinePassed(),
    ]

    appended = await holder.append(*(Draft(record) for record in records), park=True)

    assert (appended.length, appended.parked) == (6, True)
    assert bench.journal.timers_now(holder.run_id) == []


async def test_a_chain_is_followed_only_so_far(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancel of a longer chain changes nothing, rather than never end."""
    monkeypatch.setattr(limits, "CONTINUATIONS_FOLLOWED_MAX", 1)
    scene = bench.scene
    first = holder = await scene.start()
    for n in range(2):
        await holder.append(continued(holder, n))
        holder = await scene.hold("job")

    changed = await scene.done(
        RequestCancel(first.run_id, "", "", scene.now), what="a cancel"
    )

    assert not changed


async def test_a_time_before_1970_is_due_at_once(bench: Bench) -> None:
    """Stores sort times as whole numbers from 1 on."""
    scene = bench.scene
    holder = await scene.start()

    await holder.park(sleep("nap:0", until=-5))

    [timer], _ = bench.journal.due_now(scene.now, limit=9)
    assert timer.due == 1
    await fire(scene, holder.run_id)
    assert [draft.record.id for draft in await holder.woken()] == ["nap:0"]


async def test_a_child_without_input_begins_with_nil(bench: Bench) -> None:
    """Nothing given is the value None."""
    scene = bench.scene
    await scene.register(scene.function("kid"))
    parent = await scene.start()
    child_run = ids.run_id(ids.derived(scene.now, "kid"))
    asked = ChildStarted(
        id="call:0", function_id=scene.name("kid"), child_run=child_run
    )

    await parent.append(Draft(asked))

    [entry] = bench.journal.history_now(child_run)
    event = msgspec.msgpack.decode(entry.payload, type=EventData)
    assert msgspec.msgpack.decode(event.data) is None


async def test_a_pause_that_was_asked_for_comes_with_an_import(bench: Bench) -> None:
    """Nobody holds the run here: it stands still, and the function may be unknown."""
    command = foreign(bench.scene, completed("a:0", 1))
    asked = Pause("asked", "why", "", 1, "ann")
    row = msgspec.structs.replace(command.row, asked=asked)

    await bench.scene.done(replace(command, row=row, resume=True), what="an import")

    found = (await bench.scene.summary(row.run_id)).row
    assert (found.status, found.pause, found.asked) == ("paused", asked, None)


async def test_a_run_of_an_unknown_function_is_paused(bench: Bench) -> None:
    command = foreign(bench.scene, completed("a:0", 1))
    await bench.scene.done(replace(command, resume=True), what="an import")

    request = RequestPause(command.row.run_id, "", "", bench.scene.now)
    assert await bench.scene.done(request, what="a pause")

    found = (await bench.scene.summary(command.row.run_id)).row
    assert found.pause == Pause("asked", "somebody asked for it", "", bench.scene.now)
