"""Retry policies: what they accept, and the waits they give."""

import dataclasses
import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow.errors import ConfigurationError
from ironflow.policy.retry import NO_RETRY, Retry, next_delay_us

SECOND_US = 1_000_000
DRAWS = st.floats(0, 1, exclude_max=True)
POLICIES = st.builds(
    lambda attempts, initial, factor, more, jitter: Retry(
        max_attempts=attempts,
        initial_delay=initial,
        factor=factor,
        max_delay=initial + more,
        jitter=jitter,
    ),
    st.integers(1, 1_000),
    st.integers(0, 3_600),
    st.floats(1, 1e300),
    st.integers(0, 1_000_000),
    st.floats(0, 1),
)


def test_the_default_is_five_attempts_from_a_second_to_five_minutes() -> None:
    """The documented default, as numbers."""
    waits = [next_delay_us(Retry(), attempt=n, draw=0) for n in range(1, 6)]

    assert waits == [SECOND_US, 2 * SECOND_US, 4 * SECOND_US, 8 * SECOND_US, None]


def test_delays_are_accepted_in_every_form_of_a_duration() -> None:
    """Two policies are equal if they wait equally long."""
    texts = Retry(initial_delay="60s", max_delay="1h")
    others = Retry(initial_delay=timedelta(minutes=1), max_delay=3_600.0)

    assert texts == others
    assert hash(texts) == hash(others)
    assert texts != Retry(initial_delay="61s", max_delay="1h")


def test_a_policy_can_be_replaced_in_part() -> None:
    """What was given is kept as it was given, so nothing is read twice."""
    changed = dataclasses.replace(Retry(initial_delay="2s"), max_attempts=7)

    assert changed == Retry(max_attempts=7, initial_delay=2)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_attempts": 0}, "max_attempts=0"),
        ({"max_attempts": 1_001}, "max_attempts=1001"),
        ({"max_attempts": True}, "max_attempts=True"),
        ({"max_attempts": 2.0}, "max_attempts=2.0"),
        ({"initial_delay": "soon"}, "initial_delay='soon'"),
        ({"max_delay": -1}, "max_delay=-1"),
        ({"factor": 0.5}, "factor=0.5"),
        ({"factor": math.nan}, "factor=nan"),
        ({"factor": math.inf}, "factor=inf"),
        ({"factor": "2"}, "factor='2'"),
        ({"jitter": -0.1}, "jitter=-0.1"),
        ({"jitter": 1.1}, "jitter=1.1"),
        ({"jitter": True}, "jitter=True"),
        ({"on_exhausted": "retry"}, "on_exhausted='retry'"),
        ({"initial_delay": "10m"}, "initial_delay='10m' is longer"),
    ],
)
def test_an_option_out_of_range_is_named(
    options: dict[str, object], named: str
) -> None:
    """The message begins with the option and its value."""
    with pytest.raises(ConfigurationError) as caught:
        Retry(**options)  # type: ignore[arg-type]  # wrong on purpose

    assert str(caught.value).startswith(named)


def test_no_retry_gives_up_after_the_first_attempt() -> None:
    """Not even a step that asks for it is tried again."""
    assert next_delay_us(NO_RETRY, attempt=1, draw=0, retry_after_us=5) is None


def test_what_a_step_asks_for_replaces_the_delay_up_to_the_cap() -> None:
    """A server that says "in an hour" is believed for five minutes."""
    asked = [
        next_delay_us(Retry(), attempt=1, draw=0.5, retry_after_us=seconds * SECOND_US)
        for seconds in (0, 30, 3_600)
    ]

    assert asked == [0, 30 * SECOND_US, 300 * SECOND_US]


def test_growth_beyond_all_numbers_is_the_cap() -> None:
    """The thousandth attempt has a delay; zero stays zero."""
    policy = Retry(max_attempts=1_000, factor=1e300)
    at_once = Retry(max_attempts=1_000, factor=1e300, initial_delay=0)

    assert next_delay_us(policy, attempt=999, draw=0) == 300 * SECOND_US
    assert next_delay_us(at_once, attempt=999, draw=0) == 0


@given(POLICIES, st.integers(1, 1_000), DRAWS)
def test_a_delay_is_within_its_bounds(policy: Retry, attempt: int, draw: float) -> None:
    """At most the cap, and jitter takes off no more than its share."""
    full_us = next_delay_us(policy, attempt=attempt, draw=0)
    delay_us = next_delay_us(policy, attempt=attempt, draw=draw)

    if full_us is None or delay_us is None:
        assert attempt >= policy.max_attempts
        assert full_us is delay_us
        return
    assert policy.initial_delay_us <= full_us <= policy.max_delay_us
    assert full_us * (1 - policy.jitter) - 1 <= delay_us <= full_us


@given(POLICIES, DRAWS)
def test_delays_never_shrink(policy: Retry, draw: float) -> None:
    """For one draw, each wait is as long as the one before or longer."""
    waits = [
        delay_us
        for attempt in range(1, min(policy.max_attempts, 60))
        if (delay_us := next_delay_us(policy, attempt=attempt, draw=draw)) is not None
    ]

    assert waits == sorted(waits)
