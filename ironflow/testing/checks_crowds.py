"""Checks of a journal: more waits want an event than one commit may wake.

Each leaves a thousand runs behind.
"""

from ironflow import limits
from ironflow.journal.base import AppendRecords, DeliverEvents, FireTimer
from ironflow.records import Draft
from ironflow.testing.checks_asks import wait
from ironflow.testing.checks_retention import delete_events
from ironflow.testing.checks_scene import (
    SECOND_US,
    Holder,
    OpenJournal,
    Scene,
    expect,
    require,
)
from ironflow.testing.checks_waits import received

MANY = limits.DELIVERIES_PER_COMMIT_MAX + 5


async def _crowd(scene: Scene, *, size: int) -> list[Holder]:
    """Many parked runs that wait for `e`, in the order of their ids."""
    await scene.register(scene.function("job", "go"))
    for first in range(0, size, 500):
        events = [scene.event("go") for _ in range(first, min(first + 500, size))]
        await scene.emit(*events)
    holders: list[Holder] = []
    while claims := await scene.claim("job", limit=500):
        page = [await Holder.of(scene, claim) for claim in claims]
        ask = wait("w:0", scene.name("e"), timeout_at=scene.now + 60 * SECOND_US)
        commands: list[AppendRecords] = [
            holder.command(ask, park=True) for holder in page
        ]
        answers = await scene.journal.commit(commands)
        for holder, command, answer in zip(page, commands, answers, strict=True):
            holder.took(command, answer)
        holders += page
    expect(len(holders), size, what="runs of the crowd")
    return sorted(holders, key=lambda holder: holder.run_id)


async def deliver_all(scene: Scene) -> int:
    """Deliver until nothing remains; return how many commands that took."""
    for count in range(10 * MANY):
        if not await scene.done(DeliverEvents(scene.now), what="a delivery"):
            return count
    raise AssertionError("a delivery does not come to an end")


async def check_many_waits_get_an_event_in_order(open_journal: OpenJournal) -> None:
    """A bounded part in the commit of the event, the rest later, none twice."""
    scene = Scene("crowd", open_journal)
    async with scene.open() as journal:
        await _crowd(scene, size=MANY)
        hints = list[bool]()
        stop = journal.watch(lambda hint: hints.append(hint.undelivered))
        events = [scene.event("e", n) for n in range(2)]
        await scene.emit(events[0])
        require(hints[-1], what="a hint says that deliveries remain")
        stop()
        woken = [*await scene.claim("job"), *await scene.claim("job")]
        expect(
            len(woken),
            limits.DELIVERIES_PER_COMMIT_MAX,
            what="runs that the event wakes in its own commit",
        )
        await scene.emit(events[1])
    async with scene.open():
        require(await deliver_all(scene) > 0, what="deliveries survive a restart")

        claims = list(await scene.claim("job"))
        claims += await scene.claim("job")  # a claim may take less than all
        expect(len(claims), MANY, what="runs woken")
        for claim in claims:
            expect(
                received([row.draft for row in claim.inbox]),
                [("w:0", events[0].id)],
                what="the older event, once",
            )
        holder = await Holder.of(scene, claims[0])
        after = await holder.append(wait("w:1", scene.name("e")))
        expect(
            received([row.draft for row in after.inbox]),
            [("w:1", events[1].id)],
            what="the younger event, by looking back",
        )


async def check_a_wait_made_during_a_delivery_misses_nothing(
    open_journal: OpenJournal,
) -> None:
    """Invariant 8: whether the cursor is before or behind its run, once."""
    scene = Scene("during", open_journal)
    async with scene.open() as journal:
        before = await scene.start("before")
        crowd = await _crowd(scene, size=MANY)
        after = await scene.start("after")
        events = [scene.event("e", n) for n in range(2)]
        await scene.emit(*events)

        for holder in (before, after):
            await holder.append(
                wait("now:0", scene.name("e"), look_back=False),
                wait("old:0", scene.name("e")),
                wait("young:0", scene.name("e")),
            )
        await deliver_all(scene)

        both = [("old:0", events[0].id), ("young:0", events[1].id)]
        for holder in (before, after):
            await holder.append()  # what had come when it asked
            await holder.append()  # what came with the delivery
            history = await journal.history(holder.run_id)
            drafts = [Draft(entry.record) for entry in history]
            expect(
                received(drafts),
                both,
                what="the events of a wait that came in between",
            )
        for holder in (crowd[0], crowd[-1]):
            expect(
                await journal.timers(holder.run_id),
                [],
                what="timeouts of waits that were served",
            )


async def check_an_event_before_a_timeout_wins_late(open_journal: OpenJournal) -> None:
    """A timeout finds an event that was stored before it, but not yet delivered."""
    scene = Scene("late_win", open_journal)
    async with scene.open() as journal:
        holders = await _crowd(scene, size=MANY)
        event = scene.event("e")
        await scene.emit(event)
        [timer] = await journal.timers(holders[-1].run_id)

        await scene.done(FireTimer(timer, timer.due), what="a timeout")

        drafts = await holders[-1].woken()
        expect(received(drafts), [("w:0", event.id)], what="the inbox of the last run")
        expect(await journal.timers(holders[-1].run_id), [], what="its timers")


async def check_an_event_that_is_still_offered_stays(open_journal: OpenJournal) -> None:
    """While not all waits that want it have been looked at."""
    scene = Scene("offered", open_journal)
    async with scene.open() as journal:
        await _crowd(scene, size=MANY)
        [stored] = await scene.emit(scene.event("e"))
        await scene.emit(scene.event("tick"))

        await delete_events(scene, stored.position, scene.now + 1)

        found = await journal.events(scene.name("e"))
        expect([each.position for each in found], [stored.position], what="the event")


CROWD_CHECKS = (
    check_many_waits_get_an_event_in_order,
    check_a_wait_made_during_a_delivery_misses_nothing,
    check_an_event_before_a_timeout_wins_late,
    check_an_event_that_is_still_offered_stays,
)
