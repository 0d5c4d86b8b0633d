"""The clients of a published SDK, unmodified, against a server that asks for keys."""

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import IO, Any, cast

import httpx
import pytest

from tests.commands.served import start
from tests.interop.conftest import PATIENCE_S, PYTHON

PROGRAM = Path(__file__).parent / "client.py"
APP = f"{Path(__file__).parent / 'hosted.py'}:app"

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what the program was given by a server."""
    if not PYTHON.exists():
        pytest.skip("there is no .interop; scripts/interop-environment makes it")
    data = tmp_path_factory.mktemp("client") / "data"
    process = start("--app", APP, "--data-dir", str(data), "--json")
    try:
        ready = json.loads(cast("IO[str]", process.stdout).readline())
        finished = subprocess.run(
            [str(PYTHON), str(PROGRAM), ready["url"], ready["api_key"]],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
            env=os.environ | {"PYTHONPATH": ""},
        )
    finally:
        process.kill()
        log = process.communicate()[1]
    assert finished.returncode == 0, finished.stderr + log
    assert "Traceback" not in log
    return json.loads(finished.stdout)


@pytest.mark.parametrize("how", ["worker", "streaming"])
def test_a_worker_needs_a_key_of_its_role(how: str, tmp_path: Path) -> None:
    """It registers functions, carries out runs and publishes; it does no more."""
    if not PYTHON.exists():
        pytest.skip("there is no .interop; scripts/interop-environment makes it")
    (tmp_path / "effects").touch()
    variables = {"EFFECTS": str(tmp_path / "effects"), "PYTHONPATH": ""}
    process = start("--data-dir", str(tmp_path / "data"), "--json")
    worker: subprocess.Popen[bytes] | None = None
    try:
        ready = json.loads(cast("IO[str]", process.stdout).readline())
        bearer = {"authorization": f"Bearer {ready['api_key']}"}
        with httpx.Client(base_url=ready["url"], headers=bearer, timeout=70) as admin:
            made = admin.post(
                "/api/v1/apikeys", json={"name": how, "role_ids": ["worker"]}
            )
            key = made.json()["key"]
            flaky = {"id": "flaky", "triggers": [{"event": "flaky.asked"}]}
            assert admin.post("/api/v1/functions", json=flaky).is_success
            worker = subprocess.Popen(
                [str(PYTHON), str(PROGRAM.parent / "published.py"), how, ready["url"]],
                env=os.environ | variables | {"IRONFLOW_API_KEY": key},
            )
            emitted = admin.post(
                "/api/v1/events?wait=60s", json={"name": "flaky.asked"}
            )
            refused = admin.get(
                "/api/v1/runs", headers={"authorization": f"Bearer {key}"}
            )
    finally:
        process.kill()
        process.communicate()
        if worker is not None:
            worker.kill()
            worker.wait()

    [run] = emitted.json()["runs"]
    assert run["status"] == "completed"
    assert refused.status_code == 403


def test_an_event_is_emitted_once_by_its_key(given: Any) -> None:
    rpc = given["rpc"]

    assert rpc["same"]
    assert len(rpc["emitted"]["runIds"]) == 1
    assert rpc["batch"]["results"][0] == rpc["emitted"]
    assert "runIds" not in rpc["batch"]["results"][1]


def test_results_come_back(given: Any) -> None:
    [result] = given["rpc"]["sync"]["results"]
    [lost] = given["rpc"]["lost"]["results"]
    invoked = given["rpc"]["invoked"]["result"]

    charged = {"amount": 3, "of": "order"}
    assert result["status"] == "RUN_STATUS_COMPLETED"
    assert result["output"] == {"order": "o2", "charged": charged}
    assert invoked["output"] == {"order": "o4", "charged": charged}
    assert lost["status"] == "RUN_STATUS_FAILED"
    assert lost["error"]["message"] == "lost: o3"


def test_runs_are_shown_with_their_steps(given: Any) -> None:
    run, [step] = given["rpc"]["run"], given["rpc"]["steps"]["steps"]

    assert (run["functionId"], run["input"]) == ("order", {"orderId": "o1"})
    assert step["stepId"] == f"{run['id']}:charge:0"
    assert step["output"] == {"amount": 3, "of": "order"}
    assert len(given["rpc"]["runs"]["runs"]) == 2
    assert given["rpc"]["runs"]["nextCursor"]
    assert [each["functionId"] for each in given["rpc"]["failed"]["runs"]] == ["lost"]


def test_a_function_is_registered(given: Any) -> None:
    rpc = given["rpc"]

    assert rpc["registered"]["created"]
    assert rpc["function"] == rpc["registered"]["function"]
    assert rpc["function"]["retry"]["maxAttempts"] == 3
    ids = [each["id"] for each in rpc["functions"]["functions"]]
    assert ids == ["approval", "far", "lost", "order"]


def test_a_run_that_waits_is_steered(given: Any) -> None:
    rpc = given["rpc"]

    assert rpc["late"]["result"]["waitTimedOut"]
    assert rpc["cancelled"]["id"] == rpc["late"]["result"]["runId"]
    assert rpc["paused"]["status"] in {"paused", "pause_requested"}
    [step] = rpc["state"]["steps"]
    assert base64.b64decode(step["output"]) == b'"please"'
    assert rpc["before"] == '"please"'
    assert rpc["resumed"]["id"] == rpc["run_id"]


def test_a_message_is_published_once_by_its_key(given: Any) -> None:
    first, second = given["rpc"]["published"], given["rpc"]["repeated"]

    assert second == first | {"duplicate": True}
    assert int(first["sequence"]) > 0


def test_what_fails_has_its_code(given: Any) -> None:
    rpc = given["rpc"]

    assert rpc["unknown"] == "not_found"
    assert rpc["absent"] == "unimplemented"
    assert rpc["stranger"] == "unauthenticated"


def test_the_rest_client_is_answered(given: Any) -> None:
    rest = given["rest"]

    assert (rest["health"], rest["ready"]) == ("ok", "ready")
    assert rest["capabilities"] is True
    assert rest["workers"] == 0
    assert len(rest["events"]) == 5
    assert rest["event"]


def test_the_rest_client_manages_keys(given: Any) -> None:
    rest = given["rest"]

    assert rest["keys"] == ["ci", "first key"]
    assert rest["rotated"]
    assert rest["left"] == ["first key"]
    assert rest["unauthenticated"].lower() == "unauthenticated"
