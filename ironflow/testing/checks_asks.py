"""What function code asks for, as drafts that the checks append."""

from ironflow import ids
from ironflow.journal.base import FireTimer
from ironflow.policy.match import match_key
from ironflow.records import (
    ChildStarted,
    Draft,
    RunContinued,
    RunEnded,
    SleepStarted,
    StepCompleted,
    StepFailed,
    WaitStarted,
)
from ironflow.testing.checks_scene import Holder, Scene, encoded


def completed(step: str, value: object, *, attempt: int = 1) -> Draft:
    """Return the draft of a step's result."""
    return Draft(StepCompleted(id=step, attempt=attempt), encoded(value))


def failed(step: str, *, attempt: int, retry_at: int = 0) -> Draft:
    """Return the draft of a failed attempt; without `retry_at` it is the last."""
    record = StepFailed(id=step, attempt=attempt, final=not retry_at, retry_at=retry_at)
    return Draft(record, encoded({"type": "Error", "message": "no"}))


def sleep(step: str, *, until: int) -> Draft:
    """Return the draft of a sleep."""
    return Draft(SleepStarted(id=step, until=until))


def wait(
    step: str,
    event: str,
    *,
    path: str = "",
    value: object = None,
    timeout_at: int = 0,
    look_back: bool = True,
) -> Draft:
    """Return the draft of a wait; with `path` for that value."""
    record = WaitStarted(
        id=step,
        event=event,
        path=path,
        match_key=(match_key(value) or b"") if path else b"",
        timeout_at=timeout_at,
        look_back=look_back,
    )
    return Draft(record)


def child(
    holder: Holder, step: str, function_id: str, data: object, *, timeout_at: int = 0
) -> Draft:
    """Return the draft of an invoke; the child's id is of this step."""
    value = ids.derived(holder.scene.now, "child", holder.run_id, step)
    record = ChildStarted(
        id=step,
        function_id=function_id,
        child_run=ids.run_id(value),
        timeout_at=timeout_at,
    )
    return Draft(record, encoded(data))


def ended(status: str = "completed", value: object = None) -> Draft:
    """Return the draft of a run's end."""
    return Draft(RunEnded(status=status), encoded(value))


def continued(holder: Holder, data: object) -> Draft:
    """Return the draft of continue_as_new."""
    value = ids.derived(holder.scene.now, "next", holder.run_id)
    return Draft(RunContinued(new_run=ids.run_id(value)), encoded(data))


async def fire(scene: Scene, run_id: str) -> int:
    """Let every timer of a run act, when the last is due; return how many did."""
    timers = await scene.journal.timers(run_id)
    scene.now = max([scene.now, *(timer.due for timer in timers)])
    return sum(
        [
            await scene.done(FireTimer(timer, scene.now), what="a timer fires")
            for timer in timers
        ]
    )
