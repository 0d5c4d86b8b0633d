"""What workers and endpoints of the published SDKs report, read from JSON documents.

One reader for the REST worker and for answers of endpoints: both say the same of steps,
yields and errors. What is read is news for the player of the run.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, cast, final

import msgspec

from ironflow import limits, values
from ironflow.errors import ConfigurationError, IronflowError, ValueRejected
from ironflow.interpreter.segments_news import (
    ChildAsked,
    Finished,
    News,
    SleepAsked,
    StepDone,
    Then,
    WaitAsked,
)
from ironflow.policy.duration import parse_duration, parse_time
from ironflow.records import ErrorInfo
from ironflow.wire import documents
from ironflow.wire.documents import Document

INVOKE_TIMEOUT_MS_DEFAULT: Final = 30_000

_WAIT_TIMEOUT: Final = f"{limits.WAIT_TIMEOUT_US_DEFAULT // 1_000_000}s"
_WHOLE_MIN: Final = -(2**63)
_WHOLE_END: Final = 2**64

_decode = msgspec.json.Decoder().decode


@final
@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says: news, and how the segment failed, if it did.

    `retryable` and `retry_after` belong to `news.error`.
    """

    news: News
    retryable: bool = True
    retry_after: timedelta | None = None

    @property
    def is_last(self) -> bool:
        """Say whether the segment is over."""
        return self.news.then is not None or self.news.error is not None


def parsed(body: bytes) -> Document:
    """Return a body as a document.

    Raises:
        ConfigurationError: it is not a JSON object.
    """
    try:
        found = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"the body is not JSON: {error}") from error
    return documents.document(found, what="the body")


def report_of(source: Document, run_id: str) -> Report:
    """Return what a document with a `status` reports of a run.

    `progress` tells steps only; `completed` has its result in `output` or `result`.

    Raises:
        ConfigurationError: a field is wrong; the message names it.
        ValueRejected: a value cannot be stored.
    """
    steps = tuple(
        _step(each, run_id) for each in documents.items(source, "steps") if each
    )
    match documents.text(source, "status"):
        case "progress":
            return Report(News(steps))
        case "completed":
            result = source.get("output", source.get("result"))
            return Report(News(steps, Finished(stored(result))))
        case "yielded":
            return Report(News(steps, _yielded(source, run_id)))
        case "failed":
            return failed(documents.inner(source, "error"), steps)
        case other:
            raise ConfigurationError(
                f'status={other!r} must be "progress", "completed", "failed" or'
                ' "yielded"'
            )


def failed(error: Document, steps: tuple[StepDone, ...] = ()) -> Report:
    """Return the report of a segment that failed with this error."""
    after = documents.whole(error, "retry_after_ms")
    return Report(
        News(steps, error=error_of(error)),
        retryable=documents.flag(error, "retryable", default=True),
        retry_after=timedelta(milliseconds=min(after, 10**12)) if after > 0 else None,
    )


def error_of(source: Document) -> ErrorInfo:
    """Return an error as it is recorded."""
    code = documents.text(source, "code") or "ERROR"
    message = documents.text(source, "message") or "it gave no reason"
    stack = documents.text(source, "stack")
    details: dict[str, str | int] = {}
    if step := documents.text(source, "step_id"):
        details["step"] = step
    return ErrorInfo(
        type=documents.text(source, "type") or code,
        message=message[: limits.ERROR_MESSAGE_CHARS_MAX],
        code=code,
        retryable=documents.flag(source, "retryable", default=True),
        traceback=stack[-limits.ERROR_TRACEBACK_CHARS_MAX :],
        details=details,
    )


def stored(value: object) -> bytes:
    """Return a value of JSON as the journal has it; missing is null.

    A whole number of more than 64 bits becomes a float, as in JavaScript.

    Raises:
        ValueRejected: it is too large or too deep.
    """
    try:
        return values.encode(value)
    except ValueRejected:
        return values.encode(_narrowed(value, limits.VALUE_DEPTH_MAX))


def step_id(value: str, run_id: str) -> str:
    """Return the id of a step without the run's id in front.

    Raises:
        ConfigurationError: it is not an id of this run.
    """
    prefix = run_id + ":"
    found = value.removeprefix(prefix)
    if not value.startswith(prefix) or ":" not in found or "\0" in found:
        raise ConfigurationError(
            f"step id {value[:100]!r} is none of run {run_id}: it begins with the run's"
            " id and ends with a counter"
        )
    if len(found) > limits.SEGMENT_STEP_ID_CHARS_MAX:
        raise ConfigurationError(
            f"a step id has {len(found)} characters; at most"
            f" {limits.SEGMENT_STEP_ID_CHARS_MAX} are kept"
        )
    return found


def _narrowed(value: object, depth: int) -> object:
    match value:
        case int() if not _WHOLE_MIN <= value < _WHOLE_END:
            return float(value) if abs(value) < 10**308 else str(value)
        case dict() if depth:
            members = cast("dict[str, object]", value).items()
            return {key: _narrowed(member, depth - 1) for key, member in members}
        case list() if depth:
            return [_narrowed(each, depth - 1) for each in cast("list[object]", value)]
        case _:
            return value


# --- steps --------------------------------------------------------------------------------


def _step(value: object, run_id: str) -> StepDone:
    source = documents.document(value, what="a step")
    id_ = step_id(documents.text(source, "id"), run_id)
    began_at = _time(source, "started_at")
    if documents.text(source, "status") == "failed":
        error = error_of(documents.inner(source, "error"))
        return StepDone(id=id_, error=error, began_at=began_at)
    # A result that is null on purpose looks like one that is missing.
    return StepDone(id=id_, payload=stored(source.get("output")), began_at=began_at)


def _time(source: Document, name: str) -> int:
    """The time of a worker's clock; one that cannot be read is not worth an error."""
    found = documents.text(source, name)
    try:
        return parse_time(found, option=name) if found else 0
    except IronflowError:
        return 0


# --- yields -------------------------------------------------------------------------------


def _yielded(source: Document, run_id: str) -> Then:
    found = documents.inner(source, "yield")
    id_ = step_id(documents.text(found, "step_id"), run_id)
    match documents.text(found, "type"):
        case "sleep":
            until = parse_time(documents.text(found, "until"), option="yield.until")
            return SleepAsked(id_, until)
        case "wait_for_event":
            return _wait(id_, documents.inner(found, "event_filter"))
        case "invoke_function" | "invoke_function_async" as kind:
            return _child(id_, found, awaited=kind == "invoke_function")
        case other:
            raise ConfigurationError(f"yield.type={other!r} is not known")


def _wait(id_: str, source: Document) -> WaitAsked:
    timeout = documents.text(source, "timeout") or _WAIT_TIMEOUT
    literal = source.get("match_value")
    return WaitAsked(
        id=id_,
        event=documents.text(source, "event"),
        match=documents.text(source, "match"),
        literal=None if literal is None else documents.text(source, "match_value"),
        timeout_us=parse_duration(timeout, option="event_filter.timeout"),
    )


def _child(id_: str, source: Document, *, awaited: bool) -> ChildAsked:
    timeout_ms = documents.whole(source, "invoke_timeout_ms")
    return ChildAsked(
        id=id_,
        function_id=documents.text(source, "function_id"),
        payload=stored(source.get("input")),
        timeout_us=invoke_timeout_us(timeout_ms) if awaited else 0,
        awaited=awaited,
    )


def invoke_timeout_us(timeout_ms: int) -> int:
    """Return how long a child is waited for; without a number, 30 seconds."""
    if timeout_ms <= 0:
        timeout_ms = INVOKE_TIMEOUT_MS_DEFAULT
    return min(timeout_ms * 1_000, limits.DURATION_US_MAX)
