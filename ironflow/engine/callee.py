"""What the engine must know of a step function, found out once."""

import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FunctionType
from typing import Any, Literal, final

import msgspec

from ironflow import limits, values
from ironflow.authoring.asyncio_step import AsyncioStep

Where = Literal["trio", "asyncio", "thread"]


class Callee(msgspec.Struct, frozen=True, eq=False):
    """Where a step function runs, and the annotation that its results must fit."""

    where: Where
    annotation: object


@final
class Callees:
    """Remembers the step functions that were called of late."""

    def __init__(self) -> None:
        self._known: dict[Callable[..., Any], Callee] = {}

    def of(self, fn: Callable[..., Any], *, step: str) -> Callee:
        """Return what is known of `fn`.

        Raises:
            ConfigurationError: no value can be read back by its return annotation.
        """
        try:
            return self._known[fn]
        except (KeyError, TypeError):  # new, or it cannot be hashed
            return self._look_at(fn, step)

    def _look_at(self, fn: Callable[..., Any], step: str) -> Callee:
        annotation = values.return_annotation(fn)
        values.check_annotation(annotation, where=f"step {step!r}")
        callee = Callee(_where(fn), annotation)
        if len(self._known) >= limits.STEP_FUNCTIONS_KNOWN_MAX:
            self._known.clear()
        with suppress(TypeError):  # what cannot be hashed is looked at each time
            self._known[fn] = callee
        return callee


def _where(fn: Callable[..., Any]) -> Where:
    if _needs_asyncio(fn):
        return "asyncio"
    return "trio" if is_async(fn) else "thread"


def _needs_asyncio(fn: Callable[..., Any]) -> bool:
    """Say whether `fn` is marked with asyncio_step, also inside a partial."""
    while isinstance(fn, partial):
        fn = fn.func
    return type(fn) is AsyncioStep


def is_async(fn: Callable[..., Any]) -> bool:
    """Say whether calling `fn` gives a coroutine of Trio."""
    if type(fn) is FunctionType:
        return bool(fn.__code__.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(
        getattr(fn, "__call__", None)  # noqa: B004  what is called, not whether it can be
    )
