"""Checks of a journal: claims that bring nothing are counted, and pause a run."""

from msgspec.structs import replace

from ironflow import ids, limits
from ironflow.journal.base import (
    CountClaims,
    Counted,
    ForgiveClaims,
    Hint,
    Lost,
    NoteLost,
    NoteWorker,
    ResumeRun,
)
from ironflow.testing.checks_asks import completed, ended
from ironflow.testing.checks_scene import (
    Holder,
    OpenJournal,
    Scene,
    expect,
    given,
    require,
)

_TIMES = limits.POISON_CLAIMS_MAX


def _claims(*holders: Holder) -> tuple[tuple[str, int], ...]:
    return tuple((holder.run_id, holder.claim.epoch) for holder in holders)


async def _count(scene: Scene, *holders: Holder) -> tuple[str, ...]:
    """Count the claims of these holders; return the runs that it paused."""
    answer = await scene.commit(CountClaims(_claims(*holders), scene.now))
    return given(answer, Counted, what="a count of claims").paused


async def _again(scene: Scene, holder: Holder) -> Holder:
    await scene.journal.release([holder.claim])
    return await scene.hold("job")


async def check_claims_that_bring_nothing_pause_a_run(
    open_journal: OpenJournal,
) -> None:
    """The count outlives a restart; a resume begins it anew."""
    scene = Scene("poison", open_journal)
    async with scene.open():
        await scene.start()
    for _ in range(_TIMES):
        async with scene.open():
            holder = await scene.hold("job")
            expect(await _count(scene, holder), (), what="runs that are paused")
    async with scene.open() as journal:
        holder = await scene.hold("job")
        hints: list[Hint] = []
        stop = journal.watch(hints.append)
        expect(await _count(scene, holder), (holder.run_id,), what="a claim too many")
        stop()
        row = (await scene.summary(holder.run_id)).row
        require(row.pause is not None, what="the run is paused")
        if row.pause is not None:
            expect(row.pause.reason, "poison", what="why it is paused")
            require(holder.run_id in row.pause.message, what="the message names it")
            expect(row.pause.paused_at, scene.now, what="since when")
        require(
            any(holder.run_id in hint.ended for hint in hints),
            what="a hint for those who wait for the run",
        )
        expect(await _count(scene, holder), (), what="a count of a claim that ended")
        expect(await scene.claim("job"), [], what="claims of a paused run")
        await scene.done(ResumeRun(holder.run_id), what="a resume")
        again = await scene.hold("job")
        expect(await _count(scene, again), (), what="the first claim after a resume")


async def check_a_record_makes_the_count_begin_anew(open_journal: OpenJournal) -> None:
    """Only claims without a record between them count."""
    scene = Scene("progress", open_journal)
    async with scene.open():
        holder = await scene.start()
        for turn in range(3 * _TIMES):
            expect(await _count(scene, holder), (), what="runs that are paused")
            if turn % _TIMES == 1:
                await holder.append(completed(f"a:{turn}", 1))
            holder = await _again(scene, holder)


async def check_a_claim_is_forgiven(open_journal: OpenJournal) -> None:
    """Its count is taken back, once, by who holds the run, if there is one."""
    scene = Scene("forgiven", open_journal)
    async with scene.open():
        holder = await scene.start()
        forgive = ForgiveClaims(_claims(holder))
        changed = await scene.done(forgive, what="nothing was counted")
        require(not changed, what="forgiving what was not counted changes nothing")
        for _ in range(3 * _TIMES):
            expect(await _count(scene, holder), (), what="runs that are paused")
            changed = await scene.done(
                ForgiveClaims(_claims(holder)), what="a claim is forgiven"
            )
            require(changed, what="forgiving changes the count")
            holder = await _again(scene, holder)
        changed = await scene.done(forgive, what="a claim that has ended")
        require(not changed, what="a claim that has ended is not forgiven")


async def check_a_run_says_which_worker_was_lost(open_journal: OpenJournal) -> None:
    """And who carries it on: the first that is named, until one is lost again."""
    scene = Scene("lost_worker", open_journal)
    async with scene.open():
        holder = await scene.start()
        await holder.append(completed("a:0", 1))
        old = _claims(holder)
        await scene.commit(CountClaims(old, scene.now, lost="one", why="silent"))
        lost = Lost("one", "silent", scene.now, 2)
        expect(await _lost(scene, holder), lost, what="a worker that was lost")
        holder = await _again(scene, holder)
        wrong = await scene.done(NoteWorker(old, "three"), what="an ended claim")
        named = await scene.done(NoteWorker(_claims(holder), "two"), what="another")
        again = await scene.done(NoteWorker(_claims(holder), "three"), what="a third")
        expect((wrong, named, again), (False, True, False), what="what was changed")
    async with scene.open():
        carried_on = replace(lost, by="two")
        expect(await _lost(scene, holder), carried_on, what="the worker after it")
        holder = await scene.hold("job")
        await scene.commit(CountClaims(_claims(holder), 7, lost="two", why="closed"))
        lost = Lost("two", "closed", 7, 2)
        expect(await _lost(scene, holder), lost, what="the last that was lost")
        others = await scene.start("other")
        changed = await scene.done(NoteWorker(_claims(others), "two"), what="no loss")
        require(not changed, what="nothing is said of a run that no worker has lost")


async def check_what_comes_late_of_a_lost_worker(open_journal: OpenJournal) -> None:
    """A quick worker is named; of a run that is gone nothing is said."""
    scene = Scene("lost_late", open_journal)
    async with scene.open():
        holder = await scene.start()
        lose = NoteLost(_claims(holder), 7, "one", "closed")
        await scene.commit(lose)
        lost = Lost("one", "closed", 7, 1)
        quick = _claims(holder)
        await holder.append(ended())
        changed = await scene.done(NoteWorker(quick, "three"), what="an end")
        require(changed, what="a run says who has brought it to its end since")
        expect(
            await _lost(scene, holder), replace(lost, by="three"), what="who ended it"
        )
        gone = ((ids.run_id(bytes(ids.ENTROPY_BYTES + 6)), 1),)
        changed = await scene.done(NoteWorker(gone, "two"), what="no run")
        require(not changed, what="nothing is said of a run that is gone")
        changed = await scene.done(NoteLost(gone, 9, "two", "late"), what="no run")
        require(not changed, what="nor is it that a worker was lost with it")


async def check_a_run_says_so_without_being_counted(open_journal: OpenJournal) -> None:
    """However often its workers are lost: they may have ended for another's sake."""
    scene = Scene("lost_uncounted", open_journal)
    async with scene.open():
        holder = await scene.start()
        for number in range(_TIMES + 2):
            lose = NoteLost(_claims(holder), number, "one", "its stream ended")
            changed = await scene.done(lose, what="a worker was lost")
            require(changed, what="a run that is held says so")
        lost = Lost("one", "its stream ended", _TIMES + 1, 1)
        expect(await _lost(scene, holder), lost, what="the last that was lost")
        row = (await scene.summary(holder.run_id)).row
        expect((row.claims, row.pause), (0, None), what="what was counted")
        ended = tuple((run_id, epoch + 1) for run_id, epoch in _claims(holder))
        changed = await scene.done(NoteLost(ended, 9, "two", "late"), what="no claim")
        require(not changed, what="nothing is said under a claim that has ended")


async def _lost(scene: Scene, holder: Holder) -> Lost | None:
    return (await scene.summary(holder.run_id)).row.lost


CLAIM_CHECKS = (
    check_claims_that_bring_nothing_pause_a_run,
    check_a_run_says_so_without_being_counted,
    check_a_record_makes_the_count_begin_anew,
    check_a_claim_is_forgiven,
    check_a_run_says_which_worker_was_lost,
    check_what_comes_late_of_a_lost_worker,
)
