"""`ironflow redact`: what it takes away, in a data directory and on a server."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.commands.conftest import APP, Stock, ironflow, printed
from tests.commands.test_runs_remote import copy_of, serving


def shown(stock: Stock, run_id: str) -> Any:
    return printed(stock("runs", "show", run_id, "--json", "--records"))


def event_of(stock: Stock, run_id: str) -> str:
    return str(shown(stock, run_id)["records"][0]["event_id"])


def test_a_run_is_redacted(own_stock: Stock) -> None:
    """The journal is whole before and after its files have forgotten it, too."""
    run_id = own_stock.runs["process-order"]

    told = own_stock("redact", "run", run_id, "--reason", "a wish")
    again = own_stock("redact", "run", run_id)

    assert told.exit_code == 0, told.stderr
    assert "10 payloads are gone; 2 runs had some" in told.stdout
    assert "'ironflow redact event evt_" in told.stderr
    assert again.stdout == f"{run_id}: nothing was left to redact\n"
    assert "$redacted" in str(shown(own_stock, run_id))
    assert "$redacted" in own_stock("runs", "show", run_id).stdout
    assert own_stock("verify").exit_code == 0
    assert own_stock("compact").exit_code == 0
    assert own_stock("verify").exit_code == 0


def test_what_it_prints_for_programs(own_stock: Stock) -> None:
    run_id = own_stock.runs["process-order"]
    step = shown(own_stock, run_id)["records"][1]["id"]
    event_id = event_of(own_stock, run_id)

    by_step = printed(own_stock("redact", "step", run_id, step, "--json"))
    by_event = printed(own_stock("redact", "event", f" {event_id}", "--json"))

    assert by_step["payloads"] >= 1
    assert by_step["run_ids"] == [run_id]
    assert by_event == {"payloads": 2, "run_ids": [run_id], "event_ids": []}


def test_a_redacted_run_is_not_replayed(own_stock: Stock) -> None:
    """Code is not run over markers; that is said, and is no failure."""
    run_id = own_stock.runs["process-order"]
    own_stock("redact", "run", run_id)

    one = own_stock("replay", run_id, "--app", APP)
    every = own_stock("replay", "--all", "--app", APP, "--json")

    assert one.exit_code == 0
    assert "payloads were redacted, so no code can be run" in one.stdout
    assert printed_anyway(every)["counts"]["redacted"] == 2  # it has a child


def printed_anyway(result: Any) -> Any:
    import json

    return json.loads(result.stdout)


def test_a_bundle_has_the_redactions(own_stock: Stock, tmp_path: Any) -> None:
    run_id = own_stock.runs["process-order"]
    own_stock("redact", "run", run_id)
    file, other = str(tmp_path / "a.bundle"), str(tmp_path / "other")

    assert own_stock("export", run_id, "-o", file).exit_code == 0

    place = ("--data-dir", other)
    there = ironflow("import", file, *place)
    assert there.exit_code == 0, there.stderr
    assert ironflow("verify", *place).exit_code == 0
    assert "$redacted" in str(
        printed(ironflow("runs", "show", run_id, "--json", *place))
    )


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
async def test_a_server_does_and_says_the_same(
    own_stock: Stock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: tuple[str, ...],
) -> None:
    run_id = own_stock.runs["process-order"]
    run = (await trio.to_thread.run_sync(shown, own_stock, run_id))["records"]
    there = copy_of(own_stock, tmp_path / "there")
    asked = [
        ("step", run_id, run[1]["id"]),
        ("run", run_id),
        ("run", run_id),
        ("event", run[0]["event_id"]),
    ]
    here = [
        await trio.to_thread.run_sync(partial(own_stock, "redact", *each, *form))
        for each in asked
    ]

    async with serving(there, monkeypatch) as server:
        found = [await server("redact", *each, *form) for each in asked]

    for one, other in zip(here, found, strict=True):
        assert (one.exit_code, one.stdout, one.stderr) == (
            0,
            other.stdout,
            other.stderr,
        )


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("run", "{approve}"), "only what has ended is redacted"),
        (("step", "{approve}", "approval:0"), "only what has ended is redacted"),
        (("step", "{process-order}", "nothing:0"), "has no step 'nothing:0'"),
        (("run", "run_" + "f" * 32), "there is no run"),
        (("event", "evt_" + "f" * 32), "there is no event"),
        (("event", "x"), "not an event id"),
    ],
)
def test_what_cannot_be_redacted_is_said(
    own_stock: Stock, args: tuple[str, ...], why: str
) -> None:
    given = [
        own_stock.runs[each[1:-1]] if each.startswith("{") else each for each in args
    ]

    result = own_stock("redact", *given)

    assert result.exit_code == 1
    assert why in result.stderr


def test_a_reason_has_a_bound(own_stock: Stock) -> None:
    run_id = own_stock.runs["process-order"]

    result = own_stock("redact", "run", run_id, "--reason", "x" * 2001)

    assert result.exit_code == 2
