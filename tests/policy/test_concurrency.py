"""Which lane a run is in, and whether a lane has room."""

import msgspec
import pytest

from ironflow.policy.concurrency import ONLY_LANE, has_room, lane_of
from ironflow.policy.match import match_key
from ironflow.records import EventData


def event(data: object) -> EventData:
    return EventData(
        id="evt_1", name="go", data=msgspec.Raw(msgspec.msgpack.encode(data))
    )


def test_events_with_the_same_value_share_a_lane() -> None:
    lanes = {
        lane_of(event({"customer": customer, "n": n}), limit=2, key="customer")
        for n, customer in enumerate([1, 1.0, "1", 2])
    }

    assert lanes == {match_key(1), match_key("1"), match_key(2)}


@pytest.mark.parametrize("data", [{}, {"customer": None}, [1], "text"])
def test_events_without_a_value_share_the_lane_of_no_key(data: object) -> None:
    assert lane_of(event(data), limit=1, key="data.customer") == ONLY_LANE


def test_without_a_limit_or_a_key_no_event_is_read() -> None:
    unreadable = EventData(id="evt_1", name="go", data=msgspec.Raw(b"\xc1"))

    assert lane_of(unreadable, limit=0, key="data.customer") == ONLY_LANE
    assert lane_of(unreadable, limit=1, key="") == ONLY_LANE


def test_a_lane_has_room_below_its_limit() -> None:
    assert [has_room(running, limit=2) for running in (0, 1, 2, 3)] == [
        True,
        True,
        False,
        False,
    ]
    assert has_room(1_000_000, limit=0)
