"""Redactions over REST: what takes the payloads of a run, a step or an event away."""

from typing import Final

import msgspec

from ironflow.journal.redacting import Redacted
from ironflow.transport.handlers.endpoint import Call, Endpoint, Nothing
from ironflow.transport.handlers.runs import ReasonBody
from ironflow.wire.answers import RedactedDocument


class RedactStepBody(msgspec.Struct, frozen=True, kw_only=True):
    """Which step. `step_id` is `<run>:<step>`, or give `run_id`."""

    step_id: str
    run_id: str = ""
    reason: str = ""


def _document(found: Redacted) -> RedactedDocument:
    return RedactedDocument(
        payloads=found.payloads,
        run_ids=list(found.run_ids),
        event_ids=list(found.event_ids),
    )


async def redact_run(call: Call[Nothing, ReasonBody]) -> RedactedDocument:
    """Take away all payloads of a run that has ended."""
    found = await call.operations.redactions.run(
        call.parameters["id"], reason=call.body.reason, actor=call.request.actor
    )
    return _document(found)


async def redact_step(call: Call[Nothing, RedactStepBody]) -> RedactedDocument:
    """Take away what a step gave."""
    body = call.body
    run_id, step = body.run_id, body.step_id
    if not run_id:
        run_id, _, step = step.partition(":")
    found = await call.operations.redactions.step(
        run_id, step, reason=body.reason, actor=call.request.actor
    )
    return _document(found)


async def redact_event(call: Call[Nothing, ReasonBody]) -> RedactedDocument:
    """Take away the data of an event."""
    found = await call.operations.redactions.event(
        call.parameters["id"], reason=call.body.reason, actor=call.request.actor
    )
    return _document(found)


ENDPOINTS: Final = (
    Endpoint(
        method="POST",
        path="/api/v1/runs/{id}/redact",
        summary="Take away all payloads of a run that has ended, for ever.",
        answer=redact_run,
        returns=RedactedDocument,
        query=Nothing,
        body=ReasonBody,
    ),
    Endpoint(
        method="POST",
        path="/api/v1/steps/redact",
        summary="Take away what a step of a run that has ended gave, for ever.",
        answer=redact_step,
        returns=RedactedDocument,
        query=Nothing,
        body=RedactStepBody,
    ),
    Endpoint(
        method="POST",
        path="/api/v1/events/{id}/redact",
        summary="Take away the data of an event, for ever.",
        answer=redact_event,
        returns=RedactedDocument,
        query=Nothing,
        body=ReasonBody,
    ),
)
