"""`ironflow runs` and `events list` against a server: the same as on a data directory."""

import base64
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
import trio
from click.testing import Result

import ironflow as package
from ironflow import codec, ids
from ironflow.commands import remote, runs_list, runs_show
from ironflow.engine.clock import SystemClock
from ironflow.engine.open import run_engine
from ironflow.journal.base import RunSummary
from ironflow.journal.url import open_journal
from ironflow.policy.retry import NO_RETRY
from ironflow.records import CancelRequested, Entry, RunStarted
from ironflow.transport.rendering import run_document
from ironflow.transport.server import open_handler
from tests.client.conftest import BlockingTransport, Scripted, answer
from tests.commands.conftest import Stock, ironflow, printed
from tests.commands.test_standing import ROW

URL = "http://server"
NOBODY = "run_" + "0" * 32
LATER_NS = 1_900_000_000_000_000_000
FUNCTIONS = ("process-order", "score-customer", "approve", "forgetful", "sold-out")


@dataclass(frozen=True)
class Serving:
    """A server that has a data directory open, and its commands."""

    runs: dict[str, str]

    async def __call__(self, *args: str) -> Result:
        """Run a command against the server, with functions in place of run ids."""
        given = [self.runs.get(each, each) for each in args]
        return await trio.to_thread.run_sync(partial(ironflow, *given, "--server", URL))


def talk_by(monkeypatch: pytest.MonkeyPatch, transport: httpx.BaseTransport) -> None:
    def client_of(server: remote.Server) -> package.Client:
        return package.Client(
            server.url, api_key=server.api_key, retry=NO_RETRY, transport=transport
        )

    monkeypatch.setattr(remote, "client_of", client_of)
    for name in ("SERVER_URL", "API_KEY", "DATA_DIR"):
        monkeypatch.delenv(f"IRONFLOW_{name}", raising=False)


@asynccontextmanager
async def serving(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Serving]:
    clock = SystemClock()
    nothing = package.App(functions=[])  # the runs stay as they are
    async with (
        open_journal(f"lmdb://{stock.directory.absolute()}") as journal,
        run_engine(nothing, journal, clock=clock) as engine,
        open_handler(engine, journal, clock) as (handler, _),
    ):
        talk_by(monkeypatch, BlockingTransport(handler))
        yield Serving(stock.runs)


def copy_of(stock: Stock, directory: Path) -> Stock:
    """Return a copy of a data directory that nobody has open."""
    shutil.copytree(stock.directory, directory)
    return Stock(directory, stock.runs)


@pytest.fixture(scope="module")
def copied(stock: Stock, tmp_path_factory: pytest.TempPathFactory) -> Stock:
    """Return a directory for the tests that only look at it."""
    return copy_of(stock, tmp_path_factory.mktemp("copied") / "data")


@pytest.fixture
async def server(
    copied: Stock, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Serving]:
    """Return a server whose runs the test only looks at."""
    async with serving(copied, monkeypatch) as opened:
        yield opened


@pytest.fixture
async def own(
    stock: Stock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Serving]:
    """Return a server whose runs the test may change."""
    copy = copy_of(stock, tmp_path / "data")
    async with serving(copy, monkeypatch) as opened:
        yield opened


@pytest.fixture
def copy(stock: Stock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stock:
    """Return a directory, at a time that stands still for commands."""
    for module in (runs_list, runs_show):
        monkeypatch.setattr(module, "time", SimpleNamespace(time_ns=lambda: LATER_NS))
    return copy_of(stock, tmp_path / "data")


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize(
    "args",
    [
        ("runs", "list"),
        ("runs", "list", "--status", "failed"),
        ("runs", "list", "--status", "cancelled"),
        ("runs", "list", "--attribute", "order=o1", "--attribute", "total>=10"),
        ("runs", "list", "--attribute", "total>10"),
        ("runs", "list", "--function", "approve", "--since", "2001-01-01T00:00:00Z"),
        ("runs", "list", "--until", "2001-01-01T00:00:00Z"),
        ("runs", "list", "--limit", "2"),
        ("runs", "list", "--limit", "2", "--cursor", "approve"),
        ("runs", "count"),
        ("events", "list"),
        ("events", "list", "--name", "order.*", "--after", "1"),
        ("events", "list", "--limit", "2"),
        ("events", "list", "--name", "nothing"),
        *(("runs", "show", each) for each in FUNCTIONS),
        *(("runs", "show", each, "--full") for each in FUNCTIONS[:1]),
        *(("runs", "show", each, "--records") for each in FUNCTIONS),
    ],
    ids=" ".join,
)
async def test_a_server_says_what_its_data_directory_says(
    copy: Stock,
    monkeypatch: pytest.MonkeyPatch,
    *,
    args: tuple[str, ...],
    form: tuple[str, ...],
) -> None:
    given = [copy.runs.get(each, each) for each in (*args, *form)]

    here = await trio.to_thread.run_sync(lambda: copy(*given))
    async with serving(copy, monkeypatch) as server:
        there = await server(*given)

    assert here.exit_code == 0, here.stderr
    assert (there.exit_code, there.stdout, there.stderr) == (
        0,
        here.stdout,
        here.stderr,
    )


async def test_a_cancel_is_not_put_off(own: Serving) -> None:
    run_id = own.runs["approve"]

    result = await own("runs", "cancel", run_id, "--reason", "too late")

    assert result.stdout == f"{run_id}: cancel requested\n"
    assert result.exit_code == 0


def test_a_second_cancel_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    started = RunStarted(sequence=1, function_id="f", event_id="evt_1")
    asked = CancelRequested(sequence=2, actor="me", reason="")
    page = [
        {"record": base64.b64encode(codec.encode_whole(entry)[0]).decode()}
        for entry in (Entry(1, started, bytes(16)), Entry(1, asked, bytes(16)))
    ]
    run = msgspec.to_builtins(run_document(RunSummary(ROW, "running", 2)))
    scenes = (run, {"records": page}, run)
    talk_by(monkeypatch, Scripted(map(answer, scenes)))

    result = ironflow("runs", "cancel", NOBODY, "--json", "--server", URL)

    assert printed(result) == {
        "run_id": NOBODY,
        "status": "cancel was requested before",
        "changed": False,
    }


async def test_what_has_ended_is_not_cancelled(server: Serving) -> None:
    args = ("runs", "cancel", "process-order")

    result = await server(*args)

    assert result.exit_code == 1
    assert "has completed; there is nothing to cancel" in result.stderr


async def test_a_paused_run_is_made_ready(own: Serving) -> None:
    run_id = own.runs["forgetful"]

    result = await own("runs", "retry", run_id)

    assert result.stdout == f"{run_id}: retry requested\n"
    shown = (await own("runs", "show", run_id)).stdout
    assert "it will go on in the server, or in a worker of it" in shown


async def test_a_run_is_paused(own: Serving) -> None:
    run_id = own.runs["approve"]

    told = await own("runs", "pause", run_id, "--reason", "wait for Ann")
    shown = await own("runs", "show", run_id)
    ended = await own("runs", "pause", "process-order", "--json")

    assert told.stdout == f"{run_id}: paused\n"
    assert "wait for Ann" in shown.stdout
    assert printed(ended)["status"] == "completed"


async def test_a_paused_run_is_resumed(own: Serving) -> None:
    run_id = own.runs["forgetful"]

    told = await own("runs", "resume", run_id, "--reason", "corrected")
    again = await own("runs", "resume", run_id)

    assert told.stdout == f"{run_id}: goes on; it is running now\n"
    assert again.exit_code == 1
    assert "only a run that is paused or has failed" in again.stderr


async def test_a_resumed_run_is_a_document(own: Serving) -> None:
    run_id = own.runs["forgetful"]

    found = printed(await own("runs", "resume", run_id, "--json"))

    assert (found["id"], found["status"]) == (run_id, "running")


async def test_a_run_is_resumed_from_a_step(own: Serving) -> None:
    run_id = own.runs["forgetful"]
    args = ("runs", "resume", run_id, "--from-step")

    refused = await own(*args, "ship")
    told = await own(*args, "charge", "--output", '{"total": 3}', "--reason", "r")
    shown = printed(await own("runs", "show", run_id, "--json", "--records"))

    assert refused.exit_code == 1
    assert "has no step 'ship'; it has 'charge:0'" in refused.stderr
    assert told.stdout == f"{run_id}: goes on from charge; it is running now\n"
    assert shown["records"][-1]["payload"] == {"charge:0": {"total": 3}}


async def test_a_result_is_replaced(own: Serving) -> None:
    args = ("runs", "patch", "forgetful", "charge:0")

    result = await own(*args, "--output", '{"total": 3}', "--reason", "r")
    found = printed(await own(*args, "--output", '{"total": 4}', "--json"))

    assert "the result of charge:0 is replaced" in result.stdout
    assert "'ironflow runs resume' lets it go on" in result.stderr
    assert (found["step_id"], found["status"]) == ("charge:0", "paused")
    shown = await own(*("runs", "show", "forgetful"))
    assert '{"total": 4}' in shown.stdout


async def test_a_result_that_is_no_json_is_refused(server: Serving) -> None:
    args = ("runs", "patch", "forgetful", "charge:0", "--output", "{")

    result = await server(*args)

    assert result.exit_code == 2
    assert "--output: it is not JSON" in result.stderr


async def test_a_run_that_has_ended_is_deleted(own: Serving) -> None:
    run_id = own.runs["sold-out"]

    told = await own("runs", "delete", run_id)
    again = await own("runs", "show", run_id)

    assert told.stdout == f"{run_id}: deleted\n"
    assert again.exit_code == 1
    assert f"there is no run {run_id}" in again.stderr


async def test_a_run_that_goes_on_is_not_deleted(server: Serving) -> None:
    result = await server(*("runs", "delete", "approve", "--json"))

    assert result.exit_code == 1
    assert "cancel it first" in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("runs", "show", NOBODY),
        ("runs", "cancel", NOBODY),
        ("runs", "retry", NOBODY),
        ("runs", "pause", NOBODY),
        ("runs", "resume", NOBODY),
        ("runs", "delete", NOBODY),
        ("runs", "patch", NOBODY, "a:0", "--output", "1"),
    ],
    ids=" ".join,
)
async def test_a_run_that_is_not_there_is_said(
    server: Serving, args: tuple[str, ...]
) -> None:
    result = await server(*args)

    assert result.exit_code == 1
    assert f"there is no run {NOBODY}" in result.stderr


# --- how a server is chosen -------------------------------------------------------------

LIST = ("runs", "list", "--json")
NONE: dict[str, Any] = {"runs": [], "count": 0, "has_next": False}


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scripted:
    """Return a server that says that it has no runs."""
    transport = Scripted([answer(NONE)])
    talk_by(monkeypatch, transport)
    monkeypatch.chdir(tmp_path)
    return transport


def test_a_variable_names_the_server(
    choose: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRONFLOW_SERVER_URL", "http://elsewhere")
    monkeypatch.setenv("IRONFLOW_API_KEY", "ifkey_1")

    result = ironflow(*LIST)

    assert printed(result) == {"runs": [], "cursor": None}
    assert choose.requests[0].url.host == "elsewhere"
    assert choose.requests[0].headers["authorization"] == "Bearer ifkey_1"


def test_the_command_line_wins_over_variables(
    choose: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRONFLOW_SERVER_URL", "http://elsewhere")

    result = ironflow(*LIST, "--data-dir", "nothing")

    assert "the data directory nothing does not exist" in result.stderr
    assert choose.requests == []


def test_a_server_wins_over_a_directory_that_is_said_as_loudly(
    choose: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRONFLOW_SERVER_URL", "http://elsewhere")
    monkeypatch.setenv("IRONFLOW_DATA_DIR", "nothing")

    assert ironflow(*LIST).exit_code == 0


def test_two_places_are_one_too_many(choose: Scripted) -> None:
    result = ironflow(*LIST, "--data-dir", "d", "--server", URL)

    assert result.exit_code == 2
    assert "--data-dir or --server, not both" in result.stderr


@pytest.mark.parametrize(
    ("scene", "says"),
    [
        (httpx.ConnectError("refused"), "start one with 'ironflow serve'"),
        (httpx.ReadError("cut off"), "did not answer GET /api/v1/runs"),
        (
            answer({"message": "no key", "code": "unauthenticated"}, 401),
            "asks for a key: no key; give one with --api-key",
        ),
        (answer({"message": "not yours"}, 403), "the key may not do this"),
        (httpx.Response(200, text="<html>"), "not as a server of ironflow"),
        (answer({"runs": 1}), "not as a server of ironflow"),
        (answer({"error": "broken"}, 500), "broken"),
    ],
)
def test_a_server_that_does_not_answer_as_it_should(
    monkeypatch: pytest.MonkeyPatch, scene: httpx.Response | Exception, says: str
) -> None:
    talk_by(monkeypatch, Scripted([scene]))

    result = ironflow(*LIST, "--server", URL)

    assert result.exit_code == 1
    assert says in result.stderr


def test_an_address_that_is_none_is_a_wrong_command_line() -> None:
    result = ironflow(*LIST, "--server", "nonsense")

    assert result.exit_code == 2
    assert "--server" in result.stderr


def test_run_ids_are_checked_before_anything_is_sent(choose: Scripted) -> None:
    result = ironflow("runs", "show", "run_1", "--server", URL)

    assert result.exit_code == 2
    assert not ids.is_run_id("run_1")
    assert choose.requests == []
