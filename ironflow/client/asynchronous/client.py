"""`ironflow.AsyncClient`: a server, as programs on an event loop see it."""

import os
from typing import final

import httpx

from ironflow.client.answers import Answer
from ironflow.client.asynchronous.connection import AsyncConnection
from ironflow.client.asynchronous.events import AsyncEvents
from ironflow.client.asynchronous.functions import AsyncFunctions
from ironflow.client.calls import Call
from ironflow.client.retrying import DEFAULT
from ironflow.client.settings import settings
from ironflow.policy.duration import Duration, parse_duration
from ironflow.policy.retry import Retry


@final
class AsyncClient(AsyncEvents, AsyncFunctions):
    """A server: emit events, look at runs, steer them. Made for Trio and asyncio.

        async with ironflow.AsyncClient("http://127.0.0.1:9123") as client:
            receipt = await client.emit("order.placed", {"id": "o1"})
            run = await client.result(receipt.run_ids[0])

    What is not given comes from `IRONFLOW_SERVER_URL`, `IRONFLOW_API_KEY`,
    `IRONFLOW_ENVIRONMENT` and `IRONFLOW_CA_FILE`: the certificates that are trusted (PEM), in
    place of those of the machine. `timeout` is how long the server may say nothing, beside what a
    call waits for runs. A call that fails by the network, or that the server cannot take
    now, is sent again as `retry` says, if it cannot be carried out twice by that.
    `transport` is httpx's, for proxies and tests; then it is the one that trusts.

    Raises:
        ConfigurationError: an option is wrong; the message names it.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        environment: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        timeout: Duration = "30s",
        retry: Retry = DEFAULT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._connection = AsyncConnection(
            settings(url, api_key, environment, ca_file),
            timeout=parse_duration(timeout, option="timeout") / 1_000_000,
            retry=retry,
            transport=transport,
        )

    @property
    def url(self) -> str:
        """The address of the server."""
        return self._connection.url

    async def answered(self, call: Call[Answer]) -> bytes:
        """Send any call of `client/calls.py` and return its JSON as it came."""
        return await self._connection.answered(call)

    async def aclose(self) -> None:
        """Close the connections; leaving the `async with` block does it. Idempotent."""
        await self._connection.aclose()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
