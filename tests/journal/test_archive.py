"""Runs go through a bundle from one journal to another and stay what they are."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ironflow import codec, limits
from ironflow.errors import (
    ConfigurationError,
    IronflowError,
    JournalDamaged,
    JournalForeign,
    JournalNewer,
    RunExists,
    RunNotFound,
)
from ironflow.journal import whole_file
from ironflow.journal.archive import (
    Imported,
    Selection,
    in_order,
)
from ironflow.journal.base import (
    ImportRun,
    InboxRow,
    RunQuery,
    RunStatus,
    TimerRow,
)
from ironflow.journal.bundle import BundleFile
from ironflow.journal.memory import MemoryJournal
from ironflow.records import Draft, EventReceived, SleepFired
from ironflow.testing.checks_asks import completed, ended, sleep, wait
from ironflow.testing.checks_imports import foreign
from ironflow.testing.checks_scene import encoded
from tests.journal.bundling import (
    a_scene,
    body,
    exported,
    family,
    imported,
    names_in,
    parts,
    stored,
)
from tests.journal.lmdb.conftest import store_in

# --- a round trip ---------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.builds(
            completed,
            st.sampled_from(["a:0", "b:0", "ä\\:c:1"]),
            st.one_of(st.none(), st.integers(0, 9), st.just("x" * 9_000), st.binary()),
        ),
        st.builds(sleep, st.just("nap:0"), until=st.integers(1, 2**40)),
        st.builds(wait, st.just("w:0"), st.sampled_from(["e", "f"])),
    ),
    max_size=6,
)
INBOX = st.lists(
    st.sampled_from(
        [
            Draft(SleepFired(id="nap:0")),
            Draft(EventReceived(id="w:0", event_id="evt_1"), encoded({"a": b"b"})),
        ]
    ),
    max_size=3,
)
TIMERS = st.dictionaries(
    st.sampled_from([("a:0", "retry"), ("", "run"), ("c:0", "invoke")]),
    st.integers(1, 2**50),
)


ENDS: list[RunStatus] = ["completed", "failed", "cancelled"]


@st.composite
def some_runs(draw: st.DrawFn) -> list[ImportRun]:
    scene, commands = a_scene(), list[ImportRun]()
    for _ in range(draw(st.integers(0, 4))):
        drafts = draw(STEPS)
        if draw(st.booleans()):
            status = draw(st.sampled_from(ENDS))
            end = ended(status, draw(st.integers(0, 9)))
            commands.append(foreign(scene, *drafts, end, status=status))
            continue
        command = foreign(scene, *drafts)
        timers = tuple(
            TimerRow(command.row.run_id, step, kind, due)  # type: ignore[arg-type]  # a timer has these kinds
            for (step, kind), due in draw(TIMERS).items()
        )
        inbox = tuple(InboxRow(n, draft) for n, draft in enumerate(draw(INBOX)))
        commands.append(replace(command, inbox=inbox, timers=timers, resume=True))
    return commands


@settings(max_examples=30, deadline=None)
@given(commands=some_runs())
def test_what_was_imported_is_exported_again(
    tmp_path_factory: pytest.TempPathFactory, commands: list[ImportRun]
) -> None:
    """Every byte: rows, records, inboxes and timers; and digests of the same environment."""
    folder = tmp_path_factory.mktemp("bundles")
    first, second = folder / "first", folder / "second"

    async def main() -> None:
        here = await stored(MemoryJournal(), *commands)
        there = MemoryJournal()
        run_ids = await exported(here, first)
        found = await imported(there, first, resume=True)
        await exported(there, second)

        assert sorted(run_ids) == sorted(c.row.run_id for c in commands)
        assert found.run_ids == tuple(run_ids)

    trio.run(main)

    assert body(second) == body(first)


async def test_a_bundle_goes_into_lmdb_and_back(tmp_path: Path) -> None:
    scene = a_scene()
    large = completed("large:0", "x" * 20_000)
    commands = [
        foreign(scene, large, ended(), status="completed"),
        replace(foreign(scene, wait("w:0", "e")), resume=True),
    ]
    await exported(await stored(MemoryJournal(), *commands), tmp_path / "first")

    async with store_in(tmp_path / "data")() as journal:
        await imported(journal, tmp_path / "first", resume=True)
        await exported(journal, tmp_path / "second")

    first, second = body(tmp_path / "first"), body(tmp_path / "second")
    heads = [each for each in first if isinstance(each, dict) and "status" in each]
    # One of more than one record, which nobody holds, is ready.
    assert [head["status"] for head in heads] == ["completed", "running"]
    assert second == first


async def test_another_environment_has_other_digests(tmp_path: Path) -> None:
    scene = a_scene()
    command = foreign(scene, completed("a:0", 1), ended(), status="completed")
    await exported(await stored(MemoryJournal("here"), command), tmp_path / "first")
    there = MemoryJournal("there")

    await imported(there, tmp_path / "first")
    await exported(there, tmp_path / "second")

    history = there.history_now(command.row.run_id)
    digest = codec.chain_start("there", command.row.run_id)
    for entry, header in zip(history, command.headers, strict=True):
        digest = codec.chained(digest, header)
        assert entry.digest == digest
    assert parts(tmp_path / "second")[1]["environment"] == "there"


# --- the file -------------------------------------------------------------------


async def test_any_reader_of_messagepack_reads_it(tmp_path: Path) -> None:
    scene = a_scene()
    large = completed("large:0", "x" * 20_000)
    command = foreign(scene, large, sleep("nap:0", until=5))
    timer = TimerRow(command.row.run_id, "", "run", 7)
    inbox = InboxRow(1, Draft(SleepFired(id="nap:0")))
    command = replace(command, inbox=(inbox,), timers=(timer,), resume=True)
    path = tmp_path / "run.ironflow"
    await exported(await stored(MemoryJournal(), command), path)

    found = parts(path)

    sizes, objects = found[::2], found[1::2]
    assert sum(sizes) + 5 * len(sizes) == path.stat().st_size
    kinds = [each["kind"] for each in objects]
    assert kinds == ["bundle", "run", "records", "inbox", "timers", "end"]
    head, run, records, waiting, timers, end = objects
    assert (head["format"], head["version"]) == ("ironflow bundle", 1)
    row = dict(zip(head["fields"]["row"], run["row"], strict=False))
    assert (row["run_id"], row["status"]) == (command.row.run_id, "open")
    names = [head["fields"]["header"][str(each[1][0])] for each in records["records"]]
    assert [name[0] for name in names] == [
        "RunStarted",
        "StepCompleted",
        "SleepStarted",
    ]
    assert records["records"][1][3] == "x" * 20_000
    assert dict(zip(names[2], records["records"][2][1], strict=True))["until"] == 5
    assert waiting["inbox"][0][0][4] == "nap:0"
    assert timers["timers"] == [[command.row.run_id, "", "run", 7]]
    assert end["runs"] == 1


async def test_no_damage_goes_unnoticed(tmp_path: Path) -> None:
    """Cut off or changed at any byte, it is refused, and nothing is imported."""
    scene = a_scene()
    command = foreign(scene, completed("a:0", 1), ended(), status="completed")
    path, bad = tmp_path / "good", tmp_path / "bad"
    await exported(await stored(MemoryJournal(), command), path)
    data = path.read_bytes()
    damaged = [data[:end] for end in range(0, len(data), 17)]
    damaged += [
        data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
        for at in range(0, len(data), 11)
    ]
    for each in damaged:
        bad.write_bytes(each)
        journal = MemoryJournal()

        with pytest.raises((JournalDamaged, JournalForeign, JournalNewer)):
            await imported(journal, bad)

        assert journal.find_now(RunQuery()) == []


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", JournalForeign),
        (b"SQLite format 3\0", JournalForeign),
        (b"\xce\x00\x00\x00\x02\x81", JournalForeign),
        (b"\xce\x00\x00\x00\x01\x80", JournalForeign),
    ],
)
async def test_another_file_is_no_bundle(
    tmp_path: Path, data: bytes, error: type[IronflowError]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)

    with pytest.raises(error, match="not a bundle"):
        BundleFile(path)


async def test_a_newer_bundle_says_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    await exported(MemoryJournal(), path)
    path.write_bytes(path.read_bytes().replace(b"version\x01", b"version\x02"))

    with pytest.raises(JournalNewer, match="upgrade ironflow"):
        BundleFile(path)


async def test_a_payload_that_is_left_out_is_missed(tmp_path: Path) -> None:
    """A record of the chain alone is not enough: the value must be there."""
    scene = a_scene()
    command = foreign(scene, completed("a:0", 1), ended(), status="completed")
    journal = await stored(MemoryJournal(), command)
    entries = journal._durable.runs[command.row.run_id].entries
    entries[1] = structs.replace(entries[1], payload=b"")
    await exported(journal, tmp_path / "bundle")

    with pytest.raises(JournalDamaged, match="the payload of record 2 is gone"):
        await imported(MemoryJournal(), tmp_path / "bundle")


async def test_a_damaged_run_is_not_exported(tmp_path: Path) -> None:
    scene = a_scene()
    command = foreign(scene, completed("a:0", 1), ended(), status="completed")
    journal = await stored(MemoryJournal(), command)
    entries = journal._durable.runs[command.row.run_id].entries
    entries[1] = structs.replace(entries[1], payload=encoded(2))

    with pytest.raises(JournalDamaged, match="record 2 of run_"):
        await exported(journal, tmp_path / "bundle")

    assert names_in(tmp_path) == []


async def test_a_run_that_is_too_large_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BUNDLE_RUN_BYTES_MAX", 1_000)
    command = foreign(a_scene(), completed("a:0", "x" * 1_000))

    with pytest.raises(ConfigurationError, match="more than 1000 bytes"):
        await exported(await stored(MemoryJournal(), command), tmp_path / "bundle")


async def test_only_a_bundle_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    await exported(MemoryJournal(), path)
    await exported(MemoryJournal(), path)
    path.write_text("notes")

    with pytest.raises(ConfigurationError, match="name another file"):
        await exported(MemoryJournal(), path)

    assert path.read_text() == "notes"


async def test_two_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    with (
        whole_file.written(path, mark=b"x"),
        pytest.raises(ConfigurationError, match="another process"),
    ):
        await exported(MemoryJournal(), path)

    assert path.exists()


# --- which runs -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        (Selection(), [0, 1, 2, 3]),
        (Selection(status="failed"), [3]),
        (Selection(function_id="archive.job", status="paused"), [2]),
        (Selection(function_id="other"), []),
        (Selection(status="completed", with_children=True), [0, 1, 2]),
    ],
)
async def test_runs_are_chosen(
    tmp_path: Path, selection: Selection, chosen: list[int]
) -> None:
    journal, run_ids = await family()

    found = await exported(journal, tmp_path / "bundle", selection)

    assert found == [run_ids[place] for place in chosen]


async def test_named_runs_come_with_their_children(tmp_path: Path) -> None:
    journal, run_ids = await family()
    path = tmp_path / "bundle"

    alone = await exported(journal, path, Selection((run_ids[3], run_ids[0])))
    whole = await exported(journal, path, Selection((run_ids[0],), with_children=True))

    assert alone == [run_ids[0], run_ids[3]]
    assert whole == run_ids[:3]


async def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunNotFound, match="no run run_1"):
        await exported(MemoryJournal(), tmp_path / "bundle", Selection(("run_1",)))


def test_what_a_run_comes_from_is_before_it() -> None:
    """Also where its id is not, and whatever a damaged row says."""
    causes = {"a": ("c",), "b": (), "c": ("d",), "d": ("a", "x")}

    assert list(in_order(causes, set("abc"))) == ["c", "a", "b"]
    assert sorted(in_order(causes, set("abcd"))) == list("abcd")


# --- import -----------------------------------------------------------------------


async def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    scene, path = a_scene(), tmp_path / "bundle"
    commands = [foreign(scene, ended(), status="completed") for _ in range(5)]
    run_ids = [command.row.run_id for command in commands]
    await exported(await stored(MemoryJournal(), *commands), path)
    journal = await stored(MemoryJournal(), *commands[:4])

    with pytest.raises(RunExists, match="and 1 more; nothing was imported"):
        await imported(journal, path)
    found = await imported(journal, path, skip_existing=True)

    assert found == Imported((run_ids[4],), tuple(run_ids[:4]))


async def test_a_run_that_came_meanwhile_is_refused(tmp_path: Path) -> None:
    command = foreign(a_scene(), ended(), status="completed")
    await exported(await stored(MemoryJournal(), command), tmp_path / "bundle")
    journal = MemoryJournal()
    commit = journal.commit_now

    def after_another(commands: Sequence[Any]) -> list[Any]:
        commit([command])
        return commit(commands)

    journal.commit_now = after_another  # type: ignore[method-assign]  # for this object
    with pytest.raises(RunExists):
        await imported(journal, tmp_path / "bundle")
