"""The JSON documents of the API: runs, operations, events, functions, workers.

What is here is what is sent. Times are RFC 3339 in UTC, with a Z. A field that is `UNSET`
is left out; one that may be `None` is there, so that a program need not ask.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from ironflow.records import ErrorInfo
from ironflow.wire.functions import ConcurrencyConfig, RetryConfig, TriggerConfig

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US: Final = 253_402_300_799_999_999  # the end of the year 9999


def moment(time_us: int) -> str | None:
    """Return a time in microseconds as RFC 3339 text; None for 0."""
    if not time_us:
        return None
    at = _EPOCH + timedelta(microseconds=min(max(time_us, 0), _LAST_US))
    return at.isoformat().replace("+00:00", "Z")


class FailureDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not met, in both forms that clients read.

    `reason` is the code of the error in ironflow, where it may be told.
    """

    error: str
    code: str
    message: str
    retryable: bool
    reason: str | UnsetType = UNSET


# --- runs -----------------------------------------------------------------------------


class PauseDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run is paused, since when, and under which version of its code.

    `actor` is who asked for it, empty for nobody in particular.
    """

    reason: str
    message: str
    version: str
    paused_at: str | None
    actor: str = ""


class LostDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The worker that a run was taken from, because it was lost.

    `by` is who carries the run on now, if somebody does; `went_on`: somebody has.
    """

    worker: str
    why: str
    at: str | None
    by: str | None
    went_on: bool


class CircuitDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an endpoint is called: `state` is `closed`, `open` or `half_open`.

    A published function has a circuit of its own, whose key is its id; an endpoint of ours
    has one, whose key is its URL. While it is open no call is made until `open_until`;
    then it is half open, and one call finds out. `consecutive_fails` are those in a row.
    """

    key: str
    endpoint: str
    function_id: str
    environment_id: str
    state: str
    consecutive_fails: int
    last_failure: str | UnsetType = UNSET
    last_error: str | UnsetType = UNSET
    open_until: str | UnsetType = UNSET


class RunDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A run as lists have it. `records` is the length of its history.

    `pause_requested` is a pause that it is asked for, and that comes when the steps that
    run have ended; resuming the run takes it back.
    `carried_by` is who is at it now, and `circuit` that of its endpoint if that is left
    alone; a server says so of a run that is asked for alone.
    In `attributes` a time is text, in UTC.
    """

    id: str
    function_id: str
    status: str
    attempt: int
    records: int
    event_id: str
    event_name: str
    created_at: str | None
    started_at: str | None
    ended_at: str | None
    parent_run: str | None
    continued_from: str | None
    continued_to: str | None
    pause: PauseDocument | None
    pause_requested: PauseDocument | UnsetType = UNSET
    attributes: dict[str, str | int | float | bool] = {}
    lost: LostDocument | UnsetType = UNSET
    carried_by: str | UnsetType = UNSET
    circuit: CircuitDocument | UnsetType = UNSET


class RunEventDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The event that started a run."""

    id: str
    name: str
    data: Any


class RunDetailsDocument(RunDocument, frozen=True, kw_only=True):
    """A run with what it was given and what came of it."""

    event: RunEventDocument | None
    output: Any
    error: ErrorInfo | None


class RunListDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A page of runs, newest first; `next_cursor` is there if more may follow."""

    runs: list[RunDocument]
    count: int
    has_next: bool
    next_cursor: str | UnsetType = UNSET


class AttemptDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt of a step."""

    number: int
    started_at: str | None
    ended_at: str | None
    error: ErrorInfo | None
    in_doubt: bool


class PatchDocument(msgspec.Struct, frozen=True, kw_only=True):
    """That a result was replaced by hand; `original` is what it was before."""

    at: str | None
    actor: str
    reason: str
    original: Any


class OperationDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A step, sleep, wait, child or message of a run.

    What its kind does not have is left out.
    """

    id: str
    kind: str
    name: str
    state: str
    asked_at: str | None
    settled_at: str | None
    source: str | UnsetType = UNSET
    value: Any
    error: ErrorInfo | UnsetType = UNSET
    retry_at: str | UnsetType = UNSET
    until: str | UnsetType = UNSET
    timeout_at: str | UnsetType = UNSET
    event: str | UnsetType = UNSET
    event_id: str | UnsetType = UNSET
    match: str | UnsetType = UNSET
    function_id: str | UnsetType = UNSET
    child_run: str | UnsetType = UNSET
    input: Any = UNSET
    attempts: list[AttemptDocument] | UnsetType = UNSET
    patched: PatchDocument | UnsetType = UNSET


class PatchedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a step was replaced: `status` says how its run stands."""

    run_id: str
    step_id: str
    status: str


class RedactedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """How many payloads went, and of which runs any went.

    `event_ids` are events in the log that still have data which these runs got or gave.
    """

    payloads: int
    run_ids: list[str]
    event_ids: list[str]


class RunStepsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has done and waits for, in the order in which it was asked."""

    steps: list[OperationDocument]


class RunStreamsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The entities to which a run has appended events; this server has none."""

    entity_ids: list[str]


class RecordDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A record: `record` is what is stored, MessagePack as base64, with its payload."""

    sequence: int
    kind: str
    record: bytes


class RecordListDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Records of a run, in order; `has_next`: there are more after the last of them."""

    run_id: str
    records: list[RecordDocument]
    has_next: bool


class RunCountDocument(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs of a function stand so."""

    function_id: str
    status: str
    runs: int


class RunCountsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs there are of each function and status."""

    counts: list[RunCountDocument]
    total: int


# --- events ---------------------------------------------------------------------------


class EmittedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an event: its id (twice, as clients read either) and its runs.

    `duplicate`: its idempotency key was used before. `runs` is there if the request
    waited for them; those that have not ended go on.
    """

    event_id: str
    id: str
    run_ids: list[str]
    duplicate: bool
    runs: list[RunDetailsDocument] | UnsetType = UNSET


class EmittedBatchDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each event of a batch, in order."""

    events: list[EmittedDocument]


class InvokedDocument(EmittedDocument, frozen=True, kw_only=True):
    """What became of an invocation: its run, beside what an event gives."""

    run_id: str


class EventDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it is stored. `position` is its place in the log."""

    id: str
    name: str
    data: Any
    version: int
    source: str
    timestamp: str | None
    created_at: str | None
    processed: bool
    position: int
    run_ids: list[str]
    metadata: dict[str, str]
    idempotency_key: str | UnsetType = UNSET


class EventListDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A page of events, newest first.

    `next_cursor` leads to older ones (as `cursor`), `prev_cursor` to newer (as `before`).
    """

    events: list[EventDocument]
    count: int
    limit: int
    has_next: bool
    has_prev: bool
    next_cursor: str | UnsetType = UNSET
    prev_cursor: str | UnsetType = UNSET


class EventNameDocument(msgspec.Struct, frozen=True, kw_only=True):
    """How many events of a name were counted, and when the first and last were made."""

    name: str
    count: int
    first_at: str | None
    last_at: str | None


class EventNamesDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The names of events, in order, among the newest `scanned`, at most `scan_cap`.

    `truncated`: there are older events that were not looked at.
    """

    names: list[EventNameDocument]
    scanned: int
    scan_cap: int
    truncated: bool


class EventLogDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Events in the order in which they were stored; `after`: where the next begin."""

    events: list[EventDocument]
    count: int
    after: int | None


# --- functions ------------------------------------------------------------------------


class FunctionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A function as the registry has it.

    `host` says where its code is: `local` (the server), `pull` (workers) or `push` (the
    endpoint). `version` names its code. Durations end in `_ms`, 0 for none. `inactive`
    names options that are kept and change nothing here.
    """

    id: str
    name: str
    description: str
    status: str
    host: str
    version: str
    revision: int
    rules: str
    triggers: list[TriggerConfig]
    concurrency: ConcurrencyConfig
    endpoint_url: str
    retry: RetryConfig | None
    timeout_ms: int
    patches: list[str]
    metadata: dict[str, Any]
    inactive: list[str]
    created_at: str | None
    updated_at: str | None
    circuit: CircuitDocument | UnsetType = UNSET


class FunctionListDocument(msgspec.Struct, frozen=True, kw_only=True):
    """All functions, by id."""

    functions: list[FunctionDocument]
    count: int


class FunctionVersionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A function as it was made at one time, by whom and why.

    `change` is `update`, `status_change`, `rollback` or `delete`. `function` is what it was
    then; it may live elsewhere since.
    """

    version: int
    change: str
    reason: str
    actor: str
    at: str | None
    function: FunctionDocument


class FunctionVersionsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The versions of a function that are kept, newest first."""

    versions: list[FunctionVersionDocument]
    count: int


# --- the server -----------------------------------------------------------------------


class WorkerVersionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says it is."""

    runtime: str
    sdk: str


class WorkerDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that is connected, or was heard of lately."""

    id: str
    hostname: str
    transport: str
    function_ids: list[str]
    active_jobs: int
    max_concurrent: int
    labels: dict[str, str]
    registered_at: str | None
    last_heartbeat: str | None
    version: WorkerVersionDocument


class WorkerListDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The workers of this server."""

    workers: list[WorkerDocument]
    count: int


class HealthDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The server answers."""

    status: str
    version: str
    timestamp: str | None


class ReadyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the server takes work; `issues` say why not."""

    status: str
    issues: list[str] | UnsetType = UNSET


class CapabilitiesDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may expect of the server."""

    transports: list[str]
    features: list[str]
    version: str
    auth_required: bool
