"""Runs that are in several lists at once, last first, without a walk over the long ones.

A list gives *places* (the run's part of a key) in falling order, and can skip to a place.
So of two lists the one with fewer runs in a stretch decides how far both are looked at.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from typing import Final, Protocol, final

STEPS_MAX: Final = 8  # to the next place that is wanted; then it is sought
TICK_MOVES: Final = 16  # without a run; then whoever asks hears how far it is

Scan = Callable[[bytes], Iterator[bytes]]
"""Yields the places before a place, last first."""


class Places(Protocol):
    """A list of runs."""

    def last_to(self, place: bytes) -> bytes | None:
        """Return `place` if it is in the list, else where to go on; None: nowhere.

        That is a lower place, and the list has none between the two. `place` never grows.
        """
        ...


@final
class Walked:
    """Places in groups of an index, merged."""

    def __init__(self, groups: Sequence[Scan], up_to: bytes) -> None:
        self._groups: Final = groups
        self._rest = self._from(up_to + b"\0")
        self._place = next(self._rest, None)

    def last_to(self, place: bytes) -> bytes | None:
        """Return the last place up to this one."""
        for _ in range(STEPS_MAX):
            if self._place is None or self._place <= place:
                return self._place
            self._place = next(self._rest, None)
        self._rest = self._from(place + b"\0")
        self._place = next(self._rest, None)
        return self._place

    def _from(self, before: bytes) -> Iterator[bytes]:
        if len(self._groups) == 1:
            return self._groups[0](before)
        return merge(*(group(before) for group in self._groups), reverse=True)


@final
class Gathered:
    """Places that were gathered, in any order."""

    def __init__(self, places: Sequence[bytes]) -> None:
        self._places: Final = sorted(places)

    def last_to(self, place: bytes) -> bytes | None:
        """Return the last place up to this one."""
        at = bisect_left(self._places, place + b"\0")
        return self._places[at - 1] if at else None


def in_all(
    lists: Sequence[Places], place: bytes | None
) -> Iterator[tuple[bytes, bool]]:
    """Yield the places up to `place` that are in all lists, with True; last first.

    With False it yields, now and then, a bound before which it will go on.
    """
    moves = 0
    while place is not None:
        found = _met(lists, place)
        moves += 1
        if found == place:
            yield place, True
            moves, found = 0, below(place)
        elif found is not None and moves % TICK_MOVES == 0:
            yield found + b"\0", False
        place = found


def _met(lists: Sequence[Places], place: bytes) -> bytes | None:
    """Return `place` if it is in all lists; else a lower one, from which to go on."""
    for each in lists:
        found = each.last_to(place)
        if found != place:
            return found
    return place


def below(place: bytes) -> bytes | None:
    """Return the last place before this one; None: there is none."""
    number = int.from_bytes(place, "big")
    return (number - 1).to_bytes(len(place), "big") if number else None
