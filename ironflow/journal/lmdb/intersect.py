"""Runs that are in several lists at once, last first, without a walk over the long ones.

A list gives *stretches*: all of its places (the run's part of a key) from one to another.
In each stretch the list with the fewest runs leads. Of the others those that are not much
longer are read there, too; for the rest the rows of the runs that are left are looked at.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, NamedTuple, Protocol, final

from ironflow.journal.lmdb import keys

STRETCH: Final = 64  # places of the list that leads, at first; then twice as many
STRETCH_MAX: Final = 1_024
SPARSER: Final = 4  # times as many, where each list has more
# A look at the row of a run takes as long as reading so many places of a list.
LOOK_PLACES: Final = 8
TICK_LOOKS: Final = 128  # at rows; then whoever asks hears how far it is
LOWEST: Final = bytes(keys.RUN_BYTES)


@final
class Looks:
    """How much was looked at, in rows of runs."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def read(self, places: Collection[bytes]) -> None:
        """Count a look into a list, and what was read there."""
        self.count += 1 + len(places) // LOOK_PLACES


class Stretch(NamedTuple):
    """All places of a list from `low` up to where it was asked, last first."""

    places: list[bytes]
    low: bytes


class Places(Protocol):
    """A list of runs."""

    def newest(self, place: bytes, most: int) -> Stretch | None:
        """Return the stretch up to a place that has some `most` places.

        None: the shortest one that it can give has more.
        """
        ...

    def among(self, low: bytes, place: bytes, most: int) -> set[bytes] | None:
        """Return its places from `low` to `place`, maybe with some around them.

        None: to read them takes longer than to read `most`.
        """
        ...

    def takes(self, state: bytes) -> bool:
        """Say whether it has a run, by the row of that run in `STATES`."""
        ...


def in_all(
    lists: Sequence[Places],
    place: bytes | None,
    state_of: Callable[[bytes], bytes | None],
    looks: Looks,
) -> Iterator[tuple[bytes, bool]]:
    """Yield the places up to `place` that are in all lists, with True; last first.

    With False it yields, now and then, a bound before which it will go on. `state_of`
    returns the row of a run in `STATES`.
    """
    most = STRETCH
    while place is not None:
        leading = _leading(lists, place, most)
        if leading is None:
            most *= SPARSER
            continue
        leader, stretch = leading
        others = [each for each in lists if each is not leader]
        left, unsure = _read(others, stretch, place)
        if unsure:
            yield from _looked_at(left, unsure, state_of, looks)
        else:
            yield from ((each, True) for each in left)
        yield stretch.low, False
        place = below(stretch.low)
        most = min(2 * most, STRETCH_MAX)


def _leading(
    lists: Sequence[Places], place: bytes, most: int
) -> tuple[Places, Stretch] | None:
    """Return the list whose stretch with so many places, or fewer, goes farthest."""
    found: tuple[Places, Stretch] | None = None
    for each in lists:
        stretch = each.newest(place, most)
        if stretch is None or (found is not None and stretch.low >= found[1].low):
            continue
        found = each, stretch
        most = len(stretch.places)
        if not most:
            break
    return found


def _read(
    lists: Sequence[Places], stretch: Stretch, place: bytes
) -> tuple[list[bytes], list[Places]]:
    """Return what of a stretch may be in all lists, and the lists that were not read."""
    left = stretch.places
    unsure: list[Places] = []
    for each in lists:
        among = each.among(stretch.low, place, LOOK_PLACES * len(left))
        if among is None:
            unsure.append(each)
        else:
            left = [one for one in left if one in among]
    return left, unsure


def _looked_at(
    places: Sequence[bytes],
    lists: Sequence[Places],
    state_of: Callable[[bytes], bytes | None],
    looks: Looks,
) -> Iterator[tuple[bytes, bool]]:
    for number, place in enumerate(places, start=1):
        looks.count += 1
        state = state_of(place)
        if state is not None and all(each.takes(state) for each in lists):
            yield place, True
        elif number % TICK_LOOKS == 0:
            yield place, False


def below(place: bytes) -> bytes | None:
    """Return the last place before this one; None: there is none."""
    number = int.from_bytes(place, "big")
    return (number - 1).to_bytes(len(place), "big") if number else None
