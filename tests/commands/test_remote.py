"""`ironflow emit`, `invoke`, `functions` and `workers` against a server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.commands.conftest import APP, ORDER, ironflow, printed
from tests.commands.served import Served, serving, serving_endpoint

pytestmark = pytest.mark.e2e

KEY = "sk_test"
ELSEWHERE = (
    "import ironflow\n"
    "@ironflow.function(id='elsewhere', triggers=['far.away'])\n"
    "async def elsewhere(ctx):\n"
    "    await ctx.step.sleep('nap', 0.01)\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a server with the shop's functions."""
    directory = tmp_path_factory.mktemp("served") / "data"
    with serving(directory, "--signing-key", KEY) as opened:
        yield opened


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    """Return the URL of an endpoint with one function."""
    with serving_endpoint(tmp_path, ELSEWHERE, key=KEY) as url:
        yield url


@pytest.fixture(autouse=True)
def where(server: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let commands find the server by a variable."""
    monkeypatch.setenv("IRONFLOW_SERVER_URL", server.url)
    monkeypatch.delenv("IRONFLOW_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return printed(result)


def test_an_event_is_emitted(server: Served) -> None:
    found = document(
        ironflow("emit", "approval.asked", "--data", '{"id": 1}', "--json")
    )

    assert found["event_id"].startswith("evt_")
    assert "runs" not in found
    [run_id] = found["run_ids"]
    run = server.get(f"/api/v1/runs/{run_id}").json()
    assert run["event"]["data"] == {"id": 1}


def test_people_see_ids(tmp_path: Path) -> None:
    (tmp_path / "order.json").write_text(ORDER)

    result = ironflow("emit", "order.placed", "--data-file", "order.json")

    assert result.exit_code == 0
    event, run = result.stdout.splitlines()
    assert event.startswith("event evt_")
    assert run.startswith("run   run_")


def test_an_event_that_starts_nothing_is_said_to() -> None:
    result = ironflow("emit", "nobody.cares")

    assert result.exit_code == 0
    assert "no function is triggered by it" in result.stderr


def test_the_runs_of_an_event_are_waited_for() -> None:
    result = ironflow("emit", "order.placed", "--data", ORDER, "--wait")

    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "completed" in lines[1]
    assert "process-order" in lines[1]
    assert '"paid": {"paid": 10}' in lines[2]


def test_a_failed_run_is_the_status() -> None:
    result = ironflow("emit", "order.late", "--wait", "--json")

    assert result.exit_code == 1
    [run] = json.loads(result.stdout)["runs"]
    assert run["status"] == "failed"
    assert f"run {run['id']} failed: " in result.stderr


def test_a_run_that_takes_longer_goes_on() -> None:
    result = ironflow(
        "emit", "approval.asked", "--data", '{"id": 1}', "--wait", "--timeout", "0.2s"
    )

    assert result.exit_code == 1
    assert "is still waiting; it goes on" in result.stderr


def test_an_event_with_a_key_is_emitted_once(server: Served) -> None:
    once = ("emit", "approval.asked", "--idempotency-key", "k1", "--metadata", "a=b=c")

    first = document(ironflow(*once, "--version", "3", "--json"))
    second = ironflow(*once)

    assert f"event {first['event_id']}  which was there before" in second.stdout


def test_a_function_is_invoked() -> None:
    found = document(
        ironflow("invoke", "score-customer", "--data", '{"id": "c1"}', "--json")
    )

    assert found["runs"][0]["output"] == len("parcel of c1")
    assert found["run_id"] == found["run_ids"][0]


def test_an_invocation_need_not_be_waited_for() -> None:
    result = ironflow("invoke", "approve", "--no-wait", "--data", '{"id": 1}')

    assert result.exit_code == 0
    assert "run   run_" in result.stdout


def test_functions_are_listed() -> None:
    found = document(ironflow("functions", "list", "--json"))
    shown = ironflow("functions", "list")

    names = [each["id"] for each in found["functions"]]
    assert "process-order" in names
    assert "process-order" in shown.stdout
    assert "order.placed" in shown.stdout


def test_a_function_is_shown() -> None:
    found = document(ironflow("functions", "show", "approve", "--json"))
    shown = ironflow("functions", "show", "approve")

    assert found["host"] == "local"
    assert "approval.asked" in shown.stdout
    assert "records-1" not in shown.stdout


def test_what_a_function_was_is_shown(server: Served) -> None:
    for timeout_ms, reason in ((1, ""), (2, "it is slow")):
        body = {"id": "far", "timeout_ms": timeout_ms, "change_reason": reason}
        server.post("/api/v1/functions", body)

    found = document(ironflow("functions", "show", "far", "--history", "--json"))
    shown = ironflow("functions", "show", "far", "--history").stdout.splitlines()
    own = ironflow("functions", "show", "approve", "--history")

    assert [each["version"] for each in found["versions"]] == [2, 1]
    assert shown[0].split()[:2] == ["VERSION", "AT"]
    assert shown[1].startswith("2")
    assert "it is slow" in shown[1]
    assert "No versions" in own.stderr


def test_an_endpoint_is_registered_with_what_it_has(
    tmp_path: Path, endpoint: str
) -> None:
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    (tmp_path / "newer.py").write_text(f"{ELSEWHERE}    return 1\n")
    command = ("functions", "register", "--endpoint", endpoint)

    result = ironflow(*command, "--app", "elsewhere.py:elsewhere")
    newer = ironflow(*command, "--app", "newer.py:elsewhere")
    other = ironflow(*command, "--app", APP)
    found = document(ironflow("functions", "show", "elsewhere", "--json"))

    assert result.exit_code == 0, result.stderr
    assert "elsewhere" in result.stdout
    assert (found["host"], found["rules"]) == ("push", "records-1")
    assert found["triggers"] == [{"event": "far.away"}]
    assert newer.exit_code == 1
    assert "has other code than newer.py" in newer.stderr
    assert other.exit_code == 1
    assert "has no function" in other.stderr
    assert (
        document(ironflow("emit", "far.away", "--wait", "--json"))["runs"][0]["status"]
        == "completed"
    )


def test_an_endpoint_that_does_not_answer_is_said() -> None:
    result = ironflow("functions", "register", "--endpoint", "http://127.0.0.1:1/")

    assert result.exit_code == 1
    assert "http://127.0.0.1:1/" in result.stderr


def test_workers_are_listed() -> None:
    assert document(ironflow("workers", "list", "--json")) == {
        "workers": [],
        "count": 0,
    }
    assert "No workers." in ironflow("workers", "list").stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["functions", "show", "nothing"], "there is no function 'nothing'"),
        (["invoke", "nothing"], "'nothing'"),
        (["emit", "a", "--server", "http://127.0.0.1:1"], "no server answers at"),
    ],
)
def test_what_the_server_refuses_is_said(args: list[str], says: str) -> None:
    result = ironflow(*args)

    assert result.exit_code == 1
    assert says in result.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["emit", "two words"], "not a name"),
        (["emit", "a", "--data", "{"], "not JSON"),
        (["emit", "a", "--data", "1", "--data-file", "-"], "not both"),
        (["emit", "a", "--metadata", "x"], "must be KEY=VALUE"),
        (["emit", "a", "--server", "nonsense"], "'nonsense' is no address of a server"),
    ],
)
def test_a_wrong_command_line_is_said(args: list[str], says: str) -> None:
    result = ironflow(*args)

    assert result.exit_code == 2
    assert says in result.stderr
