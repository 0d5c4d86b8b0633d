"""What clients may ask of a server, once for REST and Connect: plain values in and out.

Each operation checks what it is given and raises errors of ironflow; what they are to a
client is said in `wire/failures.py`. Nothing here knows HTTP or a codec. `Operations` has
what begins runs; its parts have what is read of them and what changes them.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import msgspec

import ironflow
from ironflow import ids, limits, values
from ironflow.engine.clock import Clock
from ironflow.engine.engine import Engine
from ironflow.engine.handles import Emission, Receipt
from ironflow.errors import ConfigurationError
from ironflow.journal.base import EmitEvents, Emitted, Refused
from ironflow.journal.base import Receipt as Published
from ironflow.journal.served import ServedJournal
from ironflow.policy.attributes import Attributes
from ironflow.policy.duration import Duration, parse_duration
from ironflow.policy.names import TOPIC, check_topic
from ironflow.records import EventData
from ironflow.transport.circuits import Circuits
from ironflow.transport.event_pages import EventReads
from ironflow.transport.function_book import FunctionBook
from ironflow.transport.keyring import Keyring
from ironflow.transport.redactions import Redactions
from ironflow.transport.run_reads import RunDetails, RunReads
from ironflow.transport.steering import Steering
from ironflow.transport.workers import Workers

# Seeded by the system once: asking it for every message costs more than the message.
_random = random.Random()


@dataclass(frozen=True, slots=True)
class Health:
    """That the server answers: its version, the time and that of its start (microseconds)."""

    version: str
    now: int
    started_at: int


@dataclass(slots=True)
class Capabilities:
    """What a client may expect; the parts of a server add themselves at its start."""

    transports: set[str] = field(default_factory=set[str])
    features: set[str] = field(default_factory=set[str])
    auth_required: bool = False


@final
class Operations:
    """The operations of one engine, in the environment of its journal.

    `events` reads the log of events, `runs` the runs, which `steering` changes and
    `redactions` take payloads from;
    `functions` is the registry, `keys` who may ask. `workers`, `circuits`, `capabilities`,
    `issues` and `functions.registered` are filled by the parts of the server.
    """

    def __init__(self, engine: Engine, journal: ServedJournal, clock: Clock) -> None:
        self._engine = engine
        self._journal = journal
        self._clock = clock
        self._started_at = clock.now()
        self.events = EventReads(journal)
        self.runs = RunReads(journal)
        self.steering = Steering(engine, self.runs)
        self.redactions = Redactions(journal, clock)
        self.functions = FunctionBook(journal, clock)
        self.keys = Keyring(journal, clock)
        self.workers = Workers()
        self.circuits = Circuits()
        self.capabilities = Capabilities()
        self.issues: set[str] = set()  # why the server takes no work

    @property
    def environment(self) -> str:
        """The name of the environment."""
        return self._journal.environment

    async def emit(
        self,
        name: str,
        data: Any = None,
        *,
        idempotency_key: str = "",
        metadata: Mapping[str, str] | None = None,
        version: int = 1,
        source: str = "",
        attributes: Attributes | None = None,
    ) -> Receipt:
        """Store an event and start its runs; see `Engine.emit`."""
        return await self._engine.emit(
            name,
            data,
            idempotency_key=idempotency_key,
            metadata=metadata,
            version=version,
            source=source,
            attributes=attributes,
        )

    async def emit_batch(self, events: Sequence[Emission]) -> list[Receipt]:
        """Store events in one commit, all or none; see `Engine.emit_batch`."""
        return await self._engine.emit_batch(events)

    async def invoke(
        self,
        function_id: str,
        data: Any = None,
        *,
        idempotency_key: str = "",
        metadata: Mapping[str, str] | None = None,
        attributes: Attributes | None = None,
    ) -> Receipt:
        """Start a run of one function, whatever its triggers; see `Engine.invoke`."""
        return await self._engine.invoke(
            function_id,
            data,
            idempotency_key=idempotency_key,
            metadata=metadata,
            attributes=attributes,
        )

    async def publish(
        self,
        topic: str,
        data: Any = None,
        *,
        idempotency_key: str = "",
        source: str = "",
    ) -> Published:
        """Store a message to a topic; wake the runs that wait for it, start none.

        A second one with the same topic and idempotency key gives the first one's.

        Raises:
            ConfigurationError: the topic is no name.
            ValueRejected: `data` cannot be stored; the message names the path.
            JournalFull: there is no space; nothing was stored.
        """
        now = self._clock.now()
        event = EventData(
            id=ids.event_id(ids.uuid7(now, _random.randbytes(ids.ENTROPY_BYTES))),
            name=TOPIC + check_topic(topic),
            data=msgspec.Raw(values.encode(data)),
            timestamp=now,
            idempotency_key=idempotency_key,
            source=source,
        )
        [answer] = await self._journal.commit([EmitEvents((event,), now)])
        if isinstance(answer, Refused):
            raise answer.error
        assert isinstance(answer, Emitted)
        return answer.receipts[0]

    async def results(
        self, run_ids: Sequence[str], timeout: Duration
    ) -> list[RunDetails]:
        """Return these runs when all have ended or are paused, or when time is up.

        A run that goes on in another (continue_as_new) is followed.

        Raises:
            ConfigurationError: the timeout is none, or too long.
        """
        left_us = parse_duration(timeout, option="timeout")
        if left_us > limits.RESULT_WAIT_US_MAX:
            raise ConfigurationError(
                f"timeout={timeout!r} is too long: a request waits for"
                f" {limits.RESULT_WAIT_US_MAX // 1_000_000} s at most; ask again for"
                " runs that take longer"
            )
        deadline = self._clock.now() + left_us
        found: list[RunDetails] = []
        for run_id in run_ids:
            left = max(deadline - self._clock.now(), 0) / 1_000_000
            run = await self._engine.result(run_id, left)
            found.append(await self.runs.get(run.id))
        return found

    def health(self) -> Health:
        """Return the version of the server and its time."""
        return Health(ironflow.__version__, self._clock.now(), self._started_at)
