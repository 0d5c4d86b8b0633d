"""Checks of a journal: children answer their parents, and runs continue as new."""

import msgspec

from ironflow.journal.apply_records import INVOKE_EVENT
from ironflow.journal.base import RequestCancel, RunQuery
from ironflow.records import (
    CancelRequested,
    ChildEnded,
    ChildStarted,
    Draft,
    ErrorInfo,
    EventData,
    RunContinued,
    RunRetried,
    RunStarted,
)
from ironflow.testing.checks_asks import (
    child,
    completed,
    continued,
    ended,
    failed,
    wait,
)
from ironflow.testing.checks_scene import (
    Holder,
    OpenJournal,
    Scene,
    encoded,
    expect,
    given,
    require,
)


async def _with_child(scene: Scene) -> tuple[Holder, Holder]:
    """A parked parent that invoked a function, and the holder of its child."""
    await scene.register(scene.function("kid"))
    parent = await scene.start("parent")
    await parent.park(child(parent, "call:0", scene.name("kid"), {"n": 1}))
    return parent, await scene.hold("kid")


async def check_a_child_begins_with_its_input(open_journal: OpenJournal) -> None:
    """It knows its parent and step; its event is in no log."""
    scene = Scene("child", open_journal)
    async with scene.open() as journal:
        parent, kid = await _with_child(scene)
        log = await journal.events(INVOKE_EVENT)

        [_, asked] = await journal.history(parent.run_id)
        started = given(asked.record, ChildStarted, what="the parent's record")
        expect(kid.run_id, started.child_run, what="the child's id")
        [entry] = await journal.history(kid.run_id)
        record = given(entry.record, RunStarted, what="the child's first record")
        expect(
            (record.parent_run, record.parent_step),
            (parent.run_id, "call:0"),
            what="the parent in the record",
        )
        event = msgspec.msgpack.decode(entry.payload, type=EventData)
        expect(
            (event.name, bytes(event.data)),
            (INVOKE_EVENT, encoded({"n": 1})),
            what="the child's event",
        )
        expect(log, [], what="events of invokes in the log")
        [summary] = await journal.find(RunQuery(parent_run=parent.run_id))
        expect(
            (summary.row.run_id, summary.row.attached),
            (kid.run_id, True),
            what="the children of the parent",
        )


async def check_a_child_answers_its_parent(open_journal: OpenJournal) -> None:
    """Its end is in the inbox of the parent, which is ready, in the same commit."""
    scene = Scene("answer", open_journal)
    async with scene.open():
        parent, kid = await _with_child(scene)
        await kid.append(ended("failed", {"type": "Error", "message": "no"}))
    async with scene.open():
        [draft] = await parent.woken()

        wanted = ChildEnded(id="call:0", child_run=kid.run_id, status="failed")
        expect(draft.record, wanted, what="the parent's inbox")
        expect(
            bytes(draft.payload),
            encoded({"type": "Error", "message": "no"}),
            what="the child's error",
        )


async def check_an_unknown_function_is_an_answer(open_journal: OpenJournal) -> None:
    """The parent hears at once that nobody has the function."""
    scene = Scene("unknown", open_journal)
    async with scene.open() as journal:
        parent = await scene.start()

        appended = await parent.append(
            child(parent, "call:0", scene.name("nobody"), 1, timeout_at=scene.now + 9)
        )

        [row] = appended.inbox
        record = given(row.draft.record, ChildEnded, what="the answer")
        expect((record.id, record.status), ("call:0", "failed"), what="the answer")
        error = msgspec.msgpack.decode(row.draft.payload, type=ErrorInfo)
        expect(error.code, "FUNCTION_NOT_FOUND", what="the code of the error")
        require(scene.name("nobody") in error.message, what="the message names it")
        expect(await journal.run(record.child_run), None, what="the child")
        expect(await journal.timers(parent.run_id), [], what="timers")


async def check_nobody_answers_a_parent_that_ended(open_journal: OpenJournal) -> None:
    """The child ends for itself."""
    scene = Scene("orphan", open_journal)
    async with scene.open():
        parent, kid = await _with_child(scene)
        await scene.done(RequestCancel(parent.run_id, "", "", scene.now), what="cancel")
        again = await scene.hold("parent")
        await again.append(ended("cancelled"))

        appended = await kid.append(ended())

        require(appended.parked, what="the child ends")
        expect(await scene.claim("parent", "kid"), [], what="ready runs")


async def check_a_retried_child_does_not_answer_twice(
    open_journal: OpenJournal,
) -> None:
    """Its parent has had its answer."""
    scene = Scene("twice", open_journal)
    async with scene.open():
        parent, kid = await _with_child(scene)
        await kid.append(failed("a:0", attempt=1), ended("failed"))
        again = await scene.hold("parent")
        await again.park()
        await kid.append(Draft(RunRetried(attempt=2)))
        second = await scene.hold("kid")

        await second.append(ended())

        expect(await parent.woken(), [], what="the parent's inbox")
        summary = await scene.summary(kid.run_id)
        expect(summary.row.parent_run, parent.run_id, what="the parent of the child")


async def check_a_run_continues_as_new(open_journal: OpenJournal) -> None:
    """One commit ends it and makes the next, with the same event name."""
    scene = Scene("continue", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()
        await scene.emit(scene.event("e"))
        await holder.append(wait("w:0", scene.name("never")), completed("a:0", 1))
        appended = await holder.append(continued(holder, {"n": 2}))
        require(appended.parked, what="the old run has ended")
    async with scene.open() as journal:
        old = (await scene.summary(holder.run_id)).row
        new = await scene.hold("job")

        [*_, last] = await journal.history(holder.run_id)
        record = given(last.record, RunContinued, what="the last record")
        expect(
            (old.status, old.continued_to),
            ("continued", record.new_run),
            what="the row of the old run",
        )
        expect(new.run_id, record.new_run, what="the new run's id")
        row = (await scene.summary(new.run_id)).row
        expect(
            (row.continued_from, row.event_name),
            (holder.run_id, scene.name("job.go")),
            what="the row of the new run",
        )
        [entry] = await journal.history(new.run_id)
        started = given(entry.record, RunStarted, what="the new run's first record")
        expect(started.continued_from, holder.run_id, what="where it comes from")
        event = msgspec.msgpack.decode(entry.payload, type=EventData)
        expect(bytes(event.data), encoded({"n": 2}), what="the new run's data")
        past = await new.append(wait("w:0", scene.name("e")), park=True)
        require(past.parked, what="a new run does not look back before it was made")


async def check_the_end_of_a_chain_answers_the_parent(
    open_journal: OpenJournal,
) -> None:
    """Under the id of the child that the parent started; a cancel goes along."""
    scene = Scene("chain", open_journal)
    async with scene.open():
        parent, kid = await _with_child(scene)
        last = kid
        for n in range(2):
            await scene.done(
                RequestCancel(kid.run_id, "ann", str(n), scene.now), what="a cancel"
            )
            command = last.command(continued(last, n))
            await scene.commit(command)
            last = await scene.hold("kid")
            [row] = last.inbox
            record = given(row.draft.record, CancelRequested, what="the inbox")
            expect(record.reason, str(n), what="the cancel that nobody had read")
            await last.append()
        summary = await scene.summary(last.run_id)
        expect(
            (summary.row.first_run, summary.row.parent_run),
            (kid.run_id, parent.run_id),
            what="whose child the last run is",
        )
        expect(await parent.woken(), [], what="the parent's inbox before the end")

        await last.append(ended("completed", 5))

        [draft] = await parent.woken()
        wanted = ChildEnded(id="call:0", child_run=kid.run_id, status="completed")
        expect(draft.record, wanted, what="the parent's inbox")
        require(
            not await scene.done(
                RequestCancel(kid.run_id, "", "", scene.now), what="a cancel"
            ),
            what="a cancel of a chain that has ended changes nothing",
        )


CHILD_CHECKS = (
    check_a_child_begins_with_its_input,
    check_a_child_answers_its_parent,
    check_an_unknown_function_is_an_answer,
    check_nobody_answers_a_parent_that_ended,
    check_a_retried_child_does_not_answer_twice,
    check_a_run_continues_as_new,
    check_the_end_of_a_chain_answers_the_parent,
)
