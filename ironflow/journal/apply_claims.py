"""A run whose claims end with their process, and bring nothing, is paused as poison.

A claim is counted where the hold before it may have ended with its process. The count lies in the run's row, with the
length of the history at which it began: a new record makes it start over, without a
write of its own.
"""

from typing import Final, assert_never

from msgspec.structs import replace

from ironflow import limits
from ironflow.journal import apply_runs as runs
from ironflow.journal.base import (
    CountClaims,
    Counted,
    Done,
    ForgiveClaims,
    Hold,
    Lost,
    NoteLost,
    NoteWorker,
    Pause,
    RunRow,
)
from ironflow.journal.view import View

POISON: Final = "poison"


def carry_out(
    view: View, command: CountClaims | ForgiveClaims | NoteLost | NoteWorker
) -> Counted | Done:
    """Carry out a command about claims."""
    match command:
        case CountClaims():
            return count(view, command)
        case ForgiveClaims():
            return forgive(view, command)
        case NoteLost():
            return lose(view, command)
        case NoteWorker():
            return note(view, command)
        case _:
            assert_never(command)


def count(view: View, command: CountClaims) -> Counted:
    """Count these claims; pause a run instead that had too many for nothing."""
    paused: list[str] = []
    for run_id, epoch in command.claims:
        row, hold = runs.existing(view, run_id), view.hold(run_id)
        if hold.epoch != epoch:
            continue
        fruitless = _fruitless(row, hold)
        if command.lost:
            lost = Lost(command.lost, command.why, command.now, hold.length)
            row = replace(row, lost=lost)
        if fruitless < limits.POISON_CLAIMS_MAX:
            view.put_run(replace(row, claims=fruitless + 1, claimed_at=hold.length))
        else:
            _pause(view, row, fruitless, now=command.now)
            paused.append(run_id)
    return Counted(tuple(paused))


def forgive(view: View, command: ForgiveClaims) -> Done:
    """Take the last count of these claims back, where no record has done so."""
    changed = False
    for run_id, epoch in command.claims:
        row, hold = runs.existing(view, run_id), view.hold(run_id)
        fruitless = _fruitless(row, hold)
        if hold.epoch == epoch and fruitless:
            view.put_run(replace(row, claims=fruitless - 1))
            changed = True
    return Done(changed)


def lose(view: View, command: NoteLost) -> Done:
    """Say which worker was lost, without counting these claims."""
    changed = False
    for run_id, epoch in command.claims:
        row = view.run(run_id)
        if row is None:  # it has ended meanwhile, and was deleted
            continue
        hold = view.hold(run_id)
        if hold.epoch == epoch:
            lost = Lost(command.worker, command.why, command.now, hold.length)
            view.put_run(replace(row, lost=lost))
            changed = True
    return Done(changed)


def note(view: View, command: NoteWorker) -> Done:
    """Say who carries on what a worker lost, where one did and nobody is named yet.

    A quick worker may have brought the run to where nobody holds it before this is written.
    """
    changed = False
    for run_id, epoch in command.claims:
        row = view.run(run_id)
        lost = None if row is None else row.lost
        if row is None or lost is None or lost.by:
            continue
        if view.hold(run_id).epoch in {epoch, 0}:
            view.put_run(replace(row, lost=replace(lost, by=command.worker)))
            changed = True
    return Done(changed)


def _fruitless(row: RunRow, hold: Hold) -> int:
    return row.claims if row.claimed_at == hold.length else 0


def _pause(view: View, row: RunRow, fruitless: int, *, now: int) -> None:
    message = (
        f"{fruitless} processes ended one after the other while they carried this run"
        " on, and it recorded nothing in between: something that it does may end them."
        " Look at the step that comes next; 'ironflow runs retry"
        f" {row.run_id}' lets the run try again"
    )
    version = view.functions()[row.function_id].version
    pause = Pause(POISON, message, version, now)
    runs.stand_still(view, row, pause)
