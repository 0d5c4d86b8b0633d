"""Ids: ordered by time, the same when derived, and never the same for two things."""

import uuid
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ironflow import ids
from ironflow.errors import ConfigurationError, EventNotFound, RunNotFound
from ironflow.interpreter.fibers import Scope

ENTROPY = b"0123456789"
TIMES = st.integers(0, 2**48 * 1000 - 1)
ENTROPIES = st.binary(min_size=10, max_size=12)
RUN = "run_" + "0" * 32
# Every character that means something in an id, and some that do not.
NAMES = st.text(st.sampled_from("ab:\\#01 é"), min_size=1, max_size=6)


@given(TIMES, ENTROPIES)
def test_an_id_is_a_uuid_of_version_7(time_us: int, entropy: bytes) -> None:
    """Any tool that knows RFC 9562 can read it."""
    value = uuid.UUID(bytes=ids.uuid7(time_us, entropy))

    assert (value.version, value.variant) == (7, uuid.RFC_4122)


@given(TIMES, TIMES, ENTROPIES, ENTROPIES)
def test_ids_are_ordered_by_time(
    first: int, second: int, one: bytes, other: bytes
) -> None:
    """To a millisecond, as bytes and as shown."""
    assume(first // 1000 < second // 1000)

    older, newer = ids.uuid7(first, one), ids.uuid7(second, other)

    assert older < newer
    assert ids.run_id(older) < ids.run_id(newer)


@given(TIMES, ENTROPIES)
def test_an_id_tells_its_time_and_its_bytes(time_us: int, entropy: bytes) -> None:
    """Shown with a prefix that says what it is of."""
    value = ids.uuid7(time_us, entropy)

    for shown in (ids.run_id(value), ids.event_id(value)):
        assert ids.time_us(shown) == time_us // 1000 * 1000
        assert bytes.fromhex(shown[4:]) == value
    assert ids.run_id(value).startswith("run_")
    assert ids.event_id(value).startswith("evt_")


def test_derived_ids_depend_on_all_that_they_are_derived_from() -> None:
    """And on nothing else: a crash and a second attempt give the same id."""
    made = [
        ids.triggered_run_id("evt_" + "0" * 32, "f"),
        ids.triggered_run_id("evt_" + "0" * 32, "g"),
        ids.child_run_id(RUN, sequence=1, asked_at=5),
        ids.child_run_id(RUN, sequence=2, asked_at=5),
        ids.child_run_id(RUN, sequence=1, asked_at=9_000),
        ids.published_event_id(RUN, sequence=1, asked_at=5),
        ids.published_event_id(RUN, sequence=2, asked_at=5),
        ids.idempotency_key(RUN, "a:0"),
        ids.idempotency_key(RUN, "a:1"),
        ids.derived(5, "a", "b"),
        ids.derived(5, "ab"),
    ]

    assert len(set(made)) == len(made)
    assert ids.triggered_run_id("evt_" + "0" * 32, "f") == made[0]


def test_a_run_id_is_checked_where_users_give_it() -> None:
    """The message shows what one looks like."""
    assert ids.check_run_id(RUN) == RUN
    for wrong in ("run_", "evt_" + "0" * 32, RUN + "0", RUN[:-1] + "G", RUN + "\n"):
        with pytest.raises(RunNotFound, match="is not a run id: one looks like"):
            ids.check_run_id(wrong)
    with pytest.raises(ConfigurationError, match="is not a run id: one looks like"):
        ids.check_run_id("")


def test_what_is_not_an_event_id_is_refused_before_it_is_looked_up() -> None:
    """The message shows what one looks like, and not the whole of a long one."""
    event = "evt_" + "0" * 32
    assert ids.check_event_id(event) == event
    for wrong in ("evt_", RUN, event + "0", event[:-1] + "G", event + "\n"):
        with pytest.raises(EventNotFound, match="is not an event id: one looks"):
            ids.check_event_id(wrong)
    with pytest.raises(ConfigurationError, match="is not an event id: one looks"):
        ids.check_event_id("")
    with pytest.raises(EventNotFound) as refused:
        ids.check_event_id("e" * 10_000)
    assert len(str(refused.value)) < 200


@dataclass(frozen=True)
class Address:
    """Where an operation stands: the scopes around it, what it is, and its use."""

    scopes: tuple[tuple[str, int, int], ...]
    kind: Literal["operation", "publish", "compensate", "saga"]
    name: str
    use: int

    def id(self) -> str:
        scope = Scope()
        for name, use, index in self.scopes:
            scope = scope.branch(name, use, index)
        for _ in range(self.use):
            self._next(scope)
        return self._next(scope)

    def _next(self, scope: Scope) -> str:
        match self.kind:
            case "operation":
                return scope.step_id(self.name)
            case "saga":
                return scope.saga_id()
            case _:
                return scope.literal_id(f"{self.kind}:", self.name)


SMALL = st.integers(0, 2)
ADDRESSES = st.builds(
    Address,
    st.lists(st.tuples(NAMES, SMALL, SMALL), max_size=3).map(tuple),
    st.sampled_from(["operation", "publish", "compensate"]),
    NAMES | st.sampled_from(["compensate", "publish", "\\#saga", "0"]),
    SMALL,
) | st.builds(Address, st.just(()), st.just("saga"), st.just(""), SMALL)


@given(st.lists(ADDRESSES, min_size=2, max_size=8, unique=True))
def test_two_operations_never_have_one_id(addresses: list[Address]) -> None:
    """Whatever names users give: `:` and backslashes are escaped, uses are counted."""
    made = [address.id() for address in addresses]

    assert len(set(made)) == len(made)


@given(ADDRESSES)
def test_an_id_tells_what_it_is_of(address: Address) -> None:
    """Its name as the user wrote it, and whether it is an undo."""
    assume(address.kind != "saga")

    made = address.id()

    assert ids.name_of(made) == address.name
    assert ids.is_undo(made) == (address.kind == "compensate")


def test_a_step_that_sounds_like_an_undo_is_none() -> None:
    """Undo is exempt from some rules, so a name must not make one."""
    assert not ids.is_undo("my-compensate:0")
    assert not ids.is_undo("compensate:0")
    assert not ids.is_undo("compensate:0:charge:0")
    assert not ids.is_undo("compensate\\:charge:0")
    assert ids.is_undo("fan:1:compensate:w\\:x:0")


def test_what_is_no_step_id_is_its_own_name() -> None:
    """The name is only for readers."""
    assert ids.name_of("charge") == "charge"
    assert ids.name_of("") == ""
