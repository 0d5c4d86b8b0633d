"""What the parts of a server share, and what a part is.

A part adds its routes with `routes(router, context)` when the server starts; what it has
to do beside requests it starts in `context.nursery`, which ends with the server.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import trio

from ironflow.engine.engine import Engine
from ironflow.journal.served import ServedJournal
from ironflow.policy.reach import ANYWHERE, Reach
from ironflow.transport.http.messages import Handler
from ironflow.transport.http.router import Router
from ironflow.transport.metrics import Metrics
from ironflow.transport.operations import Operations


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One server: its engine and journal, what clients may ask, its figures, its tasks.

    `stopping` is set when the server takes no more work: whoever holds a connection for
    long lets go of it. `is_dev`: requests need no key, and only this machine can send any.
    `signing_key` signs what the server sends to endpoints, empty for none; `reach` says
    which of them it may call.
    """

    engine: Engine
    journal: ServedJournal
    operations: Operations
    metrics: Metrics
    nursery: trio.Nursery
    stopping: trio.Event
    is_dev: bool = False
    signing_key: str = ""
    reach: Reach = ANYWHERE


Part = Callable[[Router, Context], None]
Guard = Callable[[Handler], Handler]
"""What stands before all routes and says who may do what."""
