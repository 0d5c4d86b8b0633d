"""A link over a WebSocket to a server: `websockets` does the protocol, Trio the sockets."""

import ssl
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final, final
from urllib.parse import urlsplit

import trio
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from ironflow import limits
from ironflow.errors import ConfigurationError
from ironflow.sockets import keep_alive
from ironflow.wire.link import LinkClosed

PATH: Final = "/api/v2/worker"
SUBPROTOCOL: Final = "ironflow.2"

_READ_BYTES: Final = 64 * 1024
_OPEN_S: Final = 10.0
_CLOSE_S: Final = 2.0
_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_NO_STATUS: Final = 1006
_REFUSED: Final = frozenset({401, 403, 404})


def socket_url(server: str) -> str:
    """Return where a worker connects, of the URL of a server.

    Raises:
        ConfigurationError: it is no such URL.
    """
    parts = urlsplit(server)
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise ConfigurationError(
            f"{server!r} is no URL of a server; write http://host:port or"
            " https://host:port"
        )
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}{PATH}"


@asynccontextmanager
async def connect(
    server: str, *, api_key: str = "", tls: ssl.SSLContext | None = None
) -> AsyncGenerator["WebSocketLink"]:
    """Connect to a server, and leave the connection at the end of the block.

    `tls` is for `https`; without one the system's certificates are trusted.

    Raises:
        ConfigurationError: the server refuses the key, or knows no such path.
        LinkClosed: it cannot be reached, or answers otherwise; try again later.
    """
    try:
        with trio.fail_after(_OPEN_S):
            link = await _opened(server, api_key, tls)
    except (OSError, trio.TooSlowError, trio.BrokenResourceError) as error:
        raise LinkClosed(_NO_STATUS, f"{server} cannot be reached: {error}") from error
    try:
        yield link
    finally:
        await link.close()


async def _opened(
    server: str, api_key: str, tls: ssl.SSLContext | None
) -> "WebSocketLink":
    uri = parse_uri(socket_url(server))
    protocol = ClientProtocol(
        uri,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        max_size=limits.WIRE_MESSAGE_BYTES_MAX,
    )
    stream = await _stream(uri.host, uri.port, _tls(uri.secure, tls))
    link = WebSocketLink(stream, protocol)
    try:
        await link.shake_hands(server, api_key)
    except BaseException:
        await link.give_up()
        raise
    return link


async def _stream(
    host: str, port: int, context: ssl.SSLContext | None
) -> trio.abc.Stream:
    if context is None:
        stream = await trio.open_tcp_stream(host, port)
        keep_alive(stream)
        return stream
    secured = await trio.open_ssl_over_tcp_stream(host, port, ssl_context=context)
    keep_alive(secured.transport_stream)
    return secured


def _tls(secure: bool, context: ssl.SSLContext | None) -> ssl.SSLContext | None:  # noqa: FBT001  the URI says it
    if not secure:
        return None
    return ssl.create_default_context() if context is None else context


@final
class WebSocketLink:
    """One end of a link over a WebSocket. One task receives; several may send."""

    def __init__(self, stream: trio.abc.Stream, protocol: ClientProtocol) -> None:
        self._stream: Final = stream
        self._protocol: Final = protocol
        self._messages: Final[deque[bytes]] = deque()
        self._pieces: Final[list[bytes]] = []
        self._writing: Final = trio.Lock()

    async def shake_hands(self, server: str, api_key: str) -> None:
        """Ask the server to go on as a WebSocket."""
        request = self._protocol.connect()
        if api_key:
            request.headers["Authorization"] = f"Bearer {api_key}"
        self._protocol.send_request(request)
        await self._flush()
        while self._protocol.state is State.CONNECTING:
            await self._read()
            self._take_events()
        error = self._protocol.handshake_exc
        if isinstance(error, InvalidStatus) and error.response.status_code in _REFUSED:
            raise ConfigurationError(_refusal(server, error.response))
        if error is not None:
            raise LinkClosed(_NO_STATUS, f"{server} does not take workers: {error}")

    async def send(self, message: bytes) -> None:
        """Send a message; waits while the server does not read."""
        if self._protocol.state is not State.OPEN:
            raise self._closed()
        self._protocol.send_binary(message)
        try:
            await self._flush()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._closed() from error

    async def receive(self) -> bytes:
        """Return the next message."""
        while not self._messages:
            try:
                await self._read()
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise self._closed() from error
            self._take_events()
            if not self._messages and self._protocol.state is State.CLOSED:
                raise self._closed()
        return self._messages.popleft()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye, if there is somebody to say it to, and close the socket."""
        with trio.CancelScope(shield=True):
            with trio.move_on_after(_CLOSE_S), suppress(Exception):
                if self._protocol.state is State.OPEN:
                    self._protocol.send_close(code, reason)
                    await self._flush()
            await self.give_up()

    async def give_up(self) -> None:
        """Close the socket without a word."""
        await trio.aclose_forcefully(self._stream)

    async def _read(self) -> None:
        data = await self._stream.receive_some(_READ_BYTES)
        if data:
            self._protocol.receive_data(bytes(data))
        else:
            self._protocol.receive_eof()
        await self._flush()  # what the protocol answers by itself

    def _take_events(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode in _DATA:
                self._pieces.append(bytes(event.data))
                if event.fin:
                    self._messages.append(b"".join(self._pieces))
                    self._pieces.clear()

    async def _flush(self) -> None:
        async with self._writing:
            data = b"".join(self._protocol.data_to_send())
            if data:
                await self._stream.send_all(data)

    def _closed(self) -> LinkClosed:
        code = self._protocol.close_code
        return LinkClosed(code or _NO_STATUS, self._protocol.close_reason or "")


_DATA: Final = frozenset({Opcode.BINARY, Opcode.TEXT, Opcode.CONT})


def _refusal(server: str, response: Response) -> str:
    status = response.status_code
    if status in {401, 403}:
        return (
            f"{server} refuses the key of this worker ({status}); give one that may work"
            " with --api-key, or set IRONFLOW_API_KEY"
        )
    return (
        f"{server} has nothing at {PATH} ({status}): it is no server of ironflow, or an"
        " older one"
    )
