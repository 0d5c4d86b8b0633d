"""Puts a server together: an engine, the parts that have routes, and one handler."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio

from ironflow.engine.clock import Clock
from ironflow.engine.engine import Engine
from ironflow.journal.served import ServedJournal
from ironflow.policy.reach import ANYWHERE, Reach
from ironflow.transport import pull, rest
from ironflow.transport.answering import answering
from ironflow.transport.context import Context, Guard, Part
from ironflow.transport.http.messages import Handler
from ironflow.transport.http.router import Router
from ironflow.transport.local import only_local
from ironflow.transport.metrics import Metrics
from ironflow.transport.operations import Operations
from ironflow.transport.push_part import Pushes
from ironflow.transport.rpc import routes as rpc
from ironflow.transport.segment_part import Segments

THE_SERVER: Final = "the server itself"


def all_parts() -> Sequence[Part]:
    """Return the parts of one server, which are not to be used in another."""
    return (
        rest.routes,
        rpc.routes,
        pull.routes,
        Pushes().routes,
        Segments().routes,
    )


@asynccontextmanager
async def open_handler(
    engine: Engine,
    journal: ServedJournal,
    clock: Clock,
    *,
    parts: Sequence[Part] | None = None,
    guard: Callable[[Context], Guard] | None = None,
    is_dev: bool = False,
    signing_key: str = "",
    reach: Reach = ANYWHERE,
) -> AsyncGenerator[tuple[Handler, Context]]:
    """Run the parts of a server around an open engine; give what answers requests.

    `parts` are all that there are if none are given. `guard` makes what stands before all
    routes; without it, nobody is asked for a key.
    Requests to endpoints are signed with `signing_key`, if there is one, and sent within
    `reach`.
    """
    async with trio.open_nursery() as nursery:
        context = Context(
            engine=engine,
            journal=journal,
            operations=Operations(engine, journal, clock),
            metrics=Metrics(),
            nursery=nursery,
            stopping=trio.Event(),
            is_dev=is_dev,
            signing_key=signing_key,
            reach=reach,
        )
        carries = engine.hosting.carries
        context.operations.workers.add_carriers(
            lambda run_id: THE_SERVER if carries(run_id) else ""
        )
        context.operations.capabilities.auth_required = guard is not None
        made = None if guard is None else guard(context)
        yield handler_of(context, parts, guard=made), context
        nursery.cancel_scope.cancel()


def handler_of(
    context: Context,
    parts: Sequence[Part] | None = None,
    *,
    guard: Guard | None = None,
) -> Handler:
    """Return what answers the requests of a server with these parts."""
    router = Router()
    for part in all_parts() if parts is None else parts:
        part(router, context)
    handler: Handler = router.handle
    if guard is not None:
        handler = guard(handler)
    if context.is_dev:
        handler = only_local(handler)
    return answering(
        handler,
        environment=context.operations.environment,
        observe=context.metrics.observe,
    )
