"""The exception tree is the contract: drawn, complete, and each with its answers."""

import inspect
import re

import pytest

from ironflow import errors
from ironflow.errors import (
    InvokeError,
    IronflowError,
    NondeterminismError,
    NoRunCreated,
    RetryAfterError,
    RunFailure,
    ServerError,
    ServerUnavailable,
    StepError,
    ValueRejected,
    WaitTimedOut,
)

TREE = [
    each
    for each in vars(errors).values()
    if inspect.isclass(each) and issubclass(each, IronflowError)
]


def drawn_parents() -> dict[str, str]:
    """Read the drawing: which class hangs below which."""
    text = inspect.getdoc(errors) or ""
    lines = [line for line in text.splitlines() if line.startswith("    ")]
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in lines:
        found = re.match(r"^ {4}((?:[| ]   )*)(?:[|`]-- )?(\w+)", line)
        assert found is not None
        depth = len(found[1]) // 4 + ("-- " in line)
        path = [*path[:depth], found[2]]
        parents[found[2]] = path[-2] if depth else ""
    return parents


def test_the_drawing_shows_the_tree() -> None:
    """Every class is drawn, below its base."""
    bases = {
        each.__name__: "" if each is IronflowError else each.__bases__[0].__name__
        for each in TREE
    }

    assert drawn_parents() == bases


def test_every_class_has_a_code() -> None:
    """A program that reads our output tells errors apart by it."""
    for each in TREE:
        assert re.fullmatch(r"[A-Z]+(_[A-Z]+)*", each.code)
        assert isinstance(each.retryable, bool)
    codes = [each.code for each in TREE]
    assert len(set(codes)) == len(codes)


def test_a_class_is_final_or_has_classes_below() -> None:
    """Users derive from NonRetryableError; nothing else invites it."""
    for each in TREE:
        is_final = getattr(each, "__final__", False)
        assert is_final != bool(each.__subclasses__()), each


def test_a_cancel_is_not_caught_by_accident() -> None:
    """`except Exception` in function code lets it pass, as in Trio."""
    assert not issubclass(errors.Cancelled, Exception)


CAUSE = object()


@pytest.mark.parametrize(
    ("error", "attributes"),
    [
        (ValueRejected("x"), {"path": "$"}),
        (ValueRejected("x", path="$.a"), {"path": "$.a"}),
        (
            StepError("x", step="a", attempts=2, cause=CAUSE),
            {"step": "a", "attempts": 2, "cause": CAUSE},
        ),
        (WaitTimedOut("x", step="a", event="e"), {"step": "a", "event": "e"}),
        (
            InvokeError("x", function_id="f", run_id="r", cause=CAUSE),
            {"function_id": "f", "run_id": "r", "cause": CAUSE},
        ),
        (RetryAfterError("x", after="5s"), {"after": "5s", "retryable": True}),
        (NoRunCreated("x", event_id="e"), {"event_id": "e"}),
        (NondeterminismError("x"), {"asked": "", "recorded": "", "sequence": 0}),
        (
            NondeterminismError("x", asked="a", recorded="b", sequence=3),
            {"asked": "a", "recorded": "b", "sequence": 3},
        ),
        (ServerError("x"), {"status": 500, "server_code": "", "why": ""}),
        (
            ServerError("x", status=409, server_code="aborted", why="w"),
            {"status": 409, "server_code": "aborted", "why": "w"},
        ),
        (ServerUnavailable("x"), {"is_sent": False, "why": "", "retryable": True}),
        (ServerUnavailable("x", is_sent=True, why="w"), {"is_sent": True, "why": "w"}),
    ],
)
def test_an_error_keeps_what_it_knows(
    error: IronflowError, attributes: dict[str, object]
) -> None:
    """Programs read attributes, people the message."""
    assert {name: getattr(error, name) for name in attributes} == attributes
    assert str(error) == "x"


def test_what_fails_a_run_is_told_from_what_pauses_it() -> None:
    """Uncaught in a function, a failure undoes and a code error does not."""
    assert issubclass(errors.MatchPathMissing, RunFailure)
    assert not issubclass(errors.NondeterminismError, RunFailure)
    assert not issubclass(errors.ValueRejected, RunFailure)
