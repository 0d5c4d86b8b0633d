"""What published clients send as JSON, and what they get."""

from typing import Any

import msgspec
import pytest

from ironflow import limits
from ironflow.wire import protobuf_decode, protobuf_encode, protojson
from ironflow.wire.errors import ConnectError
from ironflow.wire.message import Message, payload, payload_fields
from ironflow.wire.proto.ironflow import (
    InjectStepOutputRequest,
    ListRunsRequest,
    RegisterFunctionRequest,
    TriggerRequest,
    TriggerSyncRequest,
)
from ironflow.wire.proto.types import ExecutionMode, Run, RunStatus, Step
from ironflow.wire.proto.worker import StepYielded, WorkerHeartbeat


def read(message: type[Message], **plain: Any) -> Any:
    return protojson.decode(message, msgspec.json.encode(plain))


def test_names_are_read_in_both_cases_and_unknown_ones_skipped() -> None:
    snake = read(
        TriggerSyncRequest, event="a", timeout_ms=5, idempotency_key="k", x=[1]
    )
    camel = read(TriggerSyncRequest, event="a", timeoutMs="5", idempotencyKey="k")

    assert (
        snake
        == camel
        == TriggerSyncRequest(event="a", timeout_ms=5, idempotency_key="k")
    )


@pytest.mark.parametrize("sent", ["push", "PUSH", "EXECUTION_MODE_PUSH", 1, "1"])
def test_an_enum_is_read_in_every_form(sent: object) -> None:
    request = read(RegisterFunctionRequest, preferredMode=sent)

    assert request.preferred_mode == ExecutionMode.EXECUTION_MODE_PUSH


@pytest.mark.parametrize("sent", ["failed", "FAILED", "RUN_STATUS_FAILED", 4])
def test_a_status_is_read_in_every_form(sent: object) -> None:
    assert read(ListRunsRequest, status=sent).status == RunStatus.RUN_STATUS_FAILED
    assert read(ListRunsRequest, statuses=[sent]).statuses == (4,)


def test_an_unknown_status_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConnectError, match=r"\$\.status is 'lost', not one of RUN_"):
        read(ListRunsRequest, status="lost")


def test_no_status_is_the_unspecified_one() -> None:
    assert read(ListRunsRequest, status="", function_id=None).status == 0


def test_fields_in_mixed_case_stand_beside_each_other() -> None:
    request = read(
        RegisterFunctionRequest,
        id="f",
        debounce={"period_ms": 1000, "key": "a", "max_wait_ms": 2000},
        cancelOn=[{"event": "e", "match": "data.x"}],
    )

    assert request.debounce.max_wait_ms == 2000
    assert request.cancel_on[0].match == "data.x"


@pytest.mark.parametrize("value", [[1, 2], "text", 7, True])
def test_a_payload_that_is_no_object_is_kept(value: object) -> None:
    request = read(TriggerRequest, event="a", data=value)

    assert payload(request, "data") == value
    assert request.data is None


def test_a_payload_is_exact_in_json() -> None:
    request = read(TriggerRequest, event="a", data={"n": 2**53 + 1, "x": 1.0})

    assert payload(request, "data") == {"n": 2**53 + 1, "x": 1.0}


def test_null_is_a_payload_only_where_a_value_can_be() -> None:
    assert payload(read(TriggerRequest, data=None), "data") is msgspec.UNSET
    assert payload(read(TriggerRequest, dataValue=None), "data") is None


def test_the_value_beside_a_payload_goes_first() -> None:
    request = TriggerRequest(data={}, data_value=3)

    assert payload(request, "data") == 3
    assert payload_fields("data", {"a": 1}) == {"data": {"a": 1}}
    assert payload_fields("data", None) == {"data_value": None}


@pytest.mark.parametrize(
    "sent", ['{"a":1}', {"a": 1}, "eyJhIjoxfQ==", "eyJhIjoxfQ", "eyJhIjoxfQ="]
)
def test_bytes_are_base64_or_the_json_they_stand_for(sent: object) -> None:
    request = read(InjectStepOutputRequest, new_output=sent)

    assert request.new_output == b'{"a":1}'


@pytest.mark.parametrize(
    ("message", "plain", "said"),
    [
        (TriggerRequest, {"event": 3}, r"\$\.event is no text"),
        (TriggerRequest, {"metadata": [1]}, r"\$\.metadata is no object"),
        (TriggerRequest, {"version": 1.5}, r"\$\.version is no whole number of int32"),
        (TriggerRequest, {"version": 2**31}, "no whole number"),
        (TriggerRequest, {"version": True}, "no whole number"),
        (TriggerRequest, {"version": "x"}, "no whole number"),
        (ListRunsRequest, {"since": "yesterday"}, r"\$\.since is no time"),
        (ListRunsRequest, {"since": "2026-01-01T00:00:00"}, "no time"),
        (ListRunsRequest, {"since": 5}, "no time"),
        (ListRunsRequest, {"statuses": "x"}, r"\$\.statuses is no list"),
        (ListRunsRequest, {"statuses": [2, "x"]}, r"\$\.statuses\[1\] is 'x'"),
        (Run, {"pauseRequested": 1}, "neither true nor false"),
        (InjectStepOutputRequest, {"newOutput": "%%"}, "neither base64 nor JSON"),
        (
            WorkerHeartbeat,
            {"metrics": {"cpuPercent": "high"}},
            "cpuPercent is no number",
        ),
        (WorkerHeartbeat, {"metrics": {"cpuPercent": True}}, "is no number"),
        (WorkerHeartbeat, {"metrics": {"cpuPercent": 10**400}}, "is out of range"),
        (WorkerHeartbeat, {"jobs": [[]]}, r"\$\.jobs\[0\] is no object"),
        (
            StepYielded,
            {"sleep": {}, "waitEvent": {}},
            r"\$ has more than one of sleep, wait_event",
        ),
    ],
)
def test_what_does_not_fit_is_said_with_its_path(
    message: type[Message], plain: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConnectError, match=said) as caught:
        protojson.from_plain(message, plain)

    assert caught.value.code == "invalid_argument"


@pytest.mark.parametrize("body", [b"", b"  ", b"{}", b'{"id":null}'])
def test_nothing_is_an_empty_message(body: bytes) -> None:
    assert protojson.decode(Run, body) == Run()


@pytest.mark.parametrize("body", [b"null", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(ConnectError):
        protojson.decode(Run, body)


def test_a_run_is_shown_with_its_defaults() -> None:
    run = Run(id="run_1", status=RunStatus.RUN_STATUS_RUNNING, created_at=1_500_000)

    shown = msgspec.json.decode(protojson.encode(run))

    assert shown["status"] == "RUN_STATUS_RUNNING"
    assert (shown["attempt"], shown["maxAttempts"], shown["eventId"]) == (0, 0, "")
    assert shown["createdAt"] == "1970-01-01T00:00:01.500Z"
    assert not {"error", "output", "outputValue", "endedAt"} & shown.keys()


def test_a_long_number_is_text() -> None:
    shown = msgspec.json.decode(protojson.encode(Step(duration_ms_full=0)))

    assert shown["durationMsFull"] == "0"


def test_a_time_before_the_first_is_read_as_it_is_written() -> None:
    step = Step(started_at=-62_135_596_800 * 10**6, ended_at=-1)

    text = protojson.encode(step)

    assert b'"0001-01-01T00:00:00Z"' in text
    assert b'"1969-12-31T23:59:59.999999Z"' in text
    assert protojson.decode(Step, text) == step


def test_a_message_of_too_many_parts_is_refused() -> None:
    raw = protobuf_encode.encode(ListRunsRequest(search="a"))
    many = raw * (limits.PROTOBUF_PARTS_MAX + 1)

    with pytest.raises(ConnectError, match="send it as JSON") as caught:
        protobuf_decode.decode(ListRunsRequest, many)

    assert caught.value.code == "resource_exhausted"


def test_a_value_that_is_nested_too_deeply_is_refused() -> None:
    value: Any = None
    for _ in range(limits.WIRE_DEPTH_MAX + 1):
        value = [value]
    raw = protobuf_encode.encode(TriggerRequest(data_value=value))

    with pytest.raises(ConnectError, match="nested deeper than"):
        protobuf_decode.decode(TriggerRequest, raw)


@pytest.mark.parametrize("value", [b"raw", {1, 2}, 10**400])
def test_a_payload_that_is_no_json_is_our_fault(value: object) -> None:
    with pytest.raises(ConnectError) as caught:
        protobuf_encode.encode(TriggerRequest(data_value=value))

    assert caught.value.code == "internal"
