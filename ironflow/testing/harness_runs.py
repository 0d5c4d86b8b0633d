"""Runs as the tests of users see them: how they stand, what they recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

from ironflow import values
from ironflow.authoring.app import App
from ironflow.engine.engine import Engine
from ironflow.engine.handles import Run, moment
from ironflow.errors import ConfigurationError, NoRunCreated, RunNotFound
from ironflow.interpreter import states
from ironflow.interpreter.fold import OperationState, RunState, fold
from ironflow.journal.base import RunSummary
from ironflow.journal.memory import MemoryJournal
from ironflow.limits import HISTORY_RECORDS_MAX
from ironflow.records import Entry, ErrorInfo

_OPEN = frozenset({"queued", "running", "waiting"})
_PENDING = frozenset(
    {
        states.STARTED,
        states.BACKING_OFF,
        states.HELD,
        states.SLEEPING,
        states.WAITING,
        states.RUNNING,
        states.STOPPING,
    }
)


class RunNotEnded(AssertionError):
    """The result of a run was asked for that waits for a time or an event."""


class RunsOf(Protocol):
    """What a run needs of its harness."""

    journal: MemoryJournal

    @property
    def engine(self) -> Engine:
        """The engine."""
        ...

    async def settle(self) -> None:
        """Wait until nothing more can happen by itself."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Step:
    """A step that a run has recorded, be it a failed attempt.

    `status` is `backing_off` (to be tried again), `held`, `started`, `completed`,
    `failed` or `in_doubt`. `attempts` counts those that were recorded; `error` is of
    the last one that failed.
    """

    id: str
    name: str
    status: str
    attempts: int
    output: Any
    error: ErrorInfo | None


@final
class HarnessRun:
    """A run of a harness. It is a live view; `result()` gives a value to keep."""

    def __init__(self, harness: RunsOf, run_ids: tuple[str, ...], nothing: str) -> None:
        self._harness = harness
        self._run_ids = run_ids
        self._nothing = nothing

    def __repr__(self) -> str:
        """Show the run, or that there is none."""
        return f"<HarnessRun {', '.join(self._run_ids) or 'none'}>"

    @property
    def id(self) -> str:
        """The id of the run.

        Raises:
            NoRunCreated: the event started none; the message says what would.
            ConfigurationError: it started several.
        """
        match self._run_ids:
            case (run_id,):
                return run_id
            case ():
                raise NoRunCreated(self._nothing, event_id="")
            case several:
                raise ConfigurationError(
                    f"the event started {len(several)} runs; use harness.emit_all(...)"
                    " or harness.runs(function_id)"
                )

    @property
    def function_id(self) -> str:
        """The id of its function."""
        return self._summary().row.function_id

    @property
    def status(self) -> str:
        """How it stands now: `waiting`, `completed` or another word of `Run.status`."""
        return self._summary().status

    async def result(self) -> Run:
        """Settle, and return the run as it ended or paused; follows continue_as_new.

        Never raises for a failed run; `.unwrap()` of what it returns does.

        Raises:
            RunNotEnded: it waits; the message says for what and until when.
            Exception: the bug that has paused a run.
        """
        await self._harness.settle()
        run = await self._harness.engine.result(self.id, timeout=0)
        if run.status in _OPEN:
            raise RunNotEnded(
                f"run {run.id} of {run.function_id!r} has not ended; it waits for"
                f" {_shown_waits(_state(self._harness, run.id))}"
            )
        return run

    async def cancel(self, reason: str = "") -> None:
        """Cancel the run and settle.

        Raises:
            Exception: the bug that has paused a run.
        """
        await self._harness.engine.cancel(self.id, reason=reason)
        await self._harness.settle()

    def records(self) -> Sequence[Entry]:
        """Return what its history holds now: `.record` and `.payload` of each."""
        return self._harness.journal.history_now(self.id, limit=HISTORY_RECORDS_MAX)

    def steps(self) -> list[Step]:
        """Return the steps that it has recorded, undos too, in the order of records."""
        return [
            _step(operation)
            for operation in _state(self._harness, self.id).operations
            if operation.kind in {"step", "undo"}
        ]

    def step(self, name: str) -> Step:
        """Return the one step of this name, or with this id.

        Raises:
            AssertionError: it has recorded none or several; the message lists all.
        """
        steps = self.steps()
        found = [step for step in steps if name in {step.name, step.id}]
        if len(found) != 1:
            known = ", ".join(step.id for step in steps) or "none"
            raise AssertionError(
                f"run {self.id} has recorded {len(found)} steps {name!r}; its steps:"
                f" {known}"
            )
        return found[0]

    def waits_for(self) -> str:
        """Return in words what it waits for, empty if it does not wait."""
        if self.status not in _OPEN:
            return ""
        return _shown_waits(_state(self._harness, self.id))

    def _summary(self) -> RunSummary:
        summary = self._harness.journal.run_now(self.id)
        if summary is None:
            raise RunNotFound(f"there is no run {self.id} in this harness")
        return summary


def nothing_started(app: App, event: str) -> str:
    """Return the sentence for an event that started no run."""
    known = ", ".join(
        f"{function_id} by {' or '.join(triggers)}" if triggers else function_id
        for function_id, triggers in sorted(app.triggers.items())
    )
    return f"the event {event!r} started no run; the app starts: {known or 'nothing'}"


def _state(harness: RunsOf, run_id: str) -> RunState:
    return fold(harness.journal.history_now(run_id, limit=HISTORY_RECORDS_MAX))


def _step(operation: OperationState) -> Step:
    failed = [attempt.error for attempt in operation.attempts if attempt.error]
    return Step(
        id=operation.id,
        name=("compensate:" if operation.kind == "undo" else "") + operation.name,
        status=operation.state,
        attempts=len(operation.attempts),
        output=values.decode(operation.payload) if operation.payload else None,
        error=failed[-1] if failed else None,
    )


def _shown_waits(state: RunState) -> str:
    waits = [
        _shown_wait(operation)
        for operation in state.operations
        if operation.state in _PENDING
    ]
    return "; ".join(waits) or "its first record"


def _shown_wait(operation: OperationState) -> str:
    until = operation.until or operation.timeout_at or operation.retry_at
    subject = {
        "sleep": f"sleep {operation.name!r}",
        "wait": f"event {operation.event!r} in {operation.name!r}",
        "invoke": f"run {operation.child_run} of {operation.function_id!r}",
    }.get(operation.kind, f"another attempt of step {operation.name!r}")
    return (
        f"{subject} until {moment(until):%Y-%m-%d %H:%M:%S} UTC" if until else subject
    )
