"""Checks of a journal: runs and events that another journal has recorded are taken in."""

from dataclasses import replace as replaced

import msgspec
from msgspec.structs import replace

from ironflow import codec, ids
from ironflow.errors import Conflict, EventConflict, JournalDamaged, RunExists
from ironflow.journal.base import (
    Appended,
    AppendRecords,
    FireTimer,
    ImportEvents,
    ImportRun,
    InboxRow,
    Pause,
    RegisterFunctions,
    RequestCancel,
    ResumeRun,
    RunRow,
    RunStatus,
    Standing,
    StoredEvent,
    TimerRow,
)
from ironflow.records import (
    ChildEnded,
    DeadlinePassed,
    Draft,
    Entry,
    EventReceived,
    RunRetried,
    RunStarted,
    SleepFired,
    WaitStarted,
)
from ironflow.testing.checks_asks import (
    child,
    completed,
    continued,
    ended,
    failed,
    sleep,
    wait,
)
from ironflow.testing.checks_scene import (
    SECOND_US,
    OpenJournal,
    Scene,
    encoded,
    expect,
    given,
    refused,
    require,
)

_WHAT = "an import"
_ELSEWHERE = "elsewhere"


def foreign(scene: Scene, *drafts: Draft, status: RunStatus = "open") -> ImportRun:
    """Return the import of a run of `job` with these records behind its first."""
    event = scene.event("job.go")
    run_id = ids.triggered_run_id(event.id, scene.name("job"))
    started = RunStarted(function_id=scene.name("job"), event_id=event.id)
    previous = codec.chain_start(_ELSEWHERE, run_id)
    sealed: list[tuple[Entry, bytes]] = []
    for sequence, draft in enumerate((Draft(started, encoded(event)), *drafts), 1):
        entry, header = codec.seal(
            draft, sequence=sequence, recorded_at=scene.now, previous=previous
        )
        previous = entry.digest
        sealed.append((entry, header))
    row = RunRow(
        run_id=run_id,
        function_id=scene.name("job"),
        status=status,
        event_id=event.id,
        event_name=event.name,
        trigger_position=1_000_000_000,
        created_at=scene.now,
        ended_at=0 if status in {"open", "paused"} else scene.now,
        claims=3,
        claimed_at=len(sealed),
    )
    entries, headers = zip(*sealed, strict=True)
    return ImportRun(row, entries, headers, (), (), scene.now)


async def _standing(scene: Scene, run_id: str) -> Standing:
    return given(await scene.journal.standing(run_id), Standing, what=f"run {run_id}")


async def check_a_closed_run_is_taken_in_whole(open_journal: OpenJournal) -> None:
    """Its records are as they were, and its chain starts from this environment."""
    scene = Scene("taken", open_journal)
    large = completed("large:0", "x" * 20_000)
    command = foreign(scene, completed("a:0", 1), large, ended(), status="completed")
    run_id = command.row.run_id
    async with scene.open() as journal:
        await scene.register(scene.function("job"))
        require(await scene.done(command, what=_WHAT), what="an import changes")
        [receipt] = await scene.emit(scene.event("other"))
        refused(await scene.commit(command), RunExists, what="a second import")
    async with scene.open() as journal:
        summary = await scene.summary(run_id)
        history = await journal.history(run_id)

        row = replace(
            command.row, trigger_position=receipt.position - 1, claims=0, claimed_at=0
        )
        expect(summary.row, row, what="the row")
        expect(
            [(entry.record, bytes(entry.payload)) for entry in history],
            [(entry.record, bytes(entry.payload)) for entry in command.entries],
            what="the records",
        )
        digest = codec.chain_start(journal.environment, run_id)
        for entry, header in zip(history, command.headers, strict=True):
            digest = codec.chained(digest, header)
            expect(entry.digest, digest, what="a digest")
        expect(await scene.claim("job"), [], what="claims of a closed run")


async def check_an_open_run_waits_for_a_resume(open_journal: OpenJournal) -> None:
    """Nothing but a resume or a cancel lets it go on, not even its deadline."""
    scene = Scene("kept", open_journal)
    fired = InboxRow(7, Draft(SleepFired(id="nap:0")), 12)
    command = foreign(scene, sleep("nap:0", until=scene.now))
    run_id, due = command.row.run_id, scene.now + SECOND_US
    timers = (
        TimerRow(run_id, "nap:0", "sleep", due),
        TimerRow(run_id, "", "run", due),
    )
    command = replaced(command, inbox=(fired,), timers=timers)
    async with scene.open() as journal:
        await scene.register(scene.function("job"))
        await scene.done(command, what=_WHAT)
        again = (scene.function("job", version="v2"),)
        await journal.commit([RegisterFunctions(again, scene.now)])

        standing = await _standing(scene, run_id)
        expect(standing.summary.status, "paused", what="how it stands")
        pause = given(standing.summary.row.pause, Pause, what="why")
        expect(pause.reason, "import", what="why it is paused")
        expect(standing.timers, (timers[1],), what="its timers")
        expect([row.draft for row in standing.inbox], [fired.draft], what="its inbox")
        expect([row.position for row in standing.inbox], [0], what="of no event here")
        await scene.done(FireTimer(timers[1], due), what="its deadline")
        expect(await scene.claim("job"), [], what="claims of an imported run")
        await scene.done(ResumeRun(run_id), what="a resume")
        holder = await scene.hold("job")
        last = holder.inbox[-1].draft.record
        expect(last, DeadlinePassed(id="", timer="run"), what="its deadline")
        await holder.append(ended("failed"))


async def check_a_run_is_imported_to_go_on(open_journal: OpenJournal) -> None:
    """With `resume` it is ready at once, unless it was paused for a reason of its own."""
    scene = Scene("goes_on", open_journal)
    own = Pause("step", "no", "v1", scene.now)
    async with scene.open():
        await scene.register(scene.function("job"))
        ready = foreign(scene, completed("a:0", 1))
        paused = foreign(scene, status="paused")
        paused = replaced(paused, row=replace(paused.row, pause=own))
        for command in (ready, paused):
            await scene.done(replaced(command, resume=True), what=_WHAT)

        holder = await scene.hold("job")
        expect(holder.run_id, ready.row.run_id, what="the run that goes on")
        await holder.append(ended())
        found = (await scene.summary(paused.row.run_id)).row
        expect(found.pause, own, what="the pause that it had")


async def check_an_imported_run_is_amended(open_journal: OpenJournal) -> None:
    """A failed run is retried, and what came out of a retry is no end."""
    scene = Scene("amended", open_journal)
    retried = Draft(RunRetried(attempt=2))
    async with scene.open() as journal:
        run = foreign(scene, failed("a:0", attempt=1), ended("failed"), status="failed")
        again = foreign(scene, failed("a:0", attempt=1), ended("failed"), retried)
        for command in (run, again):
            await scene.done(replaced(command, resume=True), what=_WHAT)
        summary = await scene.summary(again.row.run_id)
        expect(summary.row.status, "open", what="a run that was retried elsewhere")
        last = (await journal.history(run.row.run_id))[-1]
        entry, header = codec.seal(
            retried, sequence=4, recorded_at=scene.now, previous=last.digest
        )

        amend = AppendRecords(run.row.run_id, 0, 3, (entry,), (header,))
        given(await scene.commit(amend), Appended, what="a retry")

        expect((await scene.summary(run.row.run_id)).row.status, "open", what="status")


async def check_an_imported_run_stands_as_it_stood(open_journal: OpenJournal) -> None:
    """A pause is kept in words, and one by an import before as it is."""
    scene = Scene("kept_pause", open_journal)
    async with scene.open():
        await scene.register(scene.function("job"))
        for reason in ("step", "import"):
            own = Pause(reason, "the bank said no", "v1", scene.now - 5)
            command = foreign(scene, status="paused")
            command = replaced(command, row=replace(command.row, pause=own))
            await scene.done(command, what=_WHAT)

            found = (await scene.summary(command.row.run_id)).row.pause
            pause = given(found, Pause, what="the pause")
            expect(pause.reason, "import", what="why it is paused")
            require("the bank said no" in pause.message, what="the reason before")
            expect(pause == own, reason == "import", what="a pause by an import")
            again = replaced(foreign(scene, status="paused"), resume=True)
            again = replaced(again, row=replace(again.row, pause=own))
            await scene.done(again, what=_WHAT)
            status = (await scene.summary(again.row.run_id)).status
            expected = {"step": "paused", "import": "queued"}[reason]
            expect(status, expected, what="how it stands with `resume`")


async def check_an_imported_wait_takes_no_event_twice(
    open_journal: OpenJournal,
) -> None:
    """With positions of this log, it looks back as it did, past what it had."""
    scene = Scene("looks_back", open_journal)
    async with scene.open():
        await scene.register(scene.function("job"))
        events = [scene.event("e", number) for number in range(2)]
        receipts = await scene.emit(*events)
        had = Draft(EventReceived(id="w:0", event_id=events[0].id), encoded(events[0]))
        command = foreign(
            scene, wait("w:0", scene.name("e")), had, wait("w:1", scene.name("e"))
        )
        first = receipts[0].position
        command = replaced(command, position=first - 1, consumed=(first,), resume=True)
        await scene.done(command, what=_WHAT)
        holder = await scene.hold("job")
        asked = given(command.entries[3].record, WaitStarted, what="the wait")

        appended = await holder.append(awaited=(asked,))

        found = [row.draft.record for row in appended.inbox]
        expect(
            found, [EventReceived(id="w:1", event_id=events[1].id)], what="what it got"
        )


async def check_an_import_tells_the_parent(open_journal: OpenJournal) -> None:
    """A child that ended elsewhere answers a parent that is here; without it, nobody."""
    scene = Scene("told", open_journal)
    async with scene.open():
        await scene.register(scene.function("job"))
        parent = await scene.start("parent")
        await parent.park(
            child(
                parent, "call:0", scene.name("job"), 1, timeout_at=scene.now + SECOND_US
            )
        )
        orphan = "run_00000000000070008000000000000000"
        for parent_run in (parent.run_id, orphan):
            command = foreign(scene, ended(value=7), status="completed")
            row = replace(command.row, parent_run=parent_run, parent_step="call:0")
            await scene.done(replaced(command, row=row), what=_WHAT)
        [told] = await parent.woken()

        record = given(told.record, ChildEnded, what="what the parent got")
        expect((record.id, record.status), ("call:0", "completed"), what="the end")
        expect(bytes(told.payload), encoded(7), what="the output")
        standing = await _standing(scene, parent.run_id)
        expect(standing.timers, (), what="the deadline of the invoke")


async def check_an_end_of_a_chain_is_imported(open_journal: OpenJournal) -> None:
    """A run that was continued in one that is not here cannot be cancelled."""
    scene = Scene("chain_end", open_journal)
    async with scene.open():
        await scene.register(scene.function("job"))
        parent = await scene.start("parent")
        last = continued(parent, 1)
        command = foreign(scene, last, status="continued")
        new_run = last.record.new_run  # type: ignore[union-attr]  # a RunContinued
        row = replace(command.row, continued_to=new_run)
        await scene.done(replaced(command, row=row), what=_WHAT)

        cancel = RequestCancel(row.run_id, "somebody", "", scene.now)
        changed = await scene.done(cancel, what="a cancel")

        require(not changed, what="there is nothing to cancel")


async def check_what_is_no_run_is_refused(open_journal: OpenJournal) -> None:
    """Whatever a bundle says: nothing is stored that would stop an engine later."""
    scene = Scene("unfit", open_journal)
    whole = foreign(scene, completed("a:0", 1), completed("b:0", 2))
    row, entries, headers = whole.row, whole.entries, whole.headers
    unfit = {
        "no records": replaced(whole, entries=(), headers=()),
        "no first record": replaced(whole, entries=entries[1:], headers=headers[1:]),
        "a gap": replaced(
            whole, entries=(entries[0], entries[2]), headers=(headers[0], headers[2])
        ),
        "a header too few": replaced(whole, headers=headers[1:]),
        "another function": replaced(whole, row=replace(row, function_id="other")),
        "an end that is none": replaced(whole, row=replace(row, status="completed")),
        "an id that is none": replaced(whole, row=replace(row, run_id="run_1")),
        "a parent that is none": replaced(whole, row=replace(row, parent_run="x")),
    }
    async with scene.open() as journal:
        await scene.register(scene.function("job"))
        for what, command in unfit.items():
            refused(await scene.commit(command), JournalDamaged, what=what)

        expect(await journal.run(row.run_id), None, what="a run that was refused")
        expect(await journal.standing(row.run_id), None, what="its standing")
        expect(await journal.standing("no id"), None, what="the standing of no run")


async def check_events_are_taken_in(open_journal: OpenJournal) -> None:
    """In the places that they had; they start nothing, and waits are offered them."""
    scene = Scene("events_in", open_journal)
    async with scene.open() as journal:
        waiter = await scene.start("waiter")
        await waiter.park(wait("w:0", scene.name("e")))
        await scene.register(scene.function("job", "e"))
        [receipt] = await scene.emit(scene.event("other", key="k"))
        last = receipt.position
        events = [scene.event("e", number, key=f"k{number}") for number in range(2)]
        taken = [
            StoredEvent(place, msgspec.structs.replace(event, timestamp=scene.now), ())
            for place, event in enumerate(events, last + 1)
        ]
        used = StoredEvent(last + 1, scene.event("other", key="k"), ())

        require(
            await scene.done(ImportEvents(tuple(taken)), what=_WHAT), what="it changes"
        )

        found = await journal.events(scene.name("e"), after=last)
        expect(found, taken, what="the events")
        expect(await scene.claim("job"), [], what="runs that they start")
        [got] = await waiter.woken()
        record = given(got.record, EventReceived, what="what the wait got")
        expect(record.event_id, events[0].id, what="the event of the wait")
        [known] = await scene.emit(scene.event("e", 5, key="k1"))
        expect(known.position, last + 2, what="the event of an idempotency key")
        gap = ImportEvents((taken[0],))
        refused(await scene.commit(gap), Conflict, what="a place that is taken")
        again = replace(used, position=last + 3)
        refused(
            await scene.commit(ImportEvents((again,))),
            EventConflict,
            what="a key that was used",
        )
        nothing = await scene.done(ImportEvents(()), what=_WHAT)
        require(not nothing, what="no events change nothing")


async def check_a_log_begins_where_it_began(open_journal: OpenJournal) -> None:
    """Events before the first that another journal still has leave no gap."""
    scene = Scene("events_late", open_journal)
    async with scene.open() as journal:
        before = await journal.events(limit=1)
        if before:
            return  # stores that are shared have events of others
        stamped = [
            msgspec.structs.replace(scene.event("e", n), timestamp=scene.now)
            for n in range(3)
        ]
        taken = [StoredEvent(71 + n, event, ()) for n, event in enumerate(stamped)]
        hole = (taken[0], replace(taken[2], position=74))
        refused(await scene.commit(ImportEvents(hole)), Conflict, what="a hole")

        await scene.done(ImportEvents(tuple(taken[:2])), what=_WHAT)
        await scene.done(ImportEvents(tuple(taken[2:])), what=_WHAT)

        await scene.register(scene.function("job", "go"))
        [receipt] = await scene.emit(scene.event("go"))
        expect(receipt.position, 74, what="the place of the next event")
        expect(await journal.events(limit=3), taken, what="the events")
        holder = await scene.hold("job")
        await holder.append(wait("w:0", scene.name("e")), park=True)
        [late] = await scene.emit(scene.event("e", 5))
        [got] = await holder.woken()
        record = given(got.record, EventReceived, what="what the wait got")
        expect(record.event_id, late.event_id, what="the event of the wait")
    async with scene.open() as journal:
        expect(await journal.events(limit=3), taken, what="the events, later")


IMPORT_CHECKS = (
    check_a_closed_run_is_taken_in_whole,
    check_an_open_run_waits_for_a_resume,
    check_a_run_is_imported_to_go_on,
    check_an_imported_run_is_amended,
    check_an_imported_run_stands_as_it_stood,
    check_an_imported_wait_takes_no_event_twice,
    check_an_import_tells_the_parent,
    check_an_end_of_a_chain_is_imported,
    check_what_is_no_run_is_refused,
    check_events_are_taken_in,
    check_a_log_begins_where_it_began,
)
