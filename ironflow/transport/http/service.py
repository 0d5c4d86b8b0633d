"""What the connections of one server share, and the calling of its handler."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final, Protocol, final

import msgspec
import trio

from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.link import Link
from ironflow.transport.http.messages import (
    Answer,
    Handler,
    HttpError,
    Request,
    Response,
)

LOGGER: Final = logging.getLogger("ironflow.transport")


@final
class BrokenBody(Exception):
    """The body of a response broke off: the client must see that it is not whole."""


@final
class BadResponse(Exception):
    """A handler's response cannot be sent: a bug of the handler."""


@final
@dataclass(frozen=True, slots=True)
class Peer:
    """Who is connected: `host:port`, and "http" or "https"."""

    address: str
    scheme: str


class Connection(Protocol):
    """What a server knows of an open connection."""

    def tick(self, now: float) -> None:
        """End it if it has been too slow; called about once a second."""
        ...

    def drain(self) -> None:
        """Take no further request; end when there is none in flight."""
        ...


@final
class Service:
    """A handler, what it is served with, and who is connected."""

    def __init__(self, handler: Handler, bounds: Bounds) -> None:
        self.handler = handler
        self.bounds = bounds
        self.connections: set[Connection] = set()
        self.links: set[Link] = set()
        self.is_draining = False
        self.requests = 0  # that were handled since the start
        self.date = formatdate(usegmt=True)

    async def sweep(self) -> None:
        """Keep the date and every connection's deadline, until cancelled.

        One task for all: a cancel scope for each read would cost as much as the read.
        """
        while True:
            await trio.sleep(1)
            self.date = formatdate(usegmt=True)
            now = trio.current_time()
            for connection in [*self.connections]:
                connection.tick(now)
            for link in self.links:
                link.look()

    def drain(self) -> None:
        """Let every connection end with the requests that it has."""
        self.is_draining = True
        for connection in [*self.connections]:
            connection.drain()

    async def call(self, request: Request) -> Answer:
        """Return what the handler answers; its errors become answers, too."""
        self.requests += 1
        try:
            return await self.handler(request)
        except HttpError as error:
            return error_response(error)
        except Exception:
            LOGGER.exception("%s %s: the handler failed", request.method, request.path)
            return failure()[0]


def failure() -> tuple[Response, bytes]:
    """Return the answer to a request that failed by our fault, and its body."""
    response = error_response(HttpError(500, "internal", "internal error"))
    assert isinstance(response.body, bytes)
    return response, response.body


def error_response(error: HttpError) -> Response:
    """Return what a client is told of an error."""
    document = {
        "error": error.message,
        "code": error.code,
        "message": error.message,
        "retryable": error.code == "unavailable",
    }
    body = msgspec.json.encode(document)
    return Response(
        error.status, [("content-type", "application/json"), *error.headers], body
    )


async def next_piece(request: Request, body: AsyncIterator[bytes]) -> bytes | None:
    """Return the next piece of a response that is not empty; None at its end.

    Raises:
        BrokenBody: the iterator failed, which was logged.
    """
    try:
        async for piece in body:
            if piece:
                return piece
    except HttpError as error:  # what the client sent; it is told by the end
        raise BrokenBody from error
    except Exception as error:
        LOGGER.exception("%s %s: the response broke off", request.method, request.path)
        raise BrokenBody from error
    return None


async def close_body(request: Request, body: bytes | AsyncIterator[bytes]) -> None:
    """Close the body of a response, sent or not."""
    close = getattr(body, "aclose", None)
    if close is None:
        return
    try:
        await close()
    except Exception:
        LOGGER.exception(
            "%s %s: the response did not close", request.method, request.path
        )
