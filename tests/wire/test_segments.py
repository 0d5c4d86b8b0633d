"""Reports of published SDKs read to news, and segments written as documents."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from ironflow.errors import ConfigurationError, ValueRejected
from ironflow.interpreter.segments_news import (
    ChildAsked,
    Finished,
    News,
    Row,
    Segment,
    SleepAsked,
    StepDone,
    WaitAsked,
)
from ironflow.records import ErrorInfo, EventData
from ironflow.wire import segments
from ironflow.wire.segments import Report
from ironflow.wire.segments_jobs import Lease, encoded, job_document, push_body

RUN = "run_1"
SECOND = 1_000_000


def pack(value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


def read(status: str, **fields: Any) -> Report:
    body = msgspec.json.encode({"status": status, **fields})
    return segments.report_of(segments.parsed(body), RUN)


def yielded(type_: str, **fields: Any) -> object:
    found = {"type": type_, "step_id": f"{RUN}:it:0", **fields}
    return read("yielded", **{"yield": found}).news.then


def test_steps_lose_the_id_of_their_run() -> None:
    row = {
        "id": r"run_1:fan:1:w\:x:0",
        "name": "w:x",
        "status": "completed",
        "started_at": "1970-01-01T00:00:01.000Z",
        "output": {"a": [1, None]},
    }

    news = read("progress", steps=[row]).news

    assert news == News(
        (StepDone(id=r"fan:1:w\:x:0", payload=pack({"a": [1, None]}), began_at=SECOND),)
    )


def test_a_missing_output_is_null_and_a_strange_time_is_none() -> None:
    row = {"id": "run_1:a:0", "status": "completed", "started_at": "yesterday"}

    [step] = read("progress", steps=[row]).news.steps

    assert step == StepDone(id="a:0", payload=pack(None))


def test_a_failed_step_has_its_error() -> None:
    error = {"message": "no", "retryable": False, "stack": "at line 1"}
    row = {"id": "run_1:a:0", "status": "failed", "error": error}

    [step] = read("progress", steps=[row]).news.steps

    assert step.error == ErrorInfo(
        type="ERROR", message="no", retryable=False, traceback="at line 1"
    )


@pytest.mark.parametrize("name", ["output", "result"])
def test_a_completed_run_has_its_result(name: str) -> None:
    report = read("completed", **{name: [1]})

    assert report.news.then == Finished(pack([1]))
    assert report.is_last
    assert read("completed").news.then == Finished(pack(None))
    assert not read("progress").is_last


def test_a_failure_says_whether_and_when_to_try_again() -> None:
    error = {
        "message": "m",
        "code": "STEP_FAILED",
        "retry_after_ms": 1500,
        "step_id": "s",
    }
    report = read("failed", error=error)
    fatal = read("failed", error={"retryable": False})

    assert report.retryable
    assert report.retry_after == timedelta(seconds=1.5)
    assert report.news.error == ErrorInfo(
        type="STEP_FAILED", message="m", code="STEP_FAILED", details={"step": "s"}
    )
    assert not fatal.retryable
    assert fatal.retry_after is None
    assert fatal.is_last


def test_what_a_run_may_wait_for() -> None:
    seven_days = 7 * 24 * 3600 * SECOND
    wanted = {"event": "e", "match": "data.id", "match_value": "x", "timeout": "90s"}

    assert yielded("sleep", until="1970-01-01T00:00:01Z") == SleepAsked("it:0", SECOND)
    assert yielded("wait_for_event", event_filter=wanted) == WaitAsked(
        id="it:0", event="e", match="data.id", literal="x", timeout_us=90 * SECOND
    )
    assert yielded("wait_for_event", event_filter={"event": "e"}) == WaitAsked(
        id="it:0", event="e", timeout_us=seven_days
    )


def test_children_are_waited_for_or_not() -> None:
    child = {"function_id": "f", "input": 5, "invoke_timeout_ms": 1000}

    assert yielded("invoke_function", **child) == ChildAsked(
        id="it:0", function_id="f", payload=pack(5), timeout_us=SECOND
    )
    assert yielded("invoke_function", function_id="f") == ChildAsked(
        id="it:0", function_id="f", payload=pack(None), timeout_us=30 * SECOND
    )
    assert yielded("invoke_function_async", **child) == ChildAsked(
        id="it:0", function_id="f", payload=pack(5), awaited=False
    )


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"status": "sleepy"}, "status"),
        ({"status": "progress", "steps": [{"id": "run_2:a:0"}]}, "run_2:a:0"),
        ({"status": "progress", "steps": [{"id": "run_1:a"}]}, "run_1:a"),
        (
            {"status": "progress", "steps": [{"id": "run_1:" + "a:" * 3000}]},
            "characters",
        ),
        ({"status": "progress", "steps": [7]}, "a step"),
        ({"status": "yielded", "yield": {"type": "x", "step_id": "run_1:a:0"}}, "type"),
        ({"status": "yielded", "yield": {"type": "sleep", "step_id": ""}}, "step id"),
        (
            {"status": "yielded", "yield": {"type": "sleep", "step_id": "run_1:a:0"}},
            "until",
        ),
    ],
)
def test_what_cannot_be_read_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        read(**fields)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 10_000])
def test_a_body_is_a_json_object(body: bytes) -> None:
    with pytest.raises(ConfigurationError):
        segments.parsed(body)


def test_numbers_of_more_than_64_bits_are_read_as_javascript_reads_them() -> None:
    found = segments.stored({"a": [2**70, 1], "b": 10**400})

    assert msgspec.msgpack.decode(found) == {
        "a": [float(2**70), 1],
        "b": "1" + "0" * 400,
    }


def test_a_value_that_is_too_deep_is_refused() -> None:
    value: object = 1
    for _ in range(300):
        value = [value]

    with pytest.raises(ValueRejected):
        segments.stored(value)


# --- documents --------------------------------------------------------------------------------

EVENT = EventData(
    id="evt_1", name="order.created", data=msgspec.Raw(pack({"n": 1})), timestamp=SECOND
)
APPROVED = EventData(
    id="evt_2",
    name="order.approved",
    data=msgspec.Raw(pack(2)),
    metadata={"k": "v"},
    source="api",
    idempotency_key="i",
    version=3,
)
SEGMENT = Segment(
    run_id=RUN,
    function_id="hello",
    attempt=2,
    max_attempts=25,
    on_exhausted="pause",
    event=EVENT,
    rows=(
        Row(id="a:0", kind="step", payload=pack([1])),
        Row(id="nap:0", kind="sleep"),
        Row(id="ok:0", kind="wait", payload=pack(APPROVED)),
        Row(
            id="f:0",
            kind="invoke",
            error=ErrorInfo(type="X", message="gone", code="STEP_FAILED"),
            function_id="f",
            child_run="run_c",
        ),
    ),
    stored=5,
)
FAILURE = {
    "message": "gone",
    "function_id": "f",
    "child_run_id": "run_c",
    "cause": {"message": "gone", "code": "STEP_FAILED"},
    "retryable": False,
}


def test_a_job_as_a_document() -> None:
    lease = Lease(7, "token", 2 * SECOND)

    job = json.loads(encoded(job_document(SEGMENT, lease, {"KEY": "v"})))

    steps = job.pop("completed_steps")
    assert job == {
        "job_id": RUN,
        "run_id": RUN,
        "function_id": "hello",
        "attempt": 2,
        "max_attempts": 25,
        "on_exhausted": "pause",
        "event": {
            "id": "evt_1",
            "name": "order.created",
            "data": {"n": 1},
            "timestamp": "1970-01-01T00:00:01Z",
            "version": 1,
        },
        "step_sequence_base": 5,
        "execution_seq": 7,
        "lease_token": "token",
        "lease_expires_at": "1970-01-01T00:00:02Z",
        "context": {"secrets": {"KEY": "v"}},
    }
    assert steps[0] == {"step_id": "run_1:a:0", "name": "a", "output": [1]}
    assert steps[1] == {"step_id": "run_1:nap:0", "name": "nap", "output": None}
    assert steps[2]["output"] == {
        "id": "evt_2",
        "name": "order.approved",
        "data": 2,
        "timestamp": "1970-01-01T00:00:00Z",
        "version": 3,
        "source": "api",
        "idempotency_key": "i",
        "metadata": {"k": "v"},
    }
    assert (steps[3]["status"], steps[3]["error"]) == ("failed", FAILURE)


def test_a_request_to_an_endpoint() -> None:
    body = json.loads(push_body(SEGMENT, {}))

    assert body["steps"][0] == {
        "id": "run_1:a:0",
        "name": "a",
        "status": "completed",
        "output": [1],
    }
    assert body["steps"][3]["status"] == "failed"
    assert json.loads(body["steps"][3]["error"]) == FAILURE
    assert "secrets" not in body
    assert json.loads(push_body(SEGMENT, {"K": "v"}))["secrets"] == {"K": "v"}
