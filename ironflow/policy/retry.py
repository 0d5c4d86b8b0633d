"""When a failed attempt is followed by another, and after how long.

The caller knows the attempt's number and brings the random draw.
"""

import sys
from dataclasses import dataclass, field
from typing import Final, Literal, final, get_args

from ironflow import limits
from ironflow.errors import ConfigurationError
from ironflow.policy.duration import Duration, parse_duration

Exhausted = Literal["fail", "pause"]


@final
@dataclass(frozen=True, slots=True)
class Retry:
    """How often a step is tried, and how long the engine waits in between.

    The wait after attempt n is `initial_delay * factor ** (n - 1)`, at most
    `max_delay`, of which a random part up to the share `jitter` is taken off, so
    that steps that failed together do not all come back together. When
    `max_attempts` are used up, `on_exhausted` says whether the step fails or the
    run is paused for a person to look at.

    Delays are given as `"30s"`, seconds or a timedelta; two policies are equal if
    they wait equally long.

    Raises:
        ConfigurationError: an option is out of range; the message names it.
    """

    max_attempts: int = 5
    initial_delay: Duration = field(default="1s", compare=False)
    factor: float = 2.0
    max_delay: Duration = field(default="5m", compare=False)
    jitter: float = 0.1
    on_exhausted: Exhausted = "fail"
    initial_delay_us: int = field(init=False, repr=False)
    max_delay_us: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        initial_us = parse_duration(self.initial_delay, option="initial_delay")
        max_us = parse_duration(self.max_delay, option="max_delay")
        object.__setattr__(self, "initial_delay_us", initial_us)
        object.__setattr__(self, "max_delay_us", max_us)
        _check_attempts(self.max_attempts)
        if not (_is_number(self.factor) and 1 <= self.factor <= sys.float_info.max):
            raise ConfigurationError(
                f"factor={self.factor!r} must be a number of 1 or more; 1 waits"
                " equally long each time"
            )
        if not (_is_number(self.jitter) and 0 <= self.jitter <= 1):
            raise ConfigurationError(
                f"jitter={self.jitter!r} must be a share of the delay from 0 to 1"
            )
        if self.on_exhausted not in get_args(Exhausted):
            raise ConfigurationError(
                f'on_exhausted={self.on_exhausted!r} must be "fail" or "pause"'
            )
        if initial_us > max_us:
            raise ConfigurationError(
                f"initial_delay={self.initial_delay!r} is longer than"
                f" max_delay={self.max_delay!r}; raise max_delay"
            )


def next_delay_us(
    policy: Retry, *, attempt: int, draw: float, retry_after_us: int | None = None
) -> int | None:
    """Return how long to wait after failed attempt number `attempt`.

    None: it was the last. `draw` is a random number, at least 0 and below 1. A
    step that said when to come back (`retry_after_us`) is taken at its word, up
    to `max_delay`.
    """
    assert attempt >= 1
    assert 0 <= draw < 1
    if attempt >= policy.max_attempts:
        return None
    if retry_after_us is not None:
        return min(retry_after_us, policy.max_delay_us)
    try:
        growth = float(policy.factor) ** (attempt - 1)
    except OverflowError:
        growth = sys.float_info.max
    delay = min(policy.initial_delay_us * growth, policy.max_delay_us)
    return round(delay * (1 - policy.jitter * draw))


def _check_attempts(value: object) -> None:
    # True is an int, and 1 attempt is not what its writer means.
    if type(value) is not int or not 1 <= value <= limits.RETRY_ATTEMPTS_MAX:
        raise ConfigurationError(
            f"max_attempts={value!r} must be a whole number from 1 (no retry) to"
            f" {limits.RETRY_ATTEMPTS_MAX}"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


NO_RETRY: Final = Retry(max_attempts=1)
