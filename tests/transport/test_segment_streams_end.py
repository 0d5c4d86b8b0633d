"""What becomes of the jobs of a published worker whose stream ends: others, or it again."""

import trio

from ironflow import limits
from tests.transport.segment_scene import open_scene
from tests.transport.test_segment_stream import connected, open_stream, wire_id


async def test_a_job_outlives_its_stream() -> None:
    """The worker goes on, connects again, and reports under the lease that it has."""
    async with open_scene() as scene, trio.open_nursery() as nursery:
        await scene.function()
        run_id = await scene.emit()
        async with connected(scene, nursery) as first:
            job = await first.job()
        async with connected(scene, nursery) as second:
            [state] = await second.heartbeat(job)
            await second.report(job, jobCompleted={"outputValue": 7})
            run = await scene.run(run_id)

    assert state["state"] == "LEASE_STATE_REFRESHED"
    assert second.jobs == []
    assert (run["status"], run["output"]) == ("completed", 7)


async def test_a_stream_that_ends_gives_its_jobs_to_others_at_once() -> None:
    """What was recorded is not done again; what the old worker says later is passed over."""
    async with open_scene() as scene, trio.open_nursery() as nursery:
        await scene.function()
        run_id = await scene.emit()
        async with connected(scene, nursery) as first:
            job = await first.job()
            done = {"stepId": wire_id(job, "a:0"), "outputValue": 1}
            await first.report(job, stepCompleted=done)
        began = scene.server.harness.clock.now()
        async with (
            connected(scene, nursery, workerId="s2") as second,
            connected(scene, nursery) as late,
        ):
            again = await second.job()
            [state] = await late.heartbeat(job)
            await late.report(job, jobCompleted={"outputValue": "old"})
            await second.report(again, jobCompleted={"outputValue": "new"})
            run = await scene.run(run_id)
        took = scene.server.harness.clock.now() - began

    assert took == 0
    assert [each["stepId"] for each in again["completedSteps"]] == [wire_id(job, "a:0")]
    assert state["state"] == "LEASE_STATE_UNKNOWN"
    assert (run["status"], run["output"]) == ("completed", "new")
    assert (run["lost"]["worker"], run["lost"]["by"]) == ("s1", "s2")
    assert run["lost"]["why"] == "its stream ended"


async def test_a_job_that_its_worker_came_back_to_says_so() -> None:
    async with open_scene() as scene, trio.open_nursery() as nursery:
        await scene.function()
        run_id = await scene.emit()
        async with connected(scene, nursery) as first:
            job = await first.job()
        lost = (await scene.run(run_id))["lost"]
        async with connected(scene, nursery) as second:
            await second.heartbeat(job)
            back = (await scene.run(run_id))["lost"]

    assert (lost["worker"], lost["by"], lost["went_on"]) == ("s1", None, False)
    assert (back["worker"], back["by"]) == ("s1", "s1")


async def test_a_new_process_under_an_old_id_is_sent_its_jobs_again() -> None:
    """Under the lease that they have, when it has had time to say that it knows them."""
    async with open_scene() as scene, trio.open_nursery() as nursery:
        await scene.function()
        run_id = await scene.emit()
        async with connected(scene, nursery) as first:
            job = await first.job()
        async with connected(scene, nursery) as second:
            await scene.advance("900ms")
            early = list(second.jobs)
            await scene.advance("100ms")
            again = await second.job()
            await second.heartbeat(again)
            await second.report(again, jobCompleted={"outputValue": 7})
            run = await scene.run(run_id)

    assert early == []
    assert again["executionSeq"] == job["executionSeq"]
    assert run["output"] == 7


async def test_what_a_worker_still_knows_is_not_sent_again() -> None:
    """It says first what it could not say while it had no stream."""
    async with open_scene() as scene, trio.open_nursery() as nursery:
        await scene.function()
        for number in range(3):
            await scene.emit({"n": number})
        async with connected(scene, nursery) as first:
            jobs = first.jobs
            for job in jobs:
                await first.report(job, jobAck={"runId": job["runId"]})
        async with connected(scene, nursery) as second:
            begun = {"stepId": wire_id(jobs[0], "a:0"), "name": "a"}
            await second.report(jobs[0], stepStarted=begun)
            done = {"stepId": wire_id(jobs[1], "a:0"), "outputValue": 1}
            await second.report(jobs[1], stepCompleted=done)
            await second.report(jobs[2], jobCompleted={"outputValue": 1})
            await scene.advance("10s")
            sent = list(second.jobs)
            states = await second.heartbeat(jobs[0], jobs[1])

    assert sent == []
    assert {each["state"] for each in states} == {"LEASE_STATE_REFRESHED"}


async def test_what_was_sent_again_has_a_while_to_be_begun() -> None:
    """A heartbeat may have been on its way; the one after it must name the job."""
    async with open_scene() as scene, trio.open_nursery() as nursery:
        await scene.function()
        await scene.emit()
        async with connected(scene, nursery) as first:
            await first.job()
        async with connected(scene, nursery) as second:
            await scene.advance("1s")
            await second.heartbeat()
            once = len(second.jobs)
            await scene.advance("5s")
            await second.heartbeat()

    leases = {job["executionSeq"] for job in second.jobs}
    assert (once, len(second.jobs), len(leases)) == (1, 2, 2)


async def test_the_older_sdk_is_not_sent_what_it_may_have() -> None:
    """It would execute the job beside itself; its heartbeat shows what it knows."""
    older = {"version": {"sdk": "0.29.0", "runtime": "node-22"}}
    async with open_scene() as scene, trio.open_nursery() as nursery:
        await scene.function()
        await scene.emit()
        async with connected(scene, nursery, **older) as first:
            job = await first.job()
        async with connected(scene, nursery, **older) as second:
            await scene.advance("20s")
            before = list(second.jobs)
            await second.heartbeat()

    assert before == []
    assert [each["runId"] for each in second.jobs] == [job["runId"]]


async def test_a_cancel_reaches_a_worker_that_came_back() -> None:
    async with open_scene() as scene, trio.open_nursery() as nursery:
        await scene.function()
        run_id = await scene.emit()
        async with connected(scene, nursery) as first:
            job = await first.job()
        async with connected(scene, nursery) as second:
            await second.heartbeat(job)
            await scene.server.post(f"/api/v1/runs/{run_id}/cancel")
            await scene.settle()

    assert second.heard[-1]["cancel"]["jobId"] == run_id


async def test_a_run_is_not_poison_because_its_workers_are_lost() -> None:
    """They may have ended for the sake of another, or in order."""
    async with open_scene() as scene, trio.open_nursery() as nursery:
        await scene.function()
        run_id = await scene.emit()
        for number in range(limits.POISON_CLAIMS_MAX + 2):
            async with connected(scene, nursery, workerId=f"s{number}") as stream:
                await stream.job()
        run = await scene.run(run_id)

    assert run["status"] == "running"
    assert run["lost"]["worker"] == f"s{limits.POISON_CLAIMS_MAX + 1}"


async def test_the_end_of_a_job_goes_out_before_the_same_job_again() -> None:
    """Else a worker would drop what it has just been given."""
    async with open_stream() as (scene, stream):
        run_id = await scene.emit()
        first = await stream.job()
        quiet_s = limits.SEGMENT_SILENCE_US_MAX // 1_000_000
        for _ in range(quiet_s):  # of the worker is heard, of the job it says nothing
            await scene.advance("1s")
            await stream.heartbeat()
        await scene.advance("1s")
        said = [
            name
            for message in stream.heard
            for name, fields in message.items()
            if fields.get("jobId") == run_id
        ]

    assert said == ["job", "cancel", "job"]
    assert stream.jobs[-1]["executionSeq"] > first["executionSeq"]


async def test_a_job_that_a_new_process_does_not_know_is_given_once() -> None:
    """A job under the id of the one before: no word may end it."""
    async with open_scene() as scene, trio.open_nursery() as nursery:
        await scene.function()
        await scene.emit()
        async with connected(scene, nursery) as first:
            await first.job()
        async with connected(scene, nursery) as second:
            await second.heartbeat()
            [job] = second.jobs
            await second.report(job, jobCompleted={"outputValue": 7})
            run = await scene.run(job["runId"])

    assert [each for each in second.heard if "cancel" in each] == []
    assert (run["status"], run["output"]) == ("completed", 7)
