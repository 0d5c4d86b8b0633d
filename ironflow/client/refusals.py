"""What went wrong with a call, as errors of ironflow."""

from typing import Final

import msgspec

from ironflow import errors
from ironflow.client.answers import Answer, Refusal
from ironflow.client.calls import Call
from ironflow.errors import IronflowError, ServerError, ServerUnavailable
from ironflow.limits import CLIENT_ANSWER_BYTES_MAX, ERROR_MESSAGE_CHARS_MAX

_UNAUTHENTICATED: Final = 401
_FORBIDDEN: Final = 403
_UNAVAILABLE: Final = frozenset({502, 503, 504})

# Raised alike by an engine and by a client. The code of one says which it is.
_SAME: Final[dict[str, type[IronflowError]]] = {
    kind.code: kind
    for kind in (
        errors.ConfigurationError,
        errors.ValueRejected,
        errors.PayloadRejected,
        errors.MisusedOperation,
        errors.RunNotFound,
        errors.FunctionNotFound,
        errors.EventNotFound,
        errors.RunExists,
        errors.EventConflict,
        errors.Conflict,
        errors.RevisionConflict,
        errors.LeaseLost,
        errors.JournalFull,
    )
}


def refusal_of(status: int, body: bytes) -> Refusal:
    """Return what an answer that is no success says, whoever gave it."""
    try:
        found = msgspec.json.decode(body, type=Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = Refusal()
    message = found.message or found.error or f"the server answered {status}"
    return msgspec.structs.replace(found, message=message[:ERROR_MESSAGE_CHARS_MAX])


def refused(url: str, status: int, body: bytes) -> IronflowError:
    """Return the error for an answer that is no success."""
    found = refusal_of(status, body)
    kind = _SAME.get(found.reason)
    if kind is not None:
        return kind(found.message)
    if status in _UNAVAILABLE:
        return ServerUnavailable(
            f"the server at {url} takes no requests now: {found.message}; try again later",
            is_sent=True,
            why=found.message,
        )
    return ServerError(
        _explained(url, status, found.message),
        status=status,
        server_code=found.code,
        why=found.message,
    )


def _explained(url: str, status: int, message: str) -> str:
    match status:
        case _ if status == _UNAUTHENTICATED:
            return (
                f"{url} asks for a key: {message}; give one with api_key=, or set"
                " IRONFLOW_API_KEY"
            )
        case _ if status == _FORBIDDEN:
            return f"the key may not do this at {url}: {message}; use one that may"
        case _:
            return message


def unreachable(url: str, why: str) -> ServerUnavailable:
    """Return the error for a request that did not get to a server."""
    return ServerUnavailable(
        f"no server answers at {url} ({why}); start one with 'ironflow serve', or correct"
        " the URL (url=, IRONFLOW_SERVER_URL)",
        why=why,
    )


def lost(url: str, call: Call[Answer], why: str) -> ServerUnavailable:
    """Return the error for a request that was sent, and whose answer never came."""
    if call.is_safe:
        return ServerUnavailable(
            f"{url} did not answer {call.method} {call.path} ({why}); try again: it may be"
            " sent twice",
            is_sent=True,
            why=why,
        )
    return ServerUnavailable(
        f"{url} did not answer {call.method} {call.path} ({why}), and nobody knows whether"
        " it was carried out: look at the run before you send it again",
        is_sent=True,
        why=why,
    )


def foreign(url: str, call: Call[Answer]) -> ServerError:
    """Return the error for a success that no server of ironflow gives."""
    return ServerError(
        f"{url} answers {call.method} {call.path}, but not as a server of ironflow; correct"
        " the URL (url=, IRONFLOW_SERVER_URL)",
        status=200,
    )


def too_large(url: str) -> ServerError:
    """Return the error for an answer that is not read to its end."""
    return ServerError(
        f"the answer of {url} is larger than {CLIENT_ANSWER_BYTES_MAX} bytes; ask for less"
        " at once (limit=)",
        status=200,
    )
