"""An app holds functions, each once."""

from typing import Any

import pytest

import ironflow


@ironflow.function(id="first", triggers=["a", "b"])
async def first(ctx: ironflow.Context[Any]) -> None: ...


@ironflow.function(id="second")
async def second(ctx: ironflow.Context[Any]) -> None: ...


@ironflow.function(id="first")
async def first_again(ctx: ironflow.Context[Any]) -> None: ...


def test_an_app_gives_what_the_engine_needs_by_id() -> None:
    app = ironflow.App(functions=[first, second])

    assert app.functions == (first, second)
    assert app.function("second") is second
    assert dict(app.programs) == {"first": first.program, "second": second.program}
    assert dict(app.triggers) == {"first": ("a", "b"), "second": ()}


def test_an_app_cannot_be_changed() -> None:
    app = ironflow.App(functions=[first])

    with pytest.raises(AttributeError):
        app.functions = []  # type: ignore[misc]  # that is the test
    with pytest.raises(TypeError):
        app.programs["x"] = first.program  # type: ignore[index]  # that is the test


def test_an_unknown_id_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ironflow.ConfigurationError, match="it has first, second"):
        ironflow.App(functions=[second, first]).function("third")
    with pytest.raises(ironflow.ConfigurationError, match="it has none"):
        ironflow.App(functions=[]).function("third")


async def bare(ctx: Any) -> None: ...


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ([first, first_again], r"two functions have the id 'first' \(.*first and .*"),
        ([first, bare], r"number 1 is <function bare.*decorate it with @ironflow"),
        (first, "give a list of functions"),
    ],
)
def test_an_app_refuses(functions: Any, message: str) -> None:
    with pytest.raises(ironflow.ConfigurationError, match=message):
        ironflow.App(functions=functions)
