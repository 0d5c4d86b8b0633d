"""Checks of a journal: amendments of runs that nobody holds, and what is refused."""

from msgspec import structs

from ironflow.errors import Conflict, LeaseLost, MisusedOperation
from ironflow.journal.base import Answer, Pause, PauseRun
from ironflow.records import (
    Draft,
    Payload,
    Rewound,
    RunRetried,
    StepPatched,
    UndoStarted,
)
from ironflow.testing.checks_asks import (
    child,
    completed,
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
    refused,
    require,
)
from ironflow.testing.checks_waits import received

_RETRIED = Draft(RunRetried(attempt=2, actor="ann"))


def _rewound(to: int, changes: object = None) -> Draft:
    payload: Payload = encoded(changes) if changes is not None else b""
    return Draft(Rewound(to=to, actor="ann"), payload)


async def _amend(scene: Scene, holder: Holder, *drafts: Draft) -> Answer:
    """Append these alone, by nobody's hold, at the right length."""
    holder.length = (await scene.summary(holder.run_id)).length
    command = structs.replace(
        holder.command(*drafts), epoch=0, inbox_through=0, abandoned=()
    )
    answer = await scene.commit(command)
    if not hasattr(answer, "error"):
        holder.took(command, answer)
    return answer


async def _paused(scene: Scene, *drafts: Draft) -> Holder:
    """Start a run, append drafts, and pause it."""
    holder = await scene.start()
    await holder.append(*drafts)
    pause = PauseRun(
        holder.run_id, holder.claim.epoch, Pause("step", "no", "v1", scene.now)
    )
    await scene.done(pause, what="a pause")
    return holder


async def _is_refused(scene: Scene, holder: Holder, *drafts: Draft, what: str) -> None:
    before = await scene.summary(holder.run_id)
    answer = await _amend(scene, holder, *drafts)
    refused(answer, MisusedOperation, what=what)
    expect(await scene.summary(holder.run_id), before, what=f"the run after {what}")


async def check_a_failed_run_can_be_retried(open_journal: OpenJournal) -> None:
    """`RunRetried` is appended by nobody's hold and opens the run again."""
    scene = Scene("run_retry", open_journal)
    async with scene.open():
        await scene.register(scene.function("job", "go", run_timeout_us=SECOND_US))
        await scene.emit(scene.event("go"))
        holder = await scene.hold("job")
        await holder.append(failed("a:0", attempt=1), ended("failed"))
        late = holder.command(_RETRIED)
        given_up = structs.replace(late, expected_length=2)
        refused(
            await scene.commit(given_up), Conflict, what="a retry at a wrong length"
        )
        await _amend(scene, holder, _RETRIED)

        row = (await scene.summary(holder.run_id)).row
        expect((row.status, row.attempt, row.ended_at), ("open", 2, 0), what="the row")
        again = await scene.hold("job")
        timers = await scene.journal.timers(holder.run_id)
        expect([timer.kind for timer in timers], ["run"], what="its deadline")
        held = await _amend(scene, holder, _RETRIED)
        refused(held, LeaseLost, what="a retry of a run that is held")
        own = again.command(_RETRIED)
        refused(await scene.commit(own), LeaseLost, what="a retry by the holder")
        await again.append(ended("completed"))
        await _is_refused(scene, holder, _RETRIED, what="a retry of a good run")


async def check_what_cannot_go_on_is_not_retried(open_journal: OpenJournal) -> None:
    """Undone, left open, or failed by no step: only a new run can try again."""
    scene = Scene("no_retry", open_journal)
    async with scene.open():
        cases = {
            "undone": [failed("a:0", attempt=1), Draft(UndoStarted())],
            "no step": [completed("a:0", 1)],
            "open": [sleep("s:0", until=scene.now + 1), failed("a:0", attempt=1)],
        }
        for what, drafts in cases.items():
            holder = await scene.start()
            await holder.append(*drafts, ended("failed"))
            await _is_refused(scene, holder, _RETRIED, what=f"a retry of {what}")
        paused = await _paused(scene, failed("a:0", attempt=1))
        await _is_refused(scene, paused, _RETRIED, what="a retry of a paused run")


async def check_a_result_is_patched(open_journal: OpenJournal) -> None:
    """Where there is one, in a run that has failed, is paused or waits."""
    scene = Scene("patched", open_journal)
    async with scene.open():
        patch = Draft(StepPatched(id="a:0", actor="ann"), encoded(2))
        for first in (ended("failed"), wait("w:0", scene.name("e"))):
            holder = await scene.start()
            await holder.append(completed("a:0", 1), first, park=True)
            status = (await scene.summary(holder.run_id)).row.status
            answer = await _amend(scene, holder, patch)
            require(not hasattr(answer, "error"), what="a patch of a result")
            summary = await scene.summary(holder.run_id)
            expect(summary.row.status, status, what="the status of a patched run")
            expect(summary.length, 4, what="the length of a patched run")
            expect(len(await scene.claim("job")), int(status == "open"), what="ready")
        paused = await _paused(scene, completed("b:0", 1))
        await _is_refused(scene, paused, patch, what="a patch of no result")
        both = [Draft(StepPatched(id="b:0"), encoded(2)), completed("c:0", 1)]
        await _is_refused(scene, paused, *both, what="a patch and a result in one")


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

        answer = await _amend(scene, holder, _rewound(2, {"a:0": 5}))

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

        await _amend(scene, holder, _rewound(4))

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
        await _amend(scene, kid, _rewound(2), _rewound(1))
        row = (await scene.summary(kid.run_id)).row
        expect((row.status, row.ended_at, row.parent_step), ("open", 0, ""), what="row")
        again = await scene.hold("job")
        await again.append(completed("a:0", 2), ended())

        paused = await _paused(scene, completed("a:0", 1))
        await _amend(scene, paused, _rewound(1))
        row = (await scene.summary(paused.run_id)).row
        expect((row.status, row.pause), ("open", None), what="a paused run, rewound")


async def check_a_rewind_that_makes_no_sense_is_refused(
    open_journal: OpenJournal,
) -> None:
    """It says why, and leaves nothing behind."""
    scene = Scene("rewind", open_journal)
    async with scene.open():
        held = await scene.start()
        answer = await scene.commit(held.command(_rewound(1)))
        refused(answer, LeaseLost, what="a rewind by the holder")
        await held.append(ended("completed"))
        await _is_refused(scene, held, _rewound(1), what="a rewind of a good run")
        run = await _paused(scene, completed("a:0", 1), completed("b:0", 1))
        for to in (0, 4, -1):
            await _is_refused(scene, run, _rewound(to), what=f"a rewind to {to}")
        late = _rewound(2, {"b:0": 1})
        await _is_refused(scene, run, late, what="a change of what is dropped")
        for changes in ([1], 7):
            await _is_refused(scene, run, _rewound(2, changes), what="changes: no map")
        twice = (_rewound(1), _rewound(2))
        await _is_refused(scene, run, *twice, what="a rewind to what was dropped")
        over = await scene.start()
        await over.append(completed("a:0", 1), ended("failed"))
        await _amend(scene, over, Draft(StepPatched(id="a:0"), encoded(2)))
        await _is_refused(scene, over, _rewound(3), what="a rewind to the end")
        undone = await scene.start()
        await undone.append(failed("a:0", attempt=1), Draft(UndoStarted()))
        await undone.append(ended("failed"))
        await _is_refused(
            scene, undone, _rewound(1), what="a rewind of what was undone"
        )
        await scene.register(scene.function("kid"))
        parent = await scene.start("parent")
        await parent.park(child(parent, "call:0", scene.name("kid"), 1))
        await _is_refused(scene, parent, _rewound(1), what="a rewind past a child")


AMENDMENT_CHECKS = (
    check_a_failed_run_can_be_retried,
    check_what_cannot_go_on_is_not_retried,
    check_a_result_is_patched,
    check_a_run_is_rewound,
    check_what_is_open_at_a_rewind_stays,
    check_an_ended_run_is_rewound,
    check_a_rewind_that_makes_no_sense_is_refused,
)
