"""Checks of a journal: timers are kept in order, fire once, and go with their cause."""

from msgspec.structs import replace

from ironflow.journal.base import FireTimer, TimerRow
from ironflow.records import DeadlinePassed, Draft, SleepFired, StepInDoubt
from ironflow.testing.checks_asks import child, completed, ended, failed, fire, sleep
from ironflow.testing.checks_scene import (
    ALL,
    SECOND_US,
    Holder,
    OpenJournal,
    Scene,
    expect,
    require,
)


async def check_timers_are_due_in_order(open_journal: OpenJournal) -> None:
    """Earliest first, also after a restart; the second answer is the next one."""
    scene = Scene("due", open_journal)
    scene.now = SECOND_US  # before the timers that other checks have left
    async with scene.open():
        holder = await scene.start()
        start = scene.now + SECOND_US
        wanted = {
            "b:0": start + 2,
            "a:0": start + 1,
            "d:0": start + 4,
            "c:0": start + 3,
        }
        await holder.park(*(sleep(step, until=due) for step, due in wanted.items()))
        await scene.emit(scene.event("nothing"))
    async with scene.open() as journal:
        timers = await journal.timers(holder.run_id)
        expect(
            [timer.step for timer in timers],
            ["a:0", "b:0", "c:0", "d:0"],
            what="the timers of a run",
        )
        due = await scene.due(start + 3)
        expect([timer.step for timer in due], ["a:0", "b:0", "c:0"], what="due timers")
        expect(
            due[0], TimerRow(holder.run_id, "a:0", "sleep", start + 1), what="a timer"
        )
        expect(await scene.due(start), [], what="timers before their time")
        _, later = await journal.due(start + 3, limit=ALL)
        expect(later, start + 4, what="when the next is due")
        early, then = await journal.due(start + 3, limit=1)
        expect(
            ([timer.step for timer in early], then),
            (["a:0"], start + 2),
            what="a page of due timers and the next",
        )
        await fire(scene, holder.run_id)
        _, later = await journal.due(scene.now, limit=ALL)
        require(later == 0 or later > scene.now, what="fired timers are not due")


async def check_a_timer_fires_once(open_journal: OpenJournal) -> None:
    """Firing takes the row away: a second time, or early, does nothing."""
    scene = Scene("fires", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()
        await holder.park(sleep("nap:0", until=scene.now + SECOND_US))
        [timer] = await journal.timers(holder.run_id)
        early = await scene.done(FireTimer(timer, timer.due - 1), what="too early")
        other = replace(timer, due=timer.due - 5)
        moved = await scene.done(FireTimer(other, timer.due), what="another time")
        kind = replace(timer, kind="retry")
        mixed = await scene.done(FireTimer(kind, timer.due), what="another kind")
        expect((early, moved, mixed), (False, False, False), what="timers that are not")
        expect((await scene.summary(holder.run_id)).status, "waiting", what="status")

        first = await scene.done(FireTimer(timer, timer.due), what="a timer")
        again = await scene.done(FireTimer(timer, timer.due), what="the same timer")

        expect((first, again), (True, False), what="whether the timer acted")
        drafts = await holder.woken()
        expect(
            [draft.record for draft in drafts],
            [SleepFired(id="nap:0")],
            what="the inbox",
        )


async def check_a_retry_only_makes_the_run_ready(open_journal: OpenJournal) -> None:
    """A failed attempt sets a timer; the next attempt's record takes it away."""
    scene = Scene("retry", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()
        due = [scene.now + n * SECOND_US for n in (1, 2, 3)]
        await holder.park(failed("a:0", attempt=1, retry_at=due[0]))
        await fire(scene, holder.run_id)
        expect(await holder.woken(), [], what="the inbox of a run that retries")
        expect((await scene.summary(holder.run_id)).status, "running", what="status")
    async with scene.open() as journal:
        holder = await scene.hold("job")
        for attempt in (2, 3):
            again = failed("a:0", attempt=attempt, retry_at=due[attempt - 1])
            await holder.append(again)
            timers = await journal.timers(holder.run_id)
            expect(
                timers,
                [TimerRow(holder.run_id, "a:0", "retry", due[attempt - 1])],
                what="the timer of the last failed attempt alone",
            )
        await holder.append(completed("a:0", 1, attempt=4))
        expect(await journal.timers(holder.run_id), [], what="timers of a settled step")
        await holder.append(
            failed("b:0", attempt=1, retry_at=due[0]),
            Draft(StepInDoubt(id="b:0", attempt=2)),
            failed("c:0", attempt=1, retry_at=due[0]),
            failed("c:0", attempt=2),
        )
        expect(await journal.timers(holder.run_id), [], what="timers of settled steps")


async def check_a_run_has_its_deadlines(open_journal: OpenJournal) -> None:
    """`start` goes with the first append, `run` with the end; each says so by ''."""
    scene = Scene("deadlines", open_journal)
    async with scene.open() as journal:
        await scene.register(
            scene.function(
                "job", "go", run_timeout_us=9 * SECOND_US, start_timeout_us=SECOND_US
            )
        )
        await scene.emit(scene.event("go"))
        holder = await scene.hold("job")
        started = scene.now
        timers = {t.kind: t for t in await journal.timers(holder.run_id)}
        expect(
            {kind: timer.due - started for kind, timer in timers.items()},
            {"run": 9 * SECOND_US, "start": SECOND_US},
            what="deadlines",
        )

        await holder.park()
        expect(
            list(await journal.timers(holder.run_id)),
            [timers["run"]],
            what="deadlines of a run that has begun",
        )
        await fire(scene, holder.run_id)

        drafts = await holder.woken()
        expect([draft.record for draft in drafts], [DeadlinePassed()], what="inbox")
        await scene.emit(scene.event("go"))
        late = await scene.hold("job")
        [timer] = [t for t in await journal.timers(late.run_id) if t.kind == "start"]
        await scene.done(FireTimer(timer, timer.due), what="a start deadline")
        appended = await late.append(ended("failed"))
        require(appended.parked, what="a run that has ended is not ready")
        expect(await journal.timers(late.run_id), [], what="timers of an ended run")


async def check_an_invoke_has_a_deadline(open_journal: OpenJournal) -> None:
    """The end of the child takes it away; if it fires first, it names the step."""
    scene = Scene("invoke_deadline", open_journal)
    async with scene.open() as journal:
        await scene.register(scene.function("kid"))
        quick = await scene.start("quick")
        slow = await scene.start("slow")
        for parent in (quick, slow):
            await parent.park(
                child(parent, "call:0", scene.name("kid"), 1, timeout_at=scene.now + 9)
            )
        kids = {
            (await scene.summary(claim.run_id)).row.parent_run: claim
            for claim in await scene.claim("kid")
        }
        kid = await Holder.of(scene, kids[quick.run_id])
        await kid.append(ended("completed", 5))
        expect(await journal.timers(quick.run_id), [], what="timers after the end")
        await fire(scene, slow.run_id)

        drafts = await slow.woken()
        expect(
            [draft.record for draft in drafts],
            [DeadlinePassed(id="call:0", timer="invoke")],
            what="the inbox of the parent whose child is slow",
        )


async def check_an_end_leaves_nothing_behind(open_journal: OpenJournal) -> None:
    """No timer, wait, inbox row, ready row or hold outlives a run."""
    scene = Scene("end", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()
        await holder.append(
            sleep("nap:0", until=scene.now + SECOND_US),
            sleep("old:0", until=scene.now + SECOND_US),
        )
        last = holder.command(ended("completed", 1))
        await fire(scene, holder.run_id)

        appended = holder.took(last, await scene.commit(last))

        expect((appended.inbox, appended.parked), ((), True), what="the last answer")
        expect(await journal.timers(holder.run_id), [], what="timers")
        summary = await scene.summary(holder.run_id)
        expect(
            (summary.status, summary.row.ended_at > 0, summary.length),
            ("completed", True, 4),
            what="the summary of an ended run",
        )
    async with scene.open():
        expect(await scene.claim("job"), [], what="runs to claim")
        expect(await scene.due(scene.now + 99 * SECOND_US), [], what="timers due")


TIMER_CHECKS = (
    check_timers_are_due_in_order,
    check_a_timer_fires_once,
    check_a_retry_only_makes_the_run_ready,
    check_a_run_has_its_deadlines,
    check_an_invoke_has_a_deadline,
    check_an_end_leaves_nothing_behind,
)
