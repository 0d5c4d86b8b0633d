"""Checks of a journal: histories are appended, kept and read back whole."""

from msgspec.structs import replace

from ironflow import codec, limits
from ironflow.errors import Conflict, LeaseLost, RunNotFound
from ironflow.journal.base import Appended, EmitEvents, Emitted, RequestCancel
from ironflow.records import (
    CancelRequested,
    EventReceived,
    SleepFired,
    StepCompleted,
)
from ironflow.testing.checks_asks import completed, failed, fire, sleep, wait
from ironflow.testing.checks_scene import (
    ALL,
    OpenJournal,
    Scene,
    encoded,
    expect,
    given,
    refused,
    require,
)

_NOBODY = "run_00000000000070008000000000000000"


async def check_a_history_is_what_was_appended(open_journal: OpenJournal) -> None:
    """Records keep their order, payloads and digests over a restart."""
    scene = Scene("history", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()
        await holder.append(completed("a:0", {"n": 1}), completed("b:0", None))
        await holder.append(failed("c:0", attempt=1))
        before = list(await journal.history(holder.run_id))
    async with scene.open() as journal:
        entries = await journal.history(holder.run_id)

        expect(entries, before, what="a history after a restart")
        expect(
            [entry.record.sequence for entry in entries],
            [1, 2, 3, 4],
            what="sequences of a history",
        )
        expect(bytes(entries[1].payload), encoded({"n": 1}), what="a payload")
        digest = codec.chain_start(journal.environment, holder.run_id)
        for entry in entries:
            again, _ = codec.chain(entry.record, entry.payload, previous=digest)
            expect(again.digest, entry.digest, what="the digest of a record")
            digest = entry.digest


async def check_a_history_is_read_by_page(open_journal: OpenJournal) -> None:
    """`after` and `limit` cut a history without loss or repetition."""
    scene = Scene("history_page", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()
        await holder.append(*(completed(f"s:{n}", n) for n in range(9)))

        pages = [
            [
                e.record.sequence
                for e in await journal.history(holder.run_id, after=after, limit=4)
            ]
            for after in (0, 4, 8, 10)
        ]
        expect(pages, [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10], []], what="pages")
        expect(await journal.history(_NOBODY), [], what="the history of no run")


async def check_a_length_that_is_wrong_is_refused(open_journal: OpenJournal) -> None:
    """Invariant 6: what is refused leaves nothing, and the rest of a commit holds."""
    scene = Scene("length", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()
        event = scene.event("other")
        good = holder.command(sleep("nap:0", until=scene.now + 1))
        late = replace(good, expected_length=holder.length + 3)

        answers = await journal.commit(
            [late, EmitEvents((event,), scene.now), good, good]
        )

        refused(answers[0], Conflict, what="an append at the wrong length")
        refused(answers[3], Conflict, what="the same append twice")
        given(answers[1], Emitted, what="the command beside it")
        expect(
            given(answers[2], Appended, what="the good append").length,
            2,
            what="the length that it answers",
        )
        expect(len(await journal.history(holder.run_id)), 2, what="records")
        expect(len(await journal.timers(holder.run_id)), 1, what="timers")


async def check_only_the_holder_appends(open_journal: OpenJournal) -> None:
    """Invariant 7: no record of an ended epoch is accepted."""
    scene = Scene("epoch", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()
        own = holder.command(completed("a:0", 1))
        refused(
            await scene.commit(replace(own, epoch=own.epoch + 1)),
            LeaseLost,
            what="an append with an epoch of nobody",
        )
        refused(
            await scene.commit(replace(own, epoch=0)),
            LeaseLost,
            what="an append without an epoch",
        )
        refused(
            await scene.commit(replace(own, run_id=_NOBODY)),
            RunNotFound,
            what="an append to a run that is not there",
        )
        await journal.release([holder.claim])
        refused(await scene.commit(own), LeaseLost, what="an append after a release")
        nobody = replace(own, epoch=0)
        refused(await scene.commit(nobody), LeaseLost, what="an append nobody holds")
        second = await scene.hold("job")
        refused(await scene.commit(own), LeaseLost, what="an append of an old holder")
        await second.append(completed("a:0", 1))
    async with scene.open() as journal:
        late = second.command(completed("b:0", 1))
        refused(await scene.commit(late), LeaseLost, what="an append after a restart")
        third = await scene.hold("job")
        refused(await scene.commit(late), LeaseLost, what="the same, held by another")
        expect(len(await journal.history(third.run_id)), 2, what="records")


async def check_large_values_are_kept(open_journal: OpenJournal) -> None:
    """A value over `BLOB_BYTES_MIN` comes back, in histories, events and inboxes."""
    scene = Scene("large", open_journal)
    size = limits.BLOB_BYTES_MIN
    values = ["x" * (size + extra) for extra in (-10, 0, 10, 3 * size)]
    async with scene.open() as journal:
        holder = await scene.start()
        await holder.append(*(completed(f"s:{n}", v) for n, v in enumerate(values)))
        await holder.append(completed("same:0", values[-1]), wait("w:0", "large.big"))
        [receipt] = await scene.emit(scene.event("big", values[-1]))
    async with scene.open() as journal:
        holder = await scene.hold("job")
        [row] = holder.inbox
        await holder.append()
        entries = await journal.history(holder.run_id)

        payloads = [bytes(entry.payload) for entry in entries[1:6]]
        expect(
            payloads,
            [encoded(value) for value in [*values, values[-1]]],
            what="large results",
        )
        expect(
            bytes(entries[-1].payload),
            bytes(row.draft.payload),
            what="a large event that was received",
        )
        [stored] = await journal.events(after=receipt.position - 1, limit=1)
        expect(bytes(stored.event.data), encoded(values[-1]), what="a large event")


async def check_an_inbox_is_moved_in_order(open_journal: OpenJournal) -> None:
    """Rows come in the order of their causes; what was not seen stays."""
    scene = Scene("inbox", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()
        await holder.append(
            sleep("nap:0", until=scene.now + 5), wait("w:0", scene.name("e"))
        )
        await scene.emit(scene.event("e"))
        await fire(scene, holder.run_id)
        first = await holder.append()
        await scene.done(
            RequestCancel(holder.run_id, "me", "x", scene.now), what="a cancel"
        )
        both = holder.command()
        numbers = [row.number for row in holder.inbox]
        expect(len(numbers), 2, what="rows that came before the append")

        moved = holder.took(both, await scene.commit(both))

        require(not first.parked, what="a run that did not ask to park goes on")
        kinds = [type(row.draft.record) for row in first.inbox]
        expect(kinds, [EventReceived, SleepFired], what="rows in order")
        expect(
            [type(row.draft.record) for row in moved.inbox],
            [CancelRequested],
            what="the row that came after the holder looked",
        )
        require(
            numbers < [row.number for row in moved.inbox],
            what="numbers of inbox rows grow",
        )
        records = [type(e.record) for e in await journal.history(holder.run_id)]
        expect(records[3:], [EventReceived, SleepFired], what="records moved")


async def check_inbox_numbers_are_never_used_again(open_journal: OpenJournal) -> None:
    """Also when the inbox was empty between them, and after a restart."""
    scene = Scene("numbers", open_journal)
    seen: list[int] = []
    for turn in range(3):
        async with scene.open():
            holder = await (scene.hold("job") if turn else scene.start())
            await holder.append(wait(f"w:{turn}", scene.name(f"e{turn}")))
            await scene.emit(scene.event(f"e{turn}"))
            looked = await holder.append()
            seen += [row.number for row in looked.inbox]
            await holder.append()

    expect(len(seen), 3, what="inbox rows")
    expect(sorted(set(seen)), seen, what="numbers grow and are used once")


async def check_what_a_cancel_abandons_is_taken_back(
    open_journal: OpenJournal,
) -> None:
    """Rows of abandoned operations go; an event that they took is free again."""
    scene = Scene("abandoned", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()
        name = scene.name("e")
        await holder.append(
            wait("old:0", name, timeout_at=scene.now + 9),
            wait("young:0", name),
            wait("other:0", scene.name("f"), timeout_at=scene.now + 9),
            sleep("nap:0", until=scene.now + 9),
        )
        [receipt] = await scene.emit(scene.event("e"))
        looked = await holder.append()
        expect(
            [row.draft.record.id for row in looked.inbox],
            ["old:0"],
            what="the older of two waits takes the event",
        )
        expect(
            [row.position for row in looked.inbox],
            [receipt.position],
            what="the place of the event in an inbox row",
        )

        after = await holder.append(abandoned=("old:0", "other:0", "nap:0"))

        expect(
            [row.draft.record.id for row in after.inbox],
            ["young:0"],
            what="the other wait has the event that the abandoned one gave back",
        )
        expect(await journal.timers(holder.run_id), [], what="timers left")
        await scene.emit(scene.event("f"))
        last = await holder.append()
        expect(last.inbox, (), what="events for an abandoned wait")


async def check_an_event_given_back_can_be_had_by_a_later_wait(
    open_journal: OpenJournal,
) -> None:
    """Invariant 8: a wait in a `finally` block looks back to it."""
    scene = Scene("later", open_journal)
    async with scene.open():
        holder = await scene.start()
        await holder.append(wait("old:0", scene.name("e")))
        await scene.emit(scene.event("e"))
        await holder.append()

        after = await holder.append(
            wait("new:0", scene.name("e")), abandoned=("old:0",)
        )

        expect(
            [row.draft.record.id for row in after.inbox],
            ["new:0"],
            what="who has the event",
        )


async def check_what_is_awaited_again_is_put_back(open_journal: OpenJournal) -> None:
    """Other code waits for what a cancel had ended: no row is missing, none is twice."""
    scene = Scene("awaited", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()
        due = scene.now + 1_000_000
        await holder.append(
            sleep("nap:0", until=due),
            wait("old:0", scene.name("e"), timeout_at=due),
            wait("new:0", scene.name("e"), timeout_at=due, look_back=False),
            wait("kept:0", scene.name("f"), timeout_at=due),
        )
        await holder.append(abandoned=("nap:0", "old:0", "new:0"))
        await scene.emit(scene.event("e"))
        history = await journal.history(holder.run_id, after=1)
        nap, old, *others = (entry.record for entry in history)

        first = await holder.append(awaited=(nap, old, *others))
        again = await holder.append(awaited=(nap, *others))
        timers = await journal.timers(holder.run_id)
        await scene.emit(scene.event("e"), scene.event("f"))
        await fire(scene, holder.run_id)
        await holder.append(awaited=(nap, *others))
        last = await holder.append()

        expect(_steps(first), ["old:0"], what="who has the event that came meanwhile")
        expect(_steps(again), [], what="who has it twice")
        expect(
            sorted((timer.step, timer.kind, timer.due) for timer in timers),
            [("kept:0", "wait", due), ("nap:0", "sleep", due), ("new:0", "wait", due)],
            what="timers",
        )
        expect(_steps(last), [], what="answers that were given twice")
        expect(await journal.timers(holder.run_id), [], what="timers of the answered")
        moved = await journal.history(holder.run_id, after=6)
        expect(
            [entry.record.id for entry in moved],
            ["new:0", "kept:0", "nap:0"],
            what="the answers that came then",
        )


def _steps(appended: Appended) -> list[str]:
    return [row.draft.record.id for row in appended.inbox]


async def check_a_result_is_no_row(open_journal: OpenJournal) -> None:
    """A step's record leaves the run as it was: ready, held, without timers."""
    scene = Scene("result", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()

        appended = await holder.append(completed("a:0", 1))

        expect(
            (appended.length, appended.inbox, appended.parked),
            (2, (), False),
            what="the answer to an append",
        )
        expect((await scene.summary(holder.run_id)).status, "running", what="status")
        expect(await scene.claim("job"), [], what="a held run is not claimed")
        expect(await journal.timers(holder.run_id), [], what="timers")
        [_, entry] = await journal.history(holder.run_id, limit=ALL)
        given(entry.record, StepCompleted, what="the record")


HISTORY_CHECKS = (
    check_a_history_is_what_was_appended,
    check_a_history_is_read_by_page,
    check_a_length_that_is_wrong_is_refused,
    check_only_the_holder_appends,
    check_large_values_are_kept,
    check_an_inbox_is_moved_in_order,
    check_inbox_numbers_are_never_used_again,
    check_what_a_cancel_abandons_is_taken_back,
    check_an_event_given_back_can_be_had_by_a_later_wait,
    check_what_is_awaited_again_is_put_back,
    check_a_result_is_no_row,
)
