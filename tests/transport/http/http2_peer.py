"""A client of HTTP/2 that does what a test says, and nothing on its own."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import trio
from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.settings import SettingCodes, Settings

from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.messages import Handler
from tests.transport.http.peers import Served, echo, served


class Http2Peer:
    """What was received, by stream; `pump` reads once."""

    def __init__(self, connection: Served, window: int) -> None:
        self.connection = connection
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))  # fmt: skip
        self.h2.local_settings = Settings(
            client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window}
        )
        self.events: list[Event] = []
        self.is_over = False
        self._data = b""

    async def flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            await self.connection.stream.send_all(data)

    async def pump(self) -> None:
        data = await self.connection.stream.receive_some()
        if not data:
            self.is_over = True
            return
        self._data += data
        while 9 <= (size := 9 + int.from_bytes(self._data[:3])) <= len(self._data):
            self.events += self.h2.receive_data(self._data[:size])
            self._data = self._data[size:]
            # To h2 a goodbye is the end; but what was asked is answered behind it.
            self.h2.state_machine.state = ConnectionState.CLIENT_OPEN
        with suppress(trio.BrokenResourceError):
            await self.flush()

    async def begin(
        self, path: str = "/a", method: str = "POST", **headers: str
    ) -> int:
        """Send the head of a request."""
        stream_id = self.h2.get_next_available_stream_id()
        head = [
            (":method", method),
            (":scheme", "http"),
            (":authority", "test"),
            (":path", path),
            *[(name.replace("_", "-"), value) for name, value in headers.items()],
        ]
        self.h2.send_headers(stream_id, head)
        await self.flush()
        return stream_id

    async def ask(self, path: str = "/a", body: bytes = b"") -> int:
        stream_id = await self.begin(path)
        self.h2.send_data(stream_id, body, end_stream=True)
        await self.flush()
        return stream_id

    def ended(self, stream_id: int) -> bool:
        return any(
            isinstance(event, StreamEnded | StreamReset)
            and event.stream_id == stream_id
            for event in self.events
        )

    def reset(self, stream_id: int) -> int | None:
        """Return the code with which a stream was reset."""
        for event in self.events:
            if isinstance(event, StreamReset) and event.stream_id == stream_id:
                return event.error_code
        return None

    def goodbye(self) -> int | None:
        """Return the code of a GOAWAY."""
        for event in self.events:
            if isinstance(event, ConnectionTerminated):
                return event.error_code
        return None

    def body(self, stream_id: int) -> bytes:
        return b"".join(
            event.data
            for event in self.events
            if isinstance(event, DataReceived) and event.stream_id == stream_id
        )

    def status(self, stream_id: int) -> str | None:
        return self.headers(stream_id).get(":status")

    def headers(self, stream_id: int) -> dict[str, str]:
        for event in self.events:
            if isinstance(event, ResponseReceived) and event.stream_id == stream_id:
                return {str(name): str(value) for name, value in event.headers}
        return {}

    def was_told_to_go_on(self, stream_id: int) -> bool:
        return any(
            isinstance(event, InformationalResponseReceived)
            and event.stream_id == stream_id
            for event in self.events
        )

    async def until_ended(self, stream_id: int) -> str:
        """Read until a response is whole or reset; return its body as text."""
        while not self.ended(stream_id) and not self.is_over:
            await self.pump()
        return self.body(stream_id).decode("latin-1")

    async def settle(self) -> None:
        """Read what comes within a second."""
        with trio.move_on_after(1):
            await self.until_over()

    async def until_over(self) -> None:
        while not self.is_over:
            await self.pump()

    def take(self, stream_id: int, size: int) -> None:
        """Open the windows that `size` bytes have closed."""
        self.h2.acknowledge_received_data(size, stream_id)


@asynccontextmanager
async def http2_served(
    handler: Handler = echo,
    *,
    bounds: Bounds | None = None,
    window: int = 65_535,
    pair: tuple[trio.abc.Stream, trio.abc.Stream] | None = None,
) -> AsyncGenerator[Http2Peer]:
    """Serve one HTTP/2 connection in memory; behind the block it must have ended."""
    async with served(handler, bounds=bounds, pair=pair) as connection:
        peer = Http2Peer(connection, window)
        peer.h2.initiate_connection()
        await peer.flush()
        yield peer
