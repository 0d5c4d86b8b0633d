"""Bounds: whole numbers above zero, with their units in their names."""

from ironflow import limits

BOUNDS = {name: value for name, value in vars(limits).items() if name.isupper()}
SAY_WHAT_THEY_BOUND = ("_MAX", "_MIN", "_DEFAULT")


def test_every_bound_is_a_whole_number_above_zero() -> None:
    """A bound that is not one bounds nothing."""
    assert BOUNDS
    assert [name for name, value in BOUNDS.items() if type(value) is not int] == []
    assert [name for name, value in BOUNDS.items() if value <= 0] == []


def test_every_bound_says_what_it_is() -> None:
    """The greatest, the least, or what holds when nothing is said."""
    assert [name for name in BOUNDS if not name.endswith(SAY_WHAT_THEY_BOUND)] == []
