"""When to stop calling an endpoint that fails, and when to try it again.

Used for every endpoint that a server calls: functions of the published SDKs and our own.
The caller brings the time and keeps the `Circuit`, one for each endpoint:

    decision = admit(circuit, now)       # may it be called now?
    circuit = decision.circuit
    ...                                  # call it, if `decision.wait_us` is 0
    circuit = succeeded()                # or failed(policy, circuit, now, probe=decision.probe)

A circuit is *closed* while calls go through. So many failures in a row *open* it: no
call is made until its time has passed. Then one call, the *probe*, is let through; it
closes the circuit, or opens it for twice as long.
"""

from dataclasses import dataclass
from typing import final

from ironflow import limits
from ironflow.errors import ConfigurationError


@final
@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """How many failures in a row open a circuit, and for how long at first and at most.

    Raises:
        ConfigurationError: a number is out of range; the message names it.
    """

    failures: int = 5
    open_us: int = 60 * 1_000_000
    open_us_max: int = 600 * 1_000_000

    def __post_init__(self) -> None:
        if self.failures < 1:
            raise ConfigurationError(
                f"failures={self.failures!r} of a circuit breaker must be 1 or more"
            )
        if not 0 < self.open_us <= self.open_us_max <= limits.DURATION_US_MAX:
            raise ConfigurationError(
                f"a circuit breaker opens for {self.open_us} us at first and at most"
                f" {self.open_us_max} us; neither may be 0, nor the first the longer"
            )


@final
@dataclass(frozen=True, slots=True)
class Circuit:
    """What is known of an endpoint; times are microseconds.

    `failures` counts those in a row while it is closed. It is open until `open_until`,
    0 when it is closed; `open_us` is for how long it was opened. `probing`: the one call
    that may find out is under way.
    """

    failures: int = 0
    open_until: int = 0
    open_us: int = 0
    probing: bool = False

    @property
    def is_open(self) -> bool:
        """Say whether calls are held back, but for a probe."""
        return self.open_until > 0


CLOSED = Circuit()


@final
@dataclass(frozen=True, slots=True)
class Admission:
    """Whether to call now: `wait_us` is 0, or after how long to ask again.

    -1: a probe is under way; ask again when it has ended. `probe`: this call is it.
    """

    circuit: Circuit
    wait_us: int = 0
    probe: bool = False


def admit(circuit: Circuit, now: int) -> Admission:
    """Decide on a call; whoever is let through reports what came of it."""
    if not circuit.is_open:
        return Admission(circuit)
    if circuit.probing:
        return Admission(circuit, wait_us=-1)
    if now < circuit.open_until:
        return Admission(circuit, wait_us=circuit.open_until - now)
    probing = Circuit(
        open_until=circuit.open_until, open_us=circuit.open_us, probing=True
    )
    return Admission(probing, probe=True)


def succeeded() -> Circuit:
    """Return the circuit after a call that went through, whenever it began."""
    return CLOSED


def failed(
    policy: BreakerPolicy, circuit: Circuit, now: int, *, probe: bool
) -> Circuit:
    """Return the circuit after a call that failed.

    A call that began before the circuit was opened changes nothing: it says nothing
    that is not known.
    """
    if circuit.is_open and not probe:
        return circuit
    if circuit.is_open:
        return _opened(min(2 * circuit.open_us, policy.open_us_max), now)
    failures = circuit.failures + 1
    if failures < policy.failures:
        return Circuit(failures=failures)
    return _opened(policy.open_us, now)


def given_up(circuit: Circuit, *, probe: bool) -> Circuit:
    """Return the circuit after a call that was cancelled: it says nothing."""
    if not probe or not circuit.is_open:
        return circuit
    return Circuit(open_until=circuit.open_until, open_us=circuit.open_us)


def _opened(duration_us: int, now: int) -> Circuit:
    return Circuit(open_until=now + duration_us, open_us=duration_us)
