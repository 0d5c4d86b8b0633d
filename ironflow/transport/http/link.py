"""A client's byte stream, and until when the next thing must have happened on it."""

import math
from typing import Final, final

import trio

GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
SECOND_US: Final = 1_000_000
_RECEIVE_BYTES: Final = 64 * 1024
# Of a protocol that Python takes apart: frames of a few bytes in one read of 64 KiB would
# stop the loop for a tenth of a second.
FRAMES_BYTES: Final = 16 * 1024
_SEND_BYTES: Final = 64 * 1024


@final
class Link:
    """Reads and writes; `deadline` (in Trio's time) is watched by whoever owns it."""

    __slots__ = ("_stall", "_stream", "deadline")

    def __init__(self, stream: trio.abc.Stream, *, write_stall_us_max: int) -> None:
        self._stream = stream
        self._stall = write_stall_us_max / SECOND_US
        self.deadline = math.inf

    async def receive(self, limit: int = _RECEIVE_BYTES) -> bytes:
        """Return what has come, up to so many bytes; empty when no more will."""
        try:
            return bytes(await self._stream.receive_some(limit))
        except GONE:
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

    async def abort(self) -> None:
        """Close it at once; whoever reads or writes learns that the client is gone."""
        await trio.aclose_forcefully(self._stream)
