"""The published SDKs as a part of a server: workers that poll, endpoints that are called."""

from collections.abc import Callable
from typing import final

import httpx

from ironflow.engine.alarms import Alarms
from ironflow.transport import segment_rest
from ironflow.transport.context import Context
from ironflow.transport.http.router import Router
from ironflow.transport.segment_host import SegmentHost
from ironflow.transport.segment_push import PushCaller


@final
class Segments:
    """The part; `signing_key` signs requests to endpoints, empty for none.

    `client` makes what they are sent with.
    """

    def __init__(
        self,
        *,
        signing_key: str = "",
        client: Callable[[], httpx.AsyncClient] = httpx.AsyncClient,
    ) -> None:
        self._key = signing_key
        self._client = client

    def routes(self, router: Router, context: Context) -> None:
        """Add the routes of workers, and take on what the registry has."""
        hosting = context.engine.hosting
        alarms = Alarms(hosting.clock)
        push = PushCaller(
            hosting.clock, alarms, signing_key=self._key, client=self._client
        )
        host = SegmentHost(hosting, alarms, context.operations.workers, push)
        segment_rest.routes(router, host)
        context.operations.registered.append(host.adopt)
        context.operations.capabilities.transports.update({"rest-worker", "push"})
        context.nursery.start_soon(alarms.run)
        context.nursery.start_soon(push.run)
        context.nursery.start_soon(host.look)
