"""Who asked for something stands where it is recorded: the key of the request."""

import logging
from collections.abc import AsyncGenerator

import pytest

from ironflow.records import CancelRequested, Header, RunRetried, StepPatched
from ironflow.transport import auth
from tests.transport.conftest import Answered, Server, open_server

RPC = "/ironflow.v1.IronflowService"


class Holder:
    """Somebody who holds a key of a developer."""

    def __init__(self, server: Server, key: str, key_id: str) -> None:
        self.server = server
        self.actor = f"apikey:{key_id}"
        self._headers = {"authorization": f"Bearer {key}"}

    async def post(self, path: str, body: object, method: str = "POST") -> Answered:
        found = await self.server.request(method, path, body, self._headers)
        assert found.status < 300, found.body
        await self.server.harness.clock.settle()
        return found

    async def start(self, name: str, data: object = None) -> str:
        found = await self.post("/api/v1/events", {"name": name, "data": data})
        [run_id] = found.document["run_ids"]
        return str(run_id)

    async def last(self, run_id: str, kind: type[Header]) -> Header:
        history = await self.server.harness.journal.history(run_id)
        return [each.record for each in history if isinstance(each.record, kind)][-1]


@pytest.fixture
async def holder() -> AsyncGenerator[Holder]:
    async with open_server(guard=auth.guard) as server:
        keyring = server.context.operations.keys
        key, text = await keyring.create(name="a key", roles=["developer"])
        yield Holder(server, text, key.id)


def rest(run_id: str, verb: str) -> tuple[str, dict[str, str]]:
    return f"/api/v1/runs/{run_id}/{verb}", {"reason": "so"}


@pytest.mark.parametrize("surface", ["rest", "rpc"])
async def test_who_cancels_a_run_is_on_record(holder: Holder, surface: str) -> None:
    run_id = await holder.start("approval.asked")
    path, body = rest(run_id, "cancel")
    rpc = {"id": run_id, "reason": "so"}

    await holder.post(
        *((f"{RPC}/CancelRun", rpc) if surface == "rpc" else (path, body))
    )

    record = await holder.last(run_id, CancelRequested)
    assert isinstance(record, CancelRequested)
    assert (record.actor, record.reason) == (holder.actor, "so")


@pytest.mark.parametrize("surface", ["rest", "rpc"])
async def test_who_pauses_a_run_is_shown(holder: Holder, surface: str) -> None:
    run_id = await holder.start("approval.asked")
    path, body = rest(run_id, "pause")
    rpc = {"run_id": run_id}

    await holder.post(*((f"{RPC}/PauseRun", rpc) if surface == "rpc" else (path, body)))

    found = await holder.post(f"/api/v1/runs/{run_id}", None, "GET")
    assert found.document["pause"]["actor"] == holder.actor


@pytest.mark.parametrize("surface", ["rest", "rpc"])
async def test_who_patches_a_step_is_on_record(holder: Holder, surface: str) -> None:
    run_id = await holder.start("payment.asked", {})
    body = {"step_id": f"{run_id}:limit:0", "output": {"a": 1}, "reason": "so"}

    await holder.post(
        f"{RPC}/PatchStep" if surface == "rpc" else "/api/v1/steps/patch", body
    )

    record = await holder.last(run_id, StepPatched)
    assert isinstance(record, StepPatched)
    assert (record.actor, record.reason) == (holder.actor, "so")


async def test_who_injects_a_result_is_on_record(holder: Holder) -> None:
    run_id = await holder.start("payment.asked", {})
    await holder.post(f"{RPC}/PauseRun", {"run_id": run_id})
    body = {"run_id": run_id, "step_id": "limit:0", "new_output": "3"}

    await holder.post(f"{RPC}/InjectStepOutput", body)

    record = await holder.last(run_id, StepPatched)
    assert isinstance(record, StepPatched)
    assert record.actor == holder.actor


@pytest.mark.parametrize("verb", ["retry", "resume", "rpc"])
async def test_who_lets_a_failed_run_try_again_is_on_record(
    holder: Holder, verb: str
) -> None:
    run_id = await holder.start("payment.asked", {})
    await holder.server.harness.advance("1d")  # then its charge fails
    rpc = (f"{RPC}/ResumeRun", {"run_id": run_id})

    await holder.post(*(rpc if verb == "rpc" else rest(run_id, verb)))

    record = await holder.last(run_id, RunRetried)
    assert isinstance(record, RunRetried)
    assert record.actor == holder.actor


@pytest.mark.parametrize("surface", ["rest", "rpc"])
async def test_who_deletes_a_run_is_logged(
    holder: Holder, surface: str, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = await holder.start("order.placed", {"id": "o"})
    rpc = (f"{RPC}/DeleteRun", {"id": run_id})

    with caplog.at_level(logging.INFO, logger="ironflow"):
        await holder.post(
            *(rpc if surface == "rpc" else (f"/api/v1/runs/{run_id}", None, "DELETE"))
        )

    assert f"run {run_id} was deleted by {holder.actor}" in caplog.text
