"""Checks of a journal: runs are claimed, found, cancelled, paused and watched."""

from dataclasses import replace

import msgspec

from ironflow.errors import LeaseLost, RunNotFound
from ironflow.journal.base import (
    Hint,
    Pause,
    PauseRun,
    RequestCancel,
    ResumeRun,
    RunQuery,
)
from ironflow.records import CancelRequested, DeadlinePassed, RunStarted
from ironflow.testing.checks_asks import completed, ended, fire, sleep, wait
from ironflow.testing.checks_scene import (
    ALL,
    SECOND_US,
    Holder,
    OpenJournal,
    Scene,
    expect,
    refused,
    require,
)

_NOBODY = "run_00000000000070008000000000000000"
_WHAT = "a command to a run"


async def check_a_run_has_one_holder(open_journal: OpenJournal) -> None:
    """Invariant 7: claims come in order, for known functions, one for a run."""
    scene = Scene("claim", open_journal)
    async with scene.open() as journal:
        await scene.register(scene.function("a", "go"), scene.function("b", "go"))
        receipts = await scene.emit(*(scene.event("go") for _ in range(3)))
        await scene.register(scene.function("b"))
        run_ids = [receipt.run_ids[0] for receipt in receipts]

        first = await scene.claim("a", limit=2)
        rest = await scene.claim("a", limit=2)
        none = await scene.claim("a", limit=2)

        expect([claim.run_id for claim in (*first, *rest)], run_ids, what="first come")
        expect(none, [], what="claims of runs that are held")
        epochs = [claim.epoch for claim in (*first, *rest)]
        require(min(epochs) > 0, what="an epoch is not 0")
        expect(first[0].length, 1, what="the length in a claim")
        expect(len(await scene.claim("b")), 3, what="runs of the other function")
        await journal.release(first)
        again = await scene.claim("a")
        expect([claim.run_id for claim in again], run_ids[:2], what="released runs")
        await journal.release(first)
        expect(await scene.claim("a"), [], what="runs after an old claim was released")


async def check_functions_are_registered(open_journal: OpenJournal) -> None:
    """The registry is kept as it was given; a run goes by its function's rules."""
    scene = Scene("registry", open_journal)
    wire = msgspec.structs.replace(
        scene.function("wire", "go"), rules="segments-1", host="pull", config=b"\x80"
    )
    async with scene.open():
        await scene.register(wire, scene.function("local"))
        [receipt] = await scene.emit(scene.event("go"))
    async with scene.open() as journal:
        found = [row for row in await journal.functions() if row.id.startswith("reg")]
        [started] = await journal.history(receipt.run_ids[0])

    expect(found, [scene.function("local"), wire], what="functions by id")
    require(isinstance(started.record, RunStarted), what="the first record is a start")
    expect(getattr(started.record, "rules", ""), "segments-1", what="rules of a run")


async def check_a_restart_ends_every_hold(open_journal: OpenJournal) -> None:
    """What was ready or held is ready; what was parked is not."""
    scene = Scene("restart", open_journal)
    async with scene.open():
        parked, held = await scene.start("parked"), await scene.start("held")
        await parked.park(sleep("nap:0", until=scene.now + SECOND_US))
        await held.append(completed("a:0", 1))
        await scene.register(scene.function("new", "new.go"))
        await scene.emit(scene.event("new.go"))
    async with scene.open():
        claims = await scene.claim("parked", "held", "new")

        expect(
            sorted(claim.function_id for claim in claims),
            [scene.name("held"), scene.name("new")],
            what="ready after a restart",
        )
        lengths = {claim.run_id: claim.length for claim in claims}
        expect(lengths[held.run_id], 2, what="the length of the run that was held")
        summary = await scene.summary(parked.run_id)
        expect(summary.status, "waiting", what="the status of the parked run")
        await fire(scene, parked.run_id)
        expect(len(await scene.claim("parked")), 1, what="ready after its timer")


async def check_a_run_does_not_park_past_its_inbox(open_journal: OpenJournal) -> None:
    """Whichever comes first, the append that parks or the event: nothing is lost."""
    scene = Scene("park", open_journal)
    async with scene.open():
        holder = await scene.start()
        await holder.append(wait("w:0", scene.name("e")))
        parking = holder.command(park=True)
        await scene.emit(scene.event("e"))

        raced = holder.took(parking, await scene.commit(parking))

        require(not raced.parked, what="a run with something in its inbox goes on")
        expect(len(raced.inbox), 1, what="what it learns from the answer")
        await holder.append(completed("a:0", 1))
        await holder.park()
        expect(await scene.claim("job"), [], what="claims of a parked run")
        late = holder.command(completed("b:0", 1))
        refused(await scene.commit(late), LeaseLost, what="an append after parking")


async def check_runs_are_found(open_journal: OpenJournal) -> None:
    """By status and function, newest first, page by page."""
    scene = Scene("find", open_journal)
    async with scene.open() as journal:
        job = scene.name("job")
        held = await scene.start()
        await held.append(completed("a:0", 1))
        done = await scene.start()
        await done.append(ended("failed"))
        parked = await scene.start()
        await parked.park(sleep("nap:0", until=scene.now + SECOND_US))
        paused = await scene.start()
        pause = Pause("step", "no", "v1", scene.now)
        await scene.done(PauseRun(paused.run_id, paused.claim.epoch, pause), what=_WHAT)
        [receipt] = await scene.emit(scene.event("job.go"))
        newest = list(receipt.run_ids)
        order = [*newest, paused.run_id, parked.run_id, done.run_id, held.run_id]

        every = await journal.find(RunQuery(function_id=job))
        expect([summary.row.run_id for summary in every], order, what="newest first")
        statuses = ["queued", "paused", "waiting", "failed", "running"]
        expect([summary.status for summary in every], statuses, what="statuses")
        for status, run_id in zip(statuses, order, strict=True):
            found = await journal.find(RunQuery(status=status, function_id=job))
            expect([summary.row.run_id for summary in found], [run_id], what=status)
        pages: list[str] = []
        query = RunQuery(function_id=job, limit=2)
        while page := await journal.find(query):
            pages += [summary.row.run_id for summary in page]
            query = replace(query, cursor=pages[-1])
        expect(pages, order, what="runs by page")
        expect(await journal.run(_NOBODY), None, what="a run that is not there")
        expect((await scene.summary(held.run_id)).length, 2, what="a run's length")


async def check_a_cancel_comes_once(open_journal: OpenJournal) -> None:
    """It wakes the run; a second one, or one after the end, changes nothing."""
    scene = Scene("cancel", open_journal)
    async with scene.open():
        holder = await scene.start()
        await holder.park(sleep("nap:0", until=scene.now + SECOND_US))
        cancel = RequestCancel(holder.run_id, "ann", "too late", scene.now)
        first = await scene.done(cancel, what=_WHAT)
        again = await scene.done(cancel, what=_WHAT)
        expect((first, again), (True, False), what="whether a cancel changes something")
    async with scene.open():
        holder = await scene.hold("job")
        records = [row.draft.record for row in holder.inbox]
        wanted = CancelRequested(asked_at=cancel.now, actor="ann", reason="too late")
        expect(records, [wanted], what="the inbox")
        await holder.append()
        require(
            await scene.done(cancel, what=_WHAT),
            what="a cancel after the first was read comes again",
        )
        await holder.append(ended("cancelled"))
        require(
            not await scene.done(cancel, what=_WHAT),
            what="a cancel of a run that has ended changes nothing",
        )
        unknown = replace(cancel, run_id=_NOBODY)
        refused(await scene.commit(unknown), RunNotFound, what="a cancel of no run")


async def check_a_paused_run_stands_still(open_journal: OpenJournal) -> None:
    """Timers and events reach its inbox; it is ready when it is resumed."""
    scene = Scene("pause", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()
        await holder.append(
            wait("w:0", scene.name("e")), sleep("nap:0", until=scene.now + SECOND_US)
        )
        pause = PauseRun(
            holder.run_id, holder.claim.epoch, Pause("step", "no", "v1", scene.now)
        )
        wrong = replace(pause, epoch=pause.epoch + 1)
        refused(await scene.commit(wrong), LeaseLost, what="a pause by another holder")
        refused(
            await scene.commit(replace(pause, run_id=_NOBODY)),
            RunNotFound,
            what="a pause of no run",
        )
        hints: list[Hint] = []
        stop = journal.watch(hints.append)
        require(await scene.done(pause, what=_WHAT), what="a pause changes something")
        stop()
        require(
            any(holder.run_id in hint.ended for hint in hints),
            what="a hint for those who wait for the run",
        )
        refused(await scene.commit(pause), LeaseLost, what="a second pause")
        late = holder.command(completed("a:0", 1))
        refused(await scene.commit(late), LeaseLost, what="an append after the pause")
    async with scene.open():
        await scene.emit(scene.event("e"))
        await fire(scene, holder.run_id)
        expect(await scene.claim("job"), [], what="claims of a paused run")
        row = (await scene.summary(holder.run_id)).row
        expect(row.pause, pause.pause, what="why the run is paused")

        first = await scene.done(ResumeRun(holder.run_id), what=_WHAT)
        again = await scene.done(ResumeRun(holder.run_id), what=_WHAT)

        expect((first, again), (True, False), what="whether a resume does something")
        refused(
            await scene.commit(ResumeRun(_NOBODY)),
            RunNotFound,
            what="a resume of no run",
        )
        expect(len(await holder.woken()), 2, what="what came meanwhile")
        row = (await scene.summary(holder.run_id)).row
        expect((row.status, row.pause), ("open", None), what="the row of a resumed run")


async def check_a_pause_keeps_outcomes(open_journal: OpenJournal) -> None:
    """Whoever goes on with the run finds them in its inbox, in their order."""
    scene = Scene("outcomes_kept", open_journal)
    kept = (completed("a:0", "x" * 10_000), completed("b:0", 2))
    async with scene.open():
        holder = await scene.start()
        pause = Pause("code", "bug", "v1", scene.now)
        command = PauseRun(holder.run_id, holder.claim.epoch, pause, 0, kept)
        await scene.done(command, what=_WHAT)
        expect(await scene.claim("job"), [], what="claims of a paused run")
    async with scene.open():
        await scene.done(ResumeRun(holder.run_id), what=_WHAT)
        again = await scene.hold("job")
        drafts = [
            (row.draft.record.id, bytes(row.draft.payload)) for row in again.inbox
        ]
        wanted = [(draft.record.id, draft.payload) for draft in kept]
        expect(drafts, wanted, what="what was kept")


async def check_a_cancel_comes_before_a_pause(open_journal: OpenJournal) -> None:
    """A paused run is resumed for it; a pause that has not seen it does not happen."""
    scene = Scene("cancel_pause", open_journal)
    async with scene.open():
        holder = await scene.start()
        cancel = RequestCancel(holder.run_id, "ann", "", scene.now)
        pause = PauseRun(
            holder.run_id, holder.claim.epoch, Pause("code", "bug", "v1", scene.now)
        )
        await scene.done(cancel, what=_WHAT)
        require(
            not await scene.done(pause, what=_WHAT),
            what="a pause that has not seen the cancel changes nothing",
        )
        appended = await holder.append()
        [row] = appended.inbox
        seen = replace(pause, inbox_through=row.number)
        require(await scene.done(seen, what=_WHAT), what="a pause that has seen it")
        expect(await scene.claim("job"), [], what="claims of a paused run")
        await scene.done(ResumeRun(holder.run_id), what=_WHAT)
        again = await scene.hold("job")
        await again.append()
        await scene.done(replace(pause, epoch=again.claim.epoch), what=_WHAT)

        await scene.done(cancel, what=_WHAT)

        expect((await scene.summary(holder.run_id)).status, "running", what="status")
        expect(len(await holder.woken()), 1, what="the inbox of the resumed run")


async def check_a_deadline_comes_before_a_pause(open_journal: OpenJournal) -> None:
    """Like a cancel it resumes a paused run, which is to end."""
    scene = Scene("deadline_pause", open_journal)
    async with scene.open():
        await scene.register(scene.function("job", "job.go", run_timeout_us=SECOND_US))
        paused, unseen = [await _begun(scene) for _ in range(2)]
        pauses = [
            PauseRun(each.run_id, each.claim.epoch, Pause("code", "no", "v", scene.now))
            for each in (paused, unseen)
        ]
        require(await scene.done(pauses[0], what=_WHAT), what="a pause before it")

        for holder in (paused, unseen):
            await fire(scene, holder.run_id)

        require(not await scene.done(pauses[1], what=_WHAT), what="a pause after it")
        woken = await scene.hold("job")
        expect(woken.run_id, paused.run_id, what="the run that is resumed")
        expect(
            [row.draft.record for row in woken.inbox],
            [DeadlinePassed()],
            what="the inbox of a run that is out of time",
        )


async def _begun(scene: Scene) -> Holder:
    await scene.emit(scene.event("job.go"))
    return await scene.hold("job")


async def check_new_code_tries_again(open_journal: OpenJournal) -> None:
    """Runs paused for a bug in another version are ready; other pauses stay."""
    scene = Scene("new_code", open_journal)
    async with scene.open():
        holders = [await scene.start() for _ in range(3)]
        reasons = [("code", "v1"), ("step", "v1"), ("code", "v2")]
        for holder, (reason, version) in zip(holders, reasons, strict=True):
            pause = Pause(reason, "no", version, scene.now)
            command = PauseRun(holder.run_id, holder.claim.epoch, pause)
            await scene.done(command, what=_WHAT)
        await scene.register(scene.function("other", version="v2"))
        expect(await scene.claim("job"), [], what="claims before there is new code")
    async with scene.open():
        await scene.register(scene.function("job", "job.go", version="v2"))

        claims = await scene.claim("job")
        expect(
            [claim.run_id for claim in claims],
            [holders[0].run_id],
            what="runs that the new code may carry on",
        )


async def check_a_commit_tells_those_who_watch(open_journal: OpenJournal) -> None:
    """A hint names what may be worth a look; nothing comes after a stop."""
    scene = Scene("hint", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()
        await holder.park(wait("w:0", scene.name("e")))
        hints: list[Hint] = []
        stop = journal.watch(hints.append)

        await scene.emit(scene.event("e"))
        again = await scene.hold("job")
        due = scene.now + SECOND_US
        await again.append(sleep("nap:0", until=due), sleep("b:0", until=due + 1))
        await again.append(ended())
        count = len(hints)
        stop()
        await scene.emit(scene.event("e"))

        expect(len(hints), count, what="hints after the stop")
        require(any(holder.run_id in hint.ready for hint in hints), what="who is ready")
        require(any(holder.run_id in hint.inbox for hint in hints), what="whose inbox")
        require(any(holder.run_id in hint.ended for hint in hints), what="who ended")
        require(any(hint.due == due for hint in hints), what="the earliest timer")


async def check_a_journal_is_closed_twice(open_journal: OpenJournal) -> None:
    """The second time does nothing."""
    scene = Scene("close", open_journal)
    async with scene.open() as journal:
        await scene.start()
        await journal.close()
        await journal.close()
    async with scene.open():
        [claim] = await scene.claim("job", limit=ALL)
        holder = await Holder.of(scene, claim)
        await holder.append(ended())


RUN_CHECKS = (
    check_a_run_has_one_holder,
    check_functions_are_registered,
    check_a_restart_ends_every_hold,
    check_a_run_does_not_park_past_its_inbox,
    check_runs_are_found,
    check_a_cancel_comes_once,
    check_a_paused_run_stands_still,
    check_a_pause_keeps_outcomes,
    check_a_cancel_comes_before_a_pause,
    check_a_deadline_comes_before_a_pause,
    check_new_code_tries_again,
    check_a_commit_tells_those_who_watch,
    check_a_journal_is_closed_twice,
)
