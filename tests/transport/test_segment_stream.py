"""Published workers that hold a stream: jobs, words, lost streams, ends of a server."""

import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
import trio

from ironflow.transport.http.messages import Headers, Request, Response
from ironflow.wire.connect import envelope
from tests.transport.segment_scene import PYTHON, Scene, open_scene
from tests.transport.test_connect import Body

PATH = "/ironflow.v1.WorkerService/Connect"
REGISTER = {
    "workerId": "s1",
    "functionIds": ["hello"],
    "maxConcurrentJobs": 10,
    "version": PYTHON,
}


class Stream:
    """A worker's end of a stream, in JSON."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.body = Body()
        self.heard: list[dict[str, Any]] = []
        self.end: dict[str, Any] | None = None

    async def run(self) -> None:
        headers = Headers([("content-type", "application/connect+json")])
        request = Request("POST", PATH, headers=headers, body=self.body)
        found = await self.scene.server.handler(request)
        assert isinstance(found, Response)
        frames = cast("AsyncGenerator[bytes]", found.body)
        async for frame in frames:
            document = json.loads(frame[5:])
            if frame[0] & 2:
                self.end = document
            else:
                self.heard.append(document)

    async def say(self, **message: Any) -> None:
        await self.body.send.send(envelope(msgspec.json.encode(message)))
        await self.scene.settle()

    async def report(self, job: Any, **message: Any) -> None:
        """Say something of a job, under its lease."""
        [(name, fields)] = message.items()
        fence = {"executionSeq": job["executionSeq"], "leaseToken": job["leaseToken"]}
        await self.say(**{name: {"jobId": job["jobId"], **fence, **fields}})

    async def job(self) -> Any:
        """Take the one job that was assigned last, and begin it."""
        job = self.jobs[-1]
        await self.report(job, jobAck={"runId": job["runId"]})
        return job

    @property
    def jobs(self) -> list[Any]:
        return [each["job"] for each in self.heard if "job" in each]

    async def heartbeat(self, *jobs: Any, **changes: Any) -> list[Any]:
        listed = [
            {"jobId": job["jobId"], "runId": job["runId"], **changes}
            | {"executionSeq": job["executionSeq"]}
            for job in jobs
        ]
        await self.say(heartbeat={"workerId": "s1", "jobs": listed})
        [*_, last] = [each for each in self.heard if "leaseRefresh" in each]
        return list(last["leaseRefresh"].get("segments", []))


@asynccontextmanager
async def connected(
    scene: Scene, nursery: trio.Nursery, **changes: Any
) -> AsyncGenerator[Stream]:
    """A worker whose stream is open for as long as the block is."""
    stream = Stream(scene)
    nursery.start_soon(stream.run)
    await stream.say(register=REGISTER | changes)
    yield stream
    await stream.body.send.aclose()
    await scene.settle()


@asynccontextmanager
async def open_stream(**changes: Any) -> AsyncGenerator[tuple[Scene, Stream]]:
    """A server with a function, and a worker of it."""
    async with open_scene() as scene, trio.open_nursery() as nursery:
        await scene.function()
        async with connected(scene, nursery, **changes) as stream:
            yield scene, stream


def wire_id(job: Any, id_: str) -> str:
    return f"{job['runId']}:{id_}"


async def test_a_run_completes_step_by_step() -> None:
    async with open_stream() as (scene, stream):
        run_id = await scene.emit({"orderId": "o1"})
        job = await stream.job()
        await stream.report(
            job, stepStarted={"stepId": wire_id(job, "a:0"), "name": "a"}
        )
        await stream.report(
            job,
            stepCompleted={
                "stepId": wire_id(job, "a:0"),
                "outputValue": [1],
                "durationMs": 3,
            },
        )
        await stream.report(job, jobCompleted={"output": {"n": 2}})
        run = await scene.run(run_id)
        steps = await scene.server.get(f"/api/v1/runs/{run_id}/steps")
        workers = await scene.server.get("/api/v1/workers")

    assert stream.heard[0]["registered"]["workerId"] == "s1"
    assert stream.heard[0]["registered"]["heartbeatIntervalMs"] == 3_000
    assert (job["functionId"], job["attempt"]) == ("hello", 1)
    assert (job["maxAttempts"], job["onExhausted"]) == (3, "pause")
    assert job["event"]["data"] == {"orderId": "o1"}
    assert job["event"]["timestamp"] == "2030-01-01T00:00:00Z"
    assert (run["status"], run["output"]) == ("completed", {"n": 2})
    assert [(each["id"], each["value"]) for each in steps["steps"]] == [("a:0", [1])]
    assert [each["transport"] for each in workers["workers"]] == ["stream"]


async def test_what_is_known_is_sent_with_the_next_segment() -> None:
    async with open_stream() as (scene, stream):
        await scene.emit()
        job = await stream.job()
        done = {"stepId": wire_id(job, "a:0"), "outputValue": 2.5}
        await stream.report(job, stepCompleted=done)
        nap = {
            "stepId": wire_id(job, "nap:0"),
            "sleep": {"until": "2030-01-01T00:01:00Z"},
        }
        await stream.report(job, stepYielded=nap)
        await scene.advance("1m")
        await stream.heartbeat()
        again = await stream.job()

    first, second = again["completedSteps"]
    assert (first["stepId"], first["name"], first["outputValue"]) == (
        wire_id(job, "a:0"),
        "a",
        2.5,
    )
    assert base64.b64decode(first["outputJson"]) == b"2.5"
    assert (second["name"], base64.b64decode(second["outputJson"])) == ("nap", b"null")
    assert again["executionSeq"] > job["executionSeq"]


async def test_a_wait_and_a_child_over_a_stream() -> None:
    async with open_stream() as (scene, stream):
        await scene.emit({"orderId": "o1"})
        job = await stream.job()
        wait = {
            "eventName": "ok",
            "matchExpression": "data.orderId",
            "timeout": "2030-01-01T01:00:00Z",
        }
        asked = {"stepId": wire_id(job, "ok:0"), "waitEvent": wait}
        await stream.report(job, stepYielded=asked)
        steps = await scene.server.get(f"/api/v1/runs/{job['runId']}/steps")
        await scene.server.post(
            "/api/v1/events", {"name": "ok", "data": {"orderId": "o1"}}
        )
        await scene.settle()
        job = await stream.job()
        child = {
            "functionId": "nobody",
            "inputJson": base64.b64encode(b'{"n": 1}').decode(),
        }
        asked = {"stepId": wire_id(job, "c:0"), "invokeFunction": child}
        await stream.report(job, stepYielded=asked)
        job = await stream.job()
        asked = {"stepId": wire_id(job, "d:0"), "invokeFunctionAsync": child}
        await stream.report(job, stepYielded=asked)
        last = await stream.job()

    rows = {each["name"]: each for each in last["completedSteps"]}
    assert steps["steps"][0]["timeout_at"] == "2030-01-01T01:00:00Z"
    assert rows["ok"]["output"]["data"] == {"orderId": "o1"}
    assert rows["c"]["status"] == "failed"
    assert (
        json.loads(base64.b64decode(rows["c"]["errorJson"]))["function_id"] == "nobody"
    )
    assert rows["d"]["output"]["run_id"].startswith("run_")


async def test_a_failure_brings_the_steps_of_its_undo() -> None:
    async with open_stream() as (scene, stream):
        run_id = await scene.emit()
        job = await stream.job()
        error = {"message": "no", "code": "STEP_FAILED", "retryable": False}
        failed = {"stepId": wire_id(job, "b:0"), "error": error}
        await stream.report(job, stepFailed=failed)
        undone = [
            {"id": wire_id(job, "compensate:a:0"), "status": "completed"},
            {"id": wire_id(job, "compensate:c:0"), "status": "failed", "error": error},
        ]
        await stream.report(job, jobFailed={"error": error, "steps": undone})
        run = await scene.run(run_id)
        steps = await scene.server.get(f"/api/v1/runs/{run_id}/steps")

    assert (run["status"], run["error"]["code"]) == ("failed", "STEP_FAILED")
    kinds = {each["id"]: each["kind"] for each in steps["steps"]}
    assert kinds["compensate:a:0"] == kinds["compensate:c:0"] == "undo"


async def test_a_failure_may_say_when_to_try_again() -> None:
    async with open_stream() as (scene, stream):
        await scene.emit()
        job = await stream.job()
        error = {"message": "busy", "retryable": True, "retryAfterMs": "5000"}
        await stream.report(job, jobFailed={"error": error})
        before = len(stream.jobs)
        await scene.advance("5s")

    assert (before, len(stream.jobs)) == (1, 2)
    assert stream.jobs[1]["attempt"] == 2


async def test_a_heartbeat_is_answered_with_the_state_of_each_lease() -> None:
    async with open_stream() as (scene, stream):
        await scene.emit()
        job = await stream.job()

        [good] = await stream.heartbeat(job)
        [older] = await stream.heartbeat(job | {"executionSeq": "1"})
        [silent] = await stream.heartbeat(job | {"runId": "", "executionSeq": "0"})
        [other] = await stream.heartbeat(job | {"runId": "run_x"})

    states = [each["state"] for each in (good, older, silent, other)]
    assert states == [
        "LEASE_STATE_REFRESHED",
        "LEASE_STATE_STALE",
        "LEASE_STATE_REFRESHED",
        "LEASE_STATE_UNKNOWN",
    ]


async def test_a_worker_without_room_gets_no_more_than_it_can_take() -> None:
    async with open_stream(maxConcurrentJobs=2) as (scene, stream):
        for number in range(3):
            await scene.emit({"n": number})
        first = len(stream.jobs)
        job = await stream.job()
        await stream.report(job, jobCompleted={})

    assert (first, len(stream.jobs)) == (2, 3)


async def test_a_job_that_is_not_wanted_is_given_again_without_an_attempt() -> None:
    async with open_stream() as (scene, stream):
        await scene.emit()
        await stream.report(
            stream.jobs[0], jobNack={"reason": "JOB_NACK_REASON_AT_CAPACITY"}
        )
        before = len(stream.jobs)
        await scene.advance("1s")

    assert (before, len(stream.jobs)) == (1, 2)
    assert stream.jobs[1]["attempt"] == 1
    assert stream.jobs[1]["executionSeq"] > stream.jobs[0]["executionSeq"]


async def test_a_worker_that_drains_gets_no_more_jobs() -> None:
    async with open_stream() as (scene, stream):
        await scene.emit()
        await stream.report(
            stream.jobs[0], jobNack={"reason": "JOB_NACK_REASON_DRAINING"}
        )
        other = await scene.worker("w2")
        jobs = await other.poll()

    assert (len(stream.jobs), len(jobs)) == (1, 1)


async def test_a_cancel_reaches_the_worker() -> None:
    async with open_stream() as (scene, stream):
        run_id = await scene.emit()
        job = await stream.job()
        await scene.server.post(f"/api/v1/runs/{run_id}/cancel")
        await scene.settle()
        await stream.report(job, jobCompleted={})
        status = await scene.status(run_id)

    assert stream.heard[-1]["cancel"]["jobId"] == run_id
    assert status == "cancelled"


async def test_a_second_stream_of_a_worker_ends_the_first() -> None:
    async with (
        open_stream() as (scene, first),
        trio.open_nursery() as nursery,
        connected(scene, nursery) as second,
    ):
        await scene.settle()
        ended = first.end
        await scene.emit()

    assert ended == {}
    assert (len(first.jobs), len(second.jobs)) == (0, 1)


async def test_what_cannot_be_read_fails_the_run() -> None:
    async with open_stream() as (scene, stream):
        run_id = await scene.emit()
        job = await stream.job()
        await stream.report(job, stepYielded={"stepId": wire_id(job, "a:0")})
        run = await scene.run(run_id)

    assert (run["status"], run["error"]["code"]) == ("failed", "NOT_CONFIGURED")


async def test_a_stream_begins_with_a_registration() -> None:
    async with open_scene() as scene, trio.open_nursery() as nursery:
        codes: list[str] = []
        messages: list[dict[str, Any]] = [{"heartbeat": {}}, {"register": {}}]
        for message in messages:
            stream = Stream(scene)
            nursery.start_soon(stream.run)
            await stream.say(**message)
            assert stream.end is not None
            codes.append(stream.end["error"]["code"])
            await stream.body.send.aclose()

    assert codes == ["invalid_argument"] * 2


async def test_a_server_that_stops_sends_its_workers_away() -> None:
    """They are told to come back, and the run stays for the next start."""
    async with open_stream() as (scene, stream):
        run_id = await scene.emit()
        await stream.job()
        scene.server.context.stopping.set()
        await scene.settle()
        run = await scene.run(run_id)
        status = run["status"]

    assert stream.end is not None
    assert stream.end["error"]["code"] == "unavailable"
    assert status == "running"
    assert "lost" not in run
