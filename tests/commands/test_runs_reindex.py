"""`ironflow runs reindex`: the index of runs is made anew."""

from pathlib import Path

import trio

from ironflow.journal.lmdb.store import open_lmdb
from tests.commands.conftest import Stock, ironflow, printed


def test_the_index_is_made_anew(own_stock: Stock) -> None:
    before = own_stock("runs", "count").stdout
    file = own_stock.directory / "index" / "data.mdb"
    file.write_bytes(b"no index")

    result = own_stock("runs", "reindex")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{own_stock.directory}: 5 runs are in the index\n"
    assert file.stat().st_size > len(b"no index")
    assert own_stock("runs", "count").stdout == before
    assert printed(own_stock("runs", "reindex", "--json")) == {"runs": 5}


def test_the_owner_is_named(own_stock: Stock) -> None:
    async def own(directory: Path) -> str:
        journal = await open_lmdb(directory)
        try:
            result = await trio.to_thread.run_sync(own_stock, "runs", "reindex")
            assert result.exit_code == 1
            return str(result.stderr)
        finally:
            await journal.close()

    assert "is owned by process" in trio.run(own, own_stock.directory)


def test_postgresql_keeps_its_own() -> None:
    result = ironflow("runs", "reindex", "--data-dir", "postgresql://u@nowhere/none")

    assert result.exit_code == 1
    assert "in PostgreSQL use REINDEX" in result.stderr
