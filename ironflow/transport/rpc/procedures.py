"""What a procedure over `Operations` is, and how several are bound to one server."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from ironflow.transport.connect import Unary, WithMembers
from ironflow.transport.http.messages import Request
from ironflow.transport.operations import Operations
from ironflow.wire.message import Message

Procedure = Callable[[Operations, Request, Any], Awaitable[Message | WithMembers]]


def bound(operations: Operations, *tables: Mapping[str, Procedure]) -> dict[str, Unary]:
    """Return the procedures of these tables for one server."""
    return {
        name: partial(procedure, operations)
        for table in tables
        for name, procedure in table.items()
    }
