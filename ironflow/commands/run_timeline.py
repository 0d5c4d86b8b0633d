"""The timeline of `runs show`: one line an operation, as wide as the terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import click

from ironflow.commands import output
from ironflow.commands.standing import waiting
from ironflow.debug.timeline import Row, timeline
from ironflow.interpreter import states
from ironflow.interpreter.fold import (
    Attempt,
    Cancel,
    OperationState,
    RunState,
    Undo,
)
from ironflow.policy.duration import format_duration
from ironflow.records import COMPLETED

_GAP: Final = "  "
_INDENT: Final = "  "
_DETAIL_COLUMNS_MIN: Final = 24  # a narrower detail gets a line of its own
_BELOW: Final = " " * 4
_AT_ONCE: Final = frozenset({states.PUBLISHED, states.SET})
_ENDS: Final = frozenset({COMPLETED, *_AT_ONCE})


@dataclass(frozen=True, slots=True)
class _Line:
    cells: tuple[str, ...]
    detail: str
    below: tuple[str, ...] = ()


def write(state: RunState, *, now: int, full: bool) -> None:
    """Print the timeline of a run."""
    lines = [_line(row, now=now, full=full) for row in timeline(state)]
    if not lines:
        click.echo(output.dim("nothing is recorded yet but its start"))
        return
    click.echo()
    sizes = [
        max(output.columns(line.cells[index]) for line in lines)
        for index in range(len(lines[0].cells))
    ]
    room = output.width()
    left = room - sum(sizes) - len(_GAP) * len(sizes)
    for line in lines:
        for text in _fitted(line, sizes, left=left, room=room, full=full):
            click.echo(text)


def _fitted(
    line: _Line, sizes: Sequence[int], *, left: int, room: int, full: bool
) -> Iterator[str]:
    cells = zip(line.cells, sizes, strict=True)
    head = _GAP.join(output.padded_to(cell, size) for cell, size in cells)
    details = line.detail.splitlines() or [""]
    fits = left >= _DETAIL_COLUMNS_MIN and len(details) == 1
    if fits and (not full or output.columns(details[0]) <= left):
        yield (head + _GAP + output.cut(details[0], left)).rstrip()
    else:
        yield output.cut(head.rstrip(), room)
        for each in details:
            if each:
                yield _BELOW + (each if full else output.cut(each, room - len(_BELOW)))
    for each in line.below:
        yield output.cut(_BELOW + each, room)


def _line(row: Row, *, now: int, full: bool) -> _Line:
    title = _INDENT * row.depth + output.plain(row.title)
    operation = row.operation
    if operation is None:
        return _Line(("", title, "", "", ""), _mark(row.mark))
    end = operation.settled_at or now
    took = format_duration(max(end - operation.asked_at, 0))
    if operation.state in _AT_ONCE:
        took = ""
    cells = (
        output.state(operation.state),
        title,
        operation.kind,
        took,
        output.dim(output.plain(operation.source)),
    )
    return _Line(cells, _detail(operation, now=now, full=full), _attempts(operation))


def _mark(mark: Undo | Cancel | None) -> str:
    match mark:
        case Undo():
            what = f"of {output.plain(mark.id)} " if mark.id else ""
            return f"{what}began: {output.plain(mark.reason)}"
        case Cancel():
            reason = output.plain(mark.reason) or "no reason given"
            actor = f" by {output.plain(mark.actor)}" if mark.actor else ""
            return f"asked{actor} to cancel: {reason}"
        case None:
            return ""


def _detail(operation: OperationState, *, now: int, full: bool) -> str:
    if operation.error is not None and operation.state not in _ENDS:
        return output.plain(f"{operation.error.type}: {operation.error.message}")
    if operation.state == states.TIMED_OUT:
        return f"no event {output.plain(operation.event)} came in time"
    return waiting(operation, now=now) or _value(operation, full=full)


def _value(operation: OperationState, *, full: bool) -> str:
    of = operation.child_run or operation.event_id
    if not operation.payload:
        return of
    shown = output.event_value if operation.kind == "wait" else output.value
    return f"{of} {shown(operation.payload, full=full)}".lstrip()


def _attempts(operation: OperationState) -> tuple[str, ...]:
    """The attempts of a step that did not succeed at once."""
    attempts = operation.attempts
    if len(attempts) == 1 and not attempts[0].in_doubt and operation.settled_at:
        return ()
    return tuple(
        _attempt(each)
        for each in attempts
        if each.error is not None or not each.ended_at
    )


def _attempt(attempt: Attempt) -> str:
    if not attempt.ended_at:
        return f"attempt {attempt.number} is under way, or was interrupted"
    took = format_duration(max(attempt.ended_at - attempt.started_at, 0))
    error = attempt.error
    why = "" if error is None else output.plain(f"{error.type}: {error.message}")
    doubt = " (in doubt)" if attempt.in_doubt else ""
    return f"attempt {attempt.number} after {took}{doubt}: {why}"
