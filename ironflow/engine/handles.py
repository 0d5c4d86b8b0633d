"""What users get of runs: plain values that may be kept."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from ironflow import values
from ironflow.errors import RunUnsuccessful, ValueRejected
from ironflow.interpreter import failures
from ironflow.journal.base import RunSummary
from ironflow.policy.duration import Duration
from ironflow.records import COMPLETED, Entry, ErrorInfo, Payload, RunEnded

Status = Literal[
    "queued",
    "running",
    "waiting",
    "paused",
    "completed",
    "failed",
    "cancelled",
    "continued",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Emission:
    """An event to be emitted with others, as `Engine.emit` takes it."""

    name: str
    data: Any = None
    idempotency_key: str = ""
    metadata: Mapping[str, str] | None = None
    version: int = 1
    source: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an event that was emitted.

    `duplicate`: its idempotency key was used before, and this is the first receipt.
    """

    event_id: str
    run_ids: tuple[str, ...]
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it stood when it was asked for; a value, not a live view.

    `error` has `type`, `message`, `code` of a failure, or of why the run is paused or
    cannot go on. An `output` that does not fit the function any more is plain data.
    """

    id: str
    function_id: str
    status: Status
    output: Any
    error: ErrorInfo | None
    attempt: int
    started_at: datetime
    ended_at: datetime | None
    continued_from: str
    continued_to: str
    _follow: Callable[[str, Duration | None], Awaitable["Run"]] = field(
        repr=False, compare=False
    )

    async def result(self, timeout: Duration | None = None) -> "Run":
        """Return the run when it has ended or is paused; follows continue_as_new.

        Never raises for a failed run. After `timeout` (seconds, or "5m") it returns
        the run as it then is.
        """
        return await self._follow(self.id, timeout)

    def unwrap(self) -> Any:
        """Return the output of a completed run.

        Raises:
            RunUnsuccessful: it is not completed; the message says how it stands.
        """
        if self.status == "completed":
            return self.output
        why = f": {self.error.type}: {self.error.message}" if self.error else ""
        raise RunUnsuccessful(
            f"run {self.id} of {self.function_id!r} is {self.status}{why}"
        )


def moment(time_us: int) -> datetime:
    """Return a time in microseconds as an aware datetime."""
    return _EPOCH + timedelta(microseconds=time_us)


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
        _follow=follow,
    )
