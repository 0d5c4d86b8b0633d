"""Checks of a journal: a run stands still when somebody asks for it."""

from typing import Final

from ironflow import ids
from ironflow.errors import RunNotFound
from ironflow.journal.base import (
    CountClaims,
    Pause,
    PauseRun,
    RequestCancel,
    RequestPause,
    ResumeRun,
    RunRow,
)
from ironflow.testing.checks_asks import completed, continued, ended, fire, sleep, wait
from ironflow.testing.checks_scene import (
    SECOND_US,
    Holder,
    OpenJournal,
    Scene,
    expect,
    refused,
    require,
)

_WHAT: Final = "a command to a run"
_NOBODY: Final = ids.run_id(bytes(16))


async def check_a_run_that_nobody_holds_is_paused_at_once(
    open_journal: OpenJournal,
) -> None:
    """Ready or parked: it stands still, and what comes for it stays in its inbox."""
    scene = Scene("ask_pause", open_journal)
    async with scene.open():
        parked = await scene.start()
        nap = sleep("nap:0", until=scene.now + SECOND_US)
        await parked.park(wait("w:0", scene.name("e")), nap)
        [receipt] = await scene.emit(scene.event("job.go"))
        [queued] = receipt.run_ids
        asked = Pause("asked", "look at it", "", scene.now, "ann")
        for run_id in (parked.run_id, queued):
            require(await _ask(scene, run_id), what="who asks changes something")
            require(not await _ask(scene, run_id), what="but once")
            row = (await scene.summary(run_id)).row
            expect(
                (row.status, row.pause, row.asked), ("paused", asked, None), what="row"
            )
        expect(await scene.claim("job"), [], what="claims of paused runs")
        unknown = RequestPause(_NOBODY, "", "", scene.now)
        refused(await scene.commit(unknown), RunNotFound, what="a pause of no run")
    async with scene.open():
        await scene.emit(scene.event("e"))
        await fire(scene, parked.run_id)
        expect(await scene.claim("job"), [], what="claims of paused runs")
        await scene.done(ResumeRun(parked.run_id), what=_WHAT)
        expect(len(await parked.woken()), 2, what="what came meanwhile")
        await scene.done(ResumeRun(queued), what=_WHAT)
        claims = await scene.claim("job")
        expect([each.run_id for each in claims], [queued], what="the run resumed last")
        expect([each.asked for each in claims], [None], what="a pause that is over")


async def check_a_holder_is_asked_to_pause(open_journal: OpenJournal) -> None:
    """He goes on until he gives the run up, and each append says what is asked."""
    scene = Scene("ask_holder", open_journal)
    async with scene.open():
        holder = await scene.start()
        expect((await holder.append()).asked, None, what="what nobody asks for")
        require(await _ask(scene, holder.run_id), what="who asks changes something")
        require(not await _ask(scene, holder.run_id), what="but once")
        expect((await scene.summary(holder.run_id)).status, "running", what="status")
        asked = Pause("asked", "look at it", "", scene.now, "ann")
        appended = await holder.append(completed("a:0", 1))
        expect(appended.asked, asked, what="what the holder learns")
        await holder.append(completed("b:0", 1))
        unsaid = Pause("asked", "", "", scene.now)
        pause = PauseRun(holder.run_id, holder.claim.epoch, unsaid)
        require(await scene.done(pause, what=_WHAT), what="the holder pauses it")
        row = await _row(scene, holder)
        expect((row.status, row.pause, row.asked), ("paused", asked, None), what="row")
        await scene.done(ResumeRun(holder.run_id), what=_WHAT)
        again = await scene.hold("job")
        expect((await again.append()).asked, None, what="a pause that is over")
        await again.append(ended())
        require(not await _ask(scene, holder.run_id), what="a run that has ended")


async def check_a_run_that_parks_when_a_pause_is_asked_is_paused(
    open_journal: OpenJournal,
) -> None:
    """It has nothing to do: it need not be told."""
    scene = Scene("ask_parking", open_journal)
    async with scene.open():
        holder = await scene.start()
        await _ask(scene, holder.run_id)
        appended = await holder.append(wait("w:0", scene.name("e")), park=True)
        require(appended.parked, what="such a run parks for its holder")
        expect(appended.asked, None, what="what its holder has to do")
        expect((await scene.summary(holder.run_id)).status, "paused", what="status")
        await scene.emit(scene.event("e"))
        expect(await scene.claim("job"), [], what="claims of a paused run")
        await scene.done(ResumeRun(holder.run_id), what=_WHAT)
        expect(len(await holder.woken()), 1, what="what came meanwhile")


async def check_who_claims_learns_of_a_pause(open_journal: OpenJournal) -> None:
    """A holder before may have gone without a word; a new request is then at once."""
    scene = Scene("ask_claim", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()
        await _ask(scene, holder.run_id)
        await journal.release([holder.claim])
        [claim] = await scene.claim("job")
        require(claim.asked is not None, what="a claim says that a pause is asked for")
        expect(claim.asked and claim.asked.actor, "ann", what="and by whom")
    async with scene.open() as journal:
        [claim] = await scene.claim("job")
        expect(claim.asked and claim.asked.message, "look at it", what="what was asked")
        count = CountClaims(((claim.run_id, claim.epoch),), scene.now)
        await journal.commit([count])
        await journal.release([claim])
        require(
            await _ask(scene, claim.run_id), what="a run that nobody holds any more"
        )
        row = await _row(scene, holder)
        expect(
            (row.status, row.pause),
            ("paused", claim.asked),
            what="what was asked first",
        )


async def check_a_pause_that_is_asked_for_is_taken_back(
    open_journal: OpenJournal,
) -> None:
    """By a resume, which then does nothing else."""
    scene = Scene("ask_back", open_journal)
    async with scene.open():
        holder = await scene.start()
        await _ask(scene, holder.run_id)
        resume = ResumeRun(holder.run_id)
        changes = [await scene.done(resume, what=_WHAT) for _ in range(2)]
        expect(changes, [True, False], what="whether a resume changes something")
        late = PauseRun(holder.run_id, holder.claim.epoch, Pause("asked", "", "", 0))
        require(not await scene.done(late, what=_WHAT), what="a holder that is late")
        expect((await holder.append()).asked, None, what="what the holder is asked for")
        await holder.park()
        expect((await scene.summary(holder.run_id)).status, "waiting", what="status")


async def check_an_end_comes_before_a_pause_that_is_asked_for(
    open_journal: OpenJournal,
) -> None:
    """A cancel and the deadline of the run, whichever comes first."""
    scene = Scene("ask_end", open_journal)
    async with scene.open():
        await scene.register(scene.function("job", "job.go", run_timeout_us=SECOND_US))
        for end in ("cancel", "deadline"):
            late, soon = [await _begun(scene) for _ in range(2)]
            await _ask(scene, late.run_id)
            for holder in (late, soon):
                await _end(scene, holder, end)
            require(not await _ask(scene, soon.run_id), what=f"a pause after the {end}")
            for holder in (late, soon):
                appended = await holder.append()
                expect(appended.asked, None, what=f"what is asked beside the {end}")
                expect(len(appended.inbox), 1, what=f"the {end} in the inbox")
                await holder.append(ended("cancelled"))


async def check_a_pause_follows_a_chain(open_journal: OpenJournal) -> None:
    """A run that continues as new stands still in its successor."""
    scene = Scene("ask_chain", open_journal)
    async with scene.open():
        first = await scene.start()
        await _ask(scene, first.run_id)
        await first.append(continued(first, 2))
        successor = (await _row(scene, first)).continued_to
        row = (await scene.summary(successor)).row
        expect((row.status, row.asked), ("paused", None), what="the successor")
        expect(row.pause and row.pause.actor, "ann", what="who asked for it")
        expect(
            (await _row(scene, first)).asked, None, what="what is asked of the first"
        )
        expect(await scene.claim("job"), [], what="claims of paused runs")
        await scene.done(ResumeRun(successor), what=_WHAT)
        second = await scene.hold("job")
        await second.park()
        require(await _ask(scene, first.run_id), what="a pause of the first of a chain")
        expect((await scene.summary(successor)).status, "paused", what="the last of it")


# --- what the checks share ----------------------------------------------------------


async def _ask(scene: Scene, run_id: str) -> bool:
    command = RequestPause(run_id, "ann", "look at it", scene.now)
    return await scene.done(command, what=_WHAT)


async def _row(scene: Scene, holder: Holder) -> RunRow:
    return (await scene.summary(holder.run_id)).row


async def _begun(scene: Scene) -> Holder:
    await scene.emit(scene.event("job.go"))
    return await scene.hold("job")


async def _end(scene: Scene, holder: Holder, end: str) -> None:
    if end == "deadline":
        await fire(scene, holder.run_id)
    else:
        await scene.done(RequestCancel(holder.run_id, "", "", scene.now), what=_WHAT)


PAUSE_CHECKS = (
    check_a_run_that_nobody_holds_is_paused_at_once,
    check_a_holder_is_asked_to_pause,
    check_a_run_that_parks_when_a_pause_is_asked_is_paused,
    check_who_claims_learns_of_a_pause,
    check_a_pause_that_is_asked_for_is_taken_back,
    check_an_end_comes_before_a_pause_that_is_asked_for,
    check_a_pause_follows_a_chain,
)
