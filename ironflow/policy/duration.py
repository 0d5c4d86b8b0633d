"""Durations and times as users write them, to microseconds and back.

It knows nothing about the present: "in how long" is the caller's question.
"""

import math
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Final

from ironflow import limits
from ironflow.errors import ConfigurationError

Duration = str | int | float | timedelta

_SECOND_US: Final = 1_000_000
_UNITS: Final = {
    "d": 24 * 3600 * _SECOND_US,
    "h": 3600 * _SECOND_US,
    "m": 60 * _SECOND_US,
    "s": _SECOND_US,
    "ms": 1_000,
    "us": 1,
}
# More digits than these are too long in every unit: they need not be read.
_PART: Final = r"([0-9]{1,19}(?:\.[0-9]{1,19})?)"
_TEXT: Final = re.compile("".join(f"(?:{_PART}{unit}(?![a-z]))?" for unit in _UNITS))
# What is shown below a bound is rounded to this: three digits under a minute.
_QUANTA: Final = (
    (1_000, 1),
    (10_000, 10),
    (100_000, 100),
    (_SECOND_US, 1_000),
    (10 * _SECOND_US, 10_000),
    (60 * _SECOND_US, 100_000),
)
_ACCEPTED: Final = (
    'write "30s", "5m", "1h30m" or "1500ms" (units d, h, m, s, ms, us, each once,'
    " largest first), a number of seconds, or a timedelta"
)
_SHOWN_CHARS: Final = 60
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def parse_duration(value: Duration, *, option: str) -> int:
    """Return the microseconds of a duration, rounded to the nearest.

    Accepted are texts such as "1h30m", numbers of seconds and timedeltas. Only
    the last number of a text may have a fraction ("1.5h").

    Raises:
        ConfigurationError: it is none of these, negative, or too long; the
            message names `option`.
    """
    exact = _microseconds(value)
    if exact is None:
        raise ConfigurationError(
            f"{option}={_shown(value)} is not a duration; {_ACCEPTED}"
        )
    if exact < 0:
        raise ConfigurationError(
            f"{option}={_shown(value)} is negative; a duration is 0 or more"
        )
    if exact > limits.DURATION_US_MAX:
        longest = format_duration(limits.DURATION_US_MAX)
        raise ConfigurationError(
            f"{option}={_shown(value)} is too long; the longest duration is {longest}"
        )
    return round(exact)


def parse_time(value: datetime | str, *, option: str) -> int:
    """Return a point in time as microseconds since the epoch.

    Accepted are datetimes that know their offset and ISO 8601 texts with one.
    A time before 1970 becomes 0: for a run it is past all the same.

    Raises:
        ConfigurationError: it is no time, or has no offset; the message names
            `option` and says how to add one.
    """
    moment = _moment(value)
    if moment is None:
        raise ConfigurationError(
            f"{option}={_shown(value)} is not a time; give a datetime or ISO 8601 text,"
            ' such as "2030-01-31T09:00:00Z"'
        )
    if moment.utcoffset() is None:
        raise ConfigurationError(
            f"{option}={_shown(value)} does not say in which time zone; end the text with"
            ' "Z" or "+02:00", or make the datetime with tzinfo=datetime.UTC'
        )
    return max(0, (moment - _EPOCH) // _MICROSECOND)


def format_duration(duration_us: int) -> str:
    """Return a duration as a person writes it: "850us", "1.2ms", "3.4s", "1h30m".

    Under a minute it is rounded to three digits, from there on to seconds.
    `parse_duration` reads it back.
    """
    if duration_us < 0:
        return "-" + format_duration(-duration_us)
    quantum = next((to for below, to in _QUANTA if duration_us < below), _SECOND_US)
    rounded = (duration_us + quantum // 2) // quantum * quantum
    if rounded < _UNITS["ms"]:
        return f"{rounded}us" if rounded else "0s"
    if rounded < _UNITS["s"]:
        return f"{rounded / _UNITS['ms']:g}ms"
    if rounded < _UNITS["m"]:
        return f"{rounded / _UNITS['s']:g}s"
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, rounded = divmod(rounded, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def _microseconds(value: object) -> int | Fraction | None:
    """The exact length, or None if `value` is not a duration at all."""
    match value:
        case int() if not isinstance(value, bool):
            return value * _SECOND_US
        case float() if math.isfinite(value):
            return Fraction(value) * _SECOND_US
        case timedelta():
            return value // _MICROSECOND
        case str():
            return _text_microseconds(value)
        case _:
            return None


@lru_cache(maxsize=1024)  # function code asks again at each replay
def _text_microseconds(text: str) -> int | Fraction | None:
    found = _TEXT.fullmatch(text)
    if found is None or not text:
        return None
    numbers = [
        (number, unit_us)
        for number, unit_us in zip(found.groups(), _UNITS.values(), strict=True)
        if number
    ]
    if any("." in number for number, _ in numbers[:-1]):
        return None
    return sum(
        (Fraction(number) if "." in number else int(number)) * unit_us
        for number, unit_us in numbers
    )


def _moment(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _shown(value: object) -> str:
    # repr() refuses an integer of thousands of digits.
    if isinstance(value, int) and abs(value) > limits.DURATION_US_MAX:
        return "a huge number"
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."
