"""`ironflow.serve`: an endpoint as an ASGI application, for any ASGI server on asyncio."""

import asyncio  # noqa: TID251  ASGI servers run on it
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, final

from ironflow import limits
from ironflow.authoring.app import App
from ironflow.engine.asyncio_loop import AsyncioLoop
from ironflow.engine.portal import Portal
from ironflow.errors import ConfigurationError, EngineClosed, ProtocolError
from ironflow.wire.posts import CONTENT_TYPE, SIGNATURE
from ironflow.worker.endpoint import Endpoint, open_endpoint

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_HEADER: Final = SIGNATURE.lower().encode()


@final
class serve:  # noqa: N801  it is called like a function: `application = ironflow.serve(...)`
    """Return the ASGI application that carries out an app's functions for servers.

    `signing_key` is the key with which the server signs; nothing else is answered. The
    engine starts with the first request, or with the lifespan of the ASGI server. Steps
    marked with `ironflow.asyncio_step` run on the server's loop.

    Raises:
        ConfigurationError: the key is empty.
    """

    def __init__(self, app: App, *, signing_key: str) -> None:
        if not signing_key:
            raise ConfigurationError(
                "an endpoint without a signing_key would run for anybody; give the key"
                " that the server signs with"
            )
        self._app: Final = app
        self._key: Final = signing_key
        self._portal: Portal[Endpoint] | None = None
        self._opening: asyncio.Future[Endpoint] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection of the ASGI server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            status, headers, body = await self._answer(scope, receive)
            start = {"type": "http.response.start", "status": status}
            await send({**start, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._endpoint()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _endpoint(self) -> Endpoint:
        if self._opening is None:
            loop = AsyncioLoop(asyncio.get_running_loop())
            self._portal = Portal(
                lambda: open_endpoint(
                    self._app, signing_key=self._key, asyncio_loop=loop
                )
            )
            self._opening = asyncio.wrap_future(self._portal.start())
        return await asyncio.shield(self._opening)

    async def _close(self) -> None:
        if self._portal is not None:
            await asyncio.wrap_future(self._portal.stop())

    async def _answer(
        self, scope: Message, receive: Receive
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        if scope["method"] != "POST":
            return 405, [(b"allow", b"POST")], b"an endpoint of ironflow takes POST"
        body = await _body(receive)
        if body is None:
            return 413, [], b"the body is too large"
        signature = dict(scope["headers"]).get(_HEADER, b"").decode("latin-1")
        endpoint = await self._endpoint()
        assert self._portal is not None
        call = self._portal.call(lambda: endpoint.answer(signature, body))
        try:
            data, signed = await asyncio.wrap_future(call)
        except ProtocolError as error:
            return 401, [], str(error).encode()
        except EngineClosed as error:
            return 503, [], str(error).encode()
        headers = [
            (b"content-type", CONTENT_TYPE.encode()),
            (_HEADER, signed.encode()),
        ]
        return 200, headers, data


async def _body(receive: Receive) -> bytes | None:
    """Return the whole body; None if it is larger than a message may be."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > limits.WIRE_MESSAGE_BYTES_MAX:
            return None
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)
