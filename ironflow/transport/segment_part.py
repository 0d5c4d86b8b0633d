"""The published SDKs as a part of a server: workers that poll, endpoints that are called."""

from typing import Final, final

import trio

from ironflow.engine.alarms import Alarms
from ironflow.engine.log import log
from ironflow.errors import JournalError
from ironflow.transport import connect, segment_rest
from ironflow.transport.context import Context
from ironflow.transport.http.messages import Request
from ironflow.transport.http.router import Router
from ironflow.transport.push_dial import Dialing, NewClient
from ironflow.transport.rpc.routes import PACKAGE
from ironflow.transport.segment_host import SegmentHost
from ironflow.transport.segment_push import PushCaller
from ironflow.transport.segment_stream import Receive, Send, serve_stream
from ironflow.wire.proto.worker import WorkerService

_LOOK_S: Final = 60.0


@final
class Segments:
    """The part; `client` makes what requests to endpoints are sent with."""

    def __init__(self, *, client: NewClient | None = None) -> None:
        self._client = client

    def routes(self, router: Router, context: Context) -> None:
        """Add the routes of workers, and take on what the registry has."""
        hosting = context.engine.hosting
        alarms = Alarms(hosting.clock)
        push = PushCaller(
            hosting.clock,
            alarms,
            context.operations.circuits,
            signing_key=context.signing_key,
            client=self._client or Dialing(context.reach).once,
        )
        host = SegmentHost(hosting, alarms, context.operations.workers, push)
        context.operations.workers.add_carriers(host.book.holder_of)
        segment_rest.routes(router, host)
        _add_stream(router, context, host)
        context.operations.functions.registered.append(host.adopt)
        context.operations.capabilities.transports.update(
            {"rest-worker", "stream-worker", "push"}
        )
        context.nursery.start_soon(alarms.run)
        context.nursery.start_soon(push.run)
        context.nursery.start_soon(host.moves.run)
        context.nursery.start_soon(_look_often, host)
        context.nursery.start_soon(_close_in_time, context, host)


def _add_stream(router: Router, context: Context, host: SegmentHost) -> None:
    async def serve(request: Request, receive: Receive, send: Send) -> None:
        """Serve the stream of a worker."""
        del request
        await serve_stream(host, receive, send, stopping=context.stopping)

    service = (PACKAGE + "WorkerService", WorkerService)
    connect.add(router, context.nursery, service, {"Connect": serve})


async def _look_often(host: SegmentHost) -> None:
    """Take on what the registry has, also what another server was told."""
    while True:
        try:
            await host.look()
        except JournalError as error:
            log.warning("the registry of functions cannot be read now: %s", error)
        await trio.sleep(_LOOK_S)


async def _close_in_time(context: Context, host: SegmentHost) -> None:
    """Let workers go when the server stops: a job may take longer than anybody waits."""
    await context.stopping.wait()
    host.close()
