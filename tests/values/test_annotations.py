"""What callables say they return."""

import functools
import operator
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import pytest

from ironflow.errors import ConfigurationError
from ironflow.values import return_annotation


@dataclass
class Order:
    """A user's class, and what makes one."""

    id: int

    def cost(self) -> float:
        return float(self.id)

    @classmethod
    def empty(cls) -> "Order":
        return cls(0)

    @staticmethod
    def tax() -> int:
        return 19


class Charger:
    """An object that can be called."""

    total: int

    def __call__(self) -> list[int]:
        return []


def plain() -> dict[str, int]:
    return {}


def quoted() -> "dict[str, Order]":
    return {}


def half_quoted() -> list["Order"]:
    return []


def silent():  # type: ignore[no-untyped-def]  # noqa: ANN201, RUF100  # the subject
    return 1


def nothing() -> None: ...


def anything() -> object: ...


def never() -> NoReturn:
    raise NotImplementedError


def noted() -> "Annotated[int, 'a note']":
    return 1


async def coroutine() -> "Order":
    return Order(1)


def awaitable() -> Awaitable[int]:
    raise NotImplementedError


def returns_coroutine() -> "Coroutine[Any, Any, Order]":
    return coroutine()


def logged(fn: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(fn)
    def wrapper(*args: object) -> object:
        return fn(*args)

    return wrapper


def lost() -> "Nowhere":  # type: ignore[name-defined]  # noqa: F821  # the subject
    raise NotImplementedError


def garbled() -> "dict[":  # type: ignore[valid-type]  # noqa: F722  # the subject
    raise NotImplementedError


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (plain, dict[str, int]),
        (quoted, dict[str, Order]),
        (half_quoted, list[Order]),
        (silent, Any),
        (nothing, type(None)),
        (anything, Any),
        (never, Any),
        (noted, Annotated[int, "a note"]),
        (coroutine, Order),
        (awaitable, int),
        (returns_coroutine, Order),
        (functools.partial(functools.partial(quoted)), dict[str, Order]),
        (logged(quoted), dict[str, Order]),
        (functools.cache(quoted), dict[str, Order]),
        (functools.partial(logged(coroutine)), Order),
        (Order(1).cost, float),
        (Order.empty, Order),
        (Order.tax, int),
        (Order, Order),
        (Charger(), list[int]),
        (len, Any),
        (operator.itemgetter("a"), Any),
        (lambda: 1, Any),
    ],
)
def test_a_callable_says_what_it_returns(
    fn: Callable[..., object], expected: object
) -> None:
    """However it is wrapped, and also when it is written as text."""
    assert return_annotation(fn) == expected
    assert return_annotation(fn) == expected  # the second time from memory


def test_a_class_of_a_function_is_found_where_the_code_uses_it() -> None:
    """Tests and scripts define classes next to their functions."""

    @dataclass
    class Local:
        id: int

    def make() -> "list[Local]":
        return [Local(1)]

    assert return_annotation(make) == list[Local]


@pytest.mark.parametrize(
    ("fn", "reason"), [(lost, "'Nowhere' is not defined"), (garbled, "")]
)
def test_a_name_that_cannot_be_found_is_a_mistake_in_the_code(
    fn: Callable[..., object], reason: str
) -> None:
    """The message names the function and says where to define it."""
    with pytest.raises(ConfigurationError) as caught:
        return_annotation(fn)

    assert f"{fn.__module__}.{fn.__qualname__} cannot be resolved" in str(caught.value)
    assert reason in str(caught.value)
    assert "top of the module" in str(caught.value)
