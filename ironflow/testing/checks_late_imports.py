"""Checks of a journal: what an imported run names may have ended or gone before it."""

from dataclasses import replace as replaced

from msgspec.structs import replace

from ironflow import ids
from ironflow.journal.base import (
    Appended,
    AppendRecords,
    DeleteEvents,
    DeliverEvents,
    ImportRun,
    InboxRow,
    RunRow,
    TimerRow,
)
from ironflow.records import (
    CONTINUED,
    ChildEnded,
    ChildStarted,
    Draft,
    EventReceived,
    RunContinued,
    RunEnded,
    StepPatched,
)
from ironflow.testing.checks_asks import ended, wait
from ironflow.testing.checks_imports import foreign
from ironflow.testing.checks_scene import (
    SECOND_US,
    OpenJournal,
    Scene,
    encoded,
    expect,
    given,
)

_WHAT = "an import"


def _asked(scene: Scene, step: str) -> Draft:
    """Return the draft of an invoke."""
    child = ids.run_id(ids.derived(scene.now, "child", scene.word, step))
    started = ChildStarted(
        id=step, function_id=scene.name("job"), child_run=child, timeout_at=scene.now
    )
    return Draft(started, encoded(step))


def _child_of(asked: Draft) -> str:
    return given(asked.record, ChildStarted, what="an invoke").child_run


def _end_of(asked: Draft, status: str = "completed") -> Draft:
    record = ChildEnded(id=asked.record.id, child_run=_child_of(asked), status=status)
    return Draft(record, encoded(5))


def _born(scene: Scene, parent: RunRow, asked: Draft, *drafts: Draft) -> ImportRun:
    """Return the import of a child that has ended, unless it has no draft."""
    status = "open"
    for record in (draft.record for draft in drafts):
        if isinstance(record, RunEnded | RunContinued):
            status = record.status if isinstance(record, RunEnded) else CONTINUED
    command = foreign(scene, *drafts, status=status)  # type: ignore[arg-type]  # of these
    row = replace(
        command.row,
        run_id=_child_of(asked),
        parent_run=parent.run_id,
        parent_step=asked.record.id,
    )
    return replaced(command, row=row)


def _chain(scene: Scene, parent: RunRow, asked: Draft, end: Draft) -> list[ImportRun]:
    """Return the imports of a child that went on in a second run."""
    second = ids.run_id(ids.derived(scene.now, "next", scene.word))
    went_on = Draft(RunContinued(new_run=second))
    first = _born(scene, parent, asked, went_on)
    last = _born(scene, parent, asked, end)
    row = replace(last.row, run_id=second, first_run=first.row.run_id)
    continued = replace(first.row, continued_to=second)
    return [replaced(first, row=continued), replaced(last, row=row)]


async def check_an_imported_parent_learns_of_its_children(
    open_journal: OpenJournal,
) -> None:
    """Those that came first have ended without telling it, also at the end of a chain."""
    scene = Scene("told_late", open_journal)
    async with scene.open() as journal:
        await scene.register(scene.function("job"))
        asks = [_asked(scene, f"call:{number}") for number in range(8)]
        open_, large, known, waits, chained, lost, stranger, absent = asks
        command = foreign(scene, *asks, _end_of(known))
        parent = command.row
        due = TimerRow(parent.run_id, large.record.id, "invoke", scene.now + SECOND_US)
        came = InboxRow(1, _end_of(waits, "failed"))
        command = replaced(command, timers=(due,), inbox=(came,), resume=True)
        elsewhere = replace(parent, run_id="run_00000000000070008000000000000000")
        nowhere = Draft(RunContinued(new_run=elsewhere.run_id))
        patched = Draft(StepPatched(id="a:0"), encoded(1))
        children = (
            _born(scene, parent, open_),
            _born(scene, parent, large, ended(value="x" * 20_000), patched),
            _born(scene, parent, known, ended()),
            _born(scene, parent, waits, ended()),
            *_chain(scene, parent, chained, ended("failed", 7)),
            _born(scene, parent, lost, nowhere),
            _born(scene, elsewhere, stranger, ended()),
        )
        assert _child_of(absent) not in {child.row.run_id for child in children}
        await journal.commit(children)

        await scene.done(command, what=_WHAT)

        [found] = [
            claim for claim in await scene.claim("job") if claim.run_id == parent.run_id
        ]
        drafts = [row.draft for row in found.inbox]
        expect(
            [
                (given(each.record, ChildEnded, what="news"), bytes(each.payload))
                for each in drafts
            ],
            [
                (_end_of(waits, "failed").record, encoded(5)),
                (_end_of(large).record, encoded("x" * 20_000)),
                (_end_of(chained, "failed").record, encoded(7)),
            ],
            what="what the parent learns",
        )
        expect(
            await journal.timers(parent.run_id), [], what="the deadline of an invoke"
        )


async def check_an_event_that_has_gone_is_not_given_back(
    open_journal: OpenJournal,
) -> None:
    """The inbox of an imported run may name places that the log does not have."""
    scene = Scene("gone_event", open_journal)
    async with scene.open() as journal:
        await scene.register(scene.function("job"))
        receipts = await scene.emit(*(scene.event("e", number) for number in range(3)))
        gone, kept = receipts[1].position, receipts[2].position
        for command in (DeliverEvents(scene.now), DeleteEvents(gone, 1 << 62)):
            while await scene.done(command, what="a sweep"):
                pass
        places = (receipts[0].position, gone, kept + 1_000)
        had = [
            InboxRow(
                number, Draft(EventReceived(id=f"w:{number}", event_id="evt")), place
            )
            for number, place in enumerate(places, 1)
        ]
        steps = tuple(row.draft.record.id for row in had)
        run = foreign(scene, *(wait(step, scene.name("e")) for step in steps))
        run = replaced(run, inbox=tuple(had), position=kept, resume=True)
        await scene.done(run, what=_WHAT)
        holder = await scene.hold("job")

        append = AppendRecords(
            holder.run_id, holder.claim.epoch, holder.length, (), (), abandoned=steps
        )
        answer = given(await scene.commit(append), Appended, what="what was abandoned")

        expect(answer.inbox, (), what="the inbox")
        expect(len(await journal.events(scene.name("e"))), 1, what="the log")


LATE_IMPORT_CHECKS = (
    check_an_imported_parent_learns_of_its_children,
    check_an_event_that_has_gone_is_not_given_back,
)
