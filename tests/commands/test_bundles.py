"""`ironflow export` and `import`, and bundles in place of a data directory."""

import re
from pathlib import Path

import pytest

from tests.commands.conftest import APP, Stock, ironflow, printed
from tests.journal.lmdb.conftest import started

OWNING = """
import sys, trio
from pathlib import Path
from ironflow.journal.lmdb.store import open_lmdb

async def main():
    journal = await open_lmdb(Path(sys.argv[1]))
    sys.stdout.write("owned\\n")
    sys.stdout.flush()
    sys.stdin.read()
    await journal.close()

trio.run(main)
"""


@pytest.fixture
def bundle(stock: Stock, tmp_path: Path) -> Path:
    path = tmp_path / "all.ironflow"
    assert stock("export", "--all", "-o", str(path)).exit_code == 0
    return path


def test_runs_go_from_one_directory_to_another(
    stock: Stock, bundle: Path, tmp_path: Path
) -> None:
    there = Stock(tmp_path / "there", stock.runs)

    result = there("import", str(bundle), "--json")

    found = printed(there("runs", "list", "--json"))["runs"]
    before = printed(stock("runs", "list", "--json"))["runs"]
    assert result.exit_code == 0
    assert sorted(printed(result)["imported"]) == sorted(stock.runs.values())
    assert [run["id"] for run in found] == [run["id"] for run in before]
    for now, then in zip(found, before, strict=True):
        closed = then["status"] in {"completed", "failed"}
        assert now["status"] == (then["status"] if closed else "paused")
        assert closed or now["pause"]["reason"] == "import"
        records = ("runs", "show", now["id"], "--records", "--json")
        assert printed(there(*records)) == printed(stock(*records))
    assert there("verify").exit_code == 0
    replayed = there("replay", "--all", "--app", APP, "--verify", "--json")
    assert (
        printed(replayed)["counts"]
        == printed(stock("replay", "--all", "--app", APP, "--json"))["counts"]
    )


def test_an_import_goes_on_when_it_is_said(
    stock: Stock, bundle: Path, tmp_path: Path
) -> None:
    there = Stock(tmp_path / "there", stock.runs)

    result = there("import", str(bundle), "--resume")

    shown = printed(there("runs", "show", stock.runs["approve"], "--json"))
    forgetful = printed(there("runs", "show", stock.runs["forgetful"], "--json"))
    assert result.stdout == f"{bundle}: 5 runs imported\n"
    assert shown["status"] in {"queued", "running"}
    assert forgetful["pause"]["reason"] == "code"


def test_runs_that_are_there_are_skipped_when_it_is_said(
    stock: Stock, bundle: Path, tmp_path: Path
) -> None:
    there = Stock(tmp_path / "there", stock.runs)
    there("import", str(bundle))

    refused = there("import", str(bundle))
    skipped = there("import", str(bundle), "--skip-existing")

    assert refused.exit_code == 1
    assert "nothing was imported" in refused.stderr
    assert skipped.stdout == f"{bundle}: 0 runs imported, 5 were there\n"


def test_a_bundle_is_read_in_place_of_a_directory(stock: Stock, bundle: Path) -> None:
    for function_id in ("process-order", "approve", "forgetful", "sold-out"):
        run_id = stock.runs[function_id]
        shown = ironflow("runs", "show", run_id, "--bundle", str(bundle), "--json")
        here, there = printed(stock("runs", "show", run_id, "--json")), printed(shown)
        assert [at_any_time(why) for why in here.pop("why")] == [
            at_any_time(why) for why in there.pop("why")
        ]
        assert here == there
    replayed = ironflow(
        *("replay", "--all", "--app", APP, "--verify", "--bundle", str(bundle))
    )
    assert replayed.exit_code == 1
    assert "5 runs" in replayed.stdout


def at_any_time(why: str) -> str:
    """Return why a run stands, without how long it is from now."""
    return re.sub(r" \(in [^)]*\)", "", why)


def test_a_run_that_was_on_its_way_stands_as_it_stood(
    stock: Stock, bundle: Path, tmp_path: Path
) -> None:
    there = Stock(tmp_path / "there", stock.runs)
    there("import", str(bundle), "--resume")
    path, run_id = tmp_path / "again", stock.runs["approve"]
    there("export", run_id, "-o", str(path))

    result = ironflow("runs", "show", run_id, "--bundle", str(path))

    assert "it stood so when the bundle was written" in result.stdout


def test_one_run_is_exported_with_what_it_started(stock: Stock, tmp_path: Path) -> None:
    path, run_id = tmp_path / "run", stock.runs["process-order"]

    alone = stock("export", run_id, "-o", str(path))
    whole = stock("export", run_id, "--with-children", "-o", str(path), "--json")

    assert alone.stdout.startswith(f"{path}: 1 runs, ")
    assert printed(whole)["runs"] == [run_id, stock.runs["score-customer"]]
    assert printed(whole)["bytes"] == path.stat().st_size


@pytest.mark.parametrize(
    "args", [(), ("--all", "--status", "failed"), ("run_" + "0" * 32, "--all")]
)
def test_an_export_says_of_what(stock: Stock, tmp_path: Path, args: list[str]) -> None:
    result = stock("export", *args, "-o", str(tmp_path / "run"))

    assert result.exit_code == 2
    assert "give RUNs, or --all" in result.stderr


def test_an_export_reads_beside_an_owner_and_an_import_does_not(
    own_stock: Stock, tmp_path: Path
) -> None:
    path = tmp_path / "all"
    with started(OWNING, own_stock.directory) as process:
        assert process.stdout
        process.stdout.readline()
        exported = own_stock("export", "--function", "sold-out", "-o", str(path))
        imported = own_stock("import", str(path))
        process.communicate(b"")

    assert exported.exit_code == 0
    assert imported.exit_code == 1
    assert f"is owned by process {process.pid}" in imported.stderr


def test_a_file_that_is_no_bundle_makes_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("hello")

    result = ironflow("import", str(path), "--data-dir", str(tmp_path / "new"))

    assert result.exit_code == 1
    assert "is not a bundle" in result.stderr
    assert not (tmp_path / "new").exists()
