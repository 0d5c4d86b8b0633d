"""What can have happened in a run: one frozen class per fact.

A record is the *header* of a fact. Its payload (a result, an event, an error)
is a value of its own, so that it can be moved, redacted or encrypted without
touching the chain: the header holds the payload's digest. Headers hold no run
id: fork, bundles and continue_as_new keep them as they are.

Times are microseconds since the epoch; 0 means "none". Three families:
outcomes settle an operation, commands say what function code asked for,
amendments change how the history before them is read.
"""

from typing import Final, get_args

import msgspec

FORMAT: Final = 1
REDACTED_FORMAT: Final = 2  # of a record whose payload was taken away
FORMAT_ATTRIBUTES: Final = 3  # of records that an ironflow without attributes knows not
RULES: Final = "records-1"

Payload = bytes | msgspec.Raw

NO_PAYLOAD: Final = b""
NO_CODEC: Final = 0  # there is no payload
MSGPACK_CODEC: Final = 1


class Header(msgspec.Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """What every record has.

    `id` is the operation's id (a step id), empty where the fact is about the
    whole run. `sequence` counts from 1; it is 0 in a draft. `source` is
    `file:line` of the call in function code.
    """

    sequence: int = 0
    recorded_at: int = 0
    asked_at: int = 0
    id: str = ""
    attempt: int = 0
    source: str = ""
    input_digest: bytes = b""
    payload_digest: bytes = b""
    codec: int = NO_CODEC
    key_id: str = ""


# --- commands: what function code asked for ---------------------------------


class RunStarted(Header, frozen=True, kw_only=True, tag=1):
    """The run exists. Payload: the event that started it.

    `attributes` are those with which it starts, as `policy.attributes` encodes them.
    """

    function_id: str
    event_id: str
    rules: str = RULES
    version: str = ""
    patches: tuple[str, ...] = ()
    actor: str = ""
    parent_run: str = ""
    parent_step: str = ""
    continued_from: str = ""
    attributes: bytes = b""


class SleepStarted(Header, frozen=True, kw_only=True, tag=2):
    """A sleep until `until` was asked."""

    until: int


class WaitStarted(Header, frozen=True, kw_only=True, tag=3):
    """A wait for an event was asked. `match_key` stands for the value sought.

    `look_back`: events stored since the run's trigger count; otherwise only
    those stored after this record.
    """

    event: str
    path: str = ""
    match_key: bytes = b""
    timeout_at: int = 0
    look_back: bool = True


class ChildStarted(Header, frozen=True, kw_only=True, tag=4):
    """A child run was asked. Payload: its input."""

    function_id: str
    child_run: str
    attached: bool = True
    awaited: bool = True
    timeout_at: int = 0


class Published(Header, frozen=True, kw_only=True, tag=5):
    """A message was published. Payload: its data."""

    topic: str
    event_id: str


class UndoStarted(Header, frozen=True, kw_only=True, tag=6):
    """Undo began: of the run (`id` empty) or of the saga with this id."""

    reason: str = ""


class CodeChanged(Header, frozen=True, kw_only=True, tag=7):
    """From here on the run is carried out by this version of the code."""

    version: str
    patches: tuple[str, ...] = ()
    actor: str = ""


class RunContinued(Header, frozen=True, kw_only=True, tag=8):
    """The run ended by continue_as_new. Payload: the new run's data."""

    new_run: str


class RunEnded(Header, frozen=True, kw_only=True, tag=9):
    """The run ended. Payload: its output, or the error.

    `broken`: its code was, and did not ask for this; nothing was undone.
    """

    status: str
    broken: bool = False


class StepStarted(Header, frozen=True, kw_only=True, tag=10):
    """An attempt of a step with `once="at_most"` is about to be made."""


class AttributesSet(Header, frozen=True, kw_only=True, tag=11):
    """The run's attributes change. Payload: values by name; nil removes one."""


# --- outcomes: what settles an operation --------------------------------------


class StepCompleted(Header, frozen=True, kw_only=True, tag=20):
    """A step's result. Payload: the value. `reused` names the record it is from."""

    reused: int = 0


class StepFailed(Header, frozen=True, kw_only=True, tag=21):
    """An attempt failed. Payload: the error.

    `final`: no attempt follows; otherwise the next is due at `retry_at`.
    `in_doubt`: the attempt was stopped from outside, its effect may have
    happened.
    """

    final: bool
    retry_at: int = 0
    in_doubt: bool = False


class StepInDoubt(Header, frozen=True, kw_only=True, tag=22):
    """The step will not be attempted again and nobody knows what it did."""


class SleepFired(Header, frozen=True, kw_only=True, tag=23):
    """A sleep is over."""


class EventReceived(Header, frozen=True, kw_only=True, tag=24):
    """A wait got its event. Payload: the event."""

    event_id: str


class WaitTimedOut(Header, frozen=True, kw_only=True, tag=25):
    """A wait got no event in time."""


class ChildEnded(Header, frozen=True, kw_only=True, tag=26):
    """A child run ended. Payload: its output, or the error."""

    child_run: str
    status: str


class CancelRequested(Header, frozen=True, kw_only=True, tag=27):
    """Somebody asked to cancel the run."""

    actor: str = ""
    reason: str = ""


class DeadlinePassed(Header, frozen=True, kw_only=True, tag=28):
    """A deadline passed: of the run (`id` empty) or of an invoke.

    `timer` says which: `run` or `start` of a run, or `invoke`.
    """

    timer: str = "run"


# --- amendments: how the history before them is read --------------------------


class Rewound(Header, frozen=True, kw_only=True, tag=40):
    """The run goes on from after record `to`. Payload: {step id: result}.

    `id` is the step that it is resumed from, if it was given so. Results behind `to` are
    used again for a step with the same input, unless it goes on `afresh`. `forced`: also
    where a step that is called at most once is begun again.
    """

    to: int
    actor: str = ""
    reason: str = ""
    afresh: bool = False
    forced: bool = False


class StepPatched(Header, frozen=True, kw_only=True, tag=41):
    """The result of step `id` is replaced. Payload: the new value."""

    actor: str = ""
    reason: str = ""


class RunRetried(Header, frozen=True, kw_only=True, tag=42):
    """A run that failed before any undo goes on; `attempt` is its new attempt."""

    actor: str = ""
    reason: str = ""


Command = (
    RunStarted
    | SleepStarted
    | WaitStarted
    | ChildStarted
    | Published
    | UndoStarted
    | CodeChanged
    | RunContinued
    | RunEnded
    | StepStarted
    | AttributesSet
)
Outcome = (
    StepCompleted
    | StepFailed
    | StepInDoubt
    | SleepFired
    | EventReceived
    | WaitTimedOut
    | ChildEnded
    | CancelRequested
    | DeadlinePassed
)
Amendment = Rewound | StepPatched | RunRetried
Record = Command | Outcome | Amendment

COMMANDS: Final[frozenset[type[Record]]] = frozenset(get_args(Command))
AMENDMENTS: Final[frozenset[type[Record]]] = frozenset(get_args(Amendment))

COMPLETED: Final = "completed"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
CONTINUED: Final = "continued"


def ends_run(record: Record) -> bool:
    """Say whether a run ends by this, whatever its code makes of it."""
    late = isinstance(record, DeadlinePassed) and not record.id
    return late or isinstance(record, CancelRequested)


class Redaction(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """That a payload was taken away for ever: when (microseconds), by whom and why.

    `check` is a digest of this and of what stands in the payload's place: without the
    fact, nothing passes for a redaction.
    """

    at: int
    actor: str = ""
    reason: str = ""
    check: bytes = b""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record in its place: header, payload and the digest of the chain so far.

    The fields stand in the order in which `codec` stores them. With a `redaction` the
    payload is what stands in the place of the one that the header names.
    """

    format: int
    record: Record
    digest: bytes
    payload: Payload = NO_PAYLOAD
    redaction: Redaction | None = None


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A record that has no place yet: `sequence`, `recorded_at` and digests are 0."""

    record: Record
    payload: Payload = NO_PAYLOAD


# --- what payloads hold -------------------------------------------------------


class ErrorInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """An exception as it is recorded; the same live and on replay.

    `type` is the qualified name of the class, `causes` the chain of
    `__cause__`, nearest first.
    """

    type: str
    message: str
    code: str = "ERROR"
    retryable: bool = True
    traceback: str = ""
    details: dict[str, str | int] = {}
    causes: tuple["ErrorInfo", ...] = ()


class EventData(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event as it is stored: `data` is MessagePack, `timestamp` microseconds."""

    id: str
    name: str
    data: msgspec.Raw
    version: int = 1
    timestamp: int = 0
    metadata: dict[str, str] = {}
    idempotency_key: str = ""
    source: str = ""
