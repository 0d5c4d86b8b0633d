# Made by scripts/sync-client from asynchronous/client.py: change that, then run it.

"""`ironflow.Client`: a server, as plain programs see it."""

import os
from typing import final

import httpx

from ironflow.client.answers import Answer
from ironflow.client.calls import Call
from ironflow.client.retrying import DEFAULT
from ironflow.client.settings import settings
from ironflow.client.synchronous.connection import Connection
from ironflow.client.synchronous.events import Events
from ironflow.client.synchronous.functions import Functions
from ironflow.policy.duration import Duration, parse_duration
from ironflow.policy.retry import Retry


@final
class Client(Events, Functions):
    """A server: emit events, look at runs, steer them. Its methods block.

        with ironflow.Client("http://127.0.0.1:9123") as client:
            receipt = client.emit("order.placed", {"id": "o1"})
            run = client.result(receipt.run_ids[0])

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._connection = Connection(
            settings(url, api_key, environment, ca_file),
            timeout=parse_duration(timeout, option="timeout") / 1_000_000,
            retry=retry,
            transport=transport,
        )

    @property
    def url(self) -> str:
        """The address of the server."""
        return self._connection.url

    def answered(self, call: Call[Answer]) -> bytes:
        """Send any call of `client/calls.py` and return its JSON as it came."""
        return self._connection.answered(call)

    def close(self) -> None:
        """Close the connections; leaving the `with` block does it. Idempotent."""
        self._connection.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
