"""What editors and type checkers know of clients; checked, never run."""

from collections.abc import Sequence
from typing import Any, assert_type

import ironflow
from ironflow.client.answers import FunctionInfo, Step, StoredEvent
from ironflow.records import Entry


async def on_a_loop(client: ironflow.AsyncClient) -> None:
    async with client as opened:
        assert_type(opened, ironflow.AsyncClient)
    assert_type(await client.emit("order.placed", {"id": 1}), ironflow.Receipt)
    assert_type(await client.emit_batch([]), list[ironflow.Receipt])
    assert_type(await client.emit_sync("order.placed"), list[ironflow.Run])
    assert_type(await client.invoke_sync("score", timeout="5s"), ironflow.Run)
    run = await client.get_run("run_1")
    assert_type(run, ironflow.Run)
    assert_type(await run.result(), ironflow.Run)
    assert_type(run.unwrap(), Any)
    assert_type(await client.steps("run_1"), list[Step])
    assert_type(await client.history("run_1"), Sequence[Entry])
    assert_type(await client.list_events(), list[StoredEvent])
    assert_type(await client.get_function("f"), FunctionInfo)
    await client.emit("order.placed", key="k")  # type: ignore[call-arg]  # no such option
    await client.list_runs("failed")  # type: ignore[call-arg]  # by name only


def plain(client: ironflow.Client) -> None:
    with client as opened:
        assert_type(opened, ironflow.Client)
    assert_type(client.emit("order.placed", {"id": 1}), ironflow.Receipt)
    assert_type(client.emit_sync("order.placed"), list[ironflow.SyncRun])
    run = client.get_run("run_1")
    assert_type(run, ironflow.SyncRun)
    assert_type(run.result(), ironflow.SyncRun)
    assert_type(client.list_runs(status="failed"), list[ironflow.SyncRun])
