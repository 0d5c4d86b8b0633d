"""A run as rows to read: operations in their branches, in the order they began."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ironflow.interpreter.fold import Cancel, OperationState, RunState, Undo

_SEGMENT: Final = re.compile(r"(?:[^\\:]|\\.)+")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a timeline.

    Of an operation, of the branch that those below it belong to (`operation` and
    `mark` are None), or of something that happened to the run (`mark`). `title` is
    the piece of the id that its depth leaves to say.
    """

    depth: int
    title: str
    operation: OperationState | None = None
    mark: Undo | Cancel | None = None


@dataclass(slots=True)
class _Branch:
    """A branch of a parallel or map, and what began in it."""

    sequence: int
    title: str
    inside: "dict[tuple[str, ...], _Branch | OperationState]" = field(
        default_factory=dict[tuple[str, ...], "_Branch | OperationState"]
    )


def timeline(state: RunState) -> tuple[Row, ...]:
    """Return the rows of a run."""
    root = _Branch(0, "")
    for operation in state.operations:
        _put(root, operation)
    marks: list[tuple[int, Row]] = [
        (undo.sequence, Row(0, "undo", mark=undo)) for undo in state.undo
    ]
    if state.cancel is not None:
        marks.append((state.cancel.sequence, Row(0, "cancel", mark=state.cancel)))
    marks.sort(key=lambda pair: pair[0])
    return tuple(_merged(root, marks))


def local_id(step: str) -> tuple[tuple[str, ...], str]:
    r"""Return the branches that a step id names, and what is left of it.

    `fan:1:charge:0` is `charge:0` in branch `fan:1`. What is left has two segments,
    or three (`compensate:charge:0`); a branch has two.
    """
    segments = _SEGMENT.findall(step)
    own = 3 if len(segments) % 2 else 2
    path = segments[:-own]
    branches = tuple(f"{path[at]}:{path[at + 1]}" for at in range(0, len(path) - 1, 2))
    return branches, ":".join(segments[-own:])


def _put(root: _Branch, operation: OperationState) -> None:
    branches, _ = local_id(operation.id)
    branch = root
    for depth in range(len(branches)):
        key = branches[: depth + 1]
        inner = branch.inside.setdefault(
            key, _Branch(operation.sequence, branches[depth])
        )
        assert isinstance(inner, _Branch)
        branch = inner
    branch.inside[("", operation.id)] = operation


def _merged(root: _Branch, marks: list[tuple[int, Row]]) -> Iterator[Row]:
    """What happened to the run stands between the operations of its outermost line."""
    waiting = list(marks)
    for item in _ordered(root):
        while waiting and waiting[0][0] < item.sequence:
            yield waiting.pop(0)[1]
        yield from _rows(item, 0)
    yield from (row for _, row in waiting)


def _rows(item: _Branch | OperationState, depth: int) -> Iterator[Row]:
    if isinstance(item, OperationState):
        yield Row(depth, local_id(item.id)[1], operation=item)
        return
    yield Row(depth, item.title)
    for inner in _ordered(item):
        yield from _rows(inner, depth + 1)


def _ordered(branch: _Branch) -> "list[_Branch | OperationState]":
    """What is in a branch, as it began; branches of one fork by their number."""
    began: dict[str, int] = {}

    def place(item: "_Branch | OperationState") -> tuple[int, int]:
        if isinstance(item, OperationState):
            return item.sequence, 0
        fork, _, number = item.title.rpartition(":")
        index = int(number) if number.isdecimal() else 0
        return began.setdefault(fork, item.sequence), index

    return sorted(branch.inside.values(), key=place)
