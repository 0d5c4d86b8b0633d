"""What a replay comes to: does today's code go with a recorded history?"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from ironflow.debug.asked import Note
from ironflow.debug.difference import Difference
from ironflow.errors import NondeterminismError
from ironflow.interpreter import failures, mismatch
from ironflow.interpreter.fibers import short_path
from ironflow.records import FAILED, Draft, Entry, Record, RunEnded

Kind = Literal["same", "extends", "diverges", "stops", "redacted"]
Cause = Literal["", "order", "outcome", "value", "raises"]

GOOD: Final[frozenset[Kind]] = frozenset({"same", "extends"})
ASKS_NEXT_MAX: Final = 10
ENDING: Final = "the end of the run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one history under today's code.

    `same`: the code asks for exactly what the history holds; of a run that was ended
    while its code was broken the `message` says so. `extends`: it does, and
    at the end of an open run asks for more (`asks_next`). `diverges`: at record
    `sequence` the history holds `recorded` and the code comes with `asked`; `cause`
    is `order` (another operation), `outcome` (the run ends with another value: see
    `differences`), `value` (a recorded value no longer fits its type) or `raises`.
    `stops`: the code raises at the end of the history, where a run would pause.
    `redacted`: payloads were taken away, first that of record `sequence`, so that code
    cannot be run over it.
    """

    kind: Kind
    records: int
    sequence: int = 0
    step: str = ""
    cause: Cause = ""
    recorded: str = ""
    asked: str = ""
    message: str = ""
    differences: tuple[Difference, ...] = ()
    asks_next: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


def redacted(entry: Entry, *, records: int) -> Verdict:
    """Return the verdict on a history whose first redacted record this is."""
    assert entry.redaction is not None
    return Verdict(
        kind="redacted",
        records=records,
        sequence=entry.record.sequence,
        step=entry.record.id,
        message=(
            "payloads were redacted, so no code can be run over this history; what is"
            " left of it is in 'ironflow runs show'"
        ),
    )


def broken(
    bug: Exception,
    *,
    wrong: Record,
    following: Record | None,
    records: int,
    notes: tuple[Note, ...],
    asks: Iterable[Draft] = (),
) -> Verdict:
    """Return the verdict on code that did not come through the history.

    `wrong` is the record after which it raised, `following` the one after that;
    `asks` is what was asked before.
    """
    if isinstance(bug, NondeterminismError):
        return Verdict(
            kind="diverges",
            records=records,
            sequence=wrong.sequence,
            step=wrong.id,
            cause="order",
            recorded=bug.recorded,
            asked=bug.asked,
            message=_why(asks) + str(bug),
            notes=notes,
        )
    place, raised = _place(bug), _raised(bug)
    # Without a line of function code it was the value that could not be given to it.
    at = following if place else wrong
    shown = "" if at is None else mismatch.shown(at)
    if at is None:
        message = f"the code comes to the end of the history and raises {raised}"
    elif place:
        message = f"the history holds {shown}, but the code raises {raised}"
    else:
        message = f"the history holds {shown}, whose value no longer fits: {raised}"
    return Verdict(
        kind="stops" if at is None else "diverges",
        records=records,
        sequence=(at or wrong).sequence,
        step=(at or wrong).id,
        cause="raises" if place else "value",
        recorded=shown,
        asked=raised,
        message=message,
        notes=notes,
    )


def ended_unasked(
    record: Record, bug: Exception | None, *, records: int, notes: tuple[Note, ...]
) -> Verdict:
    """Return the verdict on a run that was ended while its code was broken.

    Its code asked for all that is recorded but the end. Today's does, too, and then
    raises (`bug`), as it did, or would ask for more.
    """
    today = "today's code comes through what was recorded before"
    if isinstance(bug, NondeterminismError):
        today = f"today's code would go on with {bug.asked}"
    elif bug is not None:
        today = f"today's code stops there, too: {_raised(bug)}"
    return Verdict(
        kind="same",
        records=records,
        sequence=record.sequence,
        recorded=mismatch.shown(record),
        message=(
            "the run was ended while its code was broken, and nothing was undone;"
            f" {today}"
        ),
        notes=notes,
    )


def other_outcome(
    record: Record,
    differences: tuple[Difference, ...],
    *,
    records: int,
    notes: tuple[Note, ...],
) -> Verdict:
    """Return the verdict on code that ends as the history does, with another value."""
    shown = mismatch.shown(record)
    return Verdict(
        kind="diverges",
        records=records,
        sequence=record.sequence,
        cause="outcome",
        recorded=shown,
        asked=shown,
        message=f"{shown} comes with another value than is recorded",
        differences=differences,
        notes=notes,
    )


def _raised(bug: Exception) -> str:
    place = _place(bug)
    return f"{type(bug).__name__}: {bug}" + (f" ({place})" if place else "")


def _why(asks: Iterable[Draft]) -> str:
    """The failure for which the code ends where the history goes on."""
    for ask in asks:
        if isinstance(ask.record, RunEnded) and ask.record.status == FAILED:
            info = failures.decode(ask.payload)
            return f"Today's code fails with {info.type}: {info.message}. So "
    return ""


def _place(error: Exception) -> str:
    """The last line of code that is not ours which the error went through."""
    place, traceback = "", error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if not str(frame.f_globals.get("__name__", "")).startswith("ironflow."):
            place = f"{short_path(frame.f_code.co_filename)}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place
