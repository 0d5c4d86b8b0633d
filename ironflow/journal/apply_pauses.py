"""Runs stand still: a holder gives one up, or somebody asks for it, and they go on.

What ends a run comes before a pause, in whatever order the two are asked for.
"""

from typing import Final, assert_never

from msgspec.structs import replace

from ironflow.journal import apply_records as records
from ironflow.journal import apply_runs as runs
from ironflow.journal.base import (
    Done,
    Pause,
    PauseRun,
    Refused,
    RequestPause,
    ResumeRun,
    RunRow,
)
from ironflow.journal.view import View
from ironflow.records import ends_run

ASKED: Final = "asked"


def change(
    view: View, row: RunRow, command: RequestPause | PauseRun | ResumeRun
) -> Done | Refused:
    """Carry out a command about a run that shall stand still or go on."""
    match command:
        case RequestPause():
            return _ask(view, row, command)
        case PauseRun():
            return _pause(view, row, command)
        case ResumeRun():
            return _resume(view, row)
        case _:
            assert_never(command)


def _ask(view: View, row: RunRow, command: RequestPause) -> Done:
    if row.status != "open" or _end_waits(view, row, after=0):
        return Done(changed=False)
    reason = command.reason or "somebody asked for it"
    pause = Pause(ASKED, reason, "", command.now, command.actor)
    if not view.hold(row.run_id).epoch:
        runs.stand_still(view, row, row.asked or pause)
    elif row.asked is None:
        view.put_run(replace(row, asked=pause))
        view.hint.inbox.add(row.run_id)
    else:
        return Done(changed=False)
    return Done()


def _pause(view: View, row: RunRow, command: PauseRun) -> Done | Refused:
    epoch = view.hold(row.run_id).epoch
    if not epoch or epoch != command.epoch:
        return Refused(records.lease_lost(row.run_id, command.epoch))
    pause = row.asked if command.pause.reason == ASKED else command.pause
    if pause is None or _end_waits(view, row, after=command.inbox_through):
        return Done(changed=False)
    for draft in command.kept:
        view.put_inbox(row.run_id, draft)
    runs.stand_still(view, row, pause)
    return Done()


def _end_waits(view: View, row: RunRow, *, after: int) -> bool:
    return any(
        waiting.number > after and ends_run(waiting.draft.record)
        for waiting in view.inbox(row.run_id)
    )


def _resume(view: View, row: RunRow) -> Done:
    if row.status == "paused":
        runs.resume(view, row)
        return Done()
    if row.asked is None:
        return Done(changed=False)
    view.put_run(replace(row, asked=None))
    view.hint.inbox.add(row.run_id)
    return Done()
