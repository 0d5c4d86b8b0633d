"""The requests of a client: each a value that any HTTP library can send.

A call says as what its answer is read, and whether it may be sent again when nobody knows
whether it arrived.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Generic, TypeVar, final
from urllib.parse import quote

import msgspec

from ironflow import ids, limits
from ironflow.client import answers
from ironflow.client.payload import encoded, json_value
from ironflow.errors import ConfigurationError
from ironflow.handles import Emission
from ironflow.policy.attributes import Attributes, check_values, shown
from ironflow.policy.names import check_event_name

_API: Final = "/api/v1"
JSON: Final = "application/json"

AnswerT = TypeVar("AnswerT", bound=answers.Answer)
AnswerT_co = TypeVar("AnswerT_co", bound=answers.Answer, covariant=True)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[AnswerT_co]):
    """One request. `path` is encoded, without the query; `body` is JSON or empty.

    `answer` is what a success is read as. `is_safe`: sent twice, it does what it does once.
    `wait` is how many seconds the server may take its time. `statuses` are what counts as
    success beside 2xx.
    """

    method: str
    path: str
    answer: type[AnswerT_co]
    query: Mapping[str, str | Sequence[str]] = field(
        default_factory=dict[str, str | Sequence[str]]
    )
    body: bytes = b""
    is_safe: bool = False
    wait: float = 0
    statuses: tuple[int, ...] = ()


# --- events -------------------------------------------------------------------------------


def emit(
    name: str,
    data: object = None,
    *,
    idempotency_key: str = "",
    metadata: Mapping[str, str] | None = None,
    version: int = 1,
    source: str = "",
    attributes: Attributes | None = None,
    wait: float = 0,
) -> Call[answers.EmittedAnswer]:
    """Emit an event, and wait for its runs so many seconds.

    Raises:
        ConfigurationError: the name is none.
        ValueRejected: the data cannot be stored, or has no JSON.
    """
    body = _event(
        Emission(name, data, idempotency_key, metadata, version, source, attributes)
    )
    return _post(
        "/events",
        body,
        answers.EmittedAnswer,
        wait=wait,
        is_safe=bool(idempotency_key),
    )


def emit_batch(events: Sequence[Emission]) -> Call[answers.BatchAnswer]:
    """Emit events in one commit.

    Raises:
        ConfigurationError: a name is none, or they are too many.
        ValueRejected: data cannot be stored, or has no JSON.
    """
    if len(events) > limits.EMIT_BATCH_EVENTS_MAX:
        raise ConfigurationError(
            f"a batch of {len(events)} events; at most {limits.EMIT_BATCH_EVENTS_MAX} are"
            " stored in one: send several"
        )
    body = {"events": [_event(each) for each in events]}
    is_safe = all(each.idempotency_key for each in events)
    return _post("/events/batch", body, answers.BatchAnswer, is_safe=is_safe)


def list_events(
    pattern: str = ">", *, after: int = 0, limit: int = 100
) -> Call[answers.EventsAnswer]:
    """List events in commit order, after a position."""
    query = {"name": pattern, "after": str(after), "limit": str(limit)}
    return _get("/events/log", answers.EventsAnswer, query)


def get_event(event_id: str) -> Call[answers.StoredEvent]:
    """Get an event."""
    return _get(f"/events/{_segment(event_id)}", answers.StoredEvent)


def event_names() -> Call[answers.EventNamesAnswer]:
    """List the names of events."""
    return _get("/events/names", answers.EventNamesAnswer)


def invoke(
    function_id: str,
    data: object = None,
    *,
    idempotency_key: str = "",
    metadata: Mapping[str, str] | None = None,
    attributes: Attributes | None = None,
    wait: float = 0,
) -> Call[answers.EmittedAnswer]:
    """Start a run of one function, and wait for it so many seconds.

    Raises:
        ValueRejected: the data cannot be stored, or has no JSON.
    """
    body = _given(
        data=json_value(data),
        idempotency_key=idempotency_key,
        metadata=dict(metadata or {}),
        attributes=_attributes(attributes),
    )
    return _post(
        f"/functions/{_segment(function_id)}/invoke",
        body,
        answers.EmittedAnswer,
        wait=wait,
        is_safe=bool(idempotency_key),
    )


# --- runs ---------------------------------------------------------------------------------


def list_runs(
    *,
    statuses: Sequence[str] = (),
    function_id: str = "",
    since: str = "",
    until: str = "",
    attributes: Sequence[str] = (),
    cursor: str = "",
    limit: int = 50,
    is_detailed: bool = False,
) -> Call[answers.RunsAnswer]:
    """List runs, newest first; with outputs and errors if they are wanted."""
    query: dict[str, str | Sequence[str]] = {
        "status": ",".join(statuses),
        "function_id": function_id,
        "since": since,
        "until": until,
        "attribute": attributes,
        "cursor": cursor,
        "limit": str(limit),
        "details": "true" if is_detailed else "",
    }
    found = {key: value for key, value in query.items() if value}
    return _get("/runs", answers.RunsAnswer, found)


def count_runs() -> Call[answers.CountsAnswer]:
    """Count runs by function and status."""
    return _get("/runs/counts", answers.CountsAnswer)


def get_run(run_id: str, *, wait: float = 0) -> Call[answers.RunAnswer]:
    """Get a run, when it has ended or so many seconds have passed."""
    return _get(_run(run_id), answers.RunAnswer, wait=wait)


def get_steps(run_id: str) -> Call[answers.StepsAnswer]:
    """Get what a run has done and waits for."""
    return _get(f"{_run(run_id)}/steps", answers.StepsAnswer)


def get_records(
    run_id: str, *, after: int = 0, limit: int = limits.PAGE_RECORDS_MAX
) -> Call[answers.RecordsAnswer]:
    """Get records of a run, as many as fit into one answer."""
    query = {"after": str(after), "limit": str(limit)}
    return _get(f"{_run(run_id)}/records", answers.RecordsAnswer, query)


def cancel_run(run_id: str, *, reason: str = "") -> Call[answers.RunAnswer]:
    """Ask a run to cancel."""
    body = {"reason": reason}
    return _post(f"{_run(run_id)}/cancel", body, answers.RunAnswer, is_safe=True)


def pause_run(run_id: str, *, reason: str = "") -> Call[answers.RunAnswer]:
    """Let a run stand still until it is resumed."""
    body = {"reason": reason}
    return _post(f"{_run(run_id)}/pause", body, answers.RunAnswer)


def resume_run(
    run_id: str,
    *,
    from_step: str = "",
    output: object = msgspec.UNSET,
    force: bool = False,
    reason: str = "",
) -> Call[answers.RunAnswer]:
    """Let a paused run go on, or a paused or failed one from a step.

    Raises:
        ValueRejected: the output cannot be stored, or has no JSON.
    """
    body: dict[str, object] = {"reason": reason}
    if from_step:
        body["from_step"] = from_step
    if output is None:  # null is the same as absent
        body["output_is_null"] = True
    elif output is not msgspec.UNSET:
        body["output"] = json_value(output)
    if force:
        body["force"] = True
    return _post(f"{_run(run_id)}/resume", body, answers.RunAnswer)


def retry_run(run_id: str, *, reason: str = "") -> Call[answers.RunAnswer]:
    """Let a paused or failed run try again."""
    return _post(f"{_run(run_id)}/retry", {"reason": reason}, answers.RunAnswer)


def delete_run(run_id: str) -> Call[answers.Nothing]:
    """Forget a run that has ended."""
    path = _API + _run(run_id)
    return Call(method="DELETE", path=path, answer=answers.Nothing, is_safe=True)


def patch_step(
    run_id: str, step: str, output: object, *, reason: str = ""
) -> Call[answers.Nothing]:
    """Replace the result of a step.

    Raises:
        ValueRejected: the output cannot be stored, or has no JSON.
    """
    body = {
        "run_id": ids.check_run_id(run_id),
        "step_id": step,
        "output": json_value(output),
        "reason": reason,
    }
    return _post("/steps/patch", body, answers.Nothing)


def redact_run(run_id: str, *, reason: str = "") -> Call[answers.Redacted]:
    """Take away all payloads of a run; doing it again changes nothing."""
    path = f"{_run(run_id)}/redact"
    return _post(path, {"reason": reason}, answers.Redacted, is_safe=True)


def redact_step(run_id: str, step: str, *, reason: str = "") -> Call[answers.Redacted]:
    """Take away what a step gave; doing it again changes nothing."""
    body = {"run_id": ids.check_run_id(run_id), "step_id": step, "reason": reason}
    return _post("/steps/redact", body, answers.Redacted, is_safe=True)


def redact_event(event_id: str, *, reason: str = "") -> Call[answers.Redacted]:
    """Take away the data of an event; doing it again changes nothing."""
    path = f"/events/{ids.check_event_id(event_id)}/redact"
    return _post(path, {"reason": reason}, answers.Redacted, is_safe=True)


# --- functions, workers, the server -------------------------------------------------------


def list_functions() -> Call[answers.FunctionsAnswer]:
    """List functions."""
    return _get("/functions", answers.FunctionsAnswer)


def get_function(function_id: str) -> Call[answers.FunctionInfo]:
    """Get a function."""
    return _get(f"/functions/{_segment(function_id)}", answers.FunctionInfo)


def function_versions(function_id: str) -> Call[answers.FunctionVersionsAnswer]:
    """List what a function was, newest first."""
    path = f"/functions/{_segment(function_id)}/versions"
    return _get(path, answers.FunctionVersionsAnswer)


def register_function(document: Mapping[str, object]) -> Call[answers.FunctionInfo]:
    """Register a function whose code lives elsewhere."""
    body = json_value(dict(document))
    return _post("/functions", body, answers.FunctionInfo, is_safe=True)


def register_endpoint(url: str) -> Call[answers.EndpointFunctions]:
    """Register the functions of an endpoint of ours, which has to be up."""
    return Call(
        method="POST",
        path="/api/v2/endpoints",
        body=encoded(json_value({"url": url})),
        answer=answers.EndpointFunctions,
        is_safe=True,
    )


def list_workers() -> Call[answers.WorkersAnswer]:
    """List the workers that are connected."""
    return _get("/workers", answers.WorkersAnswer)


def health() -> Call[answers.Health]:
    """Ask whether the server answers."""
    return Call(method="GET", path="/health", answer=answers.Health, is_safe=True)


def ready() -> Call[answers.Readiness]:
    """Ask whether the server takes work; that it does not is an answer, too."""
    return Call(
        method="GET",
        path="/ready",
        answer=answers.Readiness,
        is_safe=True,
        statuses=(503,),
    )


def capabilities() -> Call[answers.ServerCapabilities]:
    """Ask what may be expected of the server."""
    return _get("/capabilities", answers.ServerCapabilities)


# --- inside -------------------------------------------------------------------------------


def _event(event: Emission) -> dict[str, object]:
    return {
        "name": check_event_name(event.name),
        "version": event.version,
        **_given(
            data=json_value(event.data),
            idempotency_key=event.idempotency_key,
            metadata=dict(event.metadata or {}),
            source=event.source,
            attributes=_attributes(event.attributes),
        ),
    }


def _attributes(attributes: Attributes | None) -> dict[str, object]:
    """Return attributes as a request has them, checked.

    Raises:
        ConfigurationError: a name is none, or they are too many.
        ValueRejected: a value cannot be kept.
    """
    check_values(attributes or {}, option="attributes")
    return {
        name: {"time": shown(value)} if isinstance(value, datetime) else value
        for name, value in (attributes or {}).items()
        if value is not None
    }


def _given(*, data: object, **optional: object) -> dict[str, object]:
    """Return the members of a body without those that are empty."""
    return {"data": data, **{key: each for key, each in optional.items() if each}}


def _get(
    path: str,
    answer: type[AnswerT],
    query: Mapping[str, str | Sequence[str]] | None = None,
    *,
    wait: float = 0,
) -> Call[AnswerT]:
    return Call(
        method="GET",
        path=_API + path,
        answer=answer,
        query={**(query or {}), **_wait(wait)},
        is_safe=True,
        wait=wait,
    )


def _post(
    path: str,
    body: object,
    answer: type[AnswerT],
    *,
    wait: float = 0,
    is_safe: bool = False,
) -> Call[AnswerT]:
    return Call(
        method="POST",
        path=_API + path,
        answer=answer,
        query=_wait(wait),
        body=encoded(body),
        is_safe=is_safe,
        wait=wait,
    )


def _wait(seconds: float) -> dict[str, str]:
    """Return the query of a call that waits, as long as one may."""
    longest = limits.RESULT_WAIT_US_MAX / 1_000_000
    if seconds <= 0:
        return {}
    return {"wait": f"{min(max(seconds, 0.001), longest):.3f}"}


def _run(run_id: str) -> str:
    return f"/runs/{ids.check_run_id(run_id)}"


def _segment(text: str) -> str:
    if text in {"", ".", ".."}:
        raise ConfigurationError(f"{text!r} is no id; give the whole one")
    return quote(text, safe="")


def read(call: Call[AnswerT], body: bytes) -> AnswerT:
    """Return what a success says.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: it is not what a server of ironflow says.
    """
    if call.answer is answers.Nothing:
        return call.answer()
    return msgspec.json.decode(body, type=call.answer)
