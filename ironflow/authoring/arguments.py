"""Checks of what function code passes to steps, made where it is passed."""

from collections.abc import Callable, Coroutine, Iterable
from functools import lru_cache
from typing import Any, Final, TypeVar, cast, get_args

from ironflow import limits
from ironflow.authoring.definition import Function
from ironflow.errors import ConfigurationError
from ironflow.interpreter.operations import Once, OnError, RunStep
from ironflow.policy.duration import Duration, parse_duration
from ironflow.policy.names import check_awaited_name, check_step_name
from ironflow.policy.retry import Retry

ItemT = TypeVar("ItemT")

_NAMES_KEPT: Final = 4096
_SHOWN_CHARS: Final = 60

# A loop asks for the same names again and again, and so does every run.
known_name = lru_cache(_NAMES_KEPT)(check_step_name)
_known_event = lru_cache(_NAMES_KEPT)(check_awaited_name)


def step_name(name: str) -> str:
    """Return the name of a step, wait, sleep or branch.

    Raises:
        ConfigurationError: it cannot be one.
    """
    try:
        return known_name(name)
    except TypeError:  # it is not even hashable
        return check_step_name(name)


def awaited_name(name: str) -> str:
    """Return the name of an event that a run waits for.

    Raises:
        ConfigurationError: it cannot be one.
    """
    try:
        return _known_event(name)
    except TypeError:  # it is not even hashable
        return check_awaited_name(name)


def check_callable(fn: object, *, call: str) -> None:
    """Refuse what cannot be called; `call` shows how it is written.

    Raises:
        ConfigurationError: it cannot be called.
    """
    if callable(fn):
        return
    got = shown(fn)
    match fn:
        case Function():
            hint = "a function of ironflow is run by step.invoke"
        case Coroutine():
            fn.close()  # or Python warns that nobody awaited it
            hint = "it was called too early: give the function, then its arguments"
        case _:
            hint = "give the function itself"
    raise ConfigurationError(f"{call} got {got}, which is no function; {hint}")


def set_options(
    operation: RunStep[object],
    *,
    timeout: Duration | None,
    retry: Retry | None,
    once: object,
    undo: Callable[..., Any] | None,
) -> None:
    """Put the options of a step into its operation.

    Raises:
        ConfigurationError: an option is wrong.
    """
    if timeout is not None:
        operation.timeout_us = positive_duration(timeout, option="timeout")
    if retry is not None:
        check_retry(retry)
        operation.retry = retry
    if undo is not None:
        check_callable(undo, call=f"step.run({operation.name!r}, undo=...)")
        operation.undo = undo
    if once not in get_args(Once):
        raise ConfigurationError(f'once={once!r} must be "at_least" or "at_most"')
    operation.once = cast("Once", once)


def check_retry(retry: object) -> None:
    """Refuse what is not a retry policy.

    Raises:
        ConfigurationError: it is something else.
    """
    if not isinstance(retry, Retry):
        raise ConfigurationError(
            f"retry={shown(retry)} is not a policy; write"
            " retry=ironflow.Retry(max_attempts=3)"
        )


def positive_duration(value: Duration, *, option: str) -> int:
    """Return the microseconds of a duration that may not be zero.

    Raises:
        ConfigurationError: it is no duration, or zero.
    """
    duration_us = parse_duration(value, option=option)
    if duration_us == 0:
        raise ConfigurationError(
            f"{option}={shown(value)} leaves no time at all; leave it out for no limit"
        )
    return duration_us


def wait_timeout(value: Duration | None) -> int:
    """Return how long a wait lasts in microseconds, 0 for ever.

    Raises:
        ConfigurationError: it is no duration.
    """
    if value is None:
        return 0
    # 0 is "for ever" below; a wait that is over at once lasts as little as can be.
    return max(1, parse_duration(value, option="timeout"))


def looks_back(since: object) -> bool:
    """Say whether a wait takes events from before it was asked.

    Raises:
        ConfigurationError: it is neither of the two ways.
    """
    if since not in ("trigger", "now"):
        raise ConfigurationError(f'since={shown(since)} must be "trigger" or "now"')
    return since == "trigger"


def check_branches(branches: object, *, name: str) -> None:
    """Refuse what is not a list or tuple of functions.

    Raises:
        ConfigurationError: it is something else, too long, or holds something else.
    """
    call = f"step.parallel({name!r}, branches)"
    if not isinstance(branches, list | tuple):
        raise ConfigurationError(
            f"{call} got {shown(branches)}; give a list or a tuple of functions"
        )
    members = cast("list[object] | tuple[object, ...]", branches)
    _check_count(len(members), call=call)
    for index, branch in enumerate(members):
        if not callable(branch):
            check_callable(
                branch,
                call=f"{call}: branches[{index}] must be a function such as"
                " `lambda step: step.run(...)`; it",
            )


def listed(items: Iterable[ItemT], *, name: str) -> list[ItemT]:
    """Return the items of a map in their order.

    Raises:
        ConfigurationError: they have no order that a later execution would see
            again, are too many, or cannot be iterated.
    """
    call = f"step.map({name!r}, items)"
    if isinstance(items, set | frozenset):
        raise ConfigurationError(
            f"{call} got a set, which may come in another order when the run goes on"
            " in another process; give sorted(items)"
        )
    if not hasattr(items, "__iter__"):
        raise ConfigurationError(f"{call} got {shown(items)}; give a list")
    found = list(items)
    _check_count(len(found), call=call)
    return found


def branch_limit(concurrency: int | None) -> int:
    """Return how many branches may run at once, 0 for all.

    Raises:
        ConfigurationError: it is not a whole number of 1 or more.
    """
    if concurrency is None:
        return 0
    if type(concurrency) is not int or concurrency < 1:
        raise ConfigurationError(
            f"concurrency={shown(concurrency)} must be a whole number of 1 or more;"
            " leave it out to run all branches at once"
        )
    return concurrency


def collects(on_error: OnError) -> bool:
    """Say whether failures of branches are collected.

    Raises:
        ConfigurationError: it is neither of the two ways.
    """
    if on_error not in get_args(OnError):
        raise ConfigurationError(
            f'on_error={shown(on_error)} must be "fail_fast" or "collect"'
        )
    return on_error == "collect"


def shown(value: object) -> str:
    """Return a value as it is shown in a message: not too long."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."


def _check_count(count: int, *, call: str) -> None:
    if count > limits.BRANCHES_MAX:
        raise ConfigurationError(
            f"{call} got {count} branches; the limit is {limits.BRANCHES_MAX}. Cut"
            " them into several, or start child runs"
        )
