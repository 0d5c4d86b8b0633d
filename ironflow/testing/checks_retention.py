"""Checks of a journal: what is past its retention goes, and nothing else does."""

from msgspec import structs

from ironflow import limits
from ironflow.errors import RunExists, RunNotFound
from ironflow.journal.base import (
    Appended,
    DeleteEvents,
    DeleteRuns,
    DeliverEvents,
    FunctionRow,
    ImportRun,
    RequestCancel,
    RunQuery,
)
from ironflow.records import Draft, EventReceived, Rewound
from ironflow.testing.checks_asks import child, completed, continued, ended, wait
from ironflow.testing.checks_scene import (
    SECOND_US,
    Holder,
    OpenJournal,
    Scene,
    encoded,
    expect,
    given,
    refused,
    require,
)

_KEPT_US = 60 * SECOND_US
_LARGE = "x" * 2 * limits.BLOB_BYTES_MIN


def _function(scene: Scene, word: str) -> FunctionRow:
    """Return a function whose runs are kept for a minute."""
    return structs.replace(scene.function(word, f"{word}.go"), retention_us=_KEPT_US)


async def _start(scene: Scene, word: str = "job") -> Holder:
    await scene.register(_function(scene, word))
    await scene.emit(scene.event(f"{word}.go"))
    return await scene.hold(word)


async def _delete(scene: Scene, *run_ids: str) -> bool:
    """Delete runs until nothing is left to do; return whether there was anything."""
    changed = await scene.done(DeleteRuns(run_ids, scene.now), what="runs deleted")
    for _ in range(limits.RETENTION_RECORDS_PER_COMMIT_MAX):
        if not await scene.done(DeleteRuns((), scene.now), what="records deleted"):
            break
    return changed


async def delete_events(scene: Scene, through: int, before: int) -> None:
    """Delete the events up to a place that are older than a time."""
    command = DeleteEvents(through, before)
    while await scene.done(command, what="events deleted"):
        pass


async def _alone(scene: Scene) -> None:
    """Let no event of another check come first."""
    while await scene.done(DeliverEvents(scene.now), what="events delivered"):
        pass
    [receipt] = await scene.emit(scene.event("first"))
    await delete_events(scene, receipt.position - 1, 1 << 62)


async def check_a_run_goes_when_its_time_is_over(open_journal: OpenJournal) -> None:
    """Not before, not twice, and it is gone for everybody, also after a restart."""
    scene = Scene("over", open_journal)
    async with scene.open():
        holder = await _start(scene)
        await holder.append(completed("pay:0", 1), ended("completed", 1))
        require(
            not await _delete(scene, holder.run_id), what="it stays before its time"
        )
        await scene.summary(holder.run_id)
    scene.now += _KEPT_US
    async with scene.open() as journal:
        require(await _delete(scene, holder.run_id), what="the run goes")
        require(not await _delete(scene, holder.run_id), what="it goes once")
        expect(await journal.run(holder.run_id), None, what="the run")
    async with scene.open() as journal:
        expect(await journal.run(holder.run_id), None, what="the run")
        expect(await journal.history(holder.run_id), [], what="its history")
        query = RunQuery(function_id=scene.name("job"))
        expect(await journal.find(query), [], what="runs of the function")
        cancel = await scene.commit(RequestCancel(holder.run_id, "me", "", scene.now))
        refused(cancel, RunNotFound, what="a cancel")


async def check_a_run_goes_when_it_is_asked(open_journal: OpenJournal) -> None:
    """Whatever the retention; but not before it has ended."""
    scene = Scene("asked", open_journal)
    async with scene.open() as journal:
        holder = await _start(scene)
        command = DeleteRuns((holder.run_id,), scene.now, asked=True)
        require(not await scene.done(command, what="a deletion"), what="an open one")
        await holder.append(completed("pay:0", 1), ended("completed", 1))
        require(await scene.done(command, what="a deletion"), what="one that ended")
        expect(await journal.run(holder.run_id), None, what="the run")


async def check_a_default_is_for_functions_without_retention(
    open_journal: OpenJournal,
) -> None:
    """One of its own stands, and of a function that is in no registry nothing is known."""
    scene = Scene("default", open_journal)
    async with scene.open():
        own = await _start(scene)
        plain = await scene.start("plain")
        for holder in (own, plain):
            await holder.append(completed("pay:0", 1), ended("completed", 1))
        scene.now += 2 * SECOND_US
        runs = (own.run_id, plain.run_id)
        delete = DeleteRuns(runs, scene.now, default_us=3 * SECOND_US)
        require(not await scene.done(delete, what="too early"), what="both stay")
        scene.now += 2 * SECOND_US
        delete = DeleteRuns(runs, scene.now, default_us=3 * SECOND_US)
        require(await scene.done(delete, what="runs deleted"), what="one goes")
        await scene.summary(own.run_id)
        refuse = RequestCancel(plain.run_id, "me", "", scene.now)
        refused(await scene.commit(refuse), RunNotFound, what="a cancel")


async def check_what_has_not_ended_stays(open_journal: OpenJournal) -> None:
    """So does a run of a function without retention."""
    scene = Scene("stays", open_journal)
    async with scene.open():
        going = await _start(scene)
        other = await scene.start("other")
        await other.append(ended("completed", 1))
        scene.now += 2 * _KEPT_US

        changed = await _delete(scene, going.run_id, other.run_id)

        require(not changed, what="nothing goes")
        await scene.summary(going.run_id)
        await scene.summary(other.run_id)


async def check_a_child_stays_as_long_as_its_parent_goes_on(
    open_journal: OpenJournal,
) -> None:
    """A parent that has gone is answered by nobody."""
    scene = Scene("parted", open_journal)
    async with scene.open() as journal:
        await scene.register(_function(scene, "kid"))
        parent = await _start(scene, "parent")
        for call in ("call:0", "call:1"):
            await parent.append(child(parent, call, scene.name("kid"), 1))
        kid, late = [await Holder.of(scene, each) for each in await scene.claim("kid")]
        await kid.append(ended("completed", 1))
        scene.now += 2 * _KEPT_US

        require(not await _delete(scene, kid.run_id), what="it stays with its parent")
        await parent.append(ended("completed", 1))
        require(
            await _delete(scene, kid.run_id), what="it goes when its parent has ended"
        )
        scene.now += 2 * _KEPT_US
        require(await _delete(scene, parent.run_id), what="the parent goes")
        await late.append(ended("completed", 1))

        expect((await scene.summary(late.run_id)).status, "completed", what="the last")
        expect(await journal.run(parent.run_id), None, what="the parent")


async def check_a_cancel_ends_where_a_chain_has_gone(
    open_journal: OpenJournal,
) -> None:
    """The run that is there has ended, and the one after it is past its retention."""
    scene = Scene("chain", open_journal)
    async with scene.open():
        first = await _start(scene)
        await first.append(continued(first, 1))
        second = await scene.hold("job")
        await second.append(ended("completed", 1))
        scene.now += 2 * _KEPT_US
        await _delete(scene, second.run_id)

        changed = await scene.done(
            RequestCancel(first.run_id, "me", "", scene.now), what="a cancel"
        )

        require(not changed, what="there is nothing to cancel")


async def check_a_long_run_goes_in_many_commits(open_journal: OpenJournal) -> None:
    """After a restart in the middle the rest goes all the same."""
    scene = Scene("long", open_journal)
    async with scene.open() as journal:
        holder = await _start(scene)
        for start in range(0, 3 * limits.RETENTION_RECORDS_PER_COMMIT_MAX, 1_000):
            steps = range(start, start + 1_000)
            await holder.append(
                *(completed(f"step:{number}", number) for number in steps)
            )
        await holder.append(ended("completed", 1))
        scene.now += 2 * _KEPT_US
        entries = tuple(await journal.history(holder.run_id))
        headers = tuple(encoded(entry.record) for entry in entries)
        row = (await scene.summary(holder.run_id)).row
        whole = ImportRun(row, entries, headers, (), (), scene.now)
    async with scene.open():
        first = await scene.done(
            DeleteRuns((holder.run_id,), scene.now), what="the first commit"
        )
        require(first, what="there is more to do")
    async with scene.open() as journal:
        expect(await journal.run(holder.run_id), None, what="the run")
        expect(await journal.history(holder.run_id), [], what="its history")
        taken = await scene.commit(whole)
        refused(taken, RunExists, what="an import while its records are there")
        again = await scene.done(DeleteRuns((), scene.now), what="the next commit")
        require(again, what="there is still more to do")
        await _delete(scene)
        expect(await journal.history(holder.run_id), [], what="its history")
        require(await scene.done(whole, what="an import"), what="it can come back")
        history = await journal.history(holder.run_id)
        expect(len(history), len(entries), what="its history")


async def check_a_large_payload_goes_with_the_last_that_has_it(
    open_journal: OpenJournal,
) -> None:
    """Of two runs that have it, either may go first."""
    scene = Scene("shared", open_journal)
    async with scene.open():
        runs = [await _start(scene), await _start(scene)]
        for holder in runs:
            await holder.append(completed("read:0", _LARGE), ended("completed", 1))
        scene.now += 2 * _KEPT_US
    async with scene.open() as journal:
        await _delete(scene, runs[0].run_id)
        [_, kept, _] = await journal.history(runs[1].run_id)
        require(bytes(kept.payload) == encoded(_LARGE), what="the payload is there")
        await _delete(scene, runs[1].run_id)
        again = await _start(scene)
        await again.append(completed("read:0", _LARGE))
        [_, kept] = await journal.history(again.run_id)
        require(
            bytes(kept.payload) == encoded(_LARGE), what="a later run has its payload"
        )


async def check_events_go_oldest_first(open_journal: OpenJournal) -> None:
    """By time and position; the others keep their places, also after a restart."""
    scene = Scene("oldest", open_journal)
    async with scene.open() as journal:
        await _alone(scene)
        positions: list[int] = []
        for number in range(6):
            [receipt] = await scene.emit(scene.event("tick", number))
            positions.append(receipt.position)
        first, second, third, fourth, *_ = positions
        times = {
            stored.position: stored.event.timestamp
            for stored in await journal.events(scene.name("tick"))
        }
        await delete_events(scene, positions[-1], times[second] + 1)
        found = await journal.events(scene.name("tick"))
        expect([each.position for each in found], positions[2:], what="after a time")
        await delete_events(scene, third, scene.now + 1)
    async with scene.open() as journal:
        found = await journal.events(scene.name("tick"))
        expect([each.position for each in found], positions[3:], what="up to a place")
        expect(
            [each.position for each in await journal.events(after=first, limit=1)],
            [fourth],
            what="who follows the log goes on with the first that is there",
        )
        await delete_events(scene, positions[-1] + 10, scene.now + 1)
        left = await journal.events(scene.name("tick"))
        expect([each.position for each in left], positions[-1:], what="the last stays")
    async with scene.open():
        [receipt] = await scene.emit(scene.event("tick"))
        expect(receipt.position, positions[-1] + 1, what="the place of the next")


async def check_a_key_is_known_as_long_as_its_event(open_journal: OpenJournal) -> None:
    """Then it is free; it starts nothing twice before."""
    scene = Scene("window", open_journal)
    async with scene.open():
        await scene.register(_function(scene, "job"))
        await _alone(scene)
        [old] = await scene.emit(scene.event("job.go", key="old"))
        [kept] = await scene.emit(scene.event("job.go", key="kept"))
        await scene.emit(scene.event("tick"))

        await delete_events(scene, old.position, scene.now + 1)

        [again] = await scene.emit(scene.event("job.go", key="kept"))
        expect((again.duplicate, again.run_ids), (True, kept.run_ids), what="a repeat")
        [fresh] = await scene.emit(scene.event("job.go", key="old"))
        require(not fresh.duplicate, what="a key is free when its event has gone")
    async with scene.open():
        [again] = await scene.emit(scene.event("job.go", key="old"))
        expect((again.duplicate, again.run_ids), (True, fresh.run_ids), what="a repeat")
        [again] = await scene.emit(scene.event("job.go", key="kept"))
        expect((again.duplicate, again.run_ids), (True, kept.run_ids), what="a repeat")


async def check_a_wait_looks_back_at_what_is_left(open_journal: OpenJournal) -> None:
    """Also by an index that knew events that have gone."""
    scene = Scene("left", open_journal)
    many = limits.LOOK_BACK_SCAN_EVENTS_MAX + 1
    async with scene.open():
        await _alone(scene)
        first = await scene.start("job")
        for number in range(many):
            await scene.emit(scene.event("paid", {"order": number % 3}))
        await first.append(_paid(scene, 2))  # makes the index
        await first.append(ended("completed", 1))
        second = await _start(scene)
        row = (await scene.summary(second.run_id)).row
        await scene.emit(scene.event("paid", {"order": 0}))
        [wanted] = await scene.emit(scene.event("paid", {"order": 1}))

        await delete_events(scene, row.trigger_position, scene.now + 1)
        appended = await second.append(_paid(scene, 1))

        [inbox] = appended.inbox
        record = given(inbox.draft.record, EventReceived, what="the answer")
        expect(record.event_id, wanted.event_id, what="the event")


def _paid(scene: Scene, order: int) -> Draft:
    return wait("paid:0", scene.name("paid"), path="data.order", value=order)


async def check_a_failed_run_keeps_no_events(open_journal: OpenJournal) -> None:
    """It can be rewound all the same, and waits for another."""
    scene = Scene("failed", open_journal)
    async with scene.open():
        holder = await _start(scene)
        await _alone(scene)
        [paid] = await scene.emit(scene.event("paid", {"order": 1}))
        await scene.emit(scene.event("tick"))
        await holder.append(_paid(scene, 1))
        await holder.append(ended("failed", {"type": "Error", "message": "no"}))
        await delete_events(scene, paid.position, scene.now + 1)
        for to in (3, 1):
            await holder.reread()
            rewound = holder.command(Draft(Rewound(to=to, actor="ann")))
            given(
                await scene.commit(structs.replace(rewound, epoch=0, inbox_through=0)),
                Appended,
                what="a rewind",
            )
    async with scene.open():
        again = await scene.hold("job")
        appended = await again.append(_paid(scene, 1))

        expect(appended.inbox, [], what="an answer")


RETENTION_CHECKS = (
    check_a_default_is_for_functions_without_retention,
    check_a_run_goes_when_its_time_is_over,
    check_a_run_goes_when_it_is_asked,
    check_what_has_not_ended_stays,
    check_a_child_stays_as_long_as_its_parent_goes_on,
    check_a_cancel_ends_where_a_chain_has_gone,
    check_a_long_run_goes_in_many_commits,
    check_a_large_payload_goes_with_the_last_that_has_it,
    check_events_go_oldest_first,
    check_a_key_is_known_as_long_as_its_event,
    check_a_wait_looks_back_at_what_is_left,
    check_a_failed_run_keeps_no_events,
)
