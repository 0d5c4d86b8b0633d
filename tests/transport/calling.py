"""Calls of the RPC surface, as published clients make them."""

import gzip
from typing import Any

from ironflow.transport.rpc.routes import SERVED
from ironflow.wire.message import Message
from ironflow.wire.proto import ironflow as calls
from ironflow.wire.protobuf_decode import decode
from ironflow.wire.protobuf_encode import encode
from tests.transport.conftest import Answered, Server

PACKAGE = "/ironflow.v1."
RUN = "run_" + "0" * 32


async def call(server: Server, method: str, message: Message) -> Any:
    """Call a method of IronflowService as `ironflow-py` does: gzip, binary."""
    return await call_of(server, "IronflowService", method, message)


async def call_of(server: Server, service: str, method: str, message: Message) -> Any:
    """Call a method of any service."""
    found = await server.request(
        "POST",
        f"{PACKAGE}{service}/{method}",
        gzip.compress(encode(message)),
        {"content-type": "application/proto", "content-encoding": "gzip"},
    )
    assert found.status == 200, found.body
    assert found.headers.get("content-type") == "application/proto"
    return decode(SERVED[service][0][method].response, found.body)


async def say(server: Server, method: str, **plain: Any) -> Answered:
    """Call a method as the JavaScript clients do."""
    headers = {"content-type": "application/json"}
    path = f"{PACKAGE}IronflowService/{method}"
    return await server.request("POST", path, plain, headers)


async def start(server: Server, event: str, data: Any) -> str:
    """Emit an event, settle, and return the run that it started."""
    message = calls.TriggerRequest(event=event, data=data)
    found = await call(server, "Trigger", message)
    await server.harness.clock.settle()
    [run_id] = found.run_ids
    return str(run_id)
