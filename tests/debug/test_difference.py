"""Where two values differ."""

from hypothesis import given
from hypothesis import strategies as st

from ironflow.debug.difference import DIFFERENCES_MAX, Difference, differences

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(VALUES)
def test_a_value_does_not_differ_from_itself(value: object) -> None:
    assert differences(value, value) == ()


@given(VALUES, VALUES)
def test_values_differ_somewhere_unless_they_are_equal(
    recorded: object, today: object
) -> None:
    found = differences(recorded, today)

    assert bool(found) == (repr(recorded) != repr(today)) or recorded == today


def test_the_place_is_named_by_its_path() -> None:
    assert differences({"a": [1, {"b c": 2}]}, {"a": [1, {"b c": 3}]}) == (
        Difference("$.a[1]['b c']", 2, 3),
    )


def test_what_is_on_one_side_only_is_said_to_be() -> None:
    assert differences({"old": 1, "l": [1]}, {"l": [1, 2], "new": None}) == (
        Difference("$.old", recorded=1, is_today=False),
        Difference("$.l[1]", today=2, is_recorded=False),
        Difference("$.new", today=None, is_recorded=False),
    )


def test_items_that_are_gone_are_named() -> None:
    assert differences([1, 2], [1]) == (Difference("$[1]", recorded=2, is_today=False),)


def test_true_is_not_one() -> None:
    assert differences([True], [1]) == (Difference("$[0]", recorded=True, today=1),)


def test_the_list_has_a_bound() -> None:
    assert len(differences([0] * 1000, [1] * 1000)) == DIFFERENCES_MAX
