"""Whether a call is sent again, and after how long: decided from values alone.

A call that is not safe to be sent twice is sent again only if the first was certainly not
carried out: nobody was reached, or the server said that it takes no more just now.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, final

from ironflow import limits
from ironflow.client.answers import Answer
from ironflow.client.calls import Call
from ironflow.policy.retry import Retry, next_delay_us

DEFAULT: Final = Retry(
    max_attempts=4, initial_delay="200ms", max_delay="5s", jitter=0.5
)

_SECOND_US: Final = 1_000_000
_SUCCESS: Final = range(200, 300)
_NOT_FOUND: Final = 404
_TOO_MANY: Final = 429  # refused before anything was done
_PASSING: Final = frozenset({408, 502, 503, 504})
_DIGITS_MAX: Final = 9


@final
@dataclass(frozen=True, slots=True)
class Answered:
    """A server answered. Names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@final
@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody answered; `is_sent`: the request may have been read all the same."""

    why: str
    is_sent: bool


def is_success(call: Call[Answer], found: Answered, *, attempt: int) -> bool:
    """Say whether a call is done.

    A deletion that is sent again, and finds nothing, was done by the one before.
    """
    if found.status in _SUCCESS or found.status in call.statuses:
        return True
    return call.method == "DELETE" and attempt > 1 and found.status == _NOT_FOUND


def delay_us(
    call: Call[Answer],
    found: Answered | Lost,
    *,
    policy: Retry,
    attempt: int,
    draw: float,
) -> int | None:
    """Return how long to wait before a failed call is sent again; None: it is not.

    `attempt` counts from 1. What the server says (Retry-After) is waited for, unless it is
    longer than `limits.CLIENT_RETRY_AFTER_US_MAX`. `draw` is a random number below 1.
    """
    if not _may_repeat(call, found):
        return None
    wanted = retry_after_us(found.headers) if isinstance(found, Answered) else None
    if wanted is not None and wanted > limits.CLIENT_RETRY_AFTER_US_MAX:
        return None
    own = next_delay_us(policy, attempt=attempt, draw=draw)
    return None if own is None else max(own, wanted or 0)


def retry_after_us(headers: Mapping[str, str]) -> int | None:
    """Return how long a server says to wait: seconds, or a time beside its own date."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return int(text[:_DIGITS_MAX]) * _SECOND_US
    until, now = _time(text), _time(headers.get("date", ""))
    if until is None or now is None:
        return None
    return max(round((until - now).total_seconds()), 0) * _SECOND_US


def _may_repeat(call: Call[Answer], found: Answered | Lost) -> bool:
    match found:
        case Lost(is_sent=is_sent):
            return call.is_safe or not is_sent
        case Answered(status=status):
            return status == _TOO_MANY or (call.is_safe and status in _PASSING)


def _time(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
