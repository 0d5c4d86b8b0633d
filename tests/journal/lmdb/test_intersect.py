"""Runs that are in several lists at once are found, whatever the lists are like."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow.journal.lmdb import intersect
from ironflow.journal.lmdb.intersect import (
    LOWEST,
    Looks,
    Places,
    Stretch,
    below,
    in_all,
)

LAST = b"\xff" * 16
NUMBERS = st.sets(st.integers(0, 60), max_size=40)


def place(number: int) -> bytes:
    return number.to_bytes(16, "big")


class Newest:
    """A list that reads as far as it was asked to."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._places = [place(each) for each in sorted(numbers)]
        self.read = 0

    def newest(self, up_to: bytes, most: int) -> Stretch | None:
        found = [each for each in self._places if each <= up_to][-most:][::-1]
        self.read += len(found)
        return Stretch(found, found[-1] if len(found) == most else LOWEST)

    def among(self, low: bytes, up_to: bytes, most: int) -> set[bytes] | None:
        found = [each for each in self._places if low <= each <= up_to][: most + 1]
        self.read += len(found)
        return None if len(found) > most else set(found)

    def takes(self, state: bytes) -> bool:
        return state in self._places


class Blocks:
    """A list that reads whole blocks, whose sizes are so many numbers."""

    def __init__(self, numbers: Sequence[int], size: int) -> None:
        self._numbers = set(numbers)
        self._size = size

    def newest(self, up_to: bytes, most: int) -> Stretch | None:
        first = int.from_bytes(up_to, "big") // self._size * self._size
        inside = self._inside(first)
        if len(inside) > most:
            return None
        return Stretch([each for each in inside if each <= up_to], place(first))

    def among(self, low: bytes, up_to: bytes, most: int) -> set[bytes] | None:
        found: set[bytes] = set()
        first = int.from_bytes(low, "big") // self._size * self._size
        for block in range(first, int.from_bytes(up_to, "big") + 1, self._size):
            found.update(self._inside(block))
        return None if len(found) > most else found

    def takes(self, state: bytes) -> bool:
        return int.from_bytes(state, "big") in self._numbers

    def _inside(self, first: int) -> list[bytes]:
        numbers = range(first + self._size - 1, first - 1, -1)
        return [place(each) for each in numbers if each in self._numbers]


def found_in(lists: Sequence[Places], up_to: int) -> list[tuple[bytes, bool]]:
    return list(in_all(lists, place(up_to), lambda each: each, Looks()))


@pytest.fixture(autouse=True)
def _short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intersect, "STRETCH", 2)
    monkeypatch.setattr(intersect, "STRETCH_MAX", 8)
    monkeypatch.setattr(intersect, "LOOK_PLACES", 2)
    monkeypatch.setattr(intersect, "TICK_LOOKS", 3)


@given(st.lists(NUMBERS, min_size=1, max_size=3), NUMBERS, st.integers(0, 70))
def test_what_is_in_all_is_found_last_first(
    lists: list[set[int]], blocks: set[int], up_to: int
) -> None:
    places: list[Places] = [Blocks([*blocks], 7)]
    places += [Newest([*each]) for each in lists]

    found = [key for key, is_in_all in found_in(places, up_to) if is_in_all]

    wanted = blocks.intersection(*lists)
    assert found == [place(each) for each in sorted(wanted)[::-1] if each <= up_to]


def test_lists_that_are_all_dense_are_read_by_the_block() -> None:
    lists = [Blocks(range(60), 20), Blocks(range(0, 60, 2), 15)]

    found = [key for key, is_in_all in found_in(lists, 50) if is_in_all]

    assert found == [place(each) for each in range(50, -1, -2)]


@given(NUMBERS, NUMBERS)
def test_whoever_stops_at_a_bound_and_goes_on_there_misses_nothing(
    one: set[int], other: set[int]
) -> None:
    found: list[bytes] = []
    up_to: bytes | None = place(70)
    while up_to is not None:
        lists: list[Places] = [Newest([*one]), Blocks([*other], 5)]
        asked = in_all(lists, up_to, lambda each: each, Looks())
        key, is_in_all = next(asked, (b"", False))
        if is_in_all:
            found.append(key)
        up_to = below(key) if key else None

    assert found == [place(each) for each in sorted(one & other)[::-1]]


def test_it_says_how_far_it_is_where_nothing_fits() -> None:
    evens = Newest(range(0, 1_000, 2))
    odds = Newest(range(1, 1_001, 2))

    found = found_in([evens, odds], 1_000)

    assert len(found) > 10
    assert not any(is_in_all for _, is_in_all in found)
    bounds = [key for key, _ in found]
    assert bounds == sorted(bounds, reverse=True)


def test_it_says_how_far_it_is_between_looks_at_rows() -> None:
    dense = Newest(range(1, 1_000, 2))
    sparse = Newest(range(0, 1_000, 20))

    found = found_in([sparse, dense], 1_000)

    stretches = {each * 20 for each in range(50)}
    assert len(found) > 10
    assert {int.from_bytes(key, "big") for key, _ in found} <= stretches


def test_before_the_first_place_there_is_none() -> None:
    assert below(place(0)) is None
    assert below(place(256)) == place(255)


def test_a_long_list_is_not_read_for_a_short_one() -> None:
    long = Newest(range(50_000))

    found = found_in([long, Newest([7])], 60_000)

    assert (place(7), True) in found
    assert long.read < 50


def test_what_is_looked_at_goes_by_the_rarer_list_of_each_stretch() -> None:
    """The rarer one is another in the newer half than in the older."""
    one = Newest([*range(2_000), *range(2_000, 4_000, 100)])
    other = Newest([*range(0, 2_000, 100), *range(2_000, 4_000)])
    looks = Looks()
    asked = in_all([one, other], place(4_000), lambda each: each, looks)

    found = [key for key, is_in_all in asked if is_in_all]

    assert len(found) == 40
    assert looks.count + one.read + other.read < 500


def test_reading_a_list_counts_less_than_looks_at_rows() -> None:
    looks = Looks()

    looks.read([LAST] * 7)

    assert looks.count == 1 + 7 // 2
