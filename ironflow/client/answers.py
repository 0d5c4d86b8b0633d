"""What a server's answers become: values with times, read leniently.

A field that an older server does not send has its default, one that a newer server adds is
passed over. What the server sends is in `wire/answers.py`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ironflow.handles import Status
from ironflow.records import ErrorInfo
from ironflow.wire.functions import ConcurrencyConfig, RetryConfig, TriggerConfig

_UNKNOWN: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What every document of a server is read as."""


class Nothing(Answer, frozen=True, kw_only=True):
    """An answer of which nothing is read."""


class Refusal(Answer, frozen=True, kw_only=True):
    """Why a request was not met; `reason` is the code of an error of ironflow."""

    error: str = ""
    code: str = ""
    message: str = ""
    retryable: bool = False
    reason: str = ""


# --- runs -----------------------------------------------------------------------------


class RunAnswer(Answer, frozen=True, kw_only=True):
    """A run, as `Run` and `SyncRun` are made of it."""

    id: str
    function_id: str
    status: Status
    output: Any = None
    error: ErrorInfo | None = None
    attempt: int = 1
    started_at: datetime | None = None
    ended_at: datetime | None = None
    continued_from: str | None = None
    continued_to: str | None = None
    attributes: dict[str, str | int | float | bool] = {}

    def facts(self) -> dict[str, Any]:
        """Return what a `RunFacts` has."""
        return {
            "id": self.id,
            "function_id": self.function_id,
            "status": self.status,
            "output": self.output,
            "error": self.error,
            "attempt": self.attempt,
            "started_at": self.started_at or _UNKNOWN,
            "ended_at": self.ended_at,
            "continued_from": self.continued_from or "",
            "continued_to": self.continued_to or "",
            "attributes": self.attributes,
        }


class RunsAnswer(Answer, frozen=True, kw_only=True):
    """A page of runs; `next_cursor` is empty on the last one."""

    runs: Sequence[RunAnswer]
    next_cursor: str = ""


class StepAttempt(Answer, frozen=True, kw_only=True):
    """An attempt of a step; `ended_at` is None while it is open."""

    number: int
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: ErrorInfo | None = None
    in_doubt: bool = False


class Step(Answer, frozen=True, kw_only=True):
    """A step, sleep, wait, child or message of a run, as it stands.

    `kind` is `step`, `sleep`, `wait`, `invoke`, `publish`, `attributes` or `undo`. `value` is what it
    returned. What its kind does not have is empty or None.
    """

    id: str
    kind: str
    name: str
    state: str
    asked_at: datetime | None = None
    settled_at: datetime | None = None
    source: str = ""
    value: Any = None
    error: ErrorInfo | None = None
    retry_at: datetime | None = None
    until: datetime | None = None
    timeout_at: datetime | None = None
    event: str = ""
    event_id: str = ""
    match: str = ""
    function_id: str = ""
    child_run: str = ""
    input: Any = None
    attempts: Sequence[StepAttempt] = ()


class Redacted(Answer, frozen=True, kw_only=True):
    """How many payloads went, and of which runs any went.

    `event_ids` are events in the log that still have data which these runs got or gave:
    redact them, too, if that shall go.
    """

    payloads: int
    run_ids: Sequence[str] = ()
    event_ids: Sequence[str] = ()


class StepsAnswer(Answer, frozen=True, kw_only=True):
    """What a run has done and waits for."""

    steps: Sequence[Step]


class RecordAnswer(Answer, frozen=True, kw_only=True):
    """A record as it is stored: MessagePack, in JSON as base64."""

    record: bytes


class RecordsAnswer(Answer, frozen=True, kw_only=True):
    """A page of a history."""

    records: Sequence[RecordAnswer]
    has_next: bool = False


class RunCount(Answer, frozen=True, kw_only=True):
    """How many runs of a function stand so."""

    function_id: str
    status: str
    runs: int


class CountsAnswer(Answer, frozen=True, kw_only=True):
    """How many runs there are of each function and status."""

    counts: Sequence[RunCount]


# --- events ---------------------------------------------------------------------------


class EmittedAnswer(Answer, frozen=True, kw_only=True):
    """What became of an event; `runs` if they were waited for."""

    event_id: str
    run_ids: tuple[str, ...] = ()
    duplicate: bool = False
    runs: Sequence[RunAnswer] = ()


class BatchAnswer(Answer, frozen=True, kw_only=True):
    """What became of each event of a batch, in order."""

    events: Sequence[EmittedAnswer]


class StoredEvent(Answer, frozen=True, kw_only=True):
    """An event as a server has it stored. `position` is its place in the log."""

    id: str
    name: str
    data: Any = None
    version: int = 1
    source: str = ""
    timestamp: datetime | None = None
    position: int = 0
    run_ids: tuple[str, ...] = ()
    metadata: dict[str, str] = {}
    idempotency_key: str = ""


class EventsAnswer(Answer, frozen=True, kw_only=True):
    """A page of events."""

    events: Sequence[StoredEvent]


class EventName(Answer, frozen=True, kw_only=True):
    """A name, how many of the newest events have it, and when the first and last came."""

    name: str
    count: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None


class EventNamesAnswer(Answer, frozen=True, kw_only=True):
    """The names of the newest events."""

    names: Sequence[EventName]


# --- functions and the server ---------------------------------------------------------


class FunctionInfo(Answer, frozen=True, kw_only=True):
    """A function of a server's registry.

    `host` says where its code is: `local` (the server), `pull` (workers) or `push`
    (`endpoint_url`). `version` names its code. `inactive` names options that the server
    keeps and that change nothing.
    """

    id: str
    name: str = ""
    description: str = ""
    status: str = "active"
    host: str = ""
    version: str = ""
    revision: int = 1
    rules: str = ""
    triggers: tuple[TriggerConfig, ...] = ()
    concurrency: ConcurrencyConfig = ConcurrencyConfig()
    endpoint_url: str = ""
    retry: RetryConfig | None = None
    timeout_ms: int = 0
    patches: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    inactive: tuple[str, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None


class FunctionsAnswer(Answer, frozen=True, kw_only=True):
    """All functions."""

    functions: Sequence[FunctionInfo]


class FunctionVersion(Answer, frozen=True, kw_only=True):
    """A function as it was made at one time, by whom and why.

    `change` is `update`, `status_change`, `rollback` or `delete`. `actor` is the key of who
    did it, as `apikey:<id>`, or empty.
    """

    version: int
    change: str
    reason: str = ""
    actor: str = ""
    at: datetime | None = None
    function: FunctionInfo


class FunctionVersionsAnswer(Answer, frozen=True, kw_only=True):
    """The versions of a function that are kept, newest first."""

    versions: Sequence[FunctionVersion]


class WorkerInfo(Answer, frozen=True, kw_only=True):
    """A worker that is connected to a server, or was heard of lately."""

    id: str
    hostname: str = ""
    transport: str = ""
    function_ids: tuple[str, ...] = ()
    active_jobs: int = 0
    max_concurrent: int = 0
    labels: dict[str, str] = {}
    registered_at: datetime | None = None
    last_heartbeat: datetime | None = None


class WorkersAnswer(Answer, frozen=True, kw_only=True):
    """The workers of a server."""

    workers: Sequence[WorkerInfo]


class EndpointFunctions(Answer, frozen=True, kw_only=True):
    """The ids of the functions that an endpoint has."""

    url: str
    functions: Sequence[str]


class Health(Answer, frozen=True, kw_only=True):
    """A server answers: its version, and its time."""

    status: str
    version: str = ""
    timestamp: datetime | None = None


class Readiness(Answer, frozen=True, kw_only=True):
    """Whether a server takes work; `issues` say why not."""

    status: str
    issues: tuple[str, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether it takes work."""
        return self.status == "ready"


class ServerCapabilities(Answer, frozen=True, kw_only=True):
    """What a client may expect of a server."""

    transports: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    version: str = ""
    auth_required: bool = False
