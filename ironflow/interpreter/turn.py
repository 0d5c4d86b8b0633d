"""What the interpreter asks of its host after it has seen records.

A turn is complete: `asks` are the records that must follow what was fed, in the
same commit; everything else may begin only when that commit is durable. These are
Structs because one of each is made for every step: a frozen dataclass costs six times
as much.
"""

from collections.abc import Callable
from typing import Any, Literal, final

import msgspec

from ironflow.policy.retry import Retry
from ironflow.records import NO_PAYLOAD, Draft, Payload


class PerformStep(msgspec.Struct, frozen=True):
    """Make attempt `attempt` of a step, not before `not_before`.

    `started` is the sequence of its StepStarted record, 0 where there is none: a
    host that did not write that record itself must not perform the step but
    record it as in doubt. `at_most_once` without it: a later attempt, whose start is
    to be recorded (`outcomes.started`) when its time has come; then it is asked
    again. `in_doubt`: an attempt before this one was stopped from
    outside; `last_error` is what it was recorded with. Times are microseconds, 0
    for none.
    """

    id: str
    name: str
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    attempt: int
    retry: Retry
    timeout_us: int
    not_before: int
    asked_at: int
    source: str
    started: int = 0
    at_most_once: bool = False
    in_doubt: bool = False
    last_error: Payload = NO_PAYLOAD


class StopStep(msgspec.Struct, frozen=True):
    """The step's scope is cancelled: settle it.

    `interrupt`: cancel a running attempt (it is then in doubt, unless it ends by
    itself). Otherwise let it end. In both cases no further attempt is made; one
    that is waiting for its next attempt settles at once, by its last error.
    """

    id: str
    interrupt: bool


class StopChild(msgspec.Struct, frozen=True):
    """Ask a child run to cancel. Asking twice does no harm."""

    id: str
    child_run: str
    reason: str


class LogLine(msgspec.Struct, frozen=True):
    """A line that function code logged; `level` as in the logging module.

    `record` is the sequence of the record that made the code run.
    """

    record: int
    level: int
    message: str
    args: tuple[Any, ...]
    error: BaseException | None


TurnState = Literal["working", "waiting", "ended", "broken"]


@final
class Turn(msgspec.Struct, frozen=True):
    """What to do next.

    `state`: `working` the host has steps to perform or settle; `waiting` only
    timers, events or children can wake the run; `ended` its last record was fed;
    `broken` function code has a bug or disagrees with its history (`bug`), and
    asks for nothing any more.
    """

    state: TurnState
    asks: tuple[Draft, ...] = ()
    perform: tuple[PerformStep, ...] = ()
    stops: tuple[StopStep | StopChild, ...] = ()
    abandoned: tuple[str, ...] = ()
    logs: tuple[LogLine, ...] = ()
    bug: Exception | None = None

    @property
    def is_plain(self) -> bool:
        """Say whether it asks the host for steps at most, and has no bug."""
        return not (self.stops or self.abandoned or self.logs or self.bug)
