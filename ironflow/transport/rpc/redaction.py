"""What takes payloads away, of IronflowService. Each may be asked for again."""

from typing import Final

from ironflow.transport.http.messages import Request
from ironflow.transport.operations import Operations
from ironflow.transport.rpc import rendering
from ironflow.transport.rpc.procedures import Procedure
from ironflow.wire.message import Empty
from ironflow.wire.proto.ironflow import (
    RedactEventRequest,
    RedactRunRequest,
    RedactStepRequest,
)


async def redact_event(
    operations: Operations, request: Request, message: RedactEventRequest
) -> Empty:
    """Take away the data of an event, and the copies that runs have."""
    await operations.redactions.event(message.event_id, actor=request.actor)
    return Empty()


async def redact_step(
    operations: Operations, request: Request, message: RedactStepRequest
) -> Empty:
    """Take away what a step gave, by the id of its row."""
    run_id, _separator, step = message.step_id.partition(rendering.SEPARATOR)
    await operations.redactions.step(run_id, step, actor=request.actor)
    return Empty()


async def redact_run(
    operations: Operations, request: Request, message: RedactRunRequest
) -> Empty:
    """Take away all payloads of a run."""
    await operations.redactions.run(message.run_id, actor=request.actor)
    return Empty()


REDACTION: Final[dict[str, Procedure]] = {
    "RedactEvent": redact_event,
    "RedactStep": redact_step,
    "RedactRun": redact_run,
}
