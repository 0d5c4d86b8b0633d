"""What a query over runs means, apart from any store."""

import pytest

from ironflow import ids
from ironflow.journal.lists import RunQuery, id_range

RUN = "run_" + "5" * 32


def first_id(milliseconds: int) -> str:
    return f"run_{milliseconds:012x}" + "0" * 20


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (RunQuery(), ("", "")),
        (RunQuery(cursor=RUN), ("", RUN)),
        (RunQuery(since=5_000), (first_id(5), "")),
        (RunQuery(since=5_001), (first_id(6), "")),
        (RunQuery(until=5_000), ("", first_id(5))),
        (RunQuery(until=5_001), ("", first_id(6))),
        (RunQuery(until=5_001, cursor=RUN), ("", first_id(6))),
        (RunQuery(until=1 << 60, cursor=RUN), ("", RUN)),
        (RunQuery(since=-5), (first_id(0), "")),
        (RunQuery(since=1 << 80), (first_id((1 << 48) - 1), "")),
    ],
)
def test_times_and_cursors_are_ranges_of_ids(
    query: RunQuery, wanted: tuple[str, str]
) -> None:
    assert id_range(query) == wanted


def test_no_id_of_a_time_comes_before_its_earliest() -> None:
    earliest = ids.earliest(5_000)

    assert ids.uuid7(4_999, b"\xff" * 10) < earliest
    assert earliest < ids.uuid7(5_000, bytes(10))
