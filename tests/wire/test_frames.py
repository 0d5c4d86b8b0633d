"""Frames: what is sent is what is read, by any MessagePack reader."""

from contextlib import suppress

import msgpack  # type: ignore[import-untyped]  # it has no types
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow import codec
from ironflow.errors import ProtocolError
from ironflow.records import Draft, SleepStarted, StepCompleted
from ironflow.wire import frames

VALUE = msgspec.msgpack.encode({"n": 1})
DRAFT = Draft(StepCompleted(id="a:0", attempt=1), VALUE)
ENTRY, HEADER = codec.seal(DRAFT, sequence=2, recorded_at=7, previous=b"\0" * 16)


def test_a_record_travels_as_it_was_sealed() -> None:
    append = frames.Append(
        "run_1", 5, 1, (frames.sent(HEADER, ENTRY.payload),), ENTRY.digest
    )
    data = frames.encode(frames.Commit(3, (append,)))

    assert HEADER + VALUE in data
    commit = frames.worker_frame(data)
    assert isinstance(commit, frames.ReceivedCommit)
    [read] = commit.commands
    assert isinstance(read, frames.ReceivedAppend)
    assert read.records[0].header == ENTRY.record
    assert bytes(read.records[0].payload) == VALUE


def test_a_frame_is_an_array_whose_first_element_is_its_kind() -> None:
    hello = frames.Hello((2,), "w", "p", "h", "s", (), 10)

    assert msgpack.unpackb(frames.encode(hello)) == [
        1,
        [2],
        "w",
        "p",
        "h",
        "s",
        [],
        10,
        [1],
    ]


def test_elements_that_are_not_known_are_passed_over() -> None:
    """A newer end may say more; what it leaves out at the end has its default."""
    longer = msgpack.packb([2, 2, "default", "abc", 7, 5, "new"])
    shorter = msgpack.packb([1, [2], "w", "p", "h", "s", [], 10])

    assert frames.server_frame(longer) == frames.Welcome(2, "default", "abc", 7, 5)
    assert frames.worker_frame(shorter) == frames.Hello(
        (2,), "w", "p", "h", "s", (), 10
    )


def test_a_claim_with_and_without_its_history() -> None:
    page = msgspec.Raw(codec.page([codec.encode(ENTRY, HEADER)]))
    whole = frames.Claimed("run_1", "f", 5, 1, (), page)
    bare = frames.Claimed("run_1", "f", 5, 1)
    read = frames.server_frame(frames.encode(frames.Claims((whole, bare))))

    assert isinstance(read, frames.Claims)
    assert [claim.is_whole for claim in read.claims] == [True, False]
    assert codec.decode_page(bytes(read.claims[0].history)) == [
        codec.decode(codec.encode(ENTRY, HEADER))
    ]


def test_what_is_awaited_travels_as_records() -> None:
    sleep = SleepStarted(id="nap:0", until=9, sequence=2)
    append = frames.Append("run_1", 5, 2, (), awaited=(msgspec.Raw(codec_of(sleep)),))
    read = frames.worker_frame(frames.encode(frames.Commit(1, (append,))))

    assert isinstance(read, frames.ReceivedCommit)
    [command] = read.commands
    assert isinstance(command, frames.ReceivedAppend)
    assert command.awaited == (sleep,)


def codec_of(record: SleepStarted) -> bytes:
    return msgspec.msgpack.encode(record)


@given(st.binary(max_size=60) | st.builds(msgpack.packb, st.lists(st.integers(0, 20))))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    for read in (frames.worker_frame, frames.server_frame):
        with suppress(ProtocolError):
            assert isinstance(read(data), frames.Frame)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x91\x63", b"\x92\x0b\xa1\xff"])
def test_bytes_that_are_no_frame_are_named(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="is no frame"):
        frames.worker_frame(data)
