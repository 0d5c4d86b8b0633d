"""The requests of a client: each a value that any HTTP library can send.

What is answered, and in which document, is in `wire/answers.py`. A call that may be sent
again when nobody knows whether it arrived says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final
from urllib.parse import quote

import msgspec

from ironflow import limits
from ironflow.errors import ValueRejected
from ironflow.policy.names import check_event_name

_API: Final = "/api/v1"
JSON: Final = "application/json"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `path` is encoded, without the query; `body` is JSON or empty.

    `is_safe`: sent twice, it does what it does once.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    is_safe: bool = False


@final
@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is no success: what the server says, and whether to try again."""

    status: int
    code: str
    message: str
    retryable: bool


class _RefusalBody(msgspec.Struct, frozen=True):
    error: str = ""
    code: str = ""
    message: str = ""
    retryable: bool = False


# --- events -------------------------------------------------------------------------------


def emit(
    name: str,
    data: object = None,
    *,
    idempotency_key: str = "",
    metadata: Mapping[str, str] | None = None,
    version: int = 1,
    source: str = "",
    wait: float = 0,
) -> Call:
    """Emit an event, and wait for its runs so many seconds: `EmittedDocument`.

    Raises:
        ConfigurationError: the name is none.
        ValueRejected: the data has no JSON.
    """
    optional: dict[str, object] = {
        "idempotency_key": idempotency_key,
        "metadata": dict(metadata or {}),
        "source": source,
    }
    body: dict[str, object] = {
        "name": check_event_name(name),
        "data": data,
        "version": version,
        **{key: value for key, value in optional.items() if value},
    }
    return _post("/events", body, wait=wait, is_safe=bool(idempotency_key))


def invoke(
    function_id: str, data: object = None, *, idempotency_key: str = "", wait: float = 0
) -> Call:
    """Start a run of one function, and wait for it: `InvokedDocument`.

    Raises:
        ValueRejected: the data has no JSON.
    """
    body: dict[str, object] = {"data": data}
    if idempotency_key:
        body["idempotency_key"] = idempotency_key
    path = f"/functions/{_segment(function_id)}/invoke"
    return _post(path, body, wait=wait, is_safe=bool(idempotency_key))


# --- runs ---------------------------------------------------------------------------------


def list_runs(
    *,
    statuses: Sequence[str] = (),
    function_id: str = "",
    since: str = "",
    until: str = "",
    cursor: str = "",
    limit: int = 50,
) -> Call:
    """List runs, newest first: `RunListDocument`."""
    query = {
        "status": ",".join(statuses),
        "function_id": function_id,
        "since": since,
        "until": until,
        "cursor": cursor,
        "limit": str(limit),
    }
    return _get("/runs", {key: value for key, value in query.items() if value})


def get_run(run_id: str, *, wait: float = 0) -> Call:
    """Get a run, when it has ended or so many seconds have passed: `RunDetailsDocument`."""
    return _get(f"/runs/{_segment(run_id)}", _wait(wait))


def get_steps(run_id: str) -> Call:
    """Get what a run has done and waits for: `RunStepsDocument`."""
    return _get(f"/runs/{_segment(run_id)}/steps")


def cancel_run(run_id: str, *, reason: str = "") -> Call:
    """Ask a run to cancel: `RunDetailsDocument`."""
    path = f"/runs/{_segment(run_id)}/cancel"
    return _post(path, {"reason": reason}, is_safe=True)


def resume_run(run_id: str) -> Call:
    """Let a paused run try again: `RunDetailsDocument`."""
    return _post(f"/runs/{_segment(run_id)}/resume", {})


# --- functions, workers, the server -------------------------------------------------------


def list_functions() -> Call:
    """List functions: `FunctionListDocument`."""
    return _get("/functions")


def get_function(function_id: str) -> Call:
    """Get a function: `FunctionDocument`."""
    return _get(f"/functions/{_segment(function_id)}")


def register_function(document: Mapping[str, object]) -> Call:
    """Register a function whose code lives elsewhere: `FunctionDocument`."""
    return _post("/functions", document, is_safe=True)


def list_workers() -> Call:
    """List the workers that are connected: `WorkerListDocument`."""
    return _get("/workers")


# --- answers ------------------------------------------------------------------------------


def refusal_of(status: int, body: bytes) -> Refusal:
    """Return what an answer that is no success says, whoever gave it."""
    try:
        found = msgspec.json.decode(body, type=_RefusalBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = _RefusalBody()
    message = found.message or found.error or f"the server answered {status}"
    return Refusal(status, found.code, message, found.retryable)


def _get(path: str, query: Mapping[str, str] | None = None) -> Call:
    return Call(method="GET", path=_API + path, query=query or {}, is_safe=True)


def _post(
    path: str, body: Mapping[str, object], *, wait: float = 0, is_safe: bool = False
) -> Call:
    return Call(
        method="POST",
        path=_API + path,
        query=_wait(wait),
        body=_encoded(body),
        is_safe=is_safe,
    )


def _wait(seconds: float) -> dict[str, str]:
    """Return the query of a call that waits, as long as one may."""
    longest = limits.RESULT_WAIT_US_MAX / 1_000_000
    return {"wait": f"{min(seconds, longest):g}"} if seconds > 0 else {}


def _segment(text: str) -> str:
    return quote(text, safe="")


def _encoded(body: Any) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueRejected(f"the value cannot be sent as JSON: {error}") from error
