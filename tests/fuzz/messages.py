"""Codecs of messages: protobuf, its JSON, frames of protocol 2, documents of others."""

from contextlib import suppress
from typing import Final

import msgspec
from google.protobuf.message import DecodeError

from ironflow import codec
from ironflow.client import answers
from ironflow.errors import ConfigurationError, ProtocolError, ValueRejected
from ironflow.interpreter import outcomes
from ironflow.journal.base import FunctionRow
from ironflow.policy.retry import Retry
from ironflow.records import Draft, RunEnded, StepCompleted
from ironflow.transport.admitted import entries_of, function_row
from ironflow.wire import (
    frames,
    functions,
    posts,
    protobuf_decode,
    protobuf_encode,
    protojson,
    segments,
    segments_stream,
)
from ironflow.wire.errors import ConnectError
from ironflow.wire.message import Message
from ironflow.wire.proto.ironflow import (
    ListRunsRequest,
    RegisterFunctionRequest,
    TriggerBatchRequest,
    TriggerRequest,
)
from ironflow.wire.proto.types import Run, Step
from ironflow.wire.proto.worker import (
    EngineMessage,
    WorkerMessage,
    WorkerMetrics,
    WorkerRegister,
)
from ironflow.wire.segments import Report
from tests.fuzz.target import Target
from tests.interpreter.segments_world import RUN_ID, SegmentWorld, pack
from tests.wire.schema import foreign_class

NOW: Final = 1_700_000_000_000_000

# --- protobuf -----------------------------------------------------------------------------

_MESSAGES: Final[tuple[type[Message], ...]] = (
    TriggerRequest,
    TriggerBatchRequest,
    RegisterFunctionRequest,
    ListRunsRequest,
    WorkerMessage,
    EngineMessage,
    WorkerRegister,
    WorkerMetrics,
    Run,
    Step,
)
_PLAIN: Final = frozenset({ListRunsRequest, WorkerRegister, WorkerMetrics})


def protobuf(data: bytes) -> None:
    """What is read of bytes is what google's protobuf reads, and is written as it is."""
    if not data:
        return
    kind, raw = _MESSAGES[data[0] % len(_MESSAGES)], data[1:]
    try:
        message = protobuf_decode.decode(kind, raw)
    except ConnectError:
        return
    written = protobuf_encode.encode(message)
    assert _encoded(kind, written) == written
    foreign = foreign_class(kind.__name__)
    try:
        theirs = foreign.FromString(raw)
    except DecodeError:
        # Of a oneof, and so of every value, we read the last member only.
        if kind in _PLAIN:
            raise
        theirs = foreign.FromString(written)
    again = protobuf_decode.decode(kind, theirs.SerializeToString())
    assert again == message or "nan" in repr(message)  # maps may be in another order
    _in_json(message, written)


def _encoded(kind: type[Message], raw: bytes) -> bytes:
    return protobuf_encode.encode(protobuf_decode.decode(kind, raw))


def _in_json(message: Message, written: bytes) -> None:
    """What JSON has no text for is null there, and so is not the same; nor is a NaN."""
    text = protojson.encode(message)
    again = protojson.decode(type(message), text)
    if b"null" not in text and b"NaN" not in text:
        assert protobuf_encode.encode(again) == written, (message, again)


def json_messages(data: bytes) -> None:
    """Any JSON is a message or refused, and what is read can be written."""
    if not data:
        return
    kind = _MESSAGES[data[0] % len(_MESSAGES)]
    try:
        message = protojson.decode(kind, data[1:])
    except ConnectError:
        return
    protojson.encode(message)
    with suppress(ConnectError):  # a number that no double is
        protobuf_encode.encode(message)


_PROTOBUF: Final = [
    TriggerRequest(event="a", data={"n": [1, None, {"x": 2.5}]}, metadata={"a": "b"}),
    TriggerBatchRequest(events=(TriggerRequest(event="a", data_value=[1, "x"]),)),
    RegisterFunctionRequest(id="f", timeout_ms=5, secrets=("a", "b")),
    ListRunsRequest(statuses=(3, 4), limit=-1),
    WorkerRegister(worker_id="w", labels={"a": "b"}, function_ids=("f",)),
    WorkerMetrics(cpu_percent=-0.0, jobs_failed=-1),
    Run(id="r", status=3, created_at=NOW),
    Step(id="s", status=3, output={"a": None}),
]
_JSON: Final = [
    (1, b'{"events":[{"event":"a","data":{"a":1e400}},{"data":[1],"dataValue":null}]}'),
    (2, b'{"id":"f","preferredMode":"push","retry":{"maxAttempts":"3"},"x":[]}'),
    (3, b'{"status":"FAILED","statuses":[3,"RUN_STATUS_PAUSED"],"limit":5.0}'),
    (8, b'{"createdAt":"2030-01-01T00:00:00.000001Z","attempt":"1"}'),
]


# --- frames of protocol 2 -----------------------------------------------------------------


def worker_frames(data: bytes) -> None:
    """What a worker sends is a frame or refused; so is what it would append."""
    try:
        frame = frames.worker_frame(data)
    except ProtocolError:
        return
    assert frames.worker_frame(frames.encode(frame)) == frame
    with suppress(ProtocolError):
        match frame:
            case frames.Hello():
                for row in frame.functions:
                    function_row(bytes(row))
            case frames.ReceivedCommit():
                for command in frame.commands:
                    if isinstance(command, frames.ReceivedAppend):
                        entries_of(command, digest=b"\0" * 16)
            case _:
                pass


def server_frames(data: bytes) -> None:
    """What a server sends is a frame or refused."""
    with suppress(ProtocolError):
        frame = frames.server_frame(data)
        assert frames.server_frame(frames.encode(frame)) == frame


def push_posts(data: bytes) -> None:
    """Bodies of both directions, with the frames in them."""
    with suppress(ProtocolError):
        post = posts.read_post(data)
        if isinstance(post, posts.Post):
            posts.server_frames(post)
    with suppress(ProtocolError):
        reply = posts.read_reply(data)
        if isinstance(reply, posts.Reply):
            posts.worker_frames(reply)


_ENTRY, _HEADER = codec.seal(
    Draft(StepCompleted(id="a:0", attempt=1), pack({"n": 1})),
    sequence=2,
    recorded_at=NOW,
    previous=b"\0" * 16,
)
_END, _END_HEADER = codec.seal(
    Draft(RunEnded(status="completed"), pack(1)),
    sequence=3,
    recorded_at=NOW,
    previous=_ENTRY.digest,
)
ROW: Final = msgspec.Raw(pack(FunctionRow("f", "v1", ("go",))))
_APPEND: Final = frames.Append(
    RUN_ID,
    5,
    1,
    (frames.sent(_HEADER, _ENTRY.payload), frames.sent(_END_HEADER, _END.payload)),
    _END.digest,
    inbox_through=1,
    park=True,
    abandoned=("b:0",),
)
_PAUSE: Final = frames.PauseHeld(RUN_ID, 5, "r", "m", "v1")
_PAGE: Final = msgspec.Raw(codec.page([codec.encode(_ENTRY, _HEADER)]))
OF_WORKER: Final[list[frames.Frame]] = [
    frames.Hello((2,), "w", "p", "h", "s", (ROW,), 10),
    frames.Commit(1, (_APPEND, _PAUSE, frames.CancelChild(RUN_ID, RUN_ID, "r"))),
    frames.GiveBack(((RUN_ID, 5),)),
    frames.HistoryRequest(1, RUN_ID, 0, 100),
    frames.Credit(3),
    frames.Pong(),
    frames.Bye("enough"),
]
_OF_SERVER: Final[list[frames.Frame]] = [
    frames.Welcome(2, "default", "s", NOW, 5_000_000),
    frames.Claims((frames.Claimed(RUN_ID, "f", 5, 1, (), _PAGE),)),
    frames.Answers(
        1, (frames.Stored(2, (), parked=False), frames.Carried(changed=True))
    ),
    frames.NotStored(1, "full"),
    frames.HistoryPage(1, _PAGE, more=False),
    frames.News((RUN_ID,)),
    frames.Ping(NOW),
    frames.Failure("X", "y"),
]
_POSTS: Final = [
    posts.Post("default", NOW, RUN_ID, 5, "p", posts.packed(_OF_SERVER)),
    posts.Describe(NOW),
    posts.Reply("p", "open", posts.packed(OF_WORKER)),
    posts.Described("sdk", (ROW,)),
]
_MSGPACK: Final = [b"\xc0", b"\xc3", b"\xdd\xff\xff\xff\xff", b"\xc7\x08\x01", b"\x91"]


# --- documents of the published SDKs ------------------------------------------------------


def reports(data: bytes) -> None:
    """Reports of a published worker, one a line: refused, or they make a history."""
    world = SegmentWorld({"n": 1}, retry=Retry(max_attempts=2, jitter=0.0))
    world.begin()
    for line in data.split(b"\n")[:4]:
        try:
            report = segments.report_of(segments.parsed(line), RUN_ID)
        except (ConfigurationError, ValueRejected):
            continue
        _play(world, report)


def streamed(data: bytes) -> None:
    """Messages of a published worker's stream, each with its length before it."""
    world = SegmentWorld({"n": 1}, retry=Retry(max_attempts=2, jitter=0.0))
    world.begin()
    while data:
        size, raw = data[0], data[1 : data[0] + 1]
        data = data[size + 1 :]
        try:
            message = protobuf_decode.decode(WorkerMessage, raw)
        except ConnectError:
            continue
        for name in _TOLD:
            told = getattr(message, name)
            if told is None:
                continue
            with suppress(ConfigurationError, ValueRejected):
                report = segments_stream.report_of(told, RUN_ID, now=NOW)
                _play(world, report)


_TOLD: Final = (
    "step_completed",
    "step_failed",
    "step_yielded",
    "job_completed",
    "job_failed",
)


def _play(world: SegmentWorld, report: Report) -> None:
    if world.player.is_over or world.moves[-1].state != "working":
        return
    world.player.offer(report.news)
    outcome = outcomes.completed(world.performed, pack(None))
    if report.news.error is not None:
        error = ValueError("no")
        outcome = outcomes.failed(world.performed, error, now=world.now, draw=0.0)
    world.absorb(outcome)


def registrations(data: bytes) -> None:
    """Functions that are registered: read or refused, and what is kept can be read."""
    try:
        config = functions.from_document(segments.parsed(data))
    except ConfigurationError:
        return
    kept = functions.registered(config, None, now=NOW)
    stored = kept.to_bytes()
    read = functions.from_bytes(stored)
    assert read.to_bytes() == stored
    _ = (read.retry.policy, read.circuit_breaker.policy, read.patterns, read.inactive)


REPORTS: Final[list[dict[str, object]]] = [
    {
        "status": "progress",
        "steps": [
            {
                "id": f"{RUN_ID}:a:0",
                "name": "a",
                "type": "invoke",
                "status": "completed",
                "output": {"x": [1, None, 2.5]},
                "started_at": "2030-01-01T00:00:00Z",
            },
            {
                "id": f"{RUN_ID}:compensate:a:0",
                "status": "failed",
                "error": {"message": "no", "retryable": False},
            },
        ],
    },
    {"status": "completed", "output": {"a": 2**70}, "steps": []},
    {"status": "failed", "error": {"code": "STEP_FAILED", "retry_after_ms": 5}},
    {
        "status": "yielded",
        "yield": {
            "type": "wait_for_event",
            "step_id": f"{RUN_ID}:ok:0",
            "event_filter": {
                "event": "x",
                "match": 'data.n == "1"',
                "timeout": "7d",
                "match_value": "1",
            },
        },
    },
    {
        "status": "yielded",
        "yield": {
            "type": "invoke_function",
            "step_id": f"{RUN_ID}:f:0",
            "function_id": "f",
            "input": [1],
            "invoke_timeout_ms": 5,
        },
    },
    {
        "status": "yielded",
        "yield": {
            "type": "sleep",
            "step_id": f"{RUN_ID}:p:1:nap:0",
            "until": "2030-01-01T00:00:00Z",
        },
    },
]
_STREAMED: Final = [
    {"stepCompleted": {"stepId": f"{RUN_ID}:a:0", "outputValue": [1], "durationMs": 5}},
    {"stepYielded": {"stepId": f"{RUN_ID}:a:0", "sleep": {"until": "2030-01-01T00:00:00Z"}}},
    {"stepYielded": {"stepId": f"{RUN_ID}:a:0", "invokeFunction": {"functionId": "f", "inputJson": "e30="}}},
    {"stepYielded": {"stepId": f"{RUN_ID}:a:0", "waitEvent": {"eventName": "x", "timeout": "2030-01-01T00:00:00Z"}}},
    {"jobFailed": {"error": {"message": "m"}, "steps": [{"id": f"{RUN_ID}:a:0"}]}},
    {"jobCompleted": {"output": {"a": 1}}},
]  # fmt: skip
REGISTERED: Final = {
    "id": "hello",
    "name": "Hello",
    "triggers": [{"event": "order.*"}],
    "preferredMode": "EXECUTION_MODE_PUSH",
    "endpointUrl": "http://a/b",
    "retry": {"maxAttempts": 3, "initialDelayMs": "5", "backoff_factor": 1.5},
    "timeoutMs": 5,
    "concurrency": {"limit": 2, "key": "data.id"},
    "circuitBreaker": {"failureThreshold": 2},
    "debounce": {"period_ms": 1000, "key": "data.x"},
    "throttle": {"limit": 1, "periodMs": 1000},
    "cancelOn": [{"event": "x", "match": "data.id"}],
    "secrets": ["a"],
    "metadata": {"__ironflow_code_hash": "abc"},
}


# --- what a server answers ----------------------------------------------------------------


def answered(data: bytes) -> None:
    """What a client reads of a server's answer: a document, or no such document."""
    if not data:
        return
    kind = _ANSWERS[data[0] % len(_ANSWERS)]
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = msgspec.json.decode(data[1:], type=kind)
        if isinstance(found, answers.RunAnswer):
            found.facts()


_ANSWERS: Final[tuple[type[answers.Answer], ...]] = (
    answers.RunAnswer,
    answers.RunsAnswer,
    answers.StepsAnswer,
    answers.RecordsAnswer,
    answers.EventsAnswer,
    answers.FunctionsAnswer,
)


def _lengthened(raw: bytes) -> bytes:
    return bytes([len(raw)]) + raw


_encode: Final = msgspec.json.encode
TARGETS: Final = (
    Target(
        "protobuf",
        protobuf,
        [
            bytes([_MESSAGES.index(type(each))]) + protobuf_encode.encode(each)
            for each in _PROTOBUF
        ],
        [b"\x0a\x00", b"\xff\xff\xff\xff\x0f", b"\x80", b"\x0b", b"\x0c"],
    ),
    Target(
        "json_messages",
        json_messages,
        [bytes([kind]) + text for kind, text in _JSON],
        [b"null", b"1e999", b'"NaN"', b"[", b"{", b'"\\ud800"', b"-0"],
    ),
    Target("worker_frames", worker_frames, [*map(frames.encode, OF_WORKER)], _MSGPACK),
    Target("server_frames", server_frames, [*map(frames.encode, _OF_SERVER)], _MSGPACK),
    Target("posts", push_posts, [*map(msgspec.msgpack.encode, _POSTS)], _MSGPACK),
    Target(
        "reports",
        reports,
        [b"\n".join(map(_encode, REPORTS[:2])), *map(_encode, REPORTS)],
        [b"null", b"\n", b'"\\u0000"', b"1e999", b'"9999-12-31T23:59:59Z"', b"\\ud800"],
        many=150,
    ),
    Target(
        "streamed",
        streamed,
        [
            _lengthened(
                protobuf_encode.encode(protojson.from_plain(WorkerMessage, each))
            )
            for each in _STREAMED
        ],
        many=150,
    ),
    Target("registrations", registrations, [_encode(REGISTERED)], [b"null", b"1e999"]),
    Target(
        "answers", answered, [b'\x00{"id":"r","function_id":"f","status":"failed"}']
    ),
)
