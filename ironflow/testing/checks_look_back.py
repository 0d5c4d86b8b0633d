"""Checks of a journal: a wait looks back at many events, at once or by and by."""

from collections.abc import Sequence

from ironflow import limits
from ironflow.journal.base import Appended, DeliverEvents, FireTimer, RequestCancel
from ironflow.records import Draft, WaitTimedOut
from ironflow.testing.checks_asks import ended, wait
from ironflow.testing.checks_crowds import deliver_all
from ironflow.testing.checks_scene import (
    SECOND_US,
    Holder,
    OpenJournal,
    Scene,
    expect,
    require,
)
from ironflow.testing.checks_waits import received

SOME = limits.LOOK_BACK_SCAN_EVENTS_MAX + 8
MANY = limits.LOOK_BACK_EVENTS_PER_COMMIT_MAX + 8


async def _emitted(scene: Scene, count: int, *, first: int = 0) -> list[str]:
    """Store events with a number each, also such that are nobody's."""
    numbers = range(first, first + count)
    events = [scene.event("e", {"n": n, "odd": n % 2}) for n in numbers]
    size = limits.COMMIT_COMMANDS_MAX // 2
    for start in range(0, count, size):
        await scene.emit(*events[start : start + size], scene.event("other", {"n": 1}))
    return [event.id for event in events]


def _inbox(appended: Appended) -> list[tuple[str, str]]:
    return received([row.draft for row in appended.inbox])


def _for(scene: Scene, step: str, path: str, value: object) -> Draft:
    return wait(step, scene.name("e"), path=path, value=value)


async def check_a_wait_finds_its_event_among_many(open_journal: OpenJournal) -> None:
    """By any path, the oldest that the run has not taken; after a restart, too."""
    scene = Scene("among", open_journal)
    async with scene.open():
        holder = await scene.start()
        ids = await _emitted(scene, SOME)
        looked = await holder.append(
            *(_for(scene, f"w:{n}", "data.n", n) for n in (30, 3, SOME)),
            *(_for(scene, f"odd:{n}", "data.odd", 1) for n in range(2)),
            _for(scene, "alias:0", "n", 5),
            _for(scene, "whole:0", "data", {"n": 7, "odd": 1}),
            _for(scene, "none:0", "data.nothing", 1),
        )
        wanted = [
            *(("w:30", ids[30]), ("w:3", ids[3])),
            *(("odd:0", ids[1]), ("odd:1", ids[5])),
            ("whole:0", ids[7]),
        ]  # `alias:0` seeks an event that the run has taken for `odd:1`
        expect(_inbox(looked), wanted, what="events found by looking back")
        ids += await _emitted(scene, 1, first=SOME)
        looked = await holder.append()
        expect(_inbox(looked), [(f"w:{SOME}", ids[SOME])], what="the event to come")
    async with scene.open():
        holder = await scene.hold("job")
        await holder.append()
        looked = await holder.append(
            _for(scene, "later:0", "data.n", 31), _for(scene, "again:0", "data.n", 3)
        )
        expect(_inbox(looked), [("later:0", ids[31])], what="found after a restart")


async def check_every_run_looks_back_to_its_trigger(open_journal: OpenJournal) -> None:
    """No further, and an older run further than the younger that asked before it."""
    scene = Scene("triggers", open_journal)
    async with scene.open():
        old = await scene.start("old")
        ids = await _emitted(scene, SOME)
        young = await scene.start("young")
        ids += await _emitted(scene, SOME, first=SOME)

        none = await young.append(_for(scene, "w:0", "data.n", 3))
        last = await young.append(_for(scene, "w:1", "data.n", SOME + 1))
        found = await old.append(
            _for(scene, "w:0", "data.n", 3), _for(scene, "w:1", "data.n", SOME + 1)
        )

        expect(_inbox(none), [], what="an event before the trigger")
        expect(_inbox(last), [("w:1", ids[SOME + 1])], what="an event after it")
        wanted = [("w:0", ids[3]), ("w:1", ids[SOME + 1])]
        expect(_inbox(found), wanted, what="what the older run finds")


async def check_a_wait_looks_back_by_and_by(open_journal: OpenJournal) -> None:
    """More than one commit may look at: it comes to its turn, before newer events."""
    scene = Scene("far_back", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()
        ids = await _emitted(scene, MANY)
        hints = list[bool]()
        stop = journal.watch(lambda hint: hints.append(hint.undelivered))

        asked = await holder.append(
            _for(scene, "far:0", "data.n", MANY - 2),
            wait("any:0", scene.name("e")),
            _for(scene, "odd:0", "data.odd", 1),
        )

        expect(_inbox(asked), [], what="what is found in the commit of the wait")
        require(True in hints, what="a hint that there is more to look at")
        stop()
        await _emitted(scene, 1, first=MANY - 2)
        expect(_inbox(await holder.append()), [], what="a newer event meanwhile")
    async with scene.open():
        require(await deliver_all(scene), what="commands go on with it")
        woken = received(await holder.woken())
        wanted = [("far:0", ids[-2]), ("any:0", ids[0]), ("odd:0", ids[1])]
        expect(woken, wanted, what="the oldest events, in the order of the waits")


async def check_looking_back_comes_before_a_timeout(open_journal: OpenJournal) -> None:
    """A timer of a wait that still looks back stays, until it has looked at all."""
    scene = Scene("far_timer", open_journal)
    async with scene.open() as journal:
        found, lost, gone = [await scene.start(word) for word in ("a", "b", "c")]
        ids = await _emitted(scene, MANY)
        due = scene.now + SECOND_US
        for holder, value in ((found, 2), (lost, -1), (gone, 3)):
            name = scene.name("e")
            ask = wait("w:0", name, path="data.n", value=value, timeout_at=due)
            await holder.park(ask)
        await _ended(scene, "c", gone)

        [timer] = await journal.timers(found.run_id)
        changed = await scene.done(FireTimer(timer, due), what="a timer fires")
        for each in [timer, *await journal.timers(lost.run_id)] * 3:
            await scene.done(FireTimer(each, due), what="a timer fires")

        require(changed, what="a timer goes on with the look back")
        expect(received(await found.woken()), [("w:0", ids[2])], what="the event wins")
        records: Sequence[object] = [draft.record for draft in await lost.woken()]
        expect(records, [WaitTimedOut(id="w:0")], what="nothing was found in time")
        for holder in (found, lost, gone):
            expect(await journal.timers(holder.run_id), [], what="timers left")
        await deliver_all(scene)
        late = await scene.done(DeliverEvents(scene.now), what="a delivery")
        require(not late, what="nothing is left to deliver")


async def _ended(scene: Scene, word: str, holder: Holder) -> None:
    """End a run that is parked in a wait that still looks back."""
    await scene.done(RequestCancel(holder.run_id, "", "", scene.now), what="a cancel")
    again = await scene.hold(word)
    await again.append(ended("cancelled"), abandoned=("w:0",))


LOOK_BACK_CHECKS = (
    check_a_wait_finds_its_event_among_many,
    check_every_run_looks_back_to_its_trigger,
    check_a_wait_looks_back_by_and_by,
    check_looking_back_comes_before_a_timeout,
)
