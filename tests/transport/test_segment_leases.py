"""Leases of jobs: what renews them, what ends them, and who may write."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio

from ironflow.transport.http.messages import Request
from tests.transport.conftest import Answered
from tests.transport.segment_scene import Scene, forever, open_scene, step


async def test_a_job_without_a_word_is_given_to_another() -> None:
    """And the first worker may not write any more; no attempt is counted."""
    async with open_scene() as scene:
        first = await scene.started()
        second = await scene.worker("w2")
        await scene.emit()
        [job] = await first.poll()

        await scene.advance("15s")
        again = await second.job()
        late = await first.ack(job)
        told_late = await first.tell(job, "completed", output=1)

    assert again["job_id"] == job["job_id"]
    assert again["execution_seq"] > job["execution_seq"]
    assert again["attempt"] == 1
    for answer in (late, told_late):
        assert (answer.status, answer.document["error"]) == (409, "STALE_EXECUTION")


async def test_a_run_says_which_worker_lost_it_and_who_has_it() -> None:
    async with open_scene() as scene:
        first = await scene.started()
        second = await scene.worker("w2")
        run_id = await scene.emit()
        await first.job()

        await scene.advance("60s")
        await first.heartbeat()
        await second.heartbeat()
        await scene.advance("30s")
        lost = (await scene.run(run_id))["lost"]
        again = await second.job()
        await second.tell(again, "completed")
        run = await scene.run(run_id)

    assert (lost["worker"], lost["by"]) == ("w1", None)
    assert lost["why"] == "it said nothing of the job for 90 s"
    assert (run["lost"]["worker"], run["lost"]["by"]) == ("w1", "w2")
    assert run["status"] == "completed"


async def test_a_heartbeat_renews_the_leases_of_the_jobs_it_names() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        await scene.emit({"n": 1})
        await scene.emit({"n": 2})
        first, second = await worker.poll()
        await worker.ack(first)
        await worker.ack(second)

        for _ in range(5):
            await scene.advance("30s")
            await worker.heartbeat(first)
        kept = await worker.tell(first, "completed")
        lost = await worker.tell(second, "completed")

    assert (kept.status, lost.status) == (200, 409)


async def test_a_checkpoint_renews_the_lease() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        await scene.emit()
        job = await worker.job()

        for number in range(3):
            await scene.advance("60s")
            await worker.tell(job, "progress", steps=[step(job, f"s:{number}")])
        answer = await worker.tell(job, "completed")

    assert answer.status == 200


async def test_a_wrong_token_is_refused() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        await scene.emit()
        job = await worker.job()

        answer = await worker.tell(job | {"lease_token": "x"}, "completed")
        other = await worker.tell(job | {"execution_seq": 1}, "completed")
        unknown = await worker.tell(job | {"job_id": "run_x"}, "completed")

    assert [each.status for each in (answer, other, unknown)] == [409] * 3


async def test_a_worker_that_comes_back_has_lost_its_jobs() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        await scene.emit()
        job = await worker.job()

        await scene.worker()
        late = await worker.tell(job, "completed")
        again = await worker.poll()

    assert late.status == 409
    assert len(again) == 1


async def test_a_worker_that_is_silent_is_forgotten() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        before = await scene.server.get("/api/v1/workers")

        await scene.advance("90s")
        after = await scene.server.get("/api/v1/workers")
        answers = [
            await worker.call("GET", "/jobs?available=1"),
            await worker.heartbeat(),
        ]
        run_id = await scene.emit()
        status = await scene.status(run_id)

    assert [each["id"] for each in before["workers"]] == ["w1"]
    assert after["workers"] == []
    assert [each.status for each in answers] == [404, 404]
    assert status == "queued"


async def test_a_worker_that_was_forgotten_is_told_to_drop_its_job() -> None:
    """Where to register again would be told, workers go on with the function."""
    async with open_scene() as scene:
        worker = await scene.started()
        await scene.emit()
        job = await worker.job()

        await scene.advance("90s")
        answers = [
            await worker.ack(job),
            await worker.tell(job, "progress", steps=[step(job, "a:0")]),
            await worker.tell(job, "completed"),
        ]

    assert [each.status for each in answers] == [409] * 3
    assert {each.document["error"] for each in answers} == {"STALE_EXECUTION"}


async def test_a_cancelled_run_takes_its_job_back() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        run_id = await scene.emit()
        job = await worker.job()

        await scene.server.post(f"/api/v1/runs/{run_id}/cancel", {"reason": "enough"})
        await scene.settle()
        answer = await worker.tell(job, "progress", steps=[step(job, "a:0")])
        status = await scene.status(run_id)

    assert answer.status == 409
    assert status == "cancelled"


async def test_a_function_out_of_time_is_tried_again() -> None:
    async with open_scene() as scene:
        worker = await scene.started(timeoutMs=10_000)
        await scene.emit()
        job = await worker.job()

        await scene.advance("11s")
        late = await worker.tell(job, "completed")
        again = await worker.job()

    assert late.status == 409
    assert again["attempt"] == 2


async def test_a_server_that_stops_lets_its_workers_go() -> None:
    """At once: a held poll ends, and no engine waits for a job to end."""
    async with open_scene() as scene:
        worker = await scene.started()
        await scene.emit()
        job = await worker.job()
        found: list[Answered] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(forever, worker, found, "available=1&wait=20")
            await scene.settle()
            scene.server.context.stopping.set()
        late = await worker.tell(job, "progress", steps=[step(job, "a:0")])
        idle = scene.server.harness.engine.hosting.is_closing

    assert found[0].status == 204
    assert late.status == 409
    assert not idle


class _Vanishing:
    """The other end of a request: there, until its machine is not any more."""

    def __init__(self) -> None:
        self.gone = trio.Event()
        self.has_vanished = True

    async def receive(self, *, is_timed: bool) -> bytes:
        return b""

    def is_gone(self) -> bool:
        return self.gone.is_set()

    async def wait_gone(self) -> None:
        await self.gone.wait()

    def is_vanished(self) -> bool:
        return self.gone.is_set() and self.has_vanished


@asynccontextmanager
async def a_held_poll(scene: Scene, name: str) -> AsyncGenerator[_Vanishing]:
    """A worker asks for jobs, and the server has none; behind the block its poll ended."""
    end = _Vanishing()
    request = Request(
        "GET",
        f"/api/v1/workers/{name}/jobs",
        query="available=1&wait=20",
        body=end,
        is_vanished=end.is_vanished,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.server.handler, request)
        await scene.settle()
        yield end
        await scene.settle()


async def test_a_poller_whose_machine_vanishes_loses_its_jobs_at_once() -> None:
    """If another worker is there; and it comes back to those that nobody has taken."""
    async with open_scene() as scene:
        worker = await scene.started()
        runs = {await scene.emit(), await scene.emit()}
        jobs = {job["run_id"]: job for job in await worker.poll()}
        for job in jobs.values():
            await worker.ack(job)
        async with a_held_poll(scene, "w1") as end:
            await scene.advance("7s")
            end.gone.set()
        other = await scene.worker("w2")
        [moved] = await other.poll("available=1")
        taken = moved["run_id"]
        [kept] = runs - {taken}

        late = await worker.tell(jobs[taken], "completed", output="late")
        back = await worker.tell(jobs[kept], "completed", output="in time")
        await other.tell(moved, "completed", output="elsewhere")
        found = [await scene.run(taken), await scene.run(kept)]

    assert (late.status, back.status) == (409, 200)
    assert [run["output"] for run in found] == ["elsewhere", "in time"]
    assert (found[0]["lost"]["worker"], found[0]["lost"]["by"]) == ("w1", "w2")
    assert found[0]["lost"]["why"] == "its machine did not answer any more"


@pytest.mark.parametrize("how", ["closed", "heard of elsewhere"])
async def test_a_poll_that_ends_otherwise_loses_nothing(how: str) -> None:
    """A worker that drains closes its poll, and goes on with its jobs."""
    async with open_scene() as scene:
        worker = await scene.started()
        await scene.emit()
        job = await worker.job()
        async with a_held_poll(scene, "w1") as end:
            await scene.advance("7s")
            if how == "closed":
                end.has_vanished = False
            else:
                await worker.heartbeat()
            end.gone.set()
        stolen = await (await scene.worker("w2")).poll()
        told = await worker.tell(job, "completed")

    assert stolen == []
    assert told.status == 200
