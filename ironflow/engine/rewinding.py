"""Resume a run from a step: what the step did and all that came after it is dropped.

The place is looked for in the history as it is now; the journal decides, inside the
write, whether the run may go on there (`journal/apply_rewinds.py`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from ironflow import codec
from ironflow.errors import Conflict, MisusedOperation, RunNotFound
from ironflow.interpreter import rewinds
from ironflow.interpreter.effective import effective
from ironflow.journal.base import (
    Answer,
    AppendRecords,
    Journal,
    JournalCommand,
)
from ironflow.records import Draft, Entry, Rewound

_TRIES: Final = 8  # others may append between the look and the append
_ADVICE: Final = {
    "queued": "cancel it, or let it run",
    "running": "pause it first",
    "waiting": "pause it first",
}

Commit = Callable[[JournalCommand], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FromStep:
    """From where a run shall go on, as `rewinds.place_of` finds it by `step`.

    `result` is what the step gives, encoded: then it is not performed. Without `force`, a
    step that is called at most once is not begun again.
    """

    step: str
    result: bytes | None = None
    force: bool = False
    actor: str = ""
    reason: str = ""


async def rewind(
    journal: Journal, commit: Commit, run_id: str, wanted: FromStep, *, now: int
) -> rewinds.Place:
    """Let a paused or failed run go on from a step; return where that is.

    `commit` raises what a command is refused with.

    Raises:
        RunNotFound: there is none with this id.
        MisusedOperation: it cannot go on there; the message says why.
    """
    error: Conflict | None = None
    for _ in range(_TRIES):
        entries = await _history(journal, run_id)
        place, draft = _draft(run_id, entries, wanted)
        last = entries[-1]
        entry, header = codec.seal(
            draft,
            sequence=len(entries) + 1,
            recorded_at=max(now, last.record.recorded_at),
            previous=last.digest,
        )
        command = AppendRecords(run_id, 0, len(entries), (entry,), (header,))
        try:
            await commit(command)
        except Conflict as conflict:
            error = conflict
        else:
            return place
    assert error is not None
    raise error


async def _history(journal: Journal, run_id: str) -> list[Entry]:
    """Return the whole history of a run that may be resumed from a step."""
    summary = await journal.run(run_id)
    if summary is None:
        raise RunNotFound(
            f"there is no run {run_id} in environment {journal.environment!r} of this"
            " journal"
        )
    if summary.status not in {"paused", "failed"}:
        advice = _ADVICE.get(summary.status, "start a new run")
        raise MisusedOperation(
            f"run {run_id} is {summary.status}; only a run that is paused or has failed"
            f" can be resumed from a step: {advice}"
        )
    entries: list[Entry] = []
    while page := await journal.history(run_id, after=len(entries)):
        entries += page
    return entries


def _draft(
    run_id: str, entries: list[Entry], wanted: FromStep
) -> tuple[rewinds.Place, Draft]:
    kept = [entry.record for entry in effective(entries).entries]
    is_given = wanted.result is not None
    place = rewinds.place_of(run_id, kept, wanted.step, is_given=is_given)
    record = Rewound(
        id=place.step,
        to=place.to,
        actor=wanted.actor,
        reason=wanted.reason,
        afresh=True,
        forced=wanted.force,
    )
    if wanted.result is None:
        return place, Draft(record)
    results = {place.step: msgspec.Raw(wanted.result)}
    return place, Draft(record, msgspec.msgpack.encode(results))
