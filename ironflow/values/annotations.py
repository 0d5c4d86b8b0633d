"""What a callable says it returns."""

import functools
import inspect
import typing
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from types import FunctionType, MethodType, SimpleNamespace
from typing import Any, Final

from ironflow.errors import ConfigurationError

# What evaluating a text as an annotation may raise.
_UNRESOLVED: Final = (AttributeError, NameError, SyntaxError, TypeError, ValueError)
# A function is forgotten with its last user: it may hold much in its closure.
_RESOLVED: Final = weakref.WeakKeyDictionary[FunctionType, object]()


def return_annotation(fn: Callable[..., object]) -> object:
    """Return what a callable says it returns; Any if it does not say.

    For a coroutine function, and for what says it returns an awaitable, this is
    the type of the result. A class returns itself.

    Raises:
        ConfigurationError: the annotation names what cannot be found.
    """
    function = _function(fn)
    if not isinstance(function, FunctionType):
        return Any if function is None else function
    annotation: object = function.__annotations__.get("return", Any)
    if annotation is Any or (isinstance(annotation, type) and annotation is not object):
        return annotation
    if function not in _RESOLVED:
        _RESOLVED[function] = _resolved(function, annotation)
    return _RESOLVED[function]


def closed_over(function: FunctionType) -> dict[str, object]:
    """Return the names that a function has from those around it, so far.

    One that calls itself does not have its own name yet while it is decorated.
    """
    found: dict[str, object] = {}
    cells = function.__closure__ or ()
    for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
        with suppress(ValueError):  # the cell is empty
            found[name] = cell.cell_contents
    return found


def _function(fn: object) -> FunctionType | type | None:
    """What is called in the end; None if it is written in C."""
    while not isinstance(fn, FunctionType | type) or "__wrapped__" in vars(fn):
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif isinstance(fn, MethodType):
            fn = fn.__func__
        elif "__wrapped__" in getattr(fn, "__dict__", ()):
            fn = vars(fn)["__wrapped__"]
        else:
            call = inspect.getattr_static(type(fn), "__call__")
            return call if isinstance(call, FunctionType) else None
    return fn


def _resolved(function: FunctionType, annotation: object) -> object:
    holder = SimpleNamespace(__annotations__={"return": annotation})
    try:
        found: object = typing.get_type_hints(
            holder,
            globalns=function.__globals__,
            localns=closed_over(function),
            include_extras=True,
        )["return"]
    except _UNRESOLVED as error:
        raise ConfigurationError(
            f"the return annotation {annotation!r} of {function.__module__}."
            f"{function.__qualname__} cannot be resolved: {error}; define or import its"
            " names at the top of the module, outside of `if TYPE_CHECKING`"
        ) from error
    if typing.get_origin(found) in {Awaitable, Coroutine}:
        found = typing.get_args(found)[-1]
    says_nothing = any(
        found is each for each in (object, typing.Never, typing.NoReturn)
    )
    return Any if says_nothing else found
