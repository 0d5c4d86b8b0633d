"""What users get of runs and events, from an engine or from a client: plain values.

They may be kept, and none of them is a live view. Where they come from is said where
they are made.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, final

import msgspec

from ironflow.errors import RunUnsuccessful
from ironflow.policy.attributes import Attributes
from ironflow.policy.duration import Duration
from ironflow.records import ErrorInfo

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
    """An event to be emitted with others, as `emit_batch` takes it.

    `attributes` are those of the runs that it starts.
    """

    name: str
    data: Any = None
    idempotency_key: str = ""
    metadata: Mapping[str, str] | None = None
    version: int = 1
    source: str = ""
    attributes: Attributes | None = None


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What became of an event that was emitted.

    `duplicate`: its idempotency key was used before, and this is the first receipt.
    """

    event_id: str
    run_ids: tuple[str, ...]
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a run, however it was asked for.

    `error` has `type`, `message`, `code` of a failure, or of why the run is paused or
    cannot go on. An `output` that does not fit the function any more is plain data. In
    `attributes` times are texts.
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
    attributes: Mapping[str, str | int | float | bool]

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


@final
@dataclass(frozen=True, slots=True)
class Run(RunFacts):
    """A run as it stood when it was asked for; a value, not a live view.

    `error` has `type`, `message`, `code` of a failure, or of why the run is paused or
    cannot go on. An `output` that does not fit the function any more is plain data.
    """

    _follow: Callable[[str, Duration | None], Awaitable["Run"]] = field(
        repr=False, compare=False
    )

    async def result(self, timeout: Duration | None = None) -> "Run":
        """Return the run when it has ended or is paused; follows continue_as_new.

        Never raises for a failed run. After `timeout` (seconds, or "5m") it returns
        the run as it then is.
        """
        return await self._follow(self.id, timeout)


@final
@dataclass(frozen=True, slots=True)
class SyncRun(RunFacts):
    """A `Run` whose `result` blocks: what `ironflow.Client` gives."""

    _follow: Callable[[str, Duration | None], "SyncRun"] = field(
        repr=False, compare=False
    )

    def result(self, timeout: Duration | None = None) -> "SyncRun":
        """Return the run when it has ended or is paused; follows continue_as_new.

        Never raises for a failed run. After `timeout` (seconds, or "5m") it returns
        the run as it then is.
        """
        return self._follow(self.id, timeout)


def moment(time_us: int) -> datetime:
    """Return a time in microseconds as an aware datetime."""
    return _EPOCH + timedelta(microseconds=time_us)
