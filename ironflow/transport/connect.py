"""Procedures of Connect as routes: one method each, unary or a stream in either direction.

A procedure sees messages. How they are framed, written and compressed, how long the caller
waits and how an error reaches it is done here.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar, cast, final

import msgspec
import trio

from ironflow.engine.log import SafeLogger
from ironflow.errors import IronflowError
from ironflow.transport.http.messages import HttpError, Request, Response
from ironflow.transport.http.router import Parameters, Router
from ironflow.wire import connect, protobuf_decode, protobuf_encode, protojson
from ironflow.wire.connect import Codec, ContentType
from ironflow.wire.errors import ConnectError, malformed
from ironflow.wire.failures import failure_of
from ironflow.wire.message import Message, Method, Service

log: Final = SafeLogger(logging.getLogger("ironflow.connect"))

_M = TypeVar("_M", bound=Message)
_JSON: Final = ("content-type", "application/json")
_SERVER_FAULT: Final = 500
_GRPC: Final = "application/grpc"
_GRPC_WEB: Final = "application/grpc-web"
_GRPC_UNIMPLEMENTED: Final = "12"
_VERSION: Final = "connect-protocol-version"  # what every generated client sends


@final
@dataclass(frozen=True, slots=True)
class WithMembers:
    """An answer whose JSON has members besides those of the schema.

    Published clients that speak JSON read some names that no schema has. They are not told
    to clients that say which version of Connect they speak: these are generated, and take
    a field that is there in both spellings for a mistake.
    """

    message: Message
    members: Mapping[str, object]


Receive = Callable[[], Awaitable[Any]]  # the next message; None when there is none
Send = Callable[[Message], Awaitable[None]]
Unary = Callable[[Request, Any], Awaitable[Message | WithMembers]]
Streaming = Callable[[Request, Receive, Send], Awaitable[None]]
Procedures = Mapping[str, Unary | Streaming]  # by the name of the method


@final
@dataclass(frozen=True, slots=True)
class _Call:
    """A request to a method, and the form of its messages."""

    request: Request
    form: ContentType
    method: Method


def add(
    router: Router,
    nursery: trio.Nursery,
    service: tuple[str, Service],
    procedures: Procedures,
) -> None:
    """Let a router know a service, by its full name; what it lacks is unimplemented.

    A stream runs in `nursery` until it returns or its client is gone.
    """
    name, methods = service
    assert procedures.keys() <= methods.keys()

    async def answer(request: Request, parameters: Parameters) -> Response:
        header = request.headers.get("content-type", "")
        if header.startswith(_GRPC):
            return _no_grpc(header)
        form = _form(request)
        method = methods.get(parameters["method"])
        procedure = procedures.get(parameters["method"])
        if method is None or procedure is None:
            missing = f"{name}/{parameters['method']} is not known to this server"
            return _refused(form, ConnectError("unimplemented", missing))
        if form.streaming != (method.streams_requests or method.streams_responses):
            raise _unsupported(str(form))
        if form.streaming:
            call = _Call(request, form, method)
            return _stream(nursery, call, cast("Streaming", procedure))
        return await _unary(_Call(request, form, method), cast("Unary", procedure))

    router.add("POST", f"/{name}/{{method}}", answer)


def _no_grpc(header: str) -> Response:
    """Refuse a call in the words of gRPC: of a status of HTTP its clients say nothing."""
    is_web = header.startswith(_GRPC_WEB)
    return Response(
        200,
        [
            ("content-type", _GRPC_WEB if is_web else _GRPC),
            ("grpc-status", _GRPC_UNIMPLEMENTED),
            ("grpc-message", "this server speaks Connect, and no gRPC"),
        ],
    )


def _form(request: Request) -> ContentType:
    header = request.headers.get("content-type", "application/json")
    form = connect.content_type(header)
    if form is None:
        raise _unsupported(header)
    return form


def _unsupported(header: str) -> HttpError:
    return HttpError(
        415,
        "invalid_argument",
        f"the content type {header[:80]!r} is not taken here",
        headers=[("accept-post", connect.ACCEPTED)],
    )


def _refused(form: ContentType, error: ConnectError) -> Response:
    if form.streaming:
        return Response(
            200, [("content-type", str(form))], connect.end_of_stream(error)
        )
    return Response(error.status, [_JSON], connect.error_body(error))


# --- one message and one answer ------------------------------------------------------------


async def _unary(call: _Call, procedure: Unary) -> Response:
    request, form = call.request, call.form
    try:
        with trio.move_on_after(_seconds(request)):
            message = decoded(form.codec, call.method.request, await request.read())
            answer = await procedure(request, message)
            if isinstance(answer, WithMembers) and _VERSION in request.headers:
                answer = answer.message
            body = encoded(form.codec, answer)
            return Response(200, [("content-type", str(form))], body)
    except HttpError:
        raise  # its status and headers say more than its code
    except Exception as error:  # noqa: BLE001  the caller is told, the log says the rest
        return _refused(form, _told(error, request))
    return _refused(form, _late())


def _seconds(request: Request) -> float:
    header = request.headers.get("connect-timeout-ms")
    return float("inf") if header is None else connect.timeout_ms(header) / 1_000


def _late() -> ConnectError:
    return ConnectError("deadline_exceeded", "the time that the caller gave is over")


def decoded(codec: Codec, message: type[_M], data: bytes) -> _M:
    """Return the message that a body is.

    Raises:
        ConnectError: it is none.
    """
    if codec == "json":
        return protojson.decode(message, data)
    return protobuf_decode.decode(message, data)


def encoded(codec: Codec, message: Message | WithMembers) -> bytes:
    """Return a message as the body that says it."""
    if isinstance(message, WithMembers):
        if codec == "json":
            plain = protojson.to_plain(message.message)
            return msgspec.json.encode({**plain, **message.members})
        message = message.message
    if codec == "json":
        return protojson.encode(message)
    return protobuf_encode.encode(message)


def _told(error: Exception, request: Request) -> ConnectError:
    """Return what the caller is told of an error, and log what is our fault."""
    match error:
        case ConnectError():
            return error
        case HttpError():
            return ConnectError(error.code, error.message)
        case _:
            failure = failure_of(error)
            if not isinstance(error, IronflowError):
                log.error(
                    "%s raised what nobody expected; please report it",
                    request.path,
                    exc_info=error,
                )
            elif failure.status >= _SERVER_FAULT:
                log.warning("%s: %s", request.path, error)
            return ConnectError(failure.code, failure.message)


# --- streams -------------------------------------------------------------------------------


@final
@dataclass(slots=True, eq=False)
class _Frames:
    """The body of a streamed answer: frames as the procedure sends them.

    Closing it ends the procedure.
    """

    frames: trio.MemoryReceiveChannel[bytes]
    scope: trio.CancelScope

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.frames.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self.scope.cancel()
        self.frames.close()
        await trio.lowlevel.checkpoint()


def _stream(nursery: trio.Nursery, call: _Call, procedure: Streaming) -> Response:
    """Start a procedure; its answer begins at once, and has messages as they come."""
    # No buffer: a procedure that sends waits until the client has read.
    out, frames = trio.open_memory_channel[bytes](0)
    scope = trio.CancelScope()

    async def send(message: Message) -> None:
        await out.send(connect.envelope(encoded(call.form.codec, message)))

    async def proceed() -> None:
        async with aclosing(_messages(call)) as messages:
            await procedure(call.request, partial(anext, messages, None), send)

    async def carry() -> None:
        try:
            with scope, out:
                error = await _end_of(proceed, call.request)
                await out.send(connect.end_of_stream(error))
        except Exception as error:  # noqa: BLE001  it came beside the cancel; nobody is there
            _told(_leaf(error), call.request)

    nursery.start_soon(carry, name=call.request.path)
    headers = [("content-type", str(call.form))]
    return Response(200, headers, _Frames(frames, scope))


def _leaf(error: Exception) -> Exception:
    """Return the only error of a group of tasks; the group itself, if it has more."""
    if not isinstance(error, ExceptionGroup):
        return error
    group = cast("ExceptionGroup[Exception]", error)
    return _leaf(group.exceptions[0]) if len(group.exceptions) == 1 else group


async def _end_of(
    proceed: Callable[[], Awaitable[None]], request: Request
) -> ConnectError | None:
    """Carry a procedure; return what its caller is told at the end."""
    try:
        with trio.move_on_after(_seconds(request)):
            await proceed()
            return None
    except Exception as error:  # noqa: BLE001  the caller is told, the log says the rest
        return _told(_leaf(error), request)
    return _late()


async def _messages(
    call: _Call,
) -> AsyncGenerator[Message]:
    """Yield the messages of a request as they come."""
    request = call.request
    encoding = request.headers.get("connect-content-encoding", "")
    reader = connect.EnvelopeReader(encoding=encoding)
    async with aclosing(cast("AsyncGenerator[bytes]", request.stream())) as pieces:
        async for piece in pieces:
            for data in reader.feed(piece):
                yield decoded(call.form.codec, call.method.request, data)
    reader.finish()


async def only(receive: Receive) -> Any:
    """Return the one message of a request whose answer is a stream.

    Raises:
        ConnectError: there is none, or more than one.
    """
    message = await receive()
    if message is None or await receive() is not None:
        raise malformed("this method takes one message")
    return message
