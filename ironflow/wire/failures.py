"""What an error is to a client: a code, an HTTP status, a sentence, and try again or not.

The codes are those of Connect. One table serves REST and Connect. An error without a line of its own is what its nearest
base is, and a test holds that every class has one of its own.
"""

from typing import Final

import msgspec

from ironflow import errors
from ironflow.errors import IronflowError
from ironflow.limits import ERROR_MESSAGE_CHARS_MAX

# The codes of Connect, and the status that each has in HTTP.
STATUS_OF: Final[dict[str, int]] = {
    "canceled": 499,
    "unknown": 500,
    "invalid_argument": 400,
    "deadline_exceeded": 504,
    "not_found": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "failed_precondition": 400,
    "aborted": 409,
    "out_of_range": 400,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "data_loss": 500,
    "unauthenticated": 401,
}

# What was refused with these was not done, and may be at another time.
_PASSING: Final = frozenset({"unavailable", "aborted", "resource_exhausted"})

_CODES: Final[dict[type[IronflowError], str]] = {
    IronflowError: "internal",
    errors.ConfigurationError: "invalid_argument",
    errors.ValueRejected: "invalid_argument",
    errors.RunFailure: "failed_precondition",
    errors.StepError: "failed_precondition",
    errors.StepInDoubt: "failed_precondition",
    errors.NonRetryableError: "failed_precondition",
    errors.MatchPathMissing: "failed_precondition",
    errors.PayloadRejected: "invalid_argument",
    errors.HistoryLimitExceeded: "failed_precondition",
    errors.RunTimedOut: "deadline_exceeded",
    errors.WaitTimedOut: "deadline_exceeded",
    errors.InvokeError: "failed_precondition",
    errors.RetryAfterError: "unavailable",
    errors.CodeError: "failed_precondition",
    errors.NondeterminismError: "failed_precondition",
    errors.ForeignAwaitError: "failed_precondition",
    errors.UndeclaredPatch: "failed_precondition",
    errors.MisusedOperation: "failed_precondition",
    errors.EngineError: "failed_precondition",
    errors.RunNotFound: "not_found",
    errors.FunctionNotFound: "not_found",
    errors.EventNotFound: "not_found",
    errors.RunExists: "already_exists",
    errors.RunUnsuccessful: "failed_precondition",
    errors.NoRunCreated: "failed_precondition",
    errors.EventConflict: "already_exists",
    errors.EngineClosed: "unavailable",
    errors.ProtocolError: "invalid_argument",
    errors.ServerError: "unknown",
    errors.ServerUnavailable: "unavailable",
    errors.JournalError: "internal",
    errors.Conflict: "aborted",
    errors.RevisionConflict: "aborted",
    errors.LeaseLost: "aborted",
    errors.JournalOwned: "unavailable",
    errors.JournalForeign: "internal",
    errors.JournalNewer: "internal",
    errors.JournalOlder: "internal",
    errors.JournalDamaged: "data_loss",
    errors.JournalFull: "unavailable",
    errors.JournalFailed: "unavailable",
}

# These may name directories and addresses of the server, which are nobody's business.
_NOT_PUBLIC: Final = frozenset({"internal", "data_loss", "unknown"})
_HIDDEN: Final = "the server cannot do this now; its log says why"
# These name files of the server as well, but what they mean is the caller's business.
_SAID: Final[dict[type[IronflowError], str]] = {
    errors.JournalFull: "the server has no space left, and nothing was stored; try again"
    " when its operator has made some",
    errors.JournalFailed: "the server's journal has failed and takes nothing more; try"
    " again when its operator has started it anew",
    errors.JournalOwned: "another process owns the journal of this server; try again"
    " when it is gone",
}


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An error as a client may see it. `code` is Connect's, `status` that of HTTP.

    `reason` is the code of our own class (`RUN_NOT_FOUND`), empty where that is nobody's
    business.
    """

    code: str
    status: int
    message: str
    retryable: bool = False
    reason: str = ""


def failure_of(error: BaseException) -> Failure:
    """Return what a client is told of an error; of one that is not ours, nothing."""
    if not isinstance(error, IronflowError):
        return failure("internal", _HIDDEN)
    code = _code_of(type(error))
    is_public = code not in _NOT_PUBLIC
    retryable = error.retryable or code == "unavailable"
    return failure(
        code,
        _SAID.get(type(error), str(error)) if is_public else _HIDDEN,
        retryable=retryable,
        reason=error.code if is_public else "",
    )


def failure(
    code: str, message: str, *, retryable: bool = False, reason: str = ""
) -> Failure:
    """Return a failure with the status of its code; the message can be encoded."""
    return Failure(
        code=code,
        status=STATUS_OF[code],
        # Halves of surrogate pairs come from input, and are no UTF-8.
        message=message.encode("utf-8", "backslashreplace").decode()[
            :ERROR_MESSAGE_CHARS_MAX
        ],
        retryable=retryable,
        reason=reason,
    )


def is_passing(code: str) -> bool:
    """Say whether a request that ends with a code may be sent again as it is."""
    return code in _PASSING


def is_mapped(kind: type[IronflowError]) -> bool:
    """Say whether a class of errors has a line of its own."""
    return kind in _CODES


def _code_of(kind: type[BaseException]) -> str:
    for base in kind.__mro__:
        code = _CODES.get(base)
        if code is not None:
            return code
    return "internal"
