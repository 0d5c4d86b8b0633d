# Made by scripts/sync-client from asynchronous/events.py: change that, then run it.

"""What a client does with events, and the runs that they start."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ironflow import limits
from ironflow.client import calls
from ironflow.client.answers import EmittedAnswer, EventName, Redacted, StoredEvent
from ironflow.client.patience import patience
from ironflow.client.pausing import now
from ironflow.client.synchronous.runs import Runs
from ironflow.errors import NoRunCreated
from ironflow.handles import Emission, Receipt, SyncRun
from ironflow.policy.attributes import Attributes
from ironflow.policy.duration import Duration

_TIMEOUT = limits.EMIT_SYNC_TIMEOUT_US_DEFAULT // 1_000_000
_KEY_BYTES = 16


class Events(Runs):
    """Events of a server."""

    def emit(
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
        """Store an event; start the runs it triggers; wake the waits it matches.

        On return all of it is durable. A second event of this name with the same
        idempotency key gives the first one's receipt, with `duplicate=True`. Without a key
        one is made, so that the event is stored once if it has to be sent again. The runs
        it starts have `attributes`, by which lists find them.

        Raises:
            ConfigurationError: a name or option is wrong.
            ValueRejected: `data` cannot be stored or sent; the message names the path.
            ServerUnavailable, ServerError: see the message.
        """
        call = calls.emit(
            name,
            data,
            idempotency_key=idempotency_key or _new_key(),
            metadata=metadata,
            version=version,
            source=source,
            attributes=attributes,
        )
        return _receipt(self._connection.send(call), key=idempotency_key)

    def emit_batch(self, events: Sequence[Emission]) -> list[Receipt]:
        """Store events in one commit: all of them or none; their receipts, in order.

        Raises:
            ConfigurationError: a name or option is wrong, or they are too many.
            EventConflict: two of them have the same idempotency key.
            ValueRejected: data cannot be stored or sent; the message names the path.
        """
        if not events:
            return []
        keyed = [
            replace(each, idempotency_key=each.idempotency_key or _new_key())
            for each in events
        ]
        found = self._connection.send(calls.emit_batch(keyed))
        return [
            _receipt(answer, key=event.idempotency_key)
            for answer, event in zip(found.events, events, strict=True)
        ]

    def emit_sync(
        self,
        name: str,
        data: Any = None,
        *,
        timeout: Duration | None = _TIMEOUT,
        idempotency_key: str = "",
        metadata: Mapping[str, str] | None = None,
        attributes: Attributes | None = None,
    ) -> list[SyncRun]:
        """Emit, and return the runs it started when all have ended or are paused.

        Never raises for a failed run (`.unwrap()` does). After `timeout` (seconds, or
        "5m") it returns the runs as they then are; they go on.

        Raises:
            NoRunCreated: no function takes this event; it is stored all the same.
        """
        until = patience(timeout, now=now())
        call = calls.emit(
            name,
            data,
            idempotency_key=idempotency_key or _new_key(),
            metadata=metadata,
            attributes=attributes,
            wait=until.slice(now()),
        )
        found = self._connection.send(call)
        if not found.run_ids:
            raise NoRunCreated(
                f"no function is triggered by {name!r}; the event {found.event_id} is"
                " stored. 'ironflow functions list' shows what the server has",
                event_id=found.event_id,
            )
        return self._ended(found, until)

    def invoke(
        self,
        function_id: str,
        data: Any = None,
        *,
        idempotency_key: str = "",
        metadata: Mapping[str, str] | None = None,
        attributes: Attributes | None = None,
    ) -> Receipt:
        """Start a run of one function, whatever its triggers; it has one run id.

        A second call with the same function and idempotency key gives the first one's
        receipt.

        Raises:
            FunctionNotFound: nobody has registered it.
            ValueRejected: `data` cannot be stored or sent; the message names the path.
        """
        call = calls.invoke(
            function_id,
            data,
            idempotency_key=idempotency_key or _new_key(),
            metadata=metadata,
            attributes=attributes,
        )
        return _receipt(self._connection.send(call), key=idempotency_key)

    def invoke_sync(
        self,
        function_id: str,
        data: Any = None,
        *,
        timeout: Duration | None = _TIMEOUT,
        idempotency_key: str = "",
        metadata: Mapping[str, str] | None = None,
        attributes: Attributes | None = None,
    ) -> SyncRun:
        """Start a run of one function; return it when it has ended or is paused.

        Never raises for a failed run (`.unwrap()` does). After `timeout` (seconds, or
        "5m") it returns the run as it then is; it goes on.

        Raises:
            FunctionNotFound: nobody has registered it.
        """
        until = patience(timeout, now=now())
        call = calls.invoke(
            function_id,
            data,
            idempotency_key=idempotency_key or _new_key(),
            metadata=metadata,
            attributes=attributes,
            wait=until.slice(now()),
        )
        [run] = self._ended(self._connection.send(call), until)
        return run

    def list_events(
        self, pattern: str = ">", *, after: int = 0, limit: int = 100
    ) -> list[StoredEvent]:
        """Return stored events by pattern, in commit order, after a position."""
        call = calls.list_events(pattern, after=after, limit=limit)
        return list((self._connection.send(call)).events)

    def get_event(self, event_id: str) -> StoredEvent:
        """Return an event.

        Raises:
            EventNotFound: there is none with this id, or none any more.
        """
        return self._connection.send(calls.get_event(event_id))

    def redact_event(self, event_id: str, *, reason: str = "") -> Redacted:
        """Take away the data of an event and the copies that runs have, for ever.

        Raises:
            EventNotFound: there is none with this id, or none any more.
            MisusedOperation: a run that has a copy has not ended.
        """
        call = calls.redact_event(event_id, reason=reason)
        return self._connection.send(call)

    def event_names(self) -> list[EventName]:
        """Return the names of the newest events, with how many there are of each."""
        return list((self._connection.send(calls.event_names())).names)


def _new_key() -> str:
    return secrets.token_hex(_KEY_BYTES)


def _receipt(found: EmittedAnswer, *, key: str) -> Receipt:
    # With a key of ours, what was there before was our own first try.
    duplicate = found.duplicate and bool(key)
    return Receipt(found.event_id, found.run_ids, duplicate=duplicate)
