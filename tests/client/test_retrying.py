"""Whether a call is sent again is decided from values."""

import pytest

from ironflow.client import calls
from ironflow.client.retrying import (
    DEFAULT,
    Answered,
    Lost,
    delay_us,
    retry_after_us,
)

RUN = "run_" + "0" * 32
SAFE = calls.get_run(RUN)
UNSAFE = calls.resume_run(RUN)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5),
        ({"retry-after": " 0 "}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "Wed, 21 Oct 2030 07:28:30 GMT"}, None),
        (
            {
                "retry-after": "Wed, 21 Oct 2030 07:28:30 GMT",
                "date": "Wed, 21 Oct 2030 07:28:00 GMT",
            },
            30,
        ),
        (
            {
                "retry-after": "Wed, 21 Oct 2030 07:28:00 GMT",
                "date": "Wed, 21 Oct 2030 07:28:30 GMT",
            },
            0,
        ),
        ({"retry-after": "9" * 5_000}, 999_999_999),
    ],
)
def test_a_server_says_when_to_come_back(
    headers: dict[str, str], seconds: int | None
) -> None:
    found = retry_after_us(headers)

    assert found == (None if seconds is None else seconds * 1_000_000)


def test_no_try_comes_before_the_policy_says() -> None:
    found = Answered(429, {"retry-after": "0"}, b"")

    assert delay_us(SAFE, found, policy=DEFAULT, attempt=1, draw=0) == 200_000


def test_the_last_try_is_the_last() -> None:
    lost = Lost("cut", is_sent=False)
    tries = range(1, DEFAULT.max_attempts + 1)

    delays = [
        delay_us(UNSAFE, lost, policy=DEFAULT, attempt=each, draw=0.5) for each in tries
    ]

    assert [delay is not None for delay in delays] == [True, True, True, False]


def test_what_was_sent_and_is_not_safe_is_never_sent_again() -> None:
    lost = Lost("cut", is_sent=True)

    assert delay_us(UNSAFE, lost, policy=DEFAULT, attempt=1, draw=0) is None
    assert delay_us(SAFE, lost, policy=DEFAULT, attempt=1, draw=0) is not None
