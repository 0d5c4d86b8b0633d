"""What is stored is MessagePack that any reader takes apart."""

from pathlib import Path
from typing import Any

import lmdb
import msgpack  # type: ignore[import-untyped]  # it has no types
import pytest

from ironflow.errors import JournalDamaged
from ironflow.journal.base import (
    FunctionRow,
    Lost,
    Pause,
    PauseRun,
    RunRow,
    StoredEvent,
    TimerRow,
)
from ironflow.journal.lmdb import keys, rows
from ironflow.journal.row_codec import RowCodec
from ironflow.records import Draft, SleepStarted, StepCompleted, WaitStarted
from ironflow.testing.checks_scene import Scene, encoded


def tables(directory: Path) -> dict[str, dict[bytes, bytes]]:
    with lmdb.open(str(directory), max_dbs=40, readonly=True) as store:
        found = {}
        for name in keys.TABLES:
            table = store.open_db(name.encode(), create=False)
            with store.begin() as txn, txn.cursor(table) as cursor:
                found[name] = dict(iter(cursor))
        return found


def unpacked(table: dict[bytes, bytes]) -> list[Any]:
    return [msgpack.unpackb(value) for value in table.values()]


async def test_any_messagepack_reader_reads_every_table(
    scene: Scene, directory: Path
) -> None:
    async with scene.open():
        holder = await scene.start()
        large = encoded("x" * 9_000)
        await holder.append(
            Draft(StepCompleted(id="pay:0"), encoded({"paid": 12})),
            Draft(StepCompleted(id="read:0"), large),
            Draft(SleepStarted(id="nap:0", until=scene.now + 1)),
            Draft(WaitStarted(id="w:0", event="approved", timeout_at=scene.now + 2)),
        )
        await scene.emit(scene.event("other", {"a": 1}, key="k"))
        await scene.emit(scene.event("job.go"))
        second = await scene.hold("job")
        pause = Pause("code", "ValueError: no", "v1", scene.now)
        await scene.commit(PauseRun(second.run_id, second.claim.epoch, pause))

    found = tables(directory)
    first, _ = unpacked(found[keys.LOG])  # a page of records for each run
    assert len(first) == 5
    assert first[1][0] == 1
    assert first[1][1][0] == 20  # StepCompleted
    assert first[1][3] == {"paid": 12}
    assert len(first[2]) == 3  # its payload lies in the blob table
    assert list(found[keys.BLOBS].values()) == [large, b""]  # and which run has it
    assert unpacked(found[keys.RUNS])[0][1:3] == ["lmdb.job", "open"]
    assert unpacked(found[keys.RUNS])[1][2] == "paused"
    assert [row[2] for row in unpacked(found[keys.TIMERS])] == ["sleep", "wait"]
    assert unpacked(found[keys.WAITS])[0][3] == "approved"
    assert unpacked(found[keys.EVENTS])[1][1][0]["data"] == {"a": 1}
    assert unpacked(found[keys.FUNCTIONS])[0][0] == "lmdb.job"
    assert unpacked(found[keys.READY])[0][1] == "lmdb.job"
    opened, checkpointed = unpacked(found[keys.COMMITS])
    assert opened[1][:4] == [1, 0, [], []]
    assert checkpointed[1][0] == 1 + len(checkpointed[1][4]) // keys.DIGEST_BYTES
    assert len(found[keys.EVENT_KEYS]) == 1
    assert len(found[keys.PAUSED]) == 1


@pytest.mark.parametrize(
    ("codec", "row"),
    [
        (rows.FUNCTION, FunctionRow("f", "v1", ("a.*", "b"), ("p",), 1, 2)),
        (
            rows.RUN,
            RunRow(
                "run_1",
                "f",
                "paused",
                "evt_1",
                "a",
                3,
                4,
                pause=Pause("a", "b", "c", 5),
                lost=Lost("worker", "silent", 6, 7, "other"),
            ),
        ),
        (rows.TIMER, TimerRow("run_1", "s:0", "retry", 2**62)),
    ],
)
def test_a_row_reads_back_as_it_was(codec: RowCodec[Any], row: object) -> None:
    assert codec.decode(codec.encode(row)) == row


def test_a_field_added_later_has_its_default_in_old_rows() -> None:
    old = msgpack.packb(["f", "v1", ["a"]])

    assert rows.FUNCTION.decode(old) == FunctionRow("f", "v1", ("a",))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x91\x01", b"\x95" * 300])
def test_bytes_that_are_no_row_are_named(data: bytes) -> None:
    with pytest.raises(JournalDamaged, match="are not a TimerRow"):
        rows.TIMER.decode(data)
    with pytest.raises(JournalDamaged, match="are not a ready row"):
        rows.decode_ready(data)
    with pytest.raises(JournalDamaged, match="are not an event"):
        rows.decode_event(1, data)


async def test_an_event_that_was_changed_does_not_open(scene: Scene) -> None:
    data, digest = rows.encode_event(StoredEvent(7, scene.event("e", {"a": 1}), ()))
    assert rows.open_event(7, data)[1] == digest

    with pytest.raises(JournalDamaged, match="another digest"):
        rows.open_event(8, data)


def test_a_ready_row_without_a_lane_is_that_of_no_key() -> None:
    assert rows.decode_ready(msgpack.packb([7, "f"])) == (7, "f", b"")
    assert rows.decode_ready(rows.encode_ready(7, "f", b"k")) == (7, "f", b"k")
