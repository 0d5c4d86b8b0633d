"""Published workers that poll: jobs, reports, leases, and what becomes of runs."""

from typing import Any

import trio

from ironflow.handles import Emission
from tests.transport.conftest import Answered
from tests.transport.segment_scene import Worker, forever, open_scene, step


def completed(job: Any) -> dict[str, Any]:
    return {row["step_id"].partition(":")[2]: row for row in job["completed_steps"]}


async def test_a_job_has_what_a_worker_needs() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        run_id = await scene.emit({"orderId": "o1"})

        [job] = await worker.poll()

    assert job["job_id"] == job["run_id"] == run_id
    assert (job["function_id"], job["attempt"], job["max_attempts"]) == ("hello", 1, 3)
    assert job["on_exhausted"] == "pause"
    assert job["completed_steps"] == []
    assert job["step_sequence_base"] == 0
    assert isinstance(job["execution_seq"], int)
    assert job["lease_token"]
    event = job["event"]
    assert (event["name"], event["data"], event["version"]) == (
        "order.created",
        {"orderId": "o1"},
        1,
    )
    assert event["timestamp"] == "2030-01-01T00:00:00Z"
    assert None not in event.values()


async def test_a_run_completes_by_a_report() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        run_id = await scene.emit()
        job = await worker.job()

        answer = await worker.tell(
            job, "completed", output={"x": 1}, steps=[step(job, "greet:0", "hi")]
        )
        run = await scene.run(run_id)

    assert (answer.status, answer.document) == (200, {"status": "ok"})
    assert (run["status"], run["output"]) == ("completed", {"x": 1})


async def test_a_checkpoint_is_durable_when_it_is_answered() -> None:
    """And a worker that takes the run over is given it."""
    async with open_scene() as scene:
        worker = await scene.started()
        await scene.emit()
        job = await worker.job()

        answer = await worker.tell(job, "progress", steps=[step(job, "a:0", [1, 2])])
        again = await (await scene.worker()).job()

    assert answer.status == 200
    assert completed(again)["a:0"]["output"] == [1, 2]
    assert again["step_sequence_base"] == 1
    assert again["execution_seq"] > job["execution_seq"]
    assert again["attempt"] == 1


async def test_a_sleep_is_the_engines() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        await scene.emit()
        job = await worker.job()

        await told(worker, job, {"type": "sleep", "until": "2030-01-01T01:00:00Z"})
        asleep = await worker.poll()
        await scene.advance("1h")
        job = await (await scene.worker()).job()

    assert asleep == []
    assert completed(job)["sleep:0"]["output"] is None
    assert job["attempt"] == 1


async def test_a_wait_is_the_engines() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        await scene.emit({"orderId": "o1"})
        job = await worker.job()

        wanted = {"event": "order.approved", "match": "data.orderId"}
        await told(worker, job, {"type": "wait_for_event", "event_filter": wanted})
        for order in ("o2", "o1"):
            body = {"name": "order.approved", "data": {"orderId": order}}
            await scene.server.post("/api/v1/events", body)
        await scene.settle()
        job = await worker.job()

    event = completed(job)["wait_for_event:0"]["output"]
    assert (event["name"], event["data"]) == ("order.approved", {"orderId": "o1"})
    assert event["id"].startswith("evt_")
    assert event["timestamp"] == "2030-01-01T00:00:00Z"


async def test_a_child_is_the_engines() -> None:
    async with open_scene() as scene:
        await scene.started()
        await scene.function(id="child", triggers=[])
        worker = await scene.worker(function_ids=["hello", "child"])
        await scene.emit()
        job = await worker.job()

        child = {"function_id": "child", "input": {"n": 5}}
        await told(worker, job, {"type": "invoke_function", **child})
        job = await worker.job()
        await worker.tell(job, "completed", output=25)
        parent = await worker.job()

    assert (job["function_id"], job["event"]["data"]) == ("child", {"n": 5})
    assert completed(parent)["invoke_function:0"]["output"] == 25


async def test_a_run_goes_on_beside_a_child_that_it_does_not_await() -> None:
    async with open_scene() as scene:
        await scene.started()
        await scene.function(id="child", triggers=[])
        worker = await scene.worker(function_ids=["hello", "child"])
        await scene.emit()
        job = await worker.job()

        child = {"function_id": "child", "type": "invoke_function_async"}
        await told(worker, job, child)
        jobs = {each["function_id"]: each for each in await worker.poll()}

    row = completed(jobs["hello"])["invoke_function_async:0"]
    assert row["output"] == {"run_id": jobs["child"]["run_id"]}


async def told(worker: Worker, job: Any, yielded: dict[str, Any]) -> Answered:
    id_ = f"{job['run_id']}:{yielded['type']}:0"
    answer = await worker.tell(job, "yielded", **{"yield": {"step_id": id_, **yielded}})
    assert answer.status == 200, answer.body
    return answer


async def test_a_child_that_failed_is_a_failed_row() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        await scene.emit()
        job = await worker.job()

        await told(worker, job, {"type": "invoke_function", "function_id": "nobody"})
        again = await worker.job()

    row = completed(again)["invoke_function:0"]
    assert row["status"] == "failed"
    assert row["error"]["function_id"] == "nobody"
    assert row["error"]["retryable"] is False
    assert "nobody" in row["error"]["message"]
    assert row["output"] is None


async def test_a_worker_that_cannot_be_told_of_a_failed_child_fails_the_run() -> None:
    """The older SDK takes every row for a completed one."""
    async with open_scene() as scene:
        await scene.function()
        version = {"sdk": "0.29.0", "runtime": "node-20"}
        worker = await scene.worker(version=version)
        run_id = await scene.emit()
        job = await worker.job()

        await told(worker, job, {"type": "invoke_function", "function_id": "nobody"})
        again = await worker.poll()
        run = await scene.run(run_id)

    assert again == []
    assert (run["status"], run["error"]["code"]) == ("failed", "INVOKE_FAILED")


async def test_a_failed_segment_is_tried_again_after_its_backoff() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        await scene.emit()
        job = await worker.job()
        broken = step(
            job, "b:0", status="failed", error={"message": "no", "retryable": True}
        )

        await worker.tell(
            job,
            "failed",
            error={"message": "no", "code": "STEP_FAILED", "retryable": True},
            steps=[step(job, "a:0", 1), broken],
        )
        early = await worker.poll()
        await scene.advance("1s")
        again = await worker.job()

    assert early == []
    assert again["attempt"] == 2
    assert list(completed(again)) == ["a:0"]
    assert again["step_sequence_base"] == 2


async def test_a_worker_may_say_when_to_try_again() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        await scene.emit()
        job = await worker.job()

        await worker.tell(
            job, "failed", error={"message": "busy", "retry_after_ms": 60_000}
        )
        await scene.advance("59s")
        early = await worker.poll()
        await scene.advance("1s")
        again = await worker.poll()

    assert (early, len(again)) == ([], 1)


async def test_a_run_is_paused_when_its_attempts_are_used_up() -> None:
    async with open_scene() as scene:
        worker = await scene.started(retry={"maxAttempts": 1})
        run_id = await scene.emit()
        job = await worker.job()

        answer = await worker.tell(job, "failed", error={"message": "no"})
        run = await scene.run(run_id)

    assert answer.status == 200
    assert (run["status"], run["pause"]["reason"]) == ("paused", "step")


async def test_what_cannot_be_tried_again_fails_the_run() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        run_id = await scene.emit()
        job = await worker.job()

        error = {"message": "no price", "code": "NON_RETRYABLE", "retryable": False}
        await worker.tell(
            job, "failed", error=error, steps=[step(job, "compensate:charge:0")]
        )
        run = await scene.run(run_id)

    assert run["status"] == "failed"
    assert (run["error"]["code"], run["error"]["message"]) == (
        "NON_RETRYABLE",
        "no price",
    )


# --- polling ----------------------------------------------------------------------------------


async def test_no_more_jobs_are_given_than_there_is_room_for() -> None:
    async with open_scene() as scene:
        await scene.function()
        worker = await scene.worker(max_concurrent_jobs=3)
        for number in range(5):
            await scene.emit({"n": number})

        first = await worker.poll("available=2")
        second = await worker.poll("available=10")
        third = await worker.poll("available=10")

    assert [len(each) for each in (first, second, third)] == [2, 1, 0]
    assert [job["event"]["data"]["n"] for job in first + second] == [0, 1, 2]


async def test_a_poll_is_held_until_there_is_a_job() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        found: list[Answered] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(forever, worker, found, "available=1&wait=20")
            await scene.settle()
            held = list(found)
            await scene.emit()

    assert held == []
    assert found[0].status == 200
    assert found[0].headers.get("ironflow-poll-wait") == "20"


async def test_a_poll_that_finds_nothing_says_how_long_it_was_held() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        found: list[Answered] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(forever, worker, found, "available=1&wait=600")
            await scene.advance("24s")
            early = list(found)
            await scene.advance("1s")

    assert early == []
    assert found[0].status == 204
    assert found[0].headers.get("ironflow-poll-wait") == "25"


async def test_a_job_that_comes_while_a_poll_ends_is_given_to_the_next() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        found: list[Answered] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(forever, worker, [], "available=1&wait=20")
            await scene.settle()
            nursery.cancel_scope.cancel()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(forever, worker, found, "available=1&wait=20")
            await scene.settle()
            await scene.emit()

    assert found[0].status == 200


async def test_a_run_without_a_worker_stays_in_the_journal() -> None:
    async with open_scene() as scene:
        await scene.function()
        run_id = await scene.emit()
        before = await scene.status(run_id)

        worker = await scene.worker()
        job = await worker.job()

    assert before == "queued"
    assert job["run_id"] == run_id


# --- what is wrong ----------------------------------------------------------------------------


async def test_an_end_that_cannot_be_read_fails_the_run() -> None:
    """Its worker would not report again, and the next would report the same."""
    async with open_scene() as scene:
        worker = await scene.started()
        run_id = await scene.emit()
        job = await worker.job()

        answer = await worker.tell(job, "yielded", **{"yield": {"type": "nap"}})
        run = await scene.run(run_id)

    assert answer.status == 400
    assert (run["status"], run["error"]["code"]) == ("failed", "NOT_CONFIGURED")


async def test_a_checkpoint_that_cannot_be_read_is_refused_and_changes_nothing() -> (
    None
):
    async with open_scene() as scene:
        worker = await scene.started()
        run_id = await scene.emit()
        job = await worker.job()

        answer = await worker.tell(job, "progress", steps=[{"id": "foreign:0"}])
        status = await scene.status(run_id)
        end = await worker.tell(job, "completed")

    assert (answer.status, status, end.status) == (400, "running", 200)


async def test_rows_that_come_twice_are_one() -> None:
    async with open_scene() as scene:
        worker = await scene.started()
        run_id = await scene.emit()
        job = await worker.job()
        rows = [step(job, "a:0", 1)]

        await worker.tell(job, "progress", steps=rows)
        await worker.tell(job, "completed", steps=rows)
        steps = await scene.server.get(f"/api/v1/runs/{run_id}/steps")

    assert [each["id"] for each in steps["steps"]] == ["a:0"]


async def test_runs_that_no_worker_has_room_for_leave_the_engine_to_others() -> None:
    """Else a thousand of them would fill it, and nothing else would go on."""
    async with open_scene() as scene:
        await scene.function()
        worker = await scene.worker(max_concurrent_jobs=5)
        events = [Emission("order.created", number) for number in range(300)]
        await scene.server.harness.engine.emit_batch(events)
        await scene.settle()
        runs = await scene.server.get("/api/v1/runs?limit=300")
        held = [each for each in runs["runs"] if each["status"] == "running"]
        for _ in range(2):
            for job in await worker.poll():
                await worker.ack(job)
                await worker.tell(job, "completed")
        others = await worker.poll()

    assert len(held) == 205
    assert [job["event"]["data"] for job in others] == [10, 11, 12, 13, 14]
