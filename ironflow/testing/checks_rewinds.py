"""Checks of a journal: rewinds, and what they take back, keep and refuse."""

from msgspec import structs

from ironflow.errors import LeaseLost
from ironflow.journal.base import DeleteRuns
from ironflow.records import (
    CancelRequested,
    ChildEnded,
    DeadlinePassed,
    Draft,
    Record,
    Rewound,
    RunRetried,
    StepCompleted,
    StepPatched,
    StepStarted,
    UndoStarted,
)
from ironflow.testing.checks_amendments import amend, is_refused, paused, rewound
from ironflow.testing.checks_asks import (
    child,
    completed,
    continued,
    ended,
    failed,
    fire,
    sleep,
    wait,
)
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
from ironflow.testing.checks_waits import received

_LARGE = "x" * 20_000  # stored apart


def _started(step: str) -> Draft:
    return Draft(StepStarted(id=step, attempt=1))


async def _going_on(scene: Scene, holder: Holder, to: int) -> list[Draft]:
    """Rewind a run; return what its next holder finds in its inbox."""
    answer = await amend(scene, holder, rewound(to))
    require(not hasattr(answer, "error"), what=f"a rewind to {to}: {answer!r}")
    return list(await holder.woken())


def _kinds(drafts: list[Draft]) -> list[tuple[type[Record], str]]:
    return [(type(draft.record), draft.record.id) for draft in drafts]


async def check_a_run_is_rewound(open_journal: OpenJournal) -> None:
    """What came after the record is taken back: timers, waits, and events taken."""
    scene = Scene("rewound", open_journal)
    async with scene.open() as journal:
        name, due = scene.name("e"), scene.now + SECOND_US
        holder = await scene.start()
        await holder.append(completed("a:0", 1), wait("old:0", name))
        [first] = await scene.emit(scene.event("e"))
        await holder.append()  # it moves the event into the history
        await holder.append(
            wait("w:0", name, timeout_at=due), sleep("s:0", until=due), park=True
        )
        [second] = await scene.emit(scene.event("e"))

        answer = await amend(scene, holder, rewound(2, {"a:0": 5}))

        require(not hasattr(answer, "error"), what="a rewind of a run that waits")
        expect(await journal.timers(holder.run_id), [], what="timers left")
        again = await scene.hold("job")
        expect(list(again.inbox), [], what="an answer for what is not asked any more")
        looked = await again.append(wait("w:0", name), wait("v:0", name))
        drafts = [row.draft for row in looked.inbox]
        wanted = [("w:0", first.event_id), ("v:0", second.event_id)]
        expect(received(drafts), wanted, what="events that are free again")


async def check_what_is_open_at_a_rewind_stays(open_journal: OpenJournal) -> None:
    """A timer, a wait and an answer in the inbox, asked before the record."""
    scene = Scene("rewound_open", open_journal)
    async with scene.open() as journal:
        due = scene.now + SECOND_US
        holder = await scene.start()
        await holder.append(
            wait("w:0", scene.name("e")),
            wait("v:0", scene.name("f"), timeout_at=due),
            sleep("s:0", until=due),
        )
        await holder.append(completed("a:0", 1), park=True)
        [receipt] = await scene.emit(scene.event("e"))

        await amend(scene, holder, rewound(4))

        kinds = sorted(timer.kind for timer in await journal.timers(holder.run_id))
        expect(kinds, ["sleep", "wait"], what="timers")
        woken = received(await holder.woken())
        expect(woken, [("w:0", receipt.event_id)], what="the answer in the inbox")
        expect(await fire(scene, holder.run_id), 2, what="timers that fire")


async def check_an_ended_run_is_rewound(open_journal: OpenJournal) -> None:
    """A failed or paused run is open again; a rewind can be rewound."""
    scene = Scene("rewound_end", open_journal)
    async with scene.open():
        parent = await scene.start("parent")
        await scene.register(scene.function("job"))
        await parent.park(child(parent, "call:0", scene.name("job"), 1))
        kid = await scene.hold("job")
        await kid.append(completed("a:0", 1), completed("b:0", 1), ended("failed"))
        expect(len(await parent.woken()), 1, what="the parent's answer")
        await amend(scene, kid, rewound(2), rewound(1))
        row = (await scene.summary(kid.run_id)).row
        expect((row.status, row.ended_at, row.parent_step), ("open", 0, ""), what="row")
        again = await scene.hold("job")
        await again.append(completed("a:0", 2), ended())

        run = await paused(scene, completed("a:0", 1))
        await amend(scene, run, rewound(1))
        row = (await scene.summary(run.run_id)).row
        expect((row.status, row.pause), ("open", None), what="a paused run, rewound")


async def check_a_rewind_that_makes_no_sense_is_refused(
    open_journal: OpenJournal,
) -> None:
    """It says why, and leaves nothing behind."""
    scene = Scene("rewind", open_journal)
    async with scene.open():
        held = await scene.start()
        answer = await scene.commit(held.command(rewound(1)))
        refused(answer, LeaseLost, what="a rewind by the holder")
        await held.append(ended("completed"))
        await is_refused(scene, held, rewound(1), what="a rewind of a good run")
        run = await paused(scene, completed("a:0", 1), completed("b:0", 1))
        for to in (0, 4, -1):
            await is_refused(scene, run, rewound(to), what=f"a rewind to {to}")
        unknown = rewound(2, {"c:0": 1})
        await is_refused(scene, run, unknown, what="a result of no step")
        for changes in ([1], 7):
            await is_refused(scene, run, rewound(2, changes), what="changes: no map")
        twice = (rewound(1), rewound(2))
        await is_refused(scene, run, *twice, what="a rewind to what was dropped")
        over = await scene.start()
        await over.append(completed("a:0", 1), ended("failed"))
        await amend(scene, over, Draft(StepPatched(id="a:0"), encoded(2)))
        await is_refused(scene, over, rewound(3), what="a rewind to the end")
        undone = await scene.start()
        await undone.append(failed("a:0", attempt=1), Draft(UndoStarted()))
        await undone.append(ended("failed"))
        await is_refused(scene, undone, rewound(1), what="a rewind of what was undone")


async def check_what_was_undone_is_not_rewound(open_journal: OpenJournal) -> None:
    """A saga that was undone before the cut is no hindrance; behind it, it is one."""
    scene = Scene("rewind_undo", open_journal)
    async with scene.open():
        saga = Draft(UndoStarted(id="saga:0"))
        undo = completed("compensate:a:0", None)
        run = await paused(scene, completed("a:0", 1), saga, undo, completed("b:0", 1))
        for to in (2, 3):
            await is_refused(scene, run, rewound(to), what=f"a rewind to {to}")
        answer = await amend(scene, run, rewound(4))
        require(not hasattr(answer, "error"), what="a rewind to behind the undo")


async def check_what_was_stopped_is_not_rewound(open_journal: OpenJournal) -> None:
    """A cancel holds for ever; a deadline, where it came before the cut."""
    scene = Scene("rewind_stopped", open_journal)
    async with scene.open():
        cancel = Draft(CancelRequested())
        cancelled = await paused(scene, completed("a:0", 1), cancel)
        await is_refused(scene, cancelled, rewound(1), what="a rewind past a cancel")
        late = await scene.start()
        deadline = Draft(DeadlinePassed(timer="run"))
        done = [completed("a:0", 1), deadline, completed("b:0", 1), ended("failed")]
        await late.append(*done)
        await is_refused(scene, late, rewound(3), what="a rewind to a deadline")
        answer = await amend(scene, late, rewound(2))
        require(not hasattr(answer, "error"), what="a rewind to before a deadline")


async def check_a_step_is_begun_once(open_journal: OpenJournal) -> None:
    """One that is called at most once is begun again by force alone.

    What one came to that was begun before the cut holds.
    """
    scene = Scene("rewind_once", open_journal)
    async with scene.open():
        again = [_started("a:0"), completed("a:0", 1)]
        run = await paused(scene, completed("b:0", 1), *again)
        await is_refused(scene, run, rewound(2), what="a second start")
        answer = await amend(scene, run, rewound(2, {"a:0": 9}))
        require(not hasattr(answer, "error"), what="a rewind that gives the result")
        kinds = _kinds(list(await run.woken()))
        expect(kinds, [(StepCompleted, "a:0")], what="the result that was given")

        forced = await paused(scene, completed("b:0", 1), *again)
        force = Draft(Rewound(to=2, forced=True))
        require(not hasattr(await amend(scene, forced, force), "error"), what="a force")
        expect(await forced.woken(), [], what="the inbox after a force")

        begun = await paused(scene, _started("a:0"), completed("b:0", 1))
        other = await scene.start()
        whole = [_started("a:0"), completed("b:0", 1), completed("a:0", _LARGE)]
        await other.append(*whole, ended("failed"))
        expect(await _going_on(scene, begun, 2), [], what="a step without an outcome")
        [found] = await _going_on(scene, other, 2)
        expect(found.record.id, "a:0", what="the step that had been begun")
        expect(bytes(found.payload), encoded(_LARGE), what="its result")


async def check_a_result_is_given_to_a_step(open_journal: OpenJournal) -> None:
    """Of one that is kept it is replaced; one that is dropped gets it as news."""
    scene = Scene("rewind_given", open_journal)
    async with scene.open():
        run = await scene.start()
        await run.append(completed("a:0", 1), failed("b:0", attempt=1), ended("failed"))
        answer = await amend(scene, run, rewound(2, {"a:0": 5, "b:0": {"n": 1}}))
        require(not hasattr(answer, "error"), what="a rewind with results")
        again = await scene.hold("job")
        [row] = again.inbox
        expect(row.draft.record.id, "b:0", what="the step that is news")
        expect(bytes(row.draft.payload), encoded({"n": 1}), what="its result")
        await again.append(ended())
        history = await scene.journal.history(run.run_id)
        kinds = [type(entry.record).__name__ for entry in history[-3:]]
        wanted = ["Rewound", "StepCompleted", "RunEnded"]
        expect(kinds, wanted, what="the end of the history")


async def check_an_attempt_is_due_again(open_journal: OpenJournal) -> None:
    """The time of the next attempt, of a step that was backing off, is a timer again."""
    scene = Scene("rewind_retry", open_journal)
    async with scene.open() as journal:
        due = scene.now + SECOND_US
        run = await scene.start()
        backing_off = failed("a:0", attempt=1, retry_at=due)
        await run.append(backing_off, completed("b:0", 1), ended("failed"))
        await amend(scene, run, rewound(3))
        timers = [(t.step, t.kind, t.due) for t in await journal.timers(run.run_id)]
        expect(timers, [("a:0", "retry", due)], what="timers of a run that had failed")
        await scene.hold("job")

        row = (await scene.summary(run.run_id)).row
        expect(row.attempt, 1, what="the attempt of the run")


async def check_an_attempt_of_a_run_is_dropped(open_journal: OpenJournal) -> None:
    """The row says which attempt is in force."""
    scene = Scene("rewind_attempt", open_journal)
    async with scene.open():
        run = await scene.start()
        await run.append(completed("a:0", 1), failed("b:0", attempt=1), ended("failed"))
        await amend(scene, run, Draft(RunRetried(attempt=2)))
        again = await scene.hold("job")
        await again.append(failed("b:0", attempt=1), ended("failed"))
        for to, attempt in ((5, 2), (2, 1)):
            await amend(scene, run, rewound(to))
            row = (await scene.summary(run.run_id)).row
            expect(row.attempt, attempt, what=f"the attempt after a rewind to {to}")


async def check_events_stay_taken(open_journal: OpenJournal) -> None:
    """What a failed run has taken before the cut, no later wait of it gets again."""
    scene = Scene("rewind_taken", open_journal)
    async with scene.open():
        name = scene.name("e")
        for amendment in (rewound(4), Draft(RunRetried(attempt=2))):
            run = await scene.start()
            await run.append(wait("w:0", name))
            [first] = await scene.emit(scene.event("e"))
            await run.append()
            await run.append(completed("a:0", 1), wait("v:0", name))
            [second] = await scene.emit(scene.event("e"))
            await run.append()
            await run.append(failed("b:0", attempt=1), ended("failed"))
            answer = await amend(scene, run, amendment)
            require(not hasattr(answer, "error"), what=f"{amendment}")
            again = await scene.hold("job")
            looked = await again.append(wait("u:0", name))
            wanted: list[tuple[str, str]] = []
            if isinstance(amendment.record, Rewound):
                wanted = [("u:0", second.event_id)]
            drafts = [row.draft for row in looked.inbox]
            expect(received(drafts), wanted, what=f"an event after {first.event_id}")
            await again.append(ended("cancelled"))


async def check_children_of_what_is_dropped_end(open_journal: OpenJournal) -> None:
    """An attached one is asked to cancel, and none of them answers any more."""
    scene = Scene("rewind_child", open_journal)
    async with scene.open() as journal:
        await scene.register(scene.function("kid"))
        parent = await scene.start("parent")
        due = scene.now + SECOND_US
        one = child(parent, "call:0", scene.name("kid"), 1, timeout_at=due)
        two = child(parent, "loose:0", scene.name("kid"), 2)
        loose = Draft(structs.replace(two.record, attached=False), two.payload)
        await parent.park(one, loose)
        attached, detached = [
            await Holder.of(scene, claim) for claim in await scene.claim("kid")
        ]
        expect(await _going_on(scene, parent, 1), [], what="the parent's inbox")
        expect(await journal.timers(parent.run_id), [], what="the invoke's timer")

        await attached.append()
        kinds = _kinds([row.draft for row in attached.inbox])
        expect(kinds, [(CancelRequested, "")], what="what an attached child hears")
        await detached.append()
        expect(detached.inbox, (), what="what a detached child hears")
        for kid in (attached, detached):
            await kid.append(ended("failed"))
        expect(await parent.woken(), [], what="answers of those that were dropped")


async def check_a_chain_of_what_is_dropped_ends(open_journal: OpenJournal) -> None:
    """Of a child that continued as new it is the last run that is asked."""
    scene = Scene("rewind_chain", open_journal)
    async with scene.open():
        await scene.register(scene.function("kid"))
        parent = await scene.start("parent")
        await parent.park(child(parent, "call:0", scene.name("kid"), 1))
        first = await scene.hold("kid")
        await first.append(continued(first, 2))
        await _going_on(scene, parent, 1)
        last = await scene.hold("kid")
        kinds = _kinds([row.draft for row in last.inbox])
        expect(kinds, [(CancelRequested, "")], what="what the last of a chain hears")


async def check_a_child_answers_again(open_journal: OpenJournal) -> None:
    """One that was started before the cut, however and whenever it has ended."""
    scene = Scene("rewind_answer", open_journal)
    async with scene.open():
        await scene.register(scene.function("kid"))
        parent = await scene.start("parent")
        await parent.park(child(parent, "call:0", scene.name("kid"), 1))
        kid = await scene.hold("kid")
        await kid.append(ended("completed", _LARGE))
        holder = await scene.hold("parent")
        await holder.append(Draft(DeadlinePassed(id="call:0", timer="invoke")))
        await holder.append(completed("a:0", 1), ended("failed"))

        drafts = await _going_on(scene, parent, 2)

        wanted = [(DeadlinePassed, "call:0"), (ChildEnded, "call:0")]
        expect(sorted(_kinds(drafts), key=str), sorted(wanted, key=str), what="answers")
        [answer] = [each for each in drafts if isinstance(each.record, ChildEnded)]
        expect(bytes(answer.payload), encoded(_LARGE), what="the child's output")


async def check_a_child_is_heard_by_a_run_that_had_ended(
    open_journal: OpenJournal,
) -> None:
    """It told nobody while its parent was over; if it goes on, it tells it later."""
    scene = Scene("rewind_heard", open_journal)
    async with scene.open() as journal:
        await scene.register(scene.function("kid"))
        due = scene.now + SECOND_US
        for early in (True, False):
            parent = await scene.start("parent")
            call = child(parent, "call:0", scene.name("kid"), 1, timeout_at=due)
            await parent.append(call, completed("a:0", 1), ended("failed"))
            kid = await scene.hold("kid")
            if early:
                await kid.append(ended("failed", _LARGE))
            answer = await amend(scene, parent, rewound(2))
            require(not hasattr(answer, "error"), what=f"a rewind: {answer!r}")
            timers = [t.kind for t in await journal.timers(parent.run_id)]
            expect(timers, [] if early else ["invoke"], what="the invoke's timer")
            again = await scene.hold("parent")
            found = [row.draft for row in again.inbox]
            if not early:
                expect(found, [], what="the inbox while the child goes on")
                await again.park()
                await kid.append(ended("failed", _LARGE))
                found = list(await again.woken())
            [draft] = found
            record = given(draft.record, ChildEnded, what="the answer")
            wanted = ("call:0", kid.run_id, "failed")
            expect((record.id, record.child_run, record.status), wanted, what="answer")
            expect(bytes(draft.payload), encoded(_LARGE), what="the child's error")


async def check_a_child_that_goes_on_is_heard_later(open_journal: OpenJournal) -> None:
    """Its timeout is a timer again, unless it has passed or there was none."""
    scene = Scene("rewind_later", open_journal)
    async with scene.open() as journal:
        await scene.register(scene.function("kid"))
        passed = Draft(DeadlinePassed(id="call:0", timer="invoke"))
        for after, due in (([passed], SECOND_US), ([completed("b:0", 1)], 0)):
            parent = await scene.start("parent")
            at = scene.now + due if due else 0
            call = child(parent, "call:0", scene.name("kid"), 1, timeout_at=at)
            await parent.append(call, completed("a:0", 1), *after, ended("failed"))
            drafts = await _going_on(scene, parent, 3)
            wanted = [(DeadlinePassed, "call:0")] if due else []
            expect(_kinds(drafts), wanted, what="the inbox")
            timers = await journal.timers(parent.run_id)
            expect(timers, [], what="the invoke's timer")


async def check_a_child_that_is_gone_is_said_to_be(open_journal: OpenJournal) -> None:
    """Nobody waits for ever for what is not there."""
    scene = Scene("rewind_gone", open_journal)
    async with scene.open():
        parent = await scene.start("parent")
        call = child(parent, "call:0", scene.name("nobody"), 1)
        await parent.append(call, ended("failed"))
        [draft] = await _going_on(scene, parent, 2)
        record = given(draft.record, ChildEnded, what="the answer")
        expect((record.id, record.status), ("call:0", "failed"), what="the answer")


async def check_what_a_child_went_on_in_may_be_gone(open_journal: OpenJournal) -> None:
    """It continued as new, and the last of the chain was deleted."""
    scene = Scene("rewind_chain_gone", open_journal)
    async with scene.open():
        await scene.register(scene.function("kid"))
        parent = await scene.start("parent")
        call = child(parent, "call:0", scene.name("kid"), 1)
        await parent.append(call, ended("failed"))
        first = await scene.hold("kid")
        await first.append(continued(first, 2))
        last = await scene.hold("kid")
        await last.append(ended())
        gone = DeleteRuns((last.run_id,), scene.now, asked=True)
        while await scene.done(gone, what="a deletion"):
            pass
        [draft] = await _going_on(scene, parent, 2)
        record = given(draft.record, ChildEnded, what="the answer")
        found = (record.child_run, record.status)
        expect(found, (first.run_id, "failed"), what="the answer")


REWIND_CHECKS = (
    check_a_run_is_rewound,
    check_what_is_open_at_a_rewind_stays,
    check_an_ended_run_is_rewound,
    check_a_rewind_that_makes_no_sense_is_refused,
    check_what_was_undone_is_not_rewound,
    check_what_was_stopped_is_not_rewound,
    check_a_step_is_begun_once,
    check_a_result_is_given_to_a_step,
    check_an_attempt_is_due_again,
    check_an_attempt_of_a_run_is_dropped,
    check_events_stay_taken,
    check_children_of_what_is_dropped_end,
    check_a_chain_of_what_is_dropped_ends,
    check_a_child_answers_again,
    check_a_child_is_heard_by_a_run_that_had_ended,
    check_a_child_that_goes_on_is_heard_later,
    check_a_child_that_is_gone_is_said_to_be,
    check_what_a_child_went_on_in_may_be_gone,
)
