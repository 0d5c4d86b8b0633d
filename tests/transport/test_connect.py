"""Procedures as routes: codecs, deadlines, errors and streams, of services made here."""

import gzip
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

import msgspec
import pytest
import trio
import trio.testing

from ironflow.errors import JournalDamaged, RunNotFound
from ironflow.transport import connect
from ironflow.transport.connect import Receive, Send
from ironflow.transport.http.messages import (
    ClientGone,
    Headers,
    HttpError,
    Request,
    Response,
)
from ironflow.transport.http.router import Router
from ironflow.wire.connect import envelope
from ironflow.wire.errors import ConnectError
from ironflow.wire.message import Message, Service
from ironflow.wire.proto.ironflow import IronflowService
from ironflow.wire.proto.types import Run
from ironflow.wire.proto.worker import WorkerService
from ironflow.wire.protobuf_decode import decode
from ironflow.wire.protobuf_encode import encode

GET_RUN = "/ironflow.v1.IronflowService/GetRun"
HIDDEN = "the server cannot do this now; its log says why"
CONNECT = "/ironflow.v1.WorkerService/Connect"
ERRORS: dict[str, Exception] = {
    "ours": RunNotFound("there is no run"),
    "said": ConnectError("aborted", "somebody else was first"),
    "secret": JournalDamaged("/var/lib/ironflow"),
    "bug": KeyError("secret"),
    "large": HttpError(413, "resource_exhausted", "too large", headers=[("x", "y")]),
}


async def get_run(_: Request, message: Any) -> Message:
    if message.id in ERRORS:
        raise ERRORS[message.id]
    if message.id == "slow":
        await trio.sleep(60)
    return Run(id=message.id, attempt=2)


class Body:
    """A body whose pieces come when they are sent; closed by its client or not."""

    def __init__(self) -> None:
        self.send, self._pieces = trio.open_memory_channel[bytes](10)

    async def receive(self, *, is_timed: bool) -> bytes:
        try:
            return await self._pieces.receive()
        except trio.EndOfChannel:
            return b""

    def is_gone(self) -> bool:
        return False

    async def wait_gone(self) -> None:
        await trio.sleep_forever()


class Services:
    """A router with services made here, and what was seen in them."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.router = Router()
        self.seen: list[Any] = []
        self.ended = trio.Event()
        name = "ironflow.v1."
        services: list[tuple[str, Service, connect.Procedures]] = [
            ("IronflowService", IronflowService, {"GetRun": get_run}),
            ("WorkerService", WorkerService, {"Connect": self.connect}),
            ("QueryService", {}, {}),
        ]
        for each, service, procedures in services:
            connect.add(self.router, nursery, (name + each, service), procedures)

    async def connect(self, _: Request, receive: Receive, send: Send) -> None:
        """Answer every registration; fail at a heartbeat."""
        try:
            while (message := await receive()) is not None:
                self.seen.append(message)
                if message.heartbeat is not None:
                    raise ERRORS[message.heartbeat.worker_id]
                method = WorkerService["Connect"]
                await send(method.response())
        finally:
            self.ended.set()

    async def post(
        self, path: str, body: bytes | Body, form: str = "application/json", **more: str
    ) -> Response:
        headers = {"content-type": form} | {
            name.replace("_", "-"): value for name, value in more.items()
        }
        sent = Request("POST", path, headers=Headers(headers.items()), body=body)
        found = await self.router.handle(sent)
        assert isinstance(found, Response)
        return found


@pytest.fixture
async def services() -> AsyncGenerator[Services]:
    async with trio.open_nursery() as nursery:
        yield Services(nursery)
        nursery.cancel_scope.cancel()


def document(response: Response) -> Any:
    assert isinstance(response.body, bytes)
    assert ("content-type", "application/json") in response.headers
    return msgspec.json.decode(response.body)


async def frames(response: Response) -> list[tuple[int, bytes]]:
    """The envelopes of an answer, each as it came."""
    if isinstance(response.body, bytes):
        return [(response.body[0], response.body[5:])]
    async with aclosing(cast("AsyncGenerator[bytes]", response.body)) as body:
        return [(frame[0], frame[5:]) async for frame in body]


async def test_json_is_answered_in_json(services: Services) -> None:
    found = await services.post(
        GET_RUN, b'{"id":"a"}', "application/json; charset=utf-8"
    )

    assert found.status == 200
    assert document(found)["attempt"] == 2


async def test_bytes_are_answered_in_bytes(services: Services) -> None:
    body = gzip.compress(encode(IronflowService["GetRun"].request(id="a")))

    found = await services.post(
        GET_RUN, body, "application/proto", content_encoding="gzip"
    )

    assert found.headers == [("content-type", "application/proto")]
    assert isinstance(found.body, bytes)
    assert decode(Run, found.body) == Run(id="a", attempt=2)


@pytest.mark.parametrize(
    ("which", "status", "code", "message"),
    [
        ("ours", 404, "not_found", "there is no run"),
        ("said", 409, "aborted", "somebody else was first"),
        ("secret", 500, "data_loss", HIDDEN),
        ("bug", 500, "internal", HIDDEN),
    ],
)
async def test_an_error_is_json_whatever_was_asked_in(
    services: Services, *, which: str, status: int, code: str, message: str
) -> None:
    body = encode(IronflowService["GetRun"].request(id=which))

    found = await services.post(GET_RUN, body, "application/proto")

    assert found.status == status
    assert document(found) == {"code": code, "message": message}


async def test_a_bug_is_logged_with_its_traceback(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "ironflow.connect"):
        await services.post(GET_RUN, b'{"id":"bug"}')

    [record] = caplog.records
    assert GET_RUN in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError


async def test_an_error_of_http_keeps_its_status_and_headers(
    services: Services,
) -> None:
    with pytest.raises(HttpError) as caught:
        await services.post(GET_RUN, b'{"id":"large"}')

    assert (caught.value.status, caught.value.headers) == (413, (("x", "y"),))


async def test_a_message_that_does_not_fit_is_the_callers_fault(
    services: Services,
) -> None:
    assert document(await services.post(GET_RUN, b"[]"))["code"] == "invalid_argument"
    cut = await services.post(GET_RUN, b"\x0a\x05a", "application/proto")
    assert document(cut)["message"] == "the message is cut off"


async def test_the_time_of_the_caller_is_kept(
    services: Services, autojump_clock: trio.testing.MockClock
) -> None:
    found = await services.post(GET_RUN, b'{"id":"slow"}', connect_timeout_ms="1500")

    assert (found.status, document(found)["code"]) == (504, "deadline_exceeded")
    assert trio.current_time() == pytest.approx(1.5)
    wrong = await services.post(GET_RUN, b"{}", connect_timeout_ms="soon")
    assert document(wrong)["code"] == "invalid_argument"


@pytest.mark.parametrize(
    "path",
    [
        "/ironflow.v1.IronflowService/ListRuns",
        "/ironflow.v1.IronflowService/Nothing",
        "/ironflow.v1.QueryService/ExecuteSQL",
    ],
)
async def test_what_is_not_there_is_unimplemented(
    services: Services, path: str
) -> None:
    unary = await services.post(path, b"{}")
    streamed = await services.post(path, b"", "application/connect+json")

    assert (unary.status, document(unary)["code"]) == (501, "unimplemented")
    [(flags, end)] = await frames(streamed)
    assert (streamed.status, flags) == (200, 2)
    assert msgspec.json.decode(end)["error"]["code"] == "unimplemented"


@pytest.mark.parametrize(
    ("path", "form"),
    [
        (GET_RUN, "text/plain"),
        (GET_RUN, "application/connect+json"),
        (CONNECT, "application/json"),
    ],
)
async def test_a_form_that_the_method_lacks_is_refused(
    services: Services, path: str, form: str
) -> None:
    with pytest.raises(HttpError, match=form.replace("+", r"\+")) as caught:
        await services.post(path, b"", form)

    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("form", "answered"),
    [
        ("application/grpc", "application/grpc"),
        ("application/grpc+proto", "application/grpc"),
        ("application/grpc-web+proto", "application/grpc-web"),
    ],
)
@pytest.mark.parametrize("path", [GET_RUN, CONNECT])
async def test_grpc_is_refused_in_its_own_words(
    services: Services, path: str, form: str, answered: str
) -> None:
    """Of a status of HTTP that is not 200 a client of gRPC says nothing but the number."""
    found = await services.post(path, b"", form)

    headers = dict(found.headers)
    assert (found.status, found.body) == (200, b"")
    assert (headers["content-type"], headers["grpc-status"]) == (answered, "12")
    assert "Connect" in headers["grpc-message"]


# --- streams -------------------------------------------------------------------------------


def registered(codec: str) -> bytes:
    return {"json": b'{"register":{"workerId":"w"}}', "proto": b"\x0a\x03\x0a\x01w"}[
        codec
    ]


@pytest.mark.parametrize("codec", ["json", "proto"])
async def test_answers_come_while_requests_do(services: Services, codec: str) -> None:
    body = Body()
    found = await services.post(CONNECT, body, f"application/connect+{codec}")
    assert not isinstance(found.body, bytes)
    answers = aiter(found.body)

    await body.send.send(envelope(registered(codec)))
    first = await anext(answers)
    await body.send.send(envelope(registered(codec)))
    second = await anext(answers)
    await body.send.aclose()
    end = await anext(answers)

    assert first == second
    assert first[0] == 0
    assert end == b"\x02\x00\x00\x00\x02{}"
    assert [each.register.worker_id for each in services.seen] == ["w", "w"]
    with pytest.raises(StopAsyncIteration):
        await anext(answers)


async def test_compressed_messages_are_read(services: Services) -> None:
    raw = envelope(gzip.compress(registered("proto")), flags=1)

    found = await services.post(
        CONNECT, raw, "application/connect+proto", connect_content_encoding="gzip"
    )

    assert [flags for flags, _ in await frames(found)] == [0, 2]
    assert services.seen[0].register.worker_id == "w"


@pytest.mark.parametrize(
    ("which", "code"),
    [("ours", "not_found"), ("bug", "internal"), ("large", "resource_exhausted")],
)
async def test_an_error_ends_the_stream_in_its_last_frame(
    services: Services, which: str, code: str
) -> None:
    beat = b'{"heartbeat":{"workerId":"%s"}}' % which.encode()
    raw = envelope(registered("json")) + envelope(beat)

    found = await services.post(CONNECT, raw, "application/connect+json")

    (first, _), (last, end) = await frames(found)
    assert (found.status, first, last) == (200, 0, 2)
    assert msgspec.json.decode(end)["error"]["code"] == code


@pytest.mark.parametrize(
    ("raw", "more"),
    [
        (b"\x00\x00\x00\x00\x05a", {}),
        (envelope(b"nonsense"), {}),
        (envelope(b"{}"), {"connect_content_encoding": "br"}),
        (envelope(b"{}"), {"connect_timeout_ms": "x"}),
    ],
)
async def test_a_stream_that_cannot_be_read_ends_with_an_error(
    services: Services, raw: bytes, more: dict[str, str]
) -> None:
    found = await services.post(CONNECT, raw, "application/connect+json", **more)

    [(flags, end)] = await frames(found)
    assert flags == 2
    assert msgspec.json.decode(end)["error"]["code"] in {
        "invalid_argument",
        "unimplemented",
    }


async def test_a_stream_ends_when_the_time_of_the_caller_is_over(
    services: Services, autojump_clock: trio.testing.MockClock
) -> None:
    found = await services.post(
        CONNECT, Body(), "application/connect+json", connect_timeout_ms="2000"
    )

    [(_, end)] = await frames(found)
    assert msgspec.json.decode(end)["error"]["code"] == "deadline_exceeded"
    assert services.ended.is_set()


async def test_a_client_that_goes_ends_the_procedure(services: Services) -> None:
    body = Body()
    found = await services.post(CONNECT, body, "application/connect+json")
    # Its answer waits for a reader that never comes.
    await body.send.send(envelope(registered("json")))
    await trio.testing.wait_all_tasks_blocked()
    assert not isinstance(found.body, bytes)

    await cast("AsyncGenerator[bytes]", found.body).aclose()

    await services.ended.wait()


async def test_a_request_that_breaks_off_ends_the_procedure(services: Services) -> None:
    class Broken(Body):
        async def receive(self, *, is_timed: bool) -> bytes:
            raise ClientGone

    found = await services.post(CONNECT, Broken(), "application/connect+json")

    [(_, end)] = await frames(found)
    assert msgspec.json.decode(end)["error"]["code"] == "canceled"
    assert services.ended.is_set()


@pytest.mark.parametrize("messages", [(), (1, 2)])
async def test_a_server_stream_takes_one_message(messages: tuple[int, ...]) -> None:
    given = iter(messages)

    async def receive() -> Any:
        return next(given, None)

    with pytest.raises(ConnectError, match="one message"):
        await connect.only(receive)


async def test_the_one_message_is_given() -> None:
    given = iter([7])

    async def receive() -> Any:
        return next(given, None)

    assert await connect.only(receive) == 7


async def test_what_fails_while_its_client_leaves_ends_nothing_else() -> None:
    """A cancel and an error in one group: the cancel goes, and the error stays."""

    async def split(_: Request, receive: Receive, send: Send) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await receive()
            finally:
                raise KeyError("beside the cancel")

    router = Router()
    async with trio.open_nursery() as nursery:
        name = "ironflow.v1.WorkerService"
        connect.add(router, nursery, (name, WorkerService), {"Connect": split})
        headers = Headers([("content-type", "application/connect+proto")])
        sent = Request("POST", f"/{name}/Connect", headers=headers, body=Body())
        found = await router.handle(sent)
        assert isinstance(found, Response)
        body = cast("AsyncGenerator[bytes]", found.body)
        await trio.testing.wait_all_tasks_blocked()

        await body.aclose()
        await trio.testing.wait_all_tasks_blocked()

        assert not nursery.cancel_scope.cancel_called
        nursery.cancel_scope.cancel()
