"""Checks of a journal: lanes keep their limits, and who was ready first comes first."""

from collections.abc import Sequence

from msgspec.structs import replace

from ironflow.journal.base import (
    Claim,
    FunctionRow,
    Hint,
    Pause,
    PauseRun,
    ResumeRun,
)
from ironflow.testing.checks_asks import child, continued, ended, wait
from ironflow.testing.checks_scene import (
    Holder,
    OpenJournal,
    Scene,
    expect,
    require,
)

_FEW = 5


def _laned(scene: Scene, limit: int, *, key: str = "data.customer") -> FunctionRow:
    """Return the function `job` of a scene, with lanes."""
    plain = scene.function("job", "go")
    return replace(plain, concurrency=limit, concurrency_key=key)


async def _emitted(scene: Scene, *customers: object) -> list[str]:
    """Emit an event for each customer; return the runs."""
    events = [scene.event("go", {"customer": customer}) for customer in customers]
    return [receipt.run_ids[-1] for receipt in await scene.emit(*events)]


def _names(claims: Sequence[Claim], run_ids: list[str]) -> list[int]:
    """Return which of the runs were claimed, in order."""
    return [run_ids.index(claim.run_id) for claim in claims]


async def check_a_lane_has_a_limit(open_journal: OpenJournal) -> None:
    """Runs of full lanes wait; the others are claimed in the order of their events."""
    scene = Scene("lanes", open_journal)
    async with scene.open():
        await scene.register(_laned(scene, 2), scene.function("free", "go"))
        runs = await _emitted(scene, "a", "a", "a", "b", 1, "1", 1, 1, "b")
        free = await scene.claim("free")

        first = await scene.claim("job", limit=3)
        rest = await scene.claim("job")

        expect(len(free), len(runs), what="claims of a function without a limit")
        expect(_names(first, runs), [0, 1, 3], what="the first three with room")
        expect(_names(rest, runs), [4, 5, 6, 8], what="the rest with room")
        expect(await scene.claim("job"), [], what="claims while every lane is full")
        await _ended(scene, first[0])
        expect(_names(await scene.claim("job"), runs), [2], what="who takes its place")


async def check_no_value_is_a_lane_too(open_journal: OpenJournal) -> None:
    """Runs whose event has nothing at the path share one; so do those of no key."""
    scene = Scene("lane_none", open_journal)
    async with scene.open():
        await scene.register(_laned(scene, 1))
        runs = await _emitted(scene, None, "a", None)
        claims = await scene.claim("job")
        expect(_names(claims, runs), [0, 1], what="one run without a customer")
        for claim in claims:
            await _ended(scene, claim)
        await _ended(scene, (await scene.claim("job"))[0])

        await scene.register(_laned(scene, 1, key=""))
        runs = await _emitted(scene, "a", "b")

        expect(_names(await scene.claim("job"), runs), [0], what="one run of all")


async def _ended(scene: Scene, claim: Claim) -> None:
    holder = await Holder.of(scene, claim)
    await holder.append(ended())


async def check_a_run_leaves_its_lane(open_journal: OpenJournal) -> None:
    """Whoever parks, is paused, given back or ends makes room, and a hint says so."""
    scene = Scene("lane_room", open_journal)
    async with scene.open() as journal:
        await scene.register(_laned(scene, 1))
        runs = await _emitted(scene, *["a"] * _FEW)
        hints: list[Hint] = []
        stop = journal.watch(hints.append)

        parked = await scene.hold("job")
        await parked.park(wait("w:0", scene.name("e")))
        expect([hint.room for hint in hints], [True], what="room after a run parked")
        paused = await scene.hold("job")
        pause = Pause("step", "no", "v1", scene.now)
        await scene.done(PauseRun(paused.run_id, paused.claim.epoch, pause), what="p")
        expect([hint.room for hint in hints], [True] * 2, what="room after a pause")
        done = await scene.hold("job")
        await done.append(ended())
        expect([hint.room for hint in hints], [True] * 3, what="room after an end")
        stop()
        released = await scene.hold("job")
        await journal.release([released.claim])

        order = [parked.run_id, paused.run_id, done.run_id, released.run_id]
        expect(order, runs[:4], what="one after the other")
        last = await scene.hold("job")
        expect(last.run_id, runs[4], what="after one that was given back")


async def check_a_run_that_wakes_takes_its_turn(open_journal: OpenJournal) -> None:
    """It is ready behind those that were ready before it."""
    scene = Scene("lane_turn", open_journal)
    async with scene.open():
        await scene.register(_laned(scene, 1))
        runs = await _emitted(scene, "a", "a", "a")
        first = await scene.hold("job")
        await first.park(wait("w:0", scene.name("e")))
        second = await scene.hold("job")
        await scene.emit(scene.event("e"))
        await scene.done(ResumeRun(first.run_id), what="a resume of an open run")

        expect(await scene.claim("job"), [], what="claims while another is held")
        await second.append(ended())
        third = await scene.hold("job")
        await third.append(ended())
        woken = await scene.hold("job")

        order = [second.run_id, third.run_id, woken.run_id]
        expect(order, [runs[1], runs[2], runs[0]], what="the order of turns")
        expect(len(woken.inbox), 1, what="what woke it")


async def check_lanes_outlive_a_restart(open_journal: OpenJournal) -> None:
    """A crash ends every hold and leaves every run in its lane, in its order."""
    scene = Scene("lane_restart", open_journal)
    async with scene.open():
        await scene.register(_laned(scene, 1))
        runs = await _emitted(scene, "a", "b", "a", "b")
        await scene.claim("job")
    async with scene.open():
        claims = await scene.claim("job")

        expect(_names(claims, runs), [0, 1], what="claims after a restart")
        for claim in claims:
            await _ended(scene, claim)
        expect(_names(await scene.claim("job"), runs), [2, 3], what="the next ones")


async def check_a_limit_can_change(open_journal: OpenJournal) -> None:
    """The limit of now counts, for runs of every age; a hold is never taken away."""
    scene = Scene("lane_limit", open_journal)
    async with scene.open() as journal:
        await scene.register(_laned(scene, 2))
        runs = await _emitted(scene, *["a"] * _FEW)
        claims = await scene.claim("job")
        hints: list[Hint] = []
        stop = journal.watch(hints.append)
        await scene.register(_laned(scene, 3))
        stop()
        claims = [*claims, *await scene.claim("job")]

        expect(_names(claims, runs), [0, 1, 2], what="claims under a higher limit")
        require(any(hint.room for hint in hints), what="a hint that there is room")
        await scene.register(_laned(scene, 1))
        await _ended(scene, claims[0])
        await _ended(scene, claims[1])
        expect(await scene.claim("job"), [], what="one is held, and one may be")
        await _ended(scene, claims[2])
        expect(_names(await scene.claim("job"), runs), [3], what="the next one")
        await scene.register(_laned(scene, 0))
        expect(_names(await scene.claim("job"), runs), [4], what="without a limit")


async def check_every_run_has_its_lane(open_journal: OpenJournal) -> None:
    """A child has that of its input, a continued run that of its new data."""
    scene = Scene("lane_child", open_journal)
    async with scene.open():
        await scene.register(_laned(scene, 1))
        parent = await scene.start("parent")
        [started] = await _emitted(scene, "a")
        held = await scene.hold("job")
        expect(held.run_id, started, what="who is held")

        await parent.append(
            child(parent, "call:0", scene.name("job"), {"customer": "a"}),
            child(parent, "call:1", scene.name("job"), {"customer": "b"}),
        )
        await held.append(continued(held, {"customer": "b"}))

        claims = await scene.claim("job")
        rows = [(await scene.summary(claim.run_id)).row for claim in claims]
        expect(
            [row.parent_step for row in rows],
            ["call:0", "call:1"],
            what="children in a lane each",
        )
        await _ended(scene, claims[1])
        last = await scene.hold("job")
        row = (await scene.summary(last.run_id)).row
        expect(row.continued_from, started, what="the continued run takes its turn")
        expect(row.lane, rows[1].lane, what="the lane of the new data")


LANE_CHECKS = (
    check_a_lane_has_a_limit,
    check_no_value_is_a_lane_too,
    check_a_run_leaves_its_lane,
    check_a_run_that_wakes_takes_its_turn,
    check_lanes_outlive_a_restart,
    check_a_limit_can_change,
    check_every_run_has_its_lane,
)
