"""A run that is being carried on is asked to pause, which shows, and can be taken back."""

import pytest

from ironflow.wire.proto import ironflow as calls
from ironflow.wire.proto.types import RunStatus
from tests.transport.calling import call, say
from tests.transport.segment_scene import open_scene, step

RUNS = "/api/v1/runs"


@pytest.mark.parametrize("surface", ["rest", "rpc"])
async def test_a_pause_that_is_asked_for_shows(surface: str) -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        run_id = await scene.emit()
        job = await worker.job()
        server = scene.server

        if surface == "rest":
            path, reason = f"{RUNS}/{run_id}/pause", {"reason": "to look at it"}
            asked = await server.post(path, reason)
            assert asked["pause_requested"]["message"] == "to look at it"
        else:
            found = await say(server, "PauseRun", run_id=run_id)
            assert found.document == {"status": "pause_requested"}
        [listed] = (await server.get(RUNS))["runs"]
        message = await call(server, "GetRun", calls.GetRunRequest(id=run_id))

        assert (listed["status"], listed["pause"]) == ("running", None)
        assert listed["pause_requested"]["reason"] == "asked"
        assert message.pause_requested

        await worker.tell(job, "progress", steps=[step(job, "a:0", 1)])
        paused = await scene.run(run_id)
        message = await call(server, "GetRun", calls.GetRunRequest(id=run_id))

    assert (paused["status"], paused["pause"]["reason"]) == ("paused", "asked")
    assert "pause_requested" not in paused
    assert (message.status, message.pause_requested) == (
        RunStatus.RUN_STATUS_PAUSED,
        False,
    )


@pytest.mark.parametrize("surface", ["rest", "rpc"])
async def test_a_pause_that_is_asked_for_is_taken_back(surface: str) -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        run_id = await scene.emit()
        job = await worker.job()
        server = scene.server
        await server.post(f"{RUNS}/{run_id}/pause")

        if surface == "rest":
            taken = await server.post(f"{RUNS}/{run_id}/resume")
            assert "pause_requested" not in taken
        else:
            taken = await say(server, "ResumeRun", run_id=run_id)
            assert taken.document["pauseRequested"] is False
        await worker.tell(job, "completed", output="done")

        assert await scene.status(run_id) == "completed"


async def test_a_run_that_only_goes_on_is_not_resumed() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        run_id = await scene.emit()
        await worker.job()

        found = await scene.server.request("POST", f"{RUNS}/{run_id}/resume")

    assert (found.status, found.document["reason"]) == (400, "MISUSED_OPERATION")
