"""One request of an HTTP/2 connection: its body, and how far its response may go."""

import math
from collections import deque
from typing import Protocol, final

import trio

from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.link import SECOND_US
from ironflow.transport.http.messages import ClientGone, HttpError


class Owner(Protocol):
    """What a stream needs of its connection."""

    def acknowledge(self, stream_id: int, size: int) -> None:
        """Let the client send so much more."""
        ...

    def go_on(self, stream_id: int) -> None:
        """Answer `Expect: 100-continue`."""
        ...


@final
class Http2Stream:
    """The `Exchange` of a request over HTTP/2, and its connection's notes about it."""

    __slots__ = (
        "_bounds",
        "_news",
        "_owner",
        "_since",
        "body",
        "buffered",
        "expects_continue",
        "id",
        "is_ended",
        "is_lost",
        "received",
        "scope",
        "stalled_until",
    )

    def __init__(self, stream_id: int, owner: Owner, bounds: Bounds) -> None:
        self.id = stream_id
        self._owner = owner
        self._bounds = bounds
        self._news = trio.lowlevel.ParkingLot()
        self._since = math.nan  # when its body was first waited for
        self.body: deque[bytes] = deque()
        self.buffered = 0  # bytes the client is not yet told were taken
        self.received = 0
        self.expects_continue = False
        self.is_ended = False  # the body is whole
        self.is_lost = False  # reset, or its connection ended
        self.scope: trio.CancelScope | None = None  # of a response in pieces
        self.stalled_until = math.inf  # by then the client must take more of it

    # For the connection

    def take(self, data: bytes, size: int) -> None:
        """Take a piece of the body that counts as `size` bytes of the window."""
        self.buffered += size
        self.received += len(data)
        if data:
            self.body.append(data)
            self._news.unpark_all()

    def end(self) -> None:
        """Note that the body is whole."""
        self.is_ended = True
        self._news.unpark_all()

    def lose(self) -> None:
        """Note that the client does not want it any more."""
        self.is_lost = True
        self._news.unpark_all()
        if self.scope is not None:
            self.scope.cancel()

    # For the request

    async def receive(self, *, is_timed: bool) -> bytes:
        """See `Exchange`."""
        while not self.body:
            if self.is_ended:
                return b""
            if self.is_lost:
                raise ClientGone
            await self._wait(is_timed=is_timed)
        piece = self.body[0] if len(self.body) == 1 else b"".join(self.body)
        self.body.clear()
        size, self.buffered = self.buffered, 0
        self._owner.acknowledge(self.id, size)
        return piece

    async def _wait(self, *, is_timed: bool) -> None:
        if self.expects_continue:
            self.expects_continue = False
            self._owner.go_on(self.id)
        if not is_timed:
            await self._news.park()
            return
        now = trio.current_time()
        if math.isnan(self._since):
            self._since = now
        stall = self._bounds.body_stall_us_max / SECOND_US
        rate = self._bounds.body_bytes_per_second_min
        due = self._since + stall + self.received / rate
        with trio.CancelScope(deadline=min(now + stall, due)) as scope:
            await self._news.park()
        if scope.cancelled_caught:
            raise HttpError(408, "deadline_exceeded", "the body came too slowly")

    def is_gone(self) -> bool:
        """See `Exchange`."""
        return self.is_lost

    async def wait_gone(self) -> None:
        """See `Exchange`."""
        while not self.is_lost:
            await self._news.park()
