"""Checks of a journal: events and waits meet, in both orders of arrival."""

from collections.abc import Sequence

import msgspec

from ironflow.journal.base import FireTimer
from ironflow.records import Draft, EventData, EventReceived, Published, WaitTimedOut
from ironflow.testing.checks_asks import fire, wait
from ironflow.testing.checks_scene import (
    SECOND_US,
    OpenJournal,
    Scene,
    encoded,
    expect,
    require,
)


def received(drafts: Sequence[Draft]) -> list[tuple[str, str]]:
    """Return the step and the event id of the events among inbox rows."""
    records = [draft.record for draft in drafts]
    return [
        (record.id, record.event_id)
        for record in records
        if isinstance(record, EventReceived)
    ]


async def check_an_event_wakes_a_wait(open_journal: OpenJournal) -> None:
    """Invariant 8, the event second: the parked run is ready and has it."""
    scene = Scene("wakes", open_journal)
    async with scene.open():
        holder = await scene.start()
        await holder.park(wait("w:0", scene.name("e")))
        await scene.emit(scene.event("another"))
        expect((await scene.summary(holder.run_id)).status, "waiting", what="status")
        event = scene.event("e", {"n": 1})
        await scene.emit(event)
        expect((await scene.summary(holder.run_id)).status, "running", what="status")
    async with scene.open():
        drafts = await holder.woken()

        expect(received(drafts), [("w:0", event.id)], what="the inbox")
        payload = msgspec.msgpack.decode(drafts[0].payload, type=EventData)
        expect(
            (payload.id, payload.name, bytes(payload.data)),
            (event.id, event.name, encoded({"n": 1})),
            what="the payload",
        )


async def check_a_wait_looks_back(open_journal: OpenJournal) -> None:
    """Invariant 8, the event first: the oldest since the trigger is taken."""
    scene = Scene("look_back", open_journal)
    async with scene.open():
        await scene.emit(scene.event("e"))
        holder = await scene.start()
        events = [scene.event("e", n) for n in range(2)]
        await scene.emit(*events)

        appended = await holder.append(wait("w:0", scene.name("e")), park=True)

        require(not appended.parked, what="a run with an inbox does not park")
        drafts = [row.draft for row in appended.inbox]
        expect(received(drafts), [("w:0", events[0].id)], what="the oldest event")
        again = await holder.append(wait("w:1", scene.name("e")))
        drafts = [row.draft for row in again.inbox]
        expect(received(drafts), [("w:1", events[1].id)], what="the next event")
        none = await holder.append(wait("w:2", scene.name("e")), park=True)
        require(none.parked, what="a run consumes an event once")


async def check_the_trigger_itself_is_not_waited_for(open_journal: OpenJournal) -> None:
    """A wait for events like the run's own takes a later one."""
    scene = Scene("own_event", open_journal)
    async with scene.open():
        holder = await scene.start()
        await holder.park(wait("w:0", scene.name("job.go")))
        later = scene.event("job.go")
        await scene.emit(later)

        expect(received(await holder.woken()), [("w:0", later.id)], what="the inbox")


async def check_a_wait_since_now_takes_later_events_only(
    open_journal: OpenJournal,
) -> None:
    """`look_back=False`: what was stored before the ask does not count."""
    scene = Scene("since_now", open_journal)
    async with scene.open():
        holder = await scene.start()
        await scene.emit(scene.event("e"))
        await holder.park(wait("w:0", scene.name("e"), look_back=False))
        later = scene.event("e")
        await scene.emit(later)

        expect(received(await holder.woken()), [("w:0", later.id)], what="the inbox")


async def check_a_wait_matches_by_value(open_journal: OpenJournal) -> None:
    """Same JSON type and value; null and what is missing never match."""
    scene = Scene("match", open_journal)
    name, path = scene.name("e"), "data.order.id"
    async with scene.open():
        early = scene.event("e", {"order": {"id": 7}})
        holder = await scene.start()
        await scene.emit(scene.event("e", {"order": {"id": "7"}}), early)
        looked = await holder.append(
            wait("early:0", name, path=path, value=7),
            wait("late:0", name, path=path, value="b"),
            wait("null:0", name, path=path, value=None),
        )
        wrong = [scene.event("e", {"order": data}) for data in ({"id": None}, {}, 3)]
        right = scene.event("e", {"order": {"id": "b"}})
        await scene.emit(*wrong, scene.event("e"), right)
        last = await holder.append()

        expect(
            received([row.draft for row in looked.inbox]),
            [("early:0", early.id)],
            what="the event that looking back found",
        )
        expect(
            received([row.draft for row in last.inbox]),
            [("late:0", right.id)],
            what="the event that came",
        )


async def check_one_event_serves_many_runs_once_each(
    open_journal: OpenJournal,
) -> None:
    """Of two waits of a run the older takes it; every run that waits gets it."""
    scene = Scene("serves", open_journal)
    async with scene.open():
        holders = [await scene.start(f"job{n}") for n in range(3)]
        for holder in holders:
            await holder.park(
                wait("old:0", scene.name("e")),
                wait("young:0", scene.name("e"), path="data", value=1),
            )
        event = scene.event("e", 1)
        await scene.emit(event)

        for holder in holders:
            expect(
                received(await holder.woken()),
                [("old:0", event.id)],
                what="the inbox of a run with two waits",
            )


async def check_the_first_of_event_and_timeout_wins(open_journal: OpenJournal) -> None:
    """Deleting the row decides: the other one finds nothing."""
    scene = Scene("race", open_journal)
    async with scene.open() as journal:
        early, late = await scene.start("early"), await scene.start("late")
        for holder in (early, late):
            ask = wait(
                "w:0",
                scene.name(holder.claim.function_id),
                timeout_at=scene.now + SECOND_US,
            )
            await holder.park(ask)
        [timer] = await journal.timers(early.run_id)
        event = scene.event(early.claim.function_id)
        await scene.emit(event)
        require(
            not await scene.done(FireTimer(timer, timer.due), what="a timeout"),
            what="a timeout after the event does nothing",
        )
        expect(await journal.timers(early.run_id), [], what="timers after the event")

        expect(await fire(scene, late.run_id), 1, what="timeouts before the event")
        await scene.emit(scene.event(late.claim.function_id))

        expect(received(await early.woken()), [("w:0", event.id)], what="event first")
        drafts = await late.woken()
        expect(
            [draft.record for draft in drafts],
            [WaitTimedOut(id="w:0")],
            what="timeout first",
        )


async def check_a_message_wakes_waits(open_journal: OpenJournal) -> None:
    """A topic is waited for like an event, also by the run that publishes."""
    scene = Scene("topic", open_journal)
    async with scene.open():
        other, holder = await scene.start("other"), await scene.start()
        topic = scene.name("news")
        await other.park(wait("w:0", f"topic:{topic}"))
        message = Published(id="p:0", topic=topic, event_id=scene.event("any").id)

        appended = await holder.append(
            Draft(message, encoded(1)), wait("w:0", f"topic:{topic}")
        )

        own = [row.draft for row in appended.inbox]
        expect(received(own), [("w:0", message.event_id)], what="the own message")
        expect(
            received(await other.woken()),
            [("w:0", message.event_id)],
            what="the message of another run",
        )


WAIT_CHECKS = (
    check_an_event_wakes_a_wait,
    check_a_wait_looks_back,
    check_the_trigger_itself_is_not_waited_for,
    check_a_wait_since_now_takes_later_events_only,
    check_a_wait_matches_by_value,
    check_one_event_serves_many_runs_once_each,
    check_the_first_of_event_and_timeout_wins,
    check_a_message_wakes_waits,
)
