"""Each kind of field, by hand: its bytes, its JSON, and what is no such field."""

import math
from typing import Any

import pytest

from ironflow import limits
from ironflow.wire import protobuf_decode, protobuf_encode, protojson
from ironflow.wire.errors import ConnectError
from ironflow.wire.message import Empty, Message, layout
from ironflow.wire.proto.agent_tools import ToolDef
from ironflow.wire.proto.ironflow import (
    ComponentHealth,
    DeleteRunRequest,
    HealthResponse,
    InjectStepOutputResponse,
    ListRunsRequest,
    TriggerRequest,
)
from ironflow.wire.proto.projection import (
    AcquireProjectionLeaseResponse,
    ProjectionLease,
)
from ironflow.wire.proto.pubsub import UpdateConsumerGroupRequest
from ironflow.wire.proto.types import Event, Run, RunStatus, Step
from ironflow.wire.proto.worker import (
    SleepYield,
    StepYielded,
    WaitEventYield,
    WorkerMetrics,
    WorkerRegister,
)

MESSAGES: list[tuple[Message, bytes, bytes]] = [
    (Empty(), b"", b"{}"),
    (
        InjectStepOutputResponse(step_id="s", previous_output=b"{}"),
        b"\x0a\x01s\x12\x02{}",
        b'{"stepId":"s","previousOutput":"e30="}',
    ),
    (
        DeleteRunRequest(id="r"),
        b"\x0a\x01r",
        b'{"id":"r"}',
    ),
    (
        WorkerRegister(
            worker_id="w", labels={"a": "b", "": ""}, function_ids=("f", "")
        ),
        b"\x0a\x01w\x1a\x01f\x1a\x00\x2a\x06\x0a\x01a\x12\x01b\x2a\x04\x0a\x00\x12\x00",
        b'{"workerId":"w","hostname":"","functionIds":["f",""],"maxConcurrentJobs":0,'
        b'"labels":{"a":"b","":""}}',
    ),
    (
        HealthResponse(components={"db": ComponentHealth(status="ok")}),
        b"\x1a\x0a\x0a\x02db\x12\x04\x0a\x02ok",
        b'{"status":"","components":{"db":{"status":"ok","message":""}}}',
    ),
    (
        UpdateConsumerGroupRequest(update_mask=("max_inflight", "name")),
        b"\x12\x14\x0a\x0cmax_inflight\x0a\x04name",
        b'{"updateMask":"maxInflight,name"}',
    ),
    (
        ListRunsRequest(statuses=(RunStatus.RUN_STATUS_FAILED, 300)),
        b"\x52\x03\x04\xac\x02",
        b'{"functionId":"","status":"RUN_STATUS_UNSPECIFIED","limit":0,"cursor":"",'
        b'"offset":0,"search":"","eventId":"","statuses":["RUN_STATUS_FAILED",300]}',
    ),
    (
        WorkerMetrics(cpu_percent=-0.0, memory_percent=math.inf, jobs_failed=-1),
        b"\x09\x00\x00\x00\x00\x00\x00\x00\x80\x11\x00\x00\x00\x00\x00\x00\xf0\x7f"
        b"\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b'{"cpuPercent":-0.0,"memoryPercent":"Infinity","jobsCompleted":"0",'
        b'"jobsFailed":"-1"}',
    ),
]


@pytest.mark.parametrize(("message", "raw", "text"), MESSAGES)
def test_a_message_has_its_bytes_and_its_json(
    message: Message, raw: bytes, text: bytes
) -> None:
    assert protobuf_encode.encode(message) == raw
    assert protojson.encode(message) == text
    assert protobuf_decode.decode(type(message), raw) == message
    assert protojson.decode(type(message), text) == message


@pytest.mark.parametrize(
    ("duration_us", "text"),
    [(3_000_000, "3s"), (-1_500_000, "-1.500s"), (1, "0.000001s"), (0, "0s")],
)
def test_a_duration_is_written_in_seconds(duration_us: int, text: str) -> None:
    request = AcquireProjectionLeaseResponse(ttl=duration_us)

    assert protojson.to_plain(request)["ttl"] == text
    assert (
        protojson.from_plain(AcquireProjectionLeaseResponse, {"ttl": text}) == request
    )
    raw = protobuf_encode.encode(request)
    assert protobuf_decode.decode(AcquireProjectionLeaseResponse, raw) == request


@pytest.mark.parametrize(
    "text", [3, "3", "s", ".s", "1.x s", "٣s", "1" * 13 + "s", "--1s"]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ConnectError, match="no duration"):
        protojson.from_plain(AcquireProjectionLeaseResponse, {"ttl": text})


@pytest.mark.parametrize(
    ("message", "plain", "said"),
    [
        (UpdateConsumerGroupRequest, {"updateMask": ["a"]}, "no text"),
        (WorkerRegister, {"labels": ["a"]}, r"\$\.labels is no object"),
        (WorkerRegister, {"labels": {"a": 1}}, r"\$\.labels\['a'\] is no text"),
        (ToolDef, {"timeoutMs": -1}, "no whole number of uint32"),
        (WorkerMetrics, {"cpuPercent": "9" * 40}, "is no number"),
        (ListRunsRequest, {"limit": "9" * 40}, "no whole number"),
    ],
)
def test_what_does_not_fit_a_kind_is_refused(
    message: type[Message], plain: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConnectError, match=said):
        protojson.from_plain(message, plain)


def test_nothing_in_a_map_is_left_out() -> None:
    found = protojson.from_plain(WorkerRegister, {"labels": {"a": None, "b": "c"}})

    assert found.labels == {"b": "c"}


@pytest.mark.parametrize(
    ("sent", "number"),
    [("NaN", math.nan), ("-Infinity", -math.inf), ("1.5", 1.5), (2, 2.0)],
)
def test_a_number_may_be_text(sent: object, number: float) -> None:
    found = protojson.from_plain(WorkerMetrics, {"cpuPercent": sent})

    assert str(found.cpu_percent) == str(number)


@pytest.mark.parametrize(("sent", "number"), [(5.0, 5), ("5", 5), ("-2", -2), (-2, -2)])
def test_a_whole_number_may_be_text_or_have_a_point(sent: object, number: int) -> None:
    assert protojson.from_plain(ListRunsRequest, {"limit": sent}).limit == number


def test_an_enum_may_be_a_number_in_text() -> None:
    assert protojson.from_plain(ListRunsRequest, {"status": "4"}).status == 4


@pytest.mark.parametrize(
    ("message", "raw", "said"),
    [
        (Run, b"\x0a\x01\xff", "is not UTF-8"),
        (Run, b"\x0b", "wire type 3"),
        (Run, b"\x00", "number 0"),
        (Run, b"\x80", "cut off"),
        (Run, b"\x0a" + b"\xff" * 9 + b"\x01", "cut off"),
        (Run, b"\x8a\x01", "cut off"),
        (Run, b"\x0a", "cut off"),
        (
            SleepYield,
            b"\x0a\x02\x10\x7f\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x10\x01",
            "range",
        ),
    ],
)
def test_what_is_no_message_is_refused(
    message: type[Message], raw: bytes, said: str
) -> None:
    with pytest.raises(ConnectError, match=said):
        protobuf_decode.decode(message, raw)


@pytest.mark.parametrize(
    ("message", "raw", "expected"),
    [
        (
            DeleteRunRequest,
            b"\x12\x01x\x0a\x01r\x1d\x00\x00\x00\x00",
            DeleteRunRequest(id="r"),
        ),
        # What has another form than the field is passed over, as if it were not known.
        (Run, b"\x08\x05", Run()),
        (ListRunsRequest, b"\x50\x04", ListRunsRequest(statuses=(4,))),
        (ListRunsRequest, b"\x51" + bytes(8), ListRunsRequest(statuses=())),
        (WorkerRegister, b"\x28\x05", WorkerRegister(labels={})),
        (WorkerRegister, b"\x2a\x02\x08\x05", WorkerRegister(labels={"": ""})),
        (
            WorkerRegister,
            b"\x2a\x08\x12\x01a\x12\x01b\x1a\x00",
            WorkerRegister(labels={"": "b"}),
        ),
        (SleepYield, b"\x0a\x05\x1a\x00\x0a\x01x", SleepYield(until=0)),
        (TriggerRequest, b"\x12\x02\x08\x05", TriggerRequest(data={})),
        (TriggerRequest, b"\x32\x00", TriggerRequest(data_value=None)),
        (TriggerRequest, b"\x32\x02\x18\x05", TriggerRequest(data_value=None)),
        (TriggerRequest, b"\x32\x04\x20\x01\x08\x00", TriggerRequest(data_value=None)),
        (TriggerRequest, b"\x32\x04\x20\x00\x20\x01", TriggerRequest(data_value=True)),
        (Event, b"\x58\xff\xff\xff\xff\x0f", Event(entity_version=2**32 - 1)),
        (Event, b"\x40\xff\xff\xff\xff\x0f", Event(version=-1)),
        (ToolDef, b"\x28\x80\x80\x80\x80\x10", ToolDef()),
    ],
)
def test_what_does_not_fit_is_passed_over(
    message: type[Message], raw: bytes, expected: Message
) -> None:
    assert protobuf_decode.decode(message, raw) == expected


def test_the_last_member_of_a_oneof_holds() -> None:
    raw = protobuf_encode.encode(StepYielded(sleep=SleepYield(until=5)))
    raw += protobuf_encode.encode(
        StepYielded(wait_event=WaitEventYield(event_name="e"))
    )

    found = protobuf_decode.decode(StepYielded, raw)

    assert found == StepYielded(wait_event=WaitEventYield(event_name="e"))


def test_parts_of_one_message_are_one() -> None:
    first = protobuf_encode.encode(Event(data={"a": 1}, data_value=["x"]))
    second = protobuf_encode.encode(Event(data={"b": 2}, data_value=["y"]))

    found = protobuf_decode.decode(Event, first + second)

    assert found == Event(data={"a": 1, "b": 2}, data_value=["x", "y"])


def test_numbers_stand_in_one_piece_or_each_by_itself() -> None:
    whole = protobuf_encode.encode(ListRunsRequest(statuses=(2, 3)))

    found = protobuf_decode.decode(ListRunsRequest, b"\x50\x07" + whole)

    assert found.statuses == (7, 2, 3)


def test_packed_numbers_are_counted() -> None:
    many = bytes([4]) * (limits.PROTOBUF_PARTS_MAX + 1)
    size = protobuf_encode.encode(ListRunsRequest(limit=len(many)))[1:]

    with pytest.raises(ConnectError, match="parts"):
        protobuf_decode.decode(ListRunsRequest, b"\x52" + size + many)


def test_messages_in_each_other_have_a_bound() -> None:
    path = "$" + ".a" * (limits.WIRE_DEPTH_MAX + 1)

    with pytest.raises(ConnectError, match="nested too deeply"):
        protojson.from_plain(Run, {}, path)


def test_bytes_in_each_other_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = protobuf_encode.encode(HealthResponse(components={"a": ComponentHealth()}))
    monkeypatch.setattr(limits, "WIRE_DEPTH_MAX", 0)

    with pytest.raises(ConnectError, match="nested deeper than 0 levels"):
        protobuf_decode.decode(HealthResponse, raw)


def test_scalars_of_a_payload_have_their_bytes() -> None:
    message = TriggerRequest(data_value=[True, False, None, 2.5, "x", (), {"a": 2**60}])

    found = protobuf_decode.decode(TriggerRequest, protobuf_encode.encode(message))

    assert found.data_value == [True, False, None, 2.5, "x", [], {"a": 2**60}]


def test_a_name_in_both_spellings_is_one_field() -> None:
    found = protojson.from_plain(TriggerRequest, {"dataValue": 1, "data_value": None})

    assert found.data_value is None


def test_presence_is_that_of_proto3() -> None:
    slots = layout(Step).by_name

    assert slots["duration_ms_full"].has_presence
    assert not slots["duration_ms"].has_presence
    assert not layout(WorkerRegister).by_name["labels"].has_presence
    assert not layout(WorkerRegister).by_name["function_ids"].has_presence
    zero = protobuf_encode.encode(Step(duration_ms_full=0))
    assert protobuf_decode.decode(Step, zero) == Step(duration_ms_full=0)


def test_a_lease_is_read_with_its_number() -> None:
    lease = ProjectionLease(token="t", epoch=2**63 - 1)

    assert protojson.decode(ProjectionLease, protojson.encode(lease)) == lease
