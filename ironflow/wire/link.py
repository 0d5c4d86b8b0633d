"""What carries frames between two ends: whole messages, in order, until it is closed."""

from typing import Protocol, final


@final
class LinkClosed(Exception):
    """No more messages come, or can be sent: `code` and `reason` as of a WebSocket.

    1006: it ended without a word.
    """

    def __init__(self, code: int = 1006, reason: str = "") -> None:
        super().__init__(f"the link was closed with {code}: {reason}")
        self.code = code
        self.reason = reason


class Link(Protocol):
    """One end of a link. One task receives; several may send."""

    async def send(self, message: bytes) -> None:
        """Send a message; waits while the other end does not read.

        Raises:
            LinkClosed: it cannot be sent any more.
        """
        ...

    async def receive(self) -> bytes:
        """Return the next message.

        Raises:
            LinkClosed: no more will come.
        """
        ...

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it, also for the other end; does nothing when it is closed."""
        ...
