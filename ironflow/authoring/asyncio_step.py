"""Marks a coroutine function that must run on an asyncio loop."""

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar, final

from ironflow.errors import ConfigurationError

ParamsT = ParamSpec("ParamsT")
ResultT = TypeVar("ResultT")


@final
class AsyncioStep(Generic[ParamsT, ResultT]):
    """A coroutine function that needs asyncio; the engine gives it a loop.

    It has the name, signature and annotations of `fn`, and is called like it.
    """

    def __init__(self, fn: Callable[ParamsT, Coroutine[Any, Any, ResultT]], /) -> None:
        self.fn = fn
        functools.update_wrapper(self, fn)

    def __call__(
        self, *args: ParamsT.args, **kwargs: ParamsT.kwargs
    ) -> Coroutine[Any, Any, ResultT]:
        """Return the coroutine of `fn`; it runs on asyncio only."""
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        """Show what is marked."""
        return f"asyncio_step({self.fn!r})"


def asyncio_step(
    fn: Callable[ParamsT, Coroutine[Any, Any, ResultT]], /
) -> AsyncioStep[ParamsT, ResultT]:
    """Mark a coroutine function that awaits asyncio, to be used as a step.

    Other async functions run on Trio. Use it as a decorator, or around a function
    of another library::

        rows = await ctx.step.run("fetch", ironflow.asyncio_step(pool.fetch), query)

    Raises:
        ConfigurationError: it is not a coroutine function; what blocks needs no
            mark, because a plain function runs in a thread.
    """
    called: object = fn
    while isinstance(called, functools.partial):
        called = called.func
    if not (
        inspect.iscoroutinefunction(called)
        or inspect.iscoroutinefunction(getattr(called, "__call__", None))  # noqa: B004  it asks what is called, not whether it can be
    ):
        raise ConfigurationError(
            f"asyncio_step({fn!r}): it is not a coroutine function; a plain function"
            " is used as it is"
        )
    return AsyncioStep(fn)
