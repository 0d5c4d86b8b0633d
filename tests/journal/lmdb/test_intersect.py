"""Runs that are in several lists at once are found, whatever the lists are like."""

from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow.journal.lmdb import intersect
from ironflow.journal.lmdb.intersect import Gathered, Places, Walked, below, in_all

LAST = b"\xff" * 16
NUMBERS = st.sets(st.integers(0, 60), max_size=40)


def place(number: int) -> bytes:
    return number.to_bytes(16, "big")


def scan(numbers: set[int], before: bytes) -> Iterator[bytes]:
    for number in sorted(numbers, reverse=True):
        if place(number) < before:
            yield place(number)


def walked(*groups: set[int], up_to: bytes = LAST) -> Walked:
    return Walked([partial(scan, each) for each in groups], up_to)


@given(st.lists(NUMBERS, min_size=1, max_size=3), NUMBERS, st.integers(0, 70))
def test_what_is_in_all_is_found_last_first(
    lists: list[set[int]], gathered: set[int], up_to: int
) -> None:
    places: list[Places] = [walked(each, up_to=place(up_to)) for each in lists]
    places.append(Gathered([place(each) for each in gathered]))

    found = [key for key, is_in_all in in_all(places, place(up_to)) if is_in_all]

    wanted = gathered.intersection(*lists)
    assert found == [place(each) for each in sorted(wanted)[::-1] if each <= up_to]


@given(NUMBERS, NUMBERS)
def test_groups_are_one_list(one: set[int], other: set[int]) -> None:
    found = [key for key, _ in in_all([walked(one, other - one)], LAST)]

    assert found == [place(each) for each in sorted(one | other)[::-1]]


@given(NUMBERS, NUMBERS)
def test_whoever_stops_at_a_bound_and_goes_on_there_misses_nothing(
    one: set[int], other: set[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intersect, "TICK_MOVES", 1)
        found: list[bytes] = []
        up_to: bytes | None = LAST
        while up_to is not None:
            lists = [walked(one, up_to=up_to), walked(other, up_to=up_to)]
            key, is_in_all = next(in_all(lists, up_to), (b"", False))
            if is_in_all:
                found.append(key)
            # A bound is the place to go on at, with a byte behind it.
            up_to = below(key) if is_in_all else key[:16] or None

    assert found == [place(each) for each in sorted(one & other)[::-1]]


def test_it_says_how_far_it_is_where_nothing_fits() -> None:
    evens = set(range(0, 1_000, 2))
    odds = set(range(1, 1_001, 2))

    found = list(in_all([walked(evens), walked(odds)], LAST))

    assert len(found) > 10
    assert not any(is_in_all for _, is_in_all in found)
    bounds = [key for key, _ in found]
    assert bounds == sorted(bounds, reverse=True)


def test_before_the_first_place_there_is_none() -> None:
    assert below(place(0)) is None
    assert below(place(256)) == place(255)


def test_a_long_list_is_not_walked_for_a_short_one() -> None:
    seen = 0

    def counted(before: bytes) -> Iterator[bytes]:
        nonlocal seen
        for key in scan(set(range(50_000)), before):
            seen += 1
            yield key

    found = list(in_all([Walked([counted], LAST), Gathered([place(7)])], LAST))

    assert (place(7), True) in found
    assert seen < 50
