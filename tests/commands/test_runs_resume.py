"""`ironflow runs resume` in a data directory: the run goes on at the next start."""

import pytest

from tests.commands.conftest import APP, Stock, printed

BY_HAND = ("--from-step", "charge", "--output", '{"total": 4}', "--reason", "by hand")


def test_a_paused_run_is_let_go_on(own_stock: Stock) -> None:
    run_id = own_stock.runs["forgetful"]

    told = own_stock("runs", "resume", run_id)
    again = own_stock("runs", "resume", run_id)

    assert told.stdout == f"{run_id}: goes on; it is running now\n"
    assert again.exit_code == 1
    assert f"run {run_id} is running, not paused" in again.stderr


def test_a_run_goes_on_from_a_step(own_stock: Stock) -> None:
    """With the result that is given, at the next start; the history keeps the other."""
    run_id = own_stock.runs["forgetful"]

    told = own_stock("runs", "resume", run_id, *BY_HAND)
    event = ("run", APP, "order.forgotten", "--timeout", "1m", "--json")
    own_stock(*event)  # it pauses as the first did, and while it runs all go on
    shown = printed(own_stock("runs", "show", run_id, "--json", "--records"))

    assert told.stdout == f"{run_id}: goes on from charge; it is running now\n"
    kinds = [each["kind"] for each in shown["records"]]
    assert kinds[:3] == ["RunStarted", "StepCompleted", "Rewound"]
    rewound = shown["records"][2]
    said = (rewound["actor"], rewound["reason"], rewound["id"], rewound["to"])
    assert said == ("ironflow runs resume", "by hand", "charge:0", 2)
    assert rewound["payload"] == {"charge:0": {"total": 4}}


def test_what_it_prints_for_programs(own_stock: Stock) -> None:
    """The document that a server gives."""
    run_id = own_stock.runs["forgetful"]

    found = printed(own_stock("runs", "resume", run_id, *BY_HAND, "--json"))

    assert (found["id"], found["status"]) == (run_id, "running")
    assert found["event"]["name"] == "order.forgotten"


@pytest.mark.parametrize(
    ("function_id", "options", "why"),
    [
        ("forgetful", ("--from-step", "ship"), "no step 'ship'; it has 'charge:0'"),
        ("process-order", ("--from-step", "look"), "is completed; only a run that is"),
        ("approve", ("--from-step", "approval"), "is waiting"),
        ("sold-out", ("--from-step", "reserve"), "has begun to undo"),
        ("sold-out", (), "goes on with --from-step"),
    ],
)
def test_what_cannot_go_on_is_refused(
    own_stock: Stock, function_id: str, options: tuple[str, ...], why: str
) -> None:
    run_id = own_stock.runs[function_id]
    before = own_stock("runs", "show", run_id, "--records").stdout

    result = own_stock("runs", "resume", run_id, *options)

    assert result.exit_code == 1
    assert why in result.stderr
    assert own_stock("runs", "show", run_id, "--records").stdout == before


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--force",), "go with --from-step"),
        (("--output", "1"), "go with --from-step"),
        (("--from-step", "charge", "--output", "{"), "--output"),
        (("--reason", "x" * 2001), "at most 2000"),
    ],
)
def test_what_makes_no_sense_is_told(
    stock: Stock, options: tuple[str, ...], why: str
) -> None:
    result = stock("runs", "resume", stock.runs["forgetful"], *options)

    assert result.exit_code == 2
    assert why in result.stderr
