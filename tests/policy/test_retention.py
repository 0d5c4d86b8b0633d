"""When the time of what has ended is over."""

from ironflow.policy.retention import is_past, retention_of


def test_a_function_goes_by_its_own_retention_or_else_by_the_default() -> None:
    assert retention_of(5, default_us=7) == 5
    assert retention_of(0, default_us=7) == 7
    assert retention_of(0, default_us=0) == 0


def test_time_is_over_at_the_end_of_the_retention() -> None:
    assert not is_past(100, retention_us=10, now=109)
    assert is_past(100, retention_us=10, now=110)


def test_without_retention_time_is_never_over() -> None:
    assert not is_past(100, retention_us=0, now=10**18)
