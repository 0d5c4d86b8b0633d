"""Where two values differ, path by path."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeGuard

DIFFERENCES_MAX: Final = 50
_SIMPLE_KEY: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-")


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where a value is not what was recorded.

    A side that has nothing there is absent: `is_recorded` or `is_today` is False.
    """

    path: str
    recorded: object = None
    today: object = None
    is_recorded: bool = True
    is_today: bool = True


def differences(recorded: object, today: object) -> tuple[Difference, ...]:
    """Return where two values as JSON shows them differ, at most DIFFERENCES_MAX."""
    return tuple(islice(_between(recorded, today, "$"), DIFFERENCES_MAX))


def _between(recorded: object, today: object, path: str) -> Iterator[Difference]:
    if _is_object(recorded) and _is_object(today):
        yield from _in_objects(recorded, today, path)
    elif _is_list(recorded) and _is_list(today):
        yield from _in_lists(recorded, today, path)
    elif type(recorded) is not type(today) or recorded != today:
        yield Difference(path, recorded, today)


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


def _in_objects(
    recorded: dict[str, object], today: dict[str, object], path: str
) -> Iterator[Difference]:
    for key, value in recorded.items():
        if key in today:
            yield from _between(value, today[key], _member(path, key))
        else:
            yield Difference(_member(path, key), recorded=value, is_today=False)
    for key, value in today.items():
        if key not in recorded:
            yield Difference(_member(path, key), today=value, is_recorded=False)


def _in_lists(
    recorded: list[object], today: list[object], path: str
) -> Iterator[Difference]:
    for index, (old, new) in enumerate(zip(recorded, today, strict=False)):
        yield from _between(old, new, f"{path}[{index}]")
    shared = min(len(recorded), len(today))
    for index, value in enumerate(recorded[shared:], shared):
        yield Difference(f"{path}[{index}]", recorded=value, is_today=False)
    for index, value in enumerate(today[shared:], shared):
        yield Difference(f"{path}[{index}]", today=value, is_recorded=False)


def _member(path: str, key: str) -> str:
    return (
        f"{path}.{key}" if key and _SIMPLE_KEY.issuperset(key) else f"{path}[{key!r}]"
    )
