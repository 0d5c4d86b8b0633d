"""Links in memory: two ends, and a wire between them that a test may cut."""

import math

import trio

from ironflow.wire.link import LinkClosed


class MemoryLink:
    """One end. `silence` loses what is sent, as a network that fell away does."""

    def __init__(
        self,
        out: trio.MemorySendChannel[bytes],
        into: trio.MemoryReceiveChannel[bytes],
    ) -> None:
        self._out = out
        self._into = into
        self.is_silent = False
        self.sent = 0  # messages

    async def send(self, message: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.sent += 1
        if self.is_silent:
            return
        try:
            self._out.send_nowait(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise LinkClosed from error

    async def receive(self) -> bytes:
        try:
            while True:
                message = await self._into.receive()
                if not self.is_silent:
                    return message
        except (trio.EndOfChannel, trio.ClosedResourceError) as error:
            raise LinkClosed from error

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.cut()

    def cut(self) -> None:
        """Close both directions at once."""
        self._out.close()
        self._into.close()


def pair() -> tuple[MemoryLink, MemoryLink]:
    """Return both ends of a link."""
    there = trio.open_memory_channel[bytes](math.inf)
    back = trio.open_memory_channel[bytes](math.inf)
    return MemoryLink(there[0], back[1]), MemoryLink(back[0], there[1])
