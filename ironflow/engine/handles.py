"""Runs of a journal as the values that users get (`ironflow.handles`)."""

from collections.abc import Awaitable, Callable
from typing import Any

from ironflow import values
from ironflow.errors import ValueRejected
from ironflow.handles import Emission, Receipt, Run, Status, moment
from ironflow.interpreter import failures
from ironflow.journal.base import RunSummary
from ironflow.policy.attributes import shown_all
from ironflow.policy.duration import Duration
from ironflow.records import COMPLETED, Entry, ErrorInfo, Payload, RunEnded

__all__ = ["Emission", "Receipt", "Run", "Status", "moment", "run_of"]


def _output(payload: Payload, output_type: Any) -> Any:
    """Return an output as its function declares it now, or else as plain data."""
    try:
        return values.decode(payload, output_type)
    except ValueRejected:
        return values.decode(payload)


def run_of(
    summary: RunSummary,
    last: Entry | None,
    *,
    output_type: Any,
    follow: Callable[[str, Duration | None], Awaitable[Run]],
) -> Run:
    """Make a `Run` of what the journal says; `last` is the last record of an ended one."""
    row = summary.row
    output, error = None, None
    if last is not None and isinstance(last.record, RunEnded) and last.payload:
        if last.record.status == COMPLETED:
            output = _output(last.payload, output_type)
        else:
            error = failures.decode(last.payload)
    if row.pause is not None:
        error = ErrorInfo(
            type=row.pause.reason, message=row.pause.message, code="PAUSED"
        )
    return Run(
        id=row.run_id,
        function_id=row.function_id,
        status=summary.status,  # type: ignore[arg-type]  # the journal's words are these
        output=output,
        error=error,
        attempt=row.attempt,
        started_at=moment(row.created_at),
        ended_at=moment(row.ended_at) if row.ended_at else None,
        continued_from=row.continued_from,
        continued_to=row.continued_to,
        attributes=shown_all(row.attributes),
        _follow=follow,
    )
