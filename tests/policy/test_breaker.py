"""Circuit breakers: they open, probe, close, and open for longer."""

import pytest

from ironflow.errors import ConfigurationError
from ironflow.policy.breaker import (
    CLOSED,
    BreakerPolicy,
    Circuit,
    admit,
    failed,
    given_up,
    succeeded,
)

POLICY = BreakerPolicy(failures=3, open_us=100, open_us_max=350)


def opened(now: int) -> Circuit:
    """A circuit that three failures have opened."""
    circuit = CLOSED
    for _ in range(3):
        circuit = failed(POLICY, circuit, now, probe=False)
    return circuit


def after_probe(circuit: Circuit, now: int) -> Circuit:
    """The circuit after its probe failed."""
    decision = admit(circuit, now)
    assert decision.probe
    return failed(POLICY, decision.circuit, now, probe=True)


def test_a_closed_circuit_lets_calls_through() -> None:
    decision = admit(CLOSED, 5)

    assert (decision.wait_us, decision.probe) == (0, False)


def test_failures_in_a_row_open_it() -> None:
    circuit = opened(10)

    assert circuit.is_open
    assert admit(circuit, 40).wait_us == 70


def test_a_success_in_between_starts_the_count_over() -> None:
    circuit = failed(POLICY, CLOSED, 1, probe=False)
    circuit = failed(POLICY, circuit, 2, probe=False)
    circuit = failed(POLICY, succeeded(), 3, probe=False)

    assert not circuit.is_open
    assert circuit.failures == 1


def test_one_probe_goes_through_when_its_time_has_passed() -> None:
    first = admit(opened(10), 110)
    second = admit(first.circuit, 111)

    assert (first.wait_us, first.probe) == (0, True)
    assert (second.wait_us, second.probe) == (-1, False)


def test_a_probe_that_succeeds_closes_it() -> None:
    decision = admit(opened(10), 110)
    assert decision.probe

    assert succeeded() == CLOSED


def test_each_failed_probe_doubles_the_time_up_to_the_most() -> None:
    circuit = opened(0)
    lengths: list[int] = []
    for _ in range(3):
        now = circuit.open_until
        circuit = after_probe(circuit, now)
        lengths.append(circuit.open_until - now)

    assert lengths == [200, 350, 350]


def test_a_call_from_before_it_opened_changes_nothing() -> None:
    circuit = opened(10)

    assert failed(POLICY, circuit, 50, probe=False) == circuit


def test_a_cancelled_probe_lets_another_follow() -> None:
    circuit = admit(opened(10), 110).circuit

    assert admit(given_up(circuit, probe=True), 110).probe
    assert given_up(circuit, probe=False) == circuit
    assert given_up(CLOSED, probe=True) == CLOSED


@pytest.mark.parametrize(
    ("failures", "open_us", "open_us_max"),
    [(0, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 10**18)],
)
def test_a_policy_out_of_range_is_refused(
    failures: int, open_us: int, open_us_max: int
) -> None:
    with pytest.raises(ConfigurationError, match="circuit breaker"):
        BreakerPolicy(failures, open_us, open_us_max)
