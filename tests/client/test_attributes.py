"""Attributes of runs through a client: given to a server, and found by there."""

from datetime import UTC, datetime
from typing import Any

import ironflow
from tests.transport.conftest import Server

Client = ironflow.AsyncClient


async def test_attributes_go_to_the_server_and_come_back(
    client: Client, server: Server
) -> None:
    order = {"id": "o1"}
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    given: dict[str, Any] = {"customer": "c1", "total": 99.5, "at": noon, "none": None}
    receipts = [
        await client.emit("order.placed", order, attributes=given),
        await client.invoke("process-order", order, attributes={"customer": "c1"}),
        *await client.emit_batch(
            [ironflow.Emission("order.placed", order, attributes={"customer": "100"})]
        ),
    ]
    synced = await client.emit_sync(
        "order.placed", order, attributes={"customer": "c2"}
    )
    invoked = await client.invoke_sync("process-order", order, attributes={"total": 7})

    async def found(attributes: Any) -> set[str]:
        return {run.id for run in await client.list_runs(attributes=attributes)}

    made = [receipt.run_ids[0] for receipt in receipts]
    assert await found({"customer": "c1"}) == {made[0], made[1]}
    assert await found({"customer": "c1", "at": noon}) == {made[0]}
    assert await found({"customer": "100"}) == {made[2]}
    assert await found({"customer": 100}) == {made[2]}
    assert await found(["customer>c1"]) == {synced[0].id}
    assert await found("total=7") == {invoked.id}
    [run] = await client.list_runs(attributes={"total": 99.5})
    assert run.attributes == {
        "customer": "c1",
        "total": 99.5,
        "at": "2026-03-01T12:00:00Z",
    }
