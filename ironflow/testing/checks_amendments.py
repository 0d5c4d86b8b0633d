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
    completed,
    ended,
    failed,
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

_RETRIED = Draft(RunRetried(attempt=2, actor="ann"))


def rewound(to: int, changes: object = None) -> Draft:
    """Return the draft of a rewind, and of the results that it brings."""
    payload: Payload = encoded(changes) if changes is not None else b""
    return Draft(Rewound(to=to, actor="ann"), payload)


async def amend(scene: Scene, holder: Holder, *drafts: Draft) -> Answer:
    """Append these alone, by nobody's hold, at the right length."""
    await holder.reread()
    command = structs.replace(
        holder.command(*drafts), epoch=0, inbox_through=0, abandoned=()
    )
    answer = await scene.commit(command)
    if not hasattr(answer, "error"):
        holder.took(command, answer)
    return answer


async def paused(scene: Scene, *drafts: Draft) -> Holder:
    """Start a run, append drafts, and pause it."""
    holder = await scene.start()
    await holder.append(*drafts)
    pause = PauseRun(
        holder.run_id, holder.claim.epoch, Pause("step", "no", "v1", scene.now)
    )
    await scene.done(pause, what="a pause")
    return holder


async def is_refused(scene: Scene, holder: Holder, *drafts: Draft, what: str) -> None:
    """Fail unless an amendment is refused and leaves nothing behind."""
    before = await scene.summary(holder.run_id)
    answer = await amend(scene, holder, *drafts)
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
        await amend(scene, holder, _RETRIED)

        row = (await scene.summary(holder.run_id)).row
        expect((row.status, row.attempt, row.ended_at), ("open", 2, 0), what="the row")
        again = await scene.hold("job")
        timers = await scene.journal.timers(holder.run_id)
        expect([timer.kind for timer in timers], ["run"], what="its deadline")
        held = await amend(scene, holder, _RETRIED)
        refused(held, LeaseLost, what="a retry of a run that is held")
        own = again.command(_RETRIED)
        refused(await scene.commit(own), LeaseLost, what="a retry by the holder")
        await again.append(ended("completed"))
        await is_refused(scene, holder, _RETRIED, what="a retry of a good run")


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
            await is_refused(scene, holder, _RETRIED, what=f"a retry of {what}")
        run = await paused(scene, failed("a:0", attempt=1))
        await is_refused(scene, run, _RETRIED, what="a retry of a paused run")


async def check_a_result_is_patched(open_journal: OpenJournal) -> None:
    """Where there is one, in a run that has failed, is paused or waits."""
    scene = Scene("patched", open_journal)
    async with scene.open():
        patch = Draft(StepPatched(id="a:0", actor="ann"), encoded(2))
        for first in (ended("failed"), wait("w:0", scene.name("e"))):
            holder = await scene.start()
            await holder.append(completed("a:0", 1), first, park=True)
            status = (await scene.summary(holder.run_id)).row.status
            answer = await amend(scene, holder, patch)
            require(not hasattr(answer, "error"), what="a patch of a result")
            summary = await scene.summary(holder.run_id)
            expect(summary.row.status, status, what="the status of a patched run")
            expect(summary.length, 4, what="the length of a patched run")
            expect(len(await scene.claim("job")), int(status == "open"), what="ready")
        run = await paused(scene, completed("b:0", 1))
        await is_refused(scene, run, patch, what="a patch of no result")
        await amend(scene, run, Draft(StepPatched(id="b:0"), encoded(1)))
        broken = await paused(scene, failed("a:0", attempt=1))
        answer = await amend(scene, broken, patch)
        require(not hasattr(answer, "error"), what="a result for a step that failed")
        gone_on = await paused(scene, failed("a:0", attempt=1), completed("c:0", 1))
        await is_refused(scene, gone_on, patch, what="a result after the failure")
        both = [Draft(StepPatched(id="b:0"), encoded(2)), completed("c:0", 1)]
        await is_refused(scene, run, *both, what="a patch and a result in one")


AMENDMENT_CHECKS = (
    check_a_failed_run_can_be_retried,
    check_what_cannot_go_on_is_not_retried,
    check_a_result_is_patched,
)
