"""A client's byte stream, and until when the next thing must have happened on it."""

import errno
import math
import socket
from contextlib import suppress
from typing import Final, cast, final

import trio

from ironflow import sockets

GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
SECOND_US: Final = 1_000_000
_RECEIVE_BYTES: Final = 64 * 1024
# Of a protocol that Python takes apart: frames of a few bytes in one read of 64 KiB would
# stop the loop for a tenth of a second.
FRAMES_BYTES: Final = 16 * 1024
_SEND_BYTES: Final = 64 * 1024
# What the kernel says of a connection that nobody has ended.
_VANISHED: Final = frozenset(
    {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN}
)


@final
class Link:
    """Reads and writes; `deadline` (in Trio's time) is watched by whoever owns it."""

    __slots__ = ("_is_vanished", "_socket", "_stall", "_stream", "deadline")

    def __init__(self, stream: trio.abc.Stream, *, write_stall_us_max: int) -> None:
        self._stream = stream
        self._socket = _socket_of(stream)
        self._stall = write_stall_us_max / SECOND_US
        self._is_vanished = False
        self.deadline = math.inf

    async def receive(self, limit: int = _RECEIVE_BYTES) -> bytes:
        """Return what has come, up to so many bytes; empty when no more will."""
        try:
            return bytes(await self._stream.receive_some(limit))
        except GONE as error:
            self._is_vanished |= _is_vanishing(error)
            return b""

    async def send(self, data: bytes) -> None:
        """Send all of it; while it does, each piece has a deadline.

        Cancelled, it may have sent a part: nothing can be sent after that.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: the client is gone.
        """
        self.deadline = trio.current_time() + self._stall
        if len(data) <= _SEND_BYTES:
            await self._stream.send_all(data)
        else:
            whole = memoryview(data)
            for at in range(0, len(data), _SEND_BYTES):
                self.deadline = trio.current_time() + self._stall
                await self._stream.send_all(whole[at : at + _SEND_BYTES])
        self.deadline = math.inf

    async def linger(self, seconds: float) -> None:
        """Read and forget until the client closes, so that it sees the last answer.

        A socket that is closed with unread bytes takes back what it has sent.
        """
        with trio.move_on_after(seconds):
            try:
                if isinstance(self._stream, trio.abc.HalfCloseableStream):
                    await self._stream.send_eof()
            except GONE:
                return
            while await self.receive():
                pass

    def look(self) -> None:
        """End it if the client's machine acknowledges nothing any more.

        The kernel looks after a connection on which nothing is under way by itself.
        """
        if self._socket is None or self._is_vanished:
            return
        with suppress(OSError):  # it ends just now
            self._is_vanished = sockets.is_unanswered(self._socket)
            if self._is_vanished:
                self._socket.socket.shutdown(socket.SHUT_RDWR)

    def is_vanished(self) -> bool:
        """Tell whether it ended because the client's machine was not there any more."""
        return self._is_vanished

    async def abort(self) -> None:
        """Close it at once; whoever reads or writes learns that the client is gone."""
        await trio.aclose_forcefully(self._stream)


def _socket_of(stream: trio.abc.Stream) -> trio.SocketStream | None:
    """Return what the kernel knows a stream as, if it is one of the network."""
    below = stream
    if isinstance(stream, trio.SSLStream):
        below = cast("trio.SSLStream[trio.abc.Stream]", stream).transport_stream
    return below if isinstance(below, trio.SocketStream) else None


def _is_vanishing(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in _VANISHED:
            return True
        error = error.__cause__
    return False
