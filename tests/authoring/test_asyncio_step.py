"""The mark on coroutine functions that need asyncio."""

import functools
import inspect
from typing import Any

import pytest

import ironflow
from ironflow import values
from ironflow.authoring.asyncio_step import AsyncioStep


async def fetch(url: str) -> bytes:
    """Fetch a page."""
    return url.encode()


class Pool:
    async def fetch(self, query: str) -> list[str]:
        return [query]


class Caller:
    async def __call__(self) -> int:
        return 1


def test_a_marked_function_looks_and_acts_like_itself() -> None:
    marked = ironflow.asyncio_step(fetch)

    assert isinstance(marked, AsyncioStep)
    assert marked.fn is fetch
    assert inspect.signature(marked) == inspect.signature(fetch)
    assert marked.__doc__ == "Fetch a page."
    assert values.return_annotation(marked) is bytes
    with pytest.raises(StopIteration) as end:
        marked("u").send(None)
    assert end.value.value == b"u"
    assert "fetch" in repr(marked)


@pytest.mark.parametrize(
    "fn", [Pool().fetch, functools.partial(fetch, "u"), Caller()], ids=repr
)
def test_methods_partials_and_callable_objects_may_be_marked(fn: Any) -> None:
    assert ironflow.asyncio_step(fn).fn is fn


@pytest.mark.parametrize("fn", [len, lambda: None, 3])
def test_what_is_no_coroutine_function_is_refused(fn: Any) -> None:
    with pytest.raises(ironflow.ConfigurationError, match="not a coroutine function"):
        ironflow.asyncio_step(fn)
