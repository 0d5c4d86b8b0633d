"""The exception tree: whose fault, may it be tried again, what to change.

    IronflowError
    |-- ConfigurationError          an option, argument, name or duration is wrong
    |-- ValueRejected               a value cannot be stored, or changes by being stored
    |-- RunFailure                  uncaught in a function: the run fails and undoes
    |   |-- StepError               a step used up its attempts
    |   |   `-- StepInDoubt         nobody knows whether the step's effect happened
    |   |-- NonRetryableError       raised by users: do not try again
    |   |   |-- MatchPathMissing    a wait's path is not in the run's own event
    |   |   |-- PayloadRejected     the event does not fit the function's type
    |   |   |-- HistoryLimitExceeded
    |   |   `-- RunTimedOut         run_timeout or start_timeout passed
    |   |-- WaitTimedOut            no event came in time
    |   `-- InvokeError             a child run failed, was cancelled or timed out
    |-- RetryAfterError             raised by steps: try again after this long
    |-- CodeError                   a bug in function code: the run is paused, nothing undone
    |   |-- NondeterminismError     code and history disagree
    |   |-- ForeignAwaitError       something that is not ours was awaited
    |   |-- UndeclaredPatch         ctx.patched() of an id the function does not declare
    |   `-- MisusedOperation        an operation where it cannot stand
    |-- EngineError
    |   |-- RunNotFound
    |   |-- EventNotFound
    |   |-- FunctionNotFound        nobody has registered a function of this id
    |   |-- RunExists               a run that was to be imported is there
    |   |-- RunUnsuccessful         `.unwrap()` of a run that did not complete
    |   |-- NoRunCreated            emit_sync of an event that no function takes
    |   |-- EventConflict           an idempotency key used again inside one batch
    |   |-- EngineClosed
    |   |-- ServerError             a server refused a request, or failed at it
    |   `-- ServerUnavailable       no server answers, or not now
    |-- ProtocolError               a server or worker sent what the protocol does not allow
    `-- JournalError
        |-- Conflict                somebody else appended first
        |-- RevisionConflict        somebody else changed the document first
        |-- LeaseLost               the epoch of this holder has ended
        |-- JournalOwned            another process owns the data directory
        |-- JournalForeign          these files are not an ironflow journal
        |-- JournalNewer            written by a newer ironflow
        |-- JournalOlder            written by an older ironflow, and not yet brought up
        |-- JournalDamaged          bytes or order are not what was written
        |-- JournalFull             the map is full (a full disk: JournalFailed)
        `-- JournalFailed           a commit failed: the engine must stop

`Cancelled` stands beside the tree: it is a `BaseException`, so that
`except Exception` in function code does not swallow a cancel (as in Trio).
"""

from typing import ClassVar, final


class IronflowError(Exception):
    """Everything that ironflow raises on purpose."""

    code: ClassVar[str] = "ERROR"
    retryable: ClassVar[bool] = False


@final
class ConfigurationError(IronflowError):
    """An option, argument, name or duration is wrong; the message says which."""

    code = "NOT_CONFIGURED"


@final
class ValueRejected(IronflowError):
    """A value cannot be stored, cannot be read, or changes on the way.

    `path` says where in the value: `$.items[2].price`.
    """

    code = "SERIALIZATION_ERROR"

    def __init__(self, message: str, *, path: str = "$") -> None:
        super().__init__(message)
        self.path = path


class RunFailure(IronflowError):
    """Raised in a function and not caught, it fails the run; undo follows."""

    code = "RUN_FAILED"


class StepError(RunFailure):
    """A step has used up its attempts.

    `cause` is what the last attempt raised, as it was recorded: it has `type`,
    `message`, `code`, `traceback`. It is never the exception object itself,
    because that object does not exist when the run is replayed.
    """

    code = "STEP_FAILED"

    def __init__(
        self, message: str, *, step: str, attempts: int, cause: object
    ) -> None:
        super().__init__(message)
        self.step = step
        self.attempts = attempts
        self.cause = cause


@final
class StepInDoubt(StepError):
    """An attempt was stopped from outside: its effect may have happened.

    Look at the outside world (with the step's idempotency key) before you
    repeat it.
    """

    code = "STEP_IN_DOUBT"


class NonRetryableError(RunFailure):
    """Raised by a step or a function: trying again cannot help."""

    code = "NON_RETRYABLE"


@final
class MatchPathMissing(NonRetryableError):
    """The path of a wait's `match` has no value in the run's own event."""

    code = "MATCH_PATH_MISSING"


@final
class PayloadRejected(NonRetryableError):
    """The event's data does not fit the type that the function declares."""

    code = "VALIDATION_ERROR"


@final
class HistoryLimitExceeded(NonRetryableError):
    """The run's history reached `history_limit`; use continue_as_new."""

    code = "HISTORY_LIMIT"


@final
class RunTimedOut(NonRetryableError):
    """The run's `run_timeout` or `start_timeout` passed."""

    code = "RUN_TIMEOUT"


@final
class WaitTimedOut(RunFailure):
    """No event arrived in time; catch it, or give the wait a `default=`."""

    code = "TIMEOUT"

    def __init__(self, message: str, *, step: str, event: str) -> None:
        super().__init__(message)
        self.step = step
        self.event = event


@final
class InvokeError(RunFailure):
    """A child run failed, was cancelled, or did not end in time.

    `cause` is the child's recorded error (`type`, `message`, `code`).
    """

    code = "INVOKE_FAILED"

    def __init__(
        self, message: str, *, function_id: str, run_id: str, cause: object
    ) -> None:
        super().__init__(message)
        self.function_id = function_id
        self.run_id = run_id
        self.cause = cause


@final
class RetryAfterError(IronflowError):
    """Raised by a step: try again after `after` (a duration, capped by policy)."""

    code = "RETRY_AFTER"
    retryable = True

    def __init__(self, message: str, *, after: object) -> None:
        super().__init__(message)
        self.after = after


class CodeError(IronflowError):
    """A bug in function code: the run is paused and nothing is undone."""

    code = "CODE_ERROR"


@final
class NondeterminismError(CodeError):
    """The function asks for something else than its history holds.

    `asked` and `recorded` describe both sides, `sequence` is the record.
    """

    code = "NONDETERMINISM"

    def __init__(
        self, message: str, *, asked: str = "", recorded: str = "", sequence: int = 0
    ) -> None:
        super().__init__(message)
        self.asked = asked
        self.recorded = recorded
        self.sequence = sequence


@final
class ForeignAwaitError(CodeError):
    """Function code awaited something that is not an operation of ironflow."""

    code = "FOREIGN_AWAIT"


@final
class UndeclaredPatch(CodeError):
    """`ctx.patched(id)` with an id that `@function(patches=[...])` lacks."""

    code = "UNDECLARED_PATCH"


@final
class MisusedOperation(CodeError):
    """An operation stands where it cannot: the message says why."""

    code = "MISUSED_OPERATION"


class EngineError(IronflowError):
    """A request to the engine cannot be met."""

    code = "ENGINE_ERROR"


@final
class RunNotFound(EngineError):
    """No run has this id in this journal and environment."""

    code = "RUN_NOT_FOUND"


@final
class FunctionNotFound(EngineError):
    """No function of this id is registered in this journal and environment."""

    code = "FUNCTION_NOT_FOUND"


@final
class EventNotFound(EngineError):
    """No event has this id in this journal and environment, or none any more."""

    code = "EVENT_NOT_FOUND"


@final
class RunExists(EngineError):
    """A run that was to be imported is in this journal already."""

    code = "RUN_EXISTS"


@final
class RunUnsuccessful(EngineError):
    """`.unwrap()` was called on a run that did not complete."""

    code = "RUN_UNSUCCESSFUL"


@final
class NoRunCreated(EngineError):
    """`emit_sync` of an event for which no function is registered.

    The event is stored; `event_id` names it.
    """

    code = "NO_RUN_CREATED"

    def __init__(self, message: str, *, event_id: str) -> None:
        super().__init__(message)
        self.event_id = event_id


@final
class EventConflict(EngineError):
    """One batch names the same event id or idempotency key twice."""

    code = "EVENT_CONFLICT"


@final
class EngineClosed(EngineError):
    """The engine is closed or closing; open it again."""

    code = "ENGINE_CLOSED"


@final
class ServerError(EngineError):
    """A server refused a request, or failed at it, and no other class says why.

    `status` is that of HTTP, `server_code` the code of Connect that the server gave, empty
    if it gave none; `why` is what it said itself.
    """

    code = "SERVER_ERROR"

    def __init__(
        self, message: str, *, status: int = 500, server_code: str = "", why: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.server_code = server_code
        self.why = why


@final
class ServerUnavailable(EngineError):
    """No server answers, or it takes no requests now; the message says what to do.

    `is_sent`: the request may have reached it, so nobody knows whether it was carried out.
    `why` is what the network, or the server, said itself.
    """

    code = "SERVER_UNAVAILABLE"
    retryable = True

    def __init__(self, message: str, *, is_sent: bool = False, why: str = "") -> None:
        super().__init__(message)
        self.is_sent = is_sent
        self.why = why


@final
class ProtocolError(IronflowError):
    """A server or a worker sent what the protocol does not allow; the connection ends."""

    code = "PROTOCOL_ERROR"


class JournalError(IronflowError):
    """The journal refuses or cannot do what was asked."""

    code = "JOURNAL_ERROR"


@final
class Conflict(JournalError):
    """The history is not as long as the writer believed: reload, try again."""

    code = "CONFLICT"
    retryable = True


@final
class RevisionConflict(JournalError):
    """A document does not have the revision that its writer believed: read it again.

    `expected` and `found` are both revisions, 0 where there is no document.
    """

    code = "REVISION_CONFLICT"

    def __init__(self, message: str, *, expected: int = 0, found: int = 0) -> None:
        super().__init__(message)
        self.expected = expected
        self.found = found


@final
class LeaseLost(JournalError):
    """The writer's epoch has ended; somebody else holds the run."""

    code = "LEASE_LOST"


@final
class JournalOwned(JournalError):
    """Another process owns the data directory; the message names it."""

    code = "JOURNAL_OWNED"


@final
class JournalForeign(JournalError):
    """The files at this place are not an ironflow journal."""

    code = "JOURNAL_FOREIGN"


@final
class JournalNewer(JournalError):
    """The journal was written by a newer ironflow; upgrade to open it."""

    code = "JOURNAL_NEWER"


@final
class JournalOlder(JournalError):
    """The journal was written by an older ironflow; its owner brings it up to date."""

    code = "JOURNAL_OLDER"


@final
class JournalDamaged(JournalError):
    """What is stored is not what was written; nothing was changed."""

    code = "JOURNAL_DAMAGED"


@final
class JournalFull(JournalError):
    """No space for this commit: nothing of it was stored."""

    code = "JOURNAL_FULL"


@final
class JournalFailed(JournalError):
    """A commit failed and cannot be trusted: stop, repair, start again."""

    code = "JOURNAL_FAILED"


class Cancelled(BaseException):
    """Raised in function code at the operation where a cancel reaches it.

    Clean up and let it pass. It is a `BaseException`, so `except Exception`
    does not catch it; a run whose code swallows it still ends cancelled.
    """
