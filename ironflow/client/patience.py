"""How long somebody waits for runs, and how much of that in one request."""

import math
from dataclasses import dataclass
from typing import Final, final

from ironflow import limits
from ironflow.policy.duration import Duration, parse_duration

_SLICE: Final = limits.CLIENT_WAIT_US_MAX / 1_000_000


@final
@dataclass(frozen=True, slots=True)
class Patience:
    """Until when somebody waits, in seconds of a monotonic clock; infinite: for ever."""

    until: float

    def slice(self, now: float) -> float:
        """Return for how many seconds the next request waits; 0 when time is up.

        Proxies cut requests that take long, so none waits for more than
        `limits.CLIENT_WAIT_US_MAX`.
        """
        return min(max(self.until - now, 0), _SLICE)


def patience(timeout: Duration | None, *, now: float) -> Patience:
    """Return until when a caller waits who gives this timeout.

    Raises:
        ConfigurationError: it is no duration.
    """
    if timeout is None or timeout == math.inf:
        return Patience(math.inf)
    return Patience(now + parse_duration(timeout, option="timeout") / 1_000_000)
