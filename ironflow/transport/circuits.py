"""Which of the endpoints that a server calls it leaves alone now, and why.

A function of the published SDKs has a circuit of its own, an endpoint of ours one for all
its functions. `policy.breaker` decides; here is what stands, for whoever calls and for
whoever asks. A server's circuits live as long as it does.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, final

import trio

from ironflow.policy import breaker
from ironflow.policy.breaker import CLOSED, Admission, BreakerPolicy, Circuit

State = Literal["closed", "open", "half_open"]


@final
@dataclass(eq=False, slots=True)
class Breaker:
    """The circuit of an endpoint; `key` is the id of its one function, or its URL.

    `changed` is called when it has opened or closed. Times are microseconds, 0 for never.
    """

    key: str
    endpoint: str
    policy: BreakerPolicy
    functions: frozenset[str]
    changed: Callable[[], None]
    circuit: Circuit = CLOSED
    failures: int = 0  # in a row, also while it is open
    failed_at: int = 0
    error: str = ""
    news: trio.Event = field(default_factory=trio.Event)

    def admit(self, now: int) -> Admission:
        """Decide on a call; whoever is let through reports what came of it."""
        admission = breaker.admit(self.circuit, now)
        if admission.wait_us == 0:
            self.circuit = admission.circuit
        return admission

    def succeeded(self) -> None:
        """Close it: a call went through, or somebody knows that the next will."""
        self.failures = 0
        self._set(breaker.succeeded())

    def failed(self, now: int, *, probe: bool, error: str) -> None:
        """Count a call that failed."""
        self.failures += 1
        self.failed_at, self.error = now, error
        self._set(breaker.failed(self.policy, self.circuit, now, probe=probe))

    def given_up(self, *, probe: bool) -> None:
        """Take a call back that says nothing; the next may be the probe."""
        self._set(breaker.given_up(self.circuit, probe=probe))

    def state(self, now: int) -> State:
        """Return how it stands: half open is when a call may find out, or does."""
        if not self.circuit.is_open:
            return "closed"
        is_due = self.circuit.probing or now >= self.circuit.open_until
        return "half_open" if is_due else "open"

    def tell(self) -> None:
        """Let everybody who waits for `news` look again."""
        self.news.set()
        self.news = trio.Event()

    def _set(self, circuit: Circuit) -> None:
        before, self.circuit = self.circuit, circuit
        self.tell()
        if before.open_until != circuit.open_until:
            self.changed()


@final
class Circuits:
    """The circuits of a server, by key."""

    def __init__(self) -> None:
        self._all: Final[dict[str, Breaker]] = {}

    def add(self, found: Breaker) -> Breaker:
        """Return the circuit of an endpoint, with these options.

        It stays as it is while its key stands for the same URL.
        """
        known = self._all.get(found.key)
        if known is None or known.endpoint != found.endpoint:
            self._all[found.key] = found
            return found
        known.policy, known.functions = found.policy, found.functions
        known.changed = found.changed
        return known

    def remove(self, key: str) -> None:
        """Forget a circuit: its endpoint is not called any more."""
        self._all.pop(key, None)

    def all(self) -> Iterable[Breaker]:
        """Return all circuits, by key."""
        return [self._all[key] for key in sorted(self._all)]

    def states(self, now: int) -> dict[str, State]:
        """Return how each stands at a time."""
        return {each.key: each.state(now) for each in self.all()}

    def get(self, key: str) -> Breaker | None:
        """Return a circuit; None if there is none."""
        return self._all.get(key)

    def of(self, function_id: str) -> Breaker | None:
        """Return the circuit that calls for runs of a function go by."""
        known = self._all.get(function_id)
        if known is not None:
            return known
        return next(
            (each for each in self.all() if function_id in each.functions), None
        )
