"""A published SDK, unmodified: what its workers and endpoints make of our server."""

from collections.abc import Iterator

import pytest

from tests.interop.conftest import Stage, open_stage

pytestmark = pytest.mark.e2e


def polling(stage: Stage) -> object:
    return stage.program("worker")


def streaming(stage: Stage) -> object:
    return stage.program("streaming")


def pushed(stage: Stage) -> object:
    return stage.endpoint()


@pytest.fixture(scope="module", params=[polling, streaming, pushed])
def hosted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """Return a server whose functions one kind of host executes."""
    with open_stage(tmp_path_factory.mktemp("hosted")) as stage:
        request.param(stage)
        yield stage


def test_every_primitive_in_one_function(hosted: Stage) -> None:
    """Steps, sleeps, nested parallel and map, children, a message and a wait."""
    stage = hosted.cleared()
    run_id = everything(stage)
    stage.emit("all.approved", {"orderId": "o2"})
    stage.emit("all.approved", {"orderId": "o1", "by": "me"})

    run = stage.result(run_id)

    assert run["status"] == "completed", stage.told()
    output = run["output"]
    assert output["greeting"] == "greet"
    assert output["fan"] == ["after doze", ["a:item 0", "b:item 1"]]
    assert output["doubled"] == 42
    assert output["approved"] == {"orderId": "o1", "by": "me"}
    assert output["message"].startswith("evt_")
    assert stage.result(output["later"])["output"] == 2
    assert sorted(stage.effects()) == ["after doze", "greet", "item 0", "item 1"]
    steps = stage.get(f"/api/v1/runs/{run_id}/steps")["steps"]
    assert {each["id"] for each in steps} == {
        "greet:0",
        "nap:0",
        "fan:0:doze:0",
        "fan:0:after:0",
        "fan:1:inner:0:w\\:x:0",
        "fan:1:inner:1:w\\:x:0",
        "double:0",
        "double:1",
        "publish:news:0",
        "ok:0",
    }


def everything(stage: Stage) -> str:
    return stage.emit("all.asked", {"orderId": "o1"})


def test_a_step_that_fails_is_tried_again_and_no_other(hosted: Stage) -> None:
    stage = hosted.cleared()

    run = stage.result(stage.emit("flaky.asked"))

    assert run["output"] == {"before": "before", "work": "done"}, stage.told()
    assert stage.effects() == ["before", "tried", "tried", "tried"]


def test_a_run_that_cannot_go_on_is_compensated_and_fails(hosted: Stage) -> None:
    stage = hosted.cleared()

    run = stage.result(stage.emit("undone.asked"))

    assert run["status"] == "failed", stage.told()
    assert "no stock" in run["error"]["message"]
    assert stage.effects() == ["charge", "refund"]
    steps = stage.get(f"/api/v1/runs/{run['id']}/steps")["steps"]
    assert "compensate:charge:0" in [each["id"] for each in steps]


def test_a_run_is_resumed_from_a_step(hosted: Stage) -> None:
    """What was before it is not executed again; a given result is not either."""
    stage = hosted.cleared()
    failed = stage.result(stage.emit("fragile.asked"))
    run_id = failed["id"]

    stage.post("/api/v1/runs/resume", {"run_id": run_id, "from_step": "charge"})
    again = stage.result(run_id)
    first = stage.effects()
    other = stage.cleared().result(stage.emit("fragile.asked"))["id"]
    by_hand = {"run_id": other, "from_step": "mail", "output": "by hand"}
    stage.post("/api/v1/runs/resume", by_hand)
    given = stage.result(other)

    assert failed["status"] == "failed", stage.told()
    assert again["output"] == "price charge mail", stage.told()
    assert first == ["price", "charge", "charge", "mail"]
    assert given["output"] == "price charge by hand", stage.told()
    assert stage.effects() == ["price", "charge"]


def test_the_failure_of_a_child_is_raised_in_its_parent(hosted: Stage) -> None:
    stage = hosted.cleared()

    run = stage.result(stage.emit("child.asked"))

    assert run["status"] == "completed", stage.told()
    assert run["output"].startswith("caught: ")


@pytest.mark.parametrize("how", ["worker", "streaming"])
def test_a_run_goes_on_when_the_server_was_killed(stage: Stage, how: str) -> None:
    """A worker registers again; what was reported before is not executed again."""
    stage.program(how)
    run_id = everything(stage)
    child = stage.result(stage.emit("flaky.asked"))  # it is at work

    stage.kill_server()
    stage.serve()
    stage.emit("all.approved", {"orderId": "o1"})
    run = stage.result(run_id)

    assert child["status"] == "completed"
    assert run["status"] == "completed", stage.told()
    assert stage.effects().count("greet") == 1


@pytest.mark.parametrize("how", ["worker", "streaming"])
def test_a_worker_that_is_killed_is_taken_over(stage: Stage, how: str) -> None:
    """By one that registers under its id: the steps that were reported stay."""
    first = stage.program(how, "w1", HANG="1")
    run_id = stage.emit("slow.asked")
    assert first.stdout is not None
    while "hang" not in stage.effects():
        assert first.stdout.readline()

    first.kill()
    first.wait()
    stage.program(how, "w1")
    run = stage.result(run_id)

    assert run["output"] == "woke", stage.told()
    assert stage.effects().count("hang") == 2
    assert stage.effects().count("before") in {1, 2}


@pytest.mark.parametrize("how", ["worker", "streaming"])
def test_a_cancelled_run_is_dropped_by_its_worker(stage: Stage, how: str) -> None:
    worker = stage.program(how, "w1", HANG="1")
    run_id = stage.emit("slow.asked")
    assert worker.stdout is not None
    while "hang" not in stage.effects():
        assert worker.stdout.readline()

    stage.cancel(run_id)
    run = stage.result(run_id)
    other = stage.result(stage.emit("flaky.asked"))

    assert run["status"] == "cancelled"
    assert other["status"] == "completed", stage.told()
