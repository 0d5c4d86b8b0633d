"""Child runs: what is asked for, and what their parent gets."""

from typing import Any

import msgspec
import pytest

import ironflow
from ironflow.authoring.step import StepClient
from ironflow.interpreter.operations import Child, Invoke, JoinChild
from tests.authoring.fake_view import FakeView, asked, ended

step = StepClient(FakeView())
CHILD = Child("run_2", "score", "score:0")


class Score(msgspec.Struct):
    value: int


@ironflow.function
async def score(ctx: ironflow.Context[int]) -> Score:
    return Score(ctx.event.data)


@ironflow.function
async def untyped(ctx: ironflow.Context[Any]) -> Any: ...


async def awaiting(awaitable: Any) -> Any:
    return await awaitable


def test_invoke_names_a_function_by_id_or_by_itself() -> None:
    by_id = step.invoke("score", {"id": 1}, timeout="1m")
    by_itself = step.invoke(untyped, 3)

    assert isinstance(by_id, Invoke)
    assert (by_id.function_id, by_id.data) == ("score", {"id": 1})
    assert (by_id.timeout_us, by_id.awaited, by_id.attached) == (60_000_000, True, True)
    assert isinstance(by_itself, Invoke)
    assert (by_itself.function_id, by_itself.timeout_us) == ("untyped", 0)


def test_the_output_of_a_known_function_has_its_type() -> None:
    operation = asked(awaiting(step.invoke(score, 3)))

    assert isinstance(operation, Invoke)
    assert ended(awaiting(step.invoke(score, 3)), {"value": 3}) == Score(3)
    assert ended(awaiting(step.invoke("score", 3)), {"value": 3}) == {"value": 3}


def test_an_output_that_no_longer_fits_is_not_passed_on() -> None:
    with pytest.raises(ironflow.ValueRejected, match=r"\$\.value"):
        ended(awaiting(step.invoke(score, 3)), {"value": "three"})


def test_invoke_async_gives_a_handle_that_can_be_waited_for() -> None:
    operation = asked(awaiting(step.invoke_async(score, 3, detached=True)))
    child = ended(awaiting(step.invoke_async(score, 3)), CHILD)

    assert isinstance(operation, Invoke)
    assert (operation.awaited, operation.attached) == (False, False)
    assert isinstance(child, ironflow.ChildRun)
    assert (child.run_id, child.function_id) == ("run_2", "score")
    assert repr(child) == "<ChildRun run_2 of 'score'>"
    join = asked(awaiting(child.result()))
    assert isinstance(join, JoinChild)
    assert join.child == CHILD
    assert ended(awaiting(child.result()), {"value": 3}) == Score(3)


def test_a_child_known_by_id_gives_plain_data() -> None:
    child: Any = ended(awaiting(step.invoke_async("score")), CHILD)

    assert ended(awaiting(child.result()), [1]) == [1]


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        ("no spaces", {}, "function='no spaces' may have letters"),
        (len, {}, "neither an ironflow function nor the id of one"),
        ("score", {"timeout": 0}, "timeout=0 leaves no time"),
        ("score", {"timeout": "x"}, "timeout='x' is not a duration"),
    ],
)
def test_invoke_refuses(function: Any, options: Any, message: str) -> None:
    with pytest.raises(ironflow.ConfigurationError, match=message):
        _ = step.invoke(function, None, **options)


def test_a_function_of_ironflow_is_no_step() -> None:
    with pytest.raises(ironflow.ConfigurationError, match=r"run by step\.invoke"):
        _ = step.run("score", score)  # type: ignore[call-overload]  # that is the test
