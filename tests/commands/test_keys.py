"""`ironflow keys`, on a data directory and on a server that has it open."""

import json
import signal
from pathlib import Path
from typing import IO, Any, cast

import httpx
import pytest
from click.testing import Result

from ironflow.wire import keys
from tests.commands.conftest import ironflow, printed
from tests.commands.served import start


def on(directory: Path, *args: str) -> Result:
    return ironflow("keys", *args, "--data-dir", str(directory))


def test_a_key_is_created_listed_rotated_and_revoked(tmp_path: Path) -> None:
    made = on(tmp_path, "create", "ci", "--role", "worker", "--expires-in", "90d")
    [listed] = printed(on(tmp_path, "list", "--json"))
    rotated = on(tmp_path, "rotate", listed["id"])
    revoked = on(tmp_path, "revoke", listed["id"])

    # Only the text is on standard output: it can be piped.
    assert keys.is_text(made.stdout.rstrip("\n"))
    assert f"{listed['id']} (worker)" in made.stderr
    assert listed["key_prefix"] == made.stdout[:10]
    assert listed["role_ids"] == ["worker"]
    assert listed["expires_at"] is not None
    assert keys.is_text(rotated.stdout.rstrip("\n"))
    assert rotated.stdout != made.stdout
    assert revoked.stdout == f"revoked {listed['id']}\n"
    assert printed(on(tmp_path, "list", "--json")) == []


def test_keys_are_listed_for_people(tmp_path: Path) -> None:
    none = on(tmp_path, "list")
    on(tmp_path, "create", "ci")

    lines = on(tmp_path, "list").stdout.splitlines()

    assert none.stderr == "No API keys.\n"
    assert lines[0].split()[0] == "KEY"
    assert lines[1].startswith("key_")
    assert lines[1].endswith("ci")


def test_what_is_printed_for_programs_is_json(tmp_path: Path) -> None:
    made = printed(on(tmp_path, "create", "ci", "--json"))
    gone = printed(on(tmp_path, "revoke", made["id"], "--json"))

    assert keys.is_text(made["key"])
    assert made["role_ids"] == ["developer"]
    assert gone == {"id": made["id"], "revoked": True}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["rotate", "key_0"], "there is no API key 'key_0'"),
        (["revoke", "key_0"], "ironflow keys list"),
        (["create", "ci", "--role", "owner"], "'owner' is not one of"),
        (["create", "ci", "--expires-in", "soon"], "expires_in"),
        (["create", " "], "name"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, args: list[str], said: str
) -> None:
    result = on(tmp_path, *args)

    assert result.exit_code != 0
    assert said in result.stderr


def test_keys_of_another_environment_are_apart(tmp_path: Path) -> None:
    on(tmp_path, "create", "ci", "--environment", "production")

    assert printed(on(tmp_path, "list", "--json")) == []


@pytest.mark.slow
def test_a_server_asks_for_keys_from_its_first_start(tmp_path: Path) -> None:
    directory = tmp_path / "data"

    def served() -> tuple[Any, Any]:
        process = start("--data-dir", str(directory), "--json")
        return process, json.loads(cast("IO[str]", process.stdout).readline())

    process, first = served()
    try:
        url, admin = first["url"], first["api_key"]
        there = ("--server", url, "--api-key", admin)
        runs = f"{url}/api/v1/runs"
        assert [httpx.get(each).status_code for each in (f"{url}/health", runs)] == [
            200,
            401,
        ]
        bearer = {"authorization": f"Bearer {admin}"}
        assert httpx.get(runs, headers=bearer).status_code == 200

        owned = on(directory, "list")
        made = printed(
            ironflow("keys", "create", "ci", "--role", "viewer", "--json", *there)
        )
        listed = printed(ironflow("keys", "list", "--json", *there))
        rotated = printed(ironflow("keys", "rotate", made["id"], "--json", *there))
        ironflow("keys", "revoke", made["id"], *there)

        assert "--server" in owned.stderr
        assert len(listed) == 2
        viewer = {"authorization": f"Bearer {rotated['key']}"}
        assert httpx.get(runs, headers=viewer).status_code == 401
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=30)
        assert "refused GET /api/v1/runs" in stderr
        assert admin not in stderr

        process, second = served()
        assert "api_key" not in second
    finally:
        process.kill()
        process.communicate()
