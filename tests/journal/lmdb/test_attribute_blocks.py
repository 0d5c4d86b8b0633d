"""Attributes are found in blocks of time, whatever order they come in."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from ironflow.journal.lmdb import attribute_blocks, attribute_places, intersect, keys
from ironflow.journal.lmdb._lmdb import Environment, open_environment
from ironflow.journal.lmdb.attribute_blocks import (
    ATTRIBUTES,
    BLOCKS,
    FIRST_BYTES,
    GROUP_BYTES,
    BlockEdits,
    cut,
    group_of,
)
from ironflow.journal.lmdb.attribute_places import Passing
from ironflow.journal.lmdb.intersect import Looks, in_all
from ironflow.journal.lmdb.run_states import INDEX_TABLES
from ironflow.policy.attributes import key_of, parse_filter

PREFIX = keys.environment_prefix(0)
GROUP = group_of(PREFIX, keys.text("n"))
OTHER = group_of(PREFIX, keys.text("o"))
LAST = b"\xff" * keys.RUN_BYTES
SIZE = 4


@pytest.fixture
def environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Environment]:
    monkeypatch.setattr(attribute_blocks, "BLOCK_RUNS", SIZE)
    monkeypatch.setattr(attribute_blocks, "BLOCK_RUNS_MAX", 2 * SIZE)
    monkeypatch.setattr(intersect, "STRETCH", 1)
    opened = open_environment(
        tmp_path, INDEX_TABLES, map_bytes=1 << 26, make=True, sync=False
    )
    yield opened
    opened.close()


def place(number: int) -> bytes:
    return number.to_bytes(FIRST_BYTES, "big") + bytes(keys.RUN_BYTES - FIRST_BYTES)


def write(environment: Environment, edits: BlockEdits) -> None:
    environment.write(edits.edits())
    for block in edits.large():
        with environment.snapshot() as snapshot:
            halves = cut(snapshot, block)
        environment.write(halves)


def sizes(environment: Environment, group: bytes = GROUP) -> list[int]:
    """Return how many runs each block has; each row has to be where it belongs."""
    with environment.snapshot() as snapshot:
        firsts = [key[GROUP_BYTES:] for key, _ in snapshot.scan(BLOCKS, group)]
        found = [
            [
                key[-keys.RUN_BYTES :]
                for key, _ in snapshot.scan(ATTRIBUTES, group + each)
            ]
            for each in firsts
        ]
        rows = len(list(snapshot.scan(ATTRIBUTES, group)))
    beyond = [*firsts, LAST][1:]
    for places, first, end in zip(found, firsts, beyond, strict=True):
        assert all(first <= each[:FIRST_BYTES] < end for each in places)
    assert sum(map(len, found)) == rows
    return [len(each) for each in found]


def passing(environment: Environment, text: str, *, up_to: bytes = LAST) -> list[int]:
    looks = Looks()
    with environment.snapshot() as snapshot:
        wanted = Passing(snapshot, parse_filter(text), PREFIX, looks)
        asked = in_all([wanted], up_to, lambda _: None, looks)
        found = [key for key, is_found in asked if is_found]
    return [int.from_bytes(each[:FIRST_BYTES], "big") for each in found]


def add(environment: Environment, *numbers: int) -> None:
    with environment.snapshot() as snapshot:
        edits = BlockEdits(snapshot)
        for number in numbers:
            edits.add(GROUP, key_of(number), place(number))
    write(environment, edits)


@pytest.mark.parametrize("at_once", [1, 3, 50])
def test_what_comes_in_order_fills_block_after_block(
    environment: Environment, *, at_once: int
) -> None:
    for first in range(0, 50, at_once):
        add(environment, *range(first, min(50, first + at_once)))

    assert sizes(environment) == [SIZE] * 12 + [2]


def test_older_runs_in_order_fill_blocks_before_the_others(
    environment: Environment,
) -> None:
    add(environment, *range(100, 110))
    add(environment, *range(12))

    assert max(sizes(environment)) <= 2 * SIZE
    assert passing(environment, "n>=0") == [*range(109, 99, -1), *range(11, -1, -1)]


def test_a_block_that_older_runs_make_large_is_cut(environment: Environment) -> None:
    for number in range(60, 0, -1):
        add(environment, number)

    assert max(sizes(environment)) <= 2 * SIZE
    assert passing(environment, "n>0") == list(range(60, 0, -1))


def test_runs_whose_ids_begin_alike_stay_in_one_block(environment: Environment) -> None:
    with environment.snapshot() as snapshot:
        edits = BlockEdits(snapshot)
        for number in range(3 * SIZE):
            run = place(7)[:-1] + bytes([number])
            edits.add(GROUP, key_of(number), run)
    write(environment, edits)

    assert sizes(environment) == [3 * SIZE]
    assert passing(environment, "n>=10") == [7, 7]


def test_most_with_ids_that_begin_alike_are_cut_off_from_the_rest(
    environment: Environment,
) -> None:
    with environment.snapshot() as snapshot:
        edits = BlockEdits(snapshot)
        edits.add(GROUP, key_of(99), place(9))
        for number in range(3 * SIZE):
            run = place(7)[:-1] + bytes([number])
            edits.add(GROUP, key_of(number), run)
    write(environment, edits)

    assert sizes(environment) == [3 * SIZE, 1]


def test_a_block_without_runs_is_gone(environment: Environment) -> None:
    add(environment, *range(10))
    with environment.snapshot() as snapshot:
        edits = BlockEdits(snapshot)
        for number in range(SIZE, 2 * SIZE):
            edits.remove(GROUP, key_of(number), place(number))
    write(environment, edits)

    assert sizes(environment) == [SIZE, 2]
    add(environment, 5)
    assert passing(environment, "n>=0") == [9, 8, 5, 3, 2, 1, 0]


def test_blocks_without_what_is_wanted_are_passed_over_by_one_look(
    environment: Environment,
) -> None:
    add(environment, *range(400))
    looks = Looks()
    with environment.snapshot() as snapshot:
        wanted = Passing(snapshot, parse_filter("n<3"), PREFIX, looks)
        found = [*in_all([wanted], LAST, lambda _: None, looks)]

    assert [key for key, is_found in found if is_found] == [
        place(2),
        place(1),
        place(0),
    ]
    blocks = 400 // SIZE
    assert looks.count < 1.5 * blocks


def test_what_passes_in_a_block_is_read_once(environment: Environment) -> None:
    add(environment, *range(SIZE))
    looks = Looks()
    with environment.snapshot() as snapshot:
        wanted = Passing(snapshot, parse_filter("n>=2"), PREFIX, looks)
        assert wanted.newest(place(3), 1) is None
        first = looks.count
        assert wanted.newest(place(3), 1) is None
        assert looks.count == first + 1  # which blocks there are

        whole = wanted.newest(place(3), 2)
        assert whole is not None
        assert whole.places == [place(3), place(2)]
        second = looks.count
        older = wanted.newest(place(2), 2)
        assert older is not None
        assert older.places == [place(2)]
        assert wanted.newest(place(2), 1) is None
        assert looks.count == second + 2


def test_a_stretch_ends_before_the_block_that_has_too_many(
    environment: Environment,
) -> None:
    add(environment, *range(3 * SIZE))
    with environment.snapshot() as snapshot:
        wanted = Passing(snapshot, parse_filter("n>=1"), PREFIX, Looks())

        stretch = wanted.newest(LAST, 2 * SIZE + 1)

    assert stretch is not None
    assert len(stretch.places) == 2 * SIZE
    assert stretch.low == place(SIZE)


def test_what_passes_beside_another_list_is_read_if_that_is_worth_it(
    environment: Environment,
) -> None:
    add(environment, *range(3 * SIZE))
    read = intersect.LOOK_PLACES + SIZE  # for each block
    with environment.snapshot() as snapshot:
        wanted = Passing(snapshot, parse_filter("n>=0"), PREFIX, Looks())

        assert wanted.among(place(SIZE), place(2 * SIZE), 2 * read - 1) is None
        found = wanted.among(place(SIZE), place(2 * SIZE), 2 * read)
        assert found == {place(each) for each in range(SIZE, 3 * SIZE)}
        assert wanted.among(place(0), LAST, 3 * read) is not None


def test_beside_a_list_of_many_blocks_rows_are_looked_at(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribute_places, "BLOCKS_MAX", 2)
    add(environment, *range(3 * SIZE))
    with environment.snapshot() as snapshot:
        wanted = Passing(snapshot, parse_filter("n>=0"), PREFIX, Looks())

        assert wanted.among(place(0), LAST, 1_000) is None


@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_and_goes_is_found_by_its_value(
    environment: Environment, *, seed: int
) -> None:
    chosen = random.Random(seed)
    model: dict[bytes, dict[int, int]] = {GROUP: {}, OTHER: {}}
    for _ in range(60):
        with environment.snapshot() as snapshot:
            edits = BlockEdits(snapshot)
            for _ in range(chosen.randrange(6)):
                come_or_go(edits, model, chosen)
        write(environment, edits)
        assert sum(sizes(environment, OTHER)) == len(model[OTHER])
        assert max(sizes(environment), default=0) <= 2 * SIZE + 6
        up_to = chosen.randrange(120)
        wanted = [n for n, value in sorted(model[GROUP].items())[::-1] if value >= 4]
        assert passing(environment, "n>=4") == wanted
        older = [each for each in wanted if each <= up_to]
        assert passing(environment, "n>=4", up_to=place(up_to)) == older


def come_or_go(
    edits: BlockEdits, model: dict[bytes, dict[int, int]], chosen: random.Random
) -> None:
    group = chosen.choice((GROUP, GROUP, OTHER))
    number, known = chosen.randrange(120), model[group]
    if number in known:
        edits.remove(group, key_of(known.pop(number)), place(number))
    else:
        known[number] = chosen.randrange(9)
        edits.add(group, key_of(known[number]), place(number))
