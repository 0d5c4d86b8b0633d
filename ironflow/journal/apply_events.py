"""Events enter the log, start runs and find the waits for them.

An event and the waits for it meet in one transaction, in both orders of
arrival: a new event is offered to the waits there are, and a new wait looks at
the events there were (`apply_waits.py`). What is too much for one commit is offered
later, in the order of the log; meanwhile newer events queue behind it, and a wait
looks back only as far as events have been offered, so that none is missed or taken
twice.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

from ironflow import ids, limits
from ironflow.errors import EventConflict, FunctionNotFound
from ironflow.journal import apply_runs as runs
from ironflow.journal import apply_waits as waits
from ironflow.journal.base import (
    Delivery,
    EmitEvents,
    Emitted,
    FunctionRow,
    Receipt,
    Refused,
    RunRow,
    StoredEvent,
)
from ironflow.journal.view import View
from ironflow.policy.match import pattern_matches
from ironflow.records import EventData

TOPIC: Final = "topic:"


# --- emit -----------------------------------------------------------------------


class _Plan(msgspec.Struct, frozen=True):
    """What will become of an event: an earlier one's receipt, or new runs."""

    event: EventData
    first: StoredEvent | None
    starts: Mapping[str, FunctionRow]  # by run id
    attributes: bytes = b""


def emit(view: View, command: EmitEvents, *, environment: str) -> Emitted | Refused:
    """Store events, start the runs they trigger, wake the waits they match."""
    conflict = _repeated(command.events)
    if conflict:
        return Refused(conflict)
    if command.only and command.only not in view.functions():
        return Refused(_no_function(command.only))
    given = command.attributes or (b"",) * len(command.events)
    plans = [
        _planned(view, event, command.only, attributes=each)
        for event, each in zip(command.events, given, strict=True)
    ]
    conflict = _stored_before(view, plans)
    if conflict:
        return Refused(conflict)
    receipts: list[Receipt] = []
    budget = limits.DELIVERIES_PER_COMMIT_MAX
    for plan in plans:
        if plan.first is None:
            stored = _started(view, plan, environment=environment, now=command.now)
            budget -= store(view, stored, budget=budget)
        else:
            stored = plan.first
        receipts.append(_receipt(stored, duplicate=plan.first is not None))
    return Emitted(tuple(receipts))


def _receipt(stored: StoredEvent, *, duplicate: bool) -> Receipt:
    return Receipt(stored.event.id, stored.position, stored.run_ids, duplicate)


def _repeated(events: tuple[EventData, ...]) -> EventConflict | None:
    """An event id or idempotency key that the batch itself names twice."""
    if len(events) == 1:
        return None
    seen: set[object] = set()
    for event in events:
        names: list[object] = [event.id]
        if event.idempotency_key:
            names.append((event.name, event.idempotency_key))
        if not seen.isdisjoint(names):
            return EventConflict(
                f"one batch names event {event.id} ({event.name!r}, idempotency key"
                f" {event.idempotency_key!r}) twice; nothing of it was stored"
            )
        seen.update(names)
    return None


def _no_function(function_id: str) -> FunctionNotFound:
    return FunctionNotFound(
        f"no function {function_id!r} is registered in this environment; 'ironflow"
        " functions list' shows those that are"
    )


def _planned(view: View, event: EventData, only: str, *, attributes: bytes) -> _Plan:
    if event.idempotency_key:
        position = view.event_by_key(event.name, event.idempotency_key)
        if position is not None:
            return _Plan(event, waits.at(view, position), {})
    starts = {
        ids.triggered_run_id(event.id, function.id): function
        for function in _triggered(view, event.name, only)
    }
    return _Plan(event, None, starts, attributes)


def _triggered(view: View, name: str, only: str) -> tuple[FunctionRow, ...]:
    """The functions that an event of this name starts, in the order of their ids."""
    if only:
        return (view.functions()[only],)
    if name.startswith(TOPIC):
        return ()
    return tuple(
        row for row in view.functions().values() if _matches_any(row.triggers, name)
    )


@lru_cache(maxsize=4096)  # each event asks it of every function
def _matches_any(patterns: tuple[str, ...], name: str) -> bool:
    return any(
        pattern == name or pattern_matches(pattern, name) for pattern in patterns
    )


def _stored_before(view: View, plans: list[_Plan]) -> EventConflict | None:
    """An event whose id has started a run already: ids are used once."""
    for plan in plans:
        for run_id in plan.starts:
            if view.run(run_id) is not None:
                return EventConflict(
                    f"event {plan.event.id} was stored before and started run"
                    f" {run_id}; give each event an id of its own, or an"
                    " idempotency key if it may be sent twice"
                )
    return None


def _started(view: View, plan: _Plan, *, environment: str, now: int) -> StoredEvent:
    """Start the runs of an event; return the event in the place it will have."""
    event = plan.event
    if not event.timestamp:
        event = msgspec.structs.replace(event, timestamp=now)
    position = view.log().length + 1
    for run_id, function in plan.starts.items():
        row = RunRow(
            run_id=run_id,
            function_id=function.id,
            status="open",
            event_id=event.id,
            event_name=event.name,
            trigger_position=position,
            created_at=now,
        )
        runs.start(
            view,
            row,
            function,
            event,
            environment=environment,
            attributes=plan.attributes,
        )
    return StoredEvent(position, event, tuple(plan.starts))


# --- an event looks for waits -----------------------------------------------------


def store(view: View, stored: StoredEvent, *, budget: int) -> int:
    """Store an event and offer it to the waits; return what that cost."""
    unfinished = view.log().delivery is not None
    view.put_event(stored)
    waits.index(view, stored)
    if unfinished:
        return 0  # events reach a wait in the order of the log
    cost, delivery = _offer(view, stored, Delivery(stored.position), budget=budget)
    if delivery is not None:
        view.put_delivery(delivery)
        view.hint.undelivered = True
    return cost


def deliver(view: View) -> bool:
    """Go on with an unfinished delivery; say whether there was one."""
    log = view.log()
    delivery = log.delivery
    if delivery is None:
        return False
    if not waits.seek(view):
        view.hint.undelivered = True
        return True
    budget = limits.DELIVERIES_PER_COMMIT_MAX
    while delivery.position <= log.length and budget > 0:
        stored = waits.at(view, delivery.position)
        cost, rest = _offer(view, stored, delivery, budget=budget)
        budget -= cost + 1
        delivery = rest or Delivery(stored.position + 1)
    left = delivery.position <= log.length
    view.put_delivery(delivery if left else None)
    view.hint.undelivered |= left
    return True


def _offer(
    view: View, stored: StoredEvent, start: Delivery, *, budget: int
) -> tuple[int, Delivery | None]:
    """Offer an event to at most `budget` waits; return the cost and the rest."""
    assert budget > 0, "whoever has no budget left does not offer"
    after = (start.run_id, start.sequence)
    found = view.waits_for(stored.event, after=after, limit=budget)
    for wait in found:
        waits.give(view, wait, stored)
    if len(found) < budget:
        return len(found), None
    return len(found), Delivery(stored.position, found[-1].run_id, found[-1].sequence)
