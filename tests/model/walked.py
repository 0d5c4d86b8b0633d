"""What a program does between its operations, for the model: plain control flow.

The twin of `compiled.py`, which writes the same for ironflow. What an operation means
is in `model.py`; here are only sequences, `try` and what the program has seen so far.
"""

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from tests.model import grammar as g

Body = Generator[Any, Any, Any]  # yields what its line of code waits for
# Part of a program; called with the model's `Code` and its line, it returns its error.
Part = Callable[[Any, Any], Body]


def part_of(node: g.Program, seen: list[str]) -> Part:
    """Return what walks a part of a program."""
    return partial(_walk, node, seen)


def _walk(node: g.Program, seen: list[str], code: Any, line: Any) -> Body:
    """Do a part of a program; return its error, or nothing."""
    error = ""
    match node:
        case g.Seq(parts):
            for part in parts:
                error = error or (yield from _walk(part, seen, code, line))
        case g.Raise(bug):
            error = g.BUG if bug else "NonRetryableError"
        case g.Catch() | g.Swallow() | g.Finally() | g.Beside():
            error = yield from _around(node, seen, code, line)
        case g.Saga(body):
            error = yield from code.saga(part_of(body, seen), line)
        case g.Compensate():
            code.owe(line, "ok", g.short(seen))
        case _:
            value, error = yield from _operation(node, seen, code, line)
            if not error:
                seen.append(node.child if isinstance(node, g.Spawn) else value)
    return error


def _around(
    node: g.Catch | g.Swallow | g.Finally | g.Beside,
    seen: list[str],
    code: Any,
    line: Any,
) -> Body:
    if isinstance(node, g.Beside):
        return (yield from _beside(node, seen, code, line))
    error = yield from _walk(node.body, seen, code, line)
    if isinstance(node, g.Finally):
        return (yield from _walk(node.last, seen, code, line)) or error
    is_failure = error not in {"", g.BUG, g.CANCELLED}
    if is_failure or (error and isinstance(node, g.Swallow)):
        seen.append(f"!{error}")
        return ""
    return error


def _beside(node: g.Beside, seen: list[str], code: Any, line: Any) -> Body:
    child, error = yield from _operation(g.Spawn(node.child), seen, code, line)
    error = error or (yield from _walk(node.body, seen, code, line))
    if error:
        return error
    value, error = yield from code.operation(child, "", line)
    if not error:
        seen.append(value)
    return error


def _operation(node: Any, seen: list[str], code: Any, line: Any) -> Body:
    given: Any = g.short(seen)
    if isinstance(node, g.Parallel):
        given = [part_of(branch, seen) for branch in node.branches]
    return (yield from code.operation(node, given, line))
