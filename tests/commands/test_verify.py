"""`ironflow verify`: is what is stored what was written?"""

from pathlib import Path

from tests.commands.conftest import Stock, ironflow, printed


def damage(stock: Stock, before: bytes, after: bytes) -> None:
    """Change bytes of the store behind LMDB's back."""
    file = stock.directory / "data.mdb"
    data = file.read_bytes()
    assert before in data
    file.write_bytes(data.replace(before, after))


def test_a_whole_journal_is_said_to_be(stock: Stock) -> None:
    result = stock("verify")
    document = printed(stock("verify", "--json"))

    assert result.exit_code == 0
    assert f"{stock.directory}: whole, " in result.stdout
    assert document["good"] is True
    assert document["findings"] == []
    assert document["rows"]["events"] == 5


def test_a_changed_value_is_found(own_stock: Stock) -> None:
    damage(own_stock, b"parcel of book", b"parcel of rook")

    result = own_stock("verify")
    document = printed(own_stock("verify", "--json"))

    assert result.exit_code == 1
    assert own_stock.runs["process-order"] in result.stdout
    assert "put a backup back" in result.stderr
    assert document["good"] is False
    assert document["findings"][0]["run_id"] == own_stock.runs["process-order"]


def test_a_changed_record_is_found_by_a_replay_that_verifies(own_stock: Stock) -> None:
    from tests.commands.conftest import APP

    damage(own_stock, b"parcel of book", b"parcel of rook")

    result = own_stock("replay", "--all", "--app", APP, "--verify")

    assert result.exit_code == 1
    assert "its payload is not what was written" in result.stderr


def test_a_directory_that_is_no_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")

    for command in (("verify",), ("runs", "list"), ("events", "list")):
        result = ironflow(*command, "--data-dir", str(tmp_path))

        assert result.exit_code == 1
        assert "notes.txt" in result.stderr


def test_a_file_in_place_of_the_directory_is_named(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    file.write_text("hello")

    result = ironflow("runs", "list", "--data-dir", str(file))

    assert result.exit_code == 1
    assert str(file) in result.stderr


def test_a_store_that_was_cut_off_is_named(own_stock: Stock) -> None:
    file = own_stock.directory / "data.mdb"
    file.write_bytes(file.read_bytes()[:8192])

    for command in (("verify",), ("runs", "list"), ("events", "list")):
        result = own_stock(*command)

        assert result.exit_code == 1
        assert "cut off" in result.stderr


def test_a_foreign_store_is_named(own_stock: Stock) -> None:
    (own_stock.directory / "data.mdb").write_bytes(b"SQLite format 3\0" * 1000)

    result = own_stock("runs", "list")

    assert result.exit_code == 1
    assert "not an ironflow journal" in result.stderr


def test_a_journal_of_a_newer_ironflow_says_upgrade(own_stock: Stock) -> None:
    import lmdb

    with lmdb.open(str(own_stock.directory), max_dbs=32) as environment:
        meta = environment.open_db(b"meta")
        with environment.begin(write=True) as txn:
            txn.put(b"format", (99).to_bytes(8, "big"), db=meta)

    result = own_stock("runs", "list")

    assert result.exit_code == 1
    assert "upgrade ironflow" in result.stderr
