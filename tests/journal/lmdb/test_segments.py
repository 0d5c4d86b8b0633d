"""A segment proves every one of its bytes, and appears whole or not at all."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ironflow import codec, limits
from ironflow.errors import JournalDamaged, JournalFailed, JournalNewer
from ironflow.journal.lmdb import keys, segments

STORE = b"s" * keys.STORE_BYTES
ENVIRONMENT = keys.environment_prefix(3)
RUNS = [ENVIRONMENT + bytes([number]) * keys.RUN_BYTES for number in range(1, 4)]
PAGES = [codec.page([b"\xc4\x02ab"]), codec.page([b"\xa1x"] * 500), codec.page([])]
KEPT = (b"k" * 16, b"K" * 16)


def written(directory: Path, number: int = 7) -> list[bytes]:
    """Write a segment; return the places of its values."""
    directory.mkdir(exist_ok=True)
    with segments.SegmentWriter(
        directory, number, store_id=STORE, environment=ENVIRONMENT
    ) as writer:
        found = [
            writer.add(run, page, last=index + 1, kept=KEPT)
            for index, (run, page) in enumerate(zip(RUNS, PAGES, strict=True))
        ]
        writer.end()
    return found


def files_in(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / segments.FOLDER).iterdir())


def test_what_was_written_is_read(directory: Path) -> None:
    found = written(directory)

    assert [segments.read_page(directory, place) for place in found] == PAGES
    assert [segments.kept(place) for place in found] == [[*KEPT]] * 3
    assert all(map(segments.is_place, found))
    assert not any(map(segments.is_place, PAGES))
    assert segments.numbers(directory) == [7]


def test_the_index_names_each_value(directory: Path) -> None:
    places = [segments.PLACE.decode(place) for place in written(directory)]

    index = segments.read_index(segments.path_of(directory, 7))

    assert [each.run for each in index] == RUNS
    assert [each.last for each in index] == [1, 2, 3]
    assert [(each.at, each.size, each.digest) for each in index] == [
        (place.at, place.size, place.digest) for place in places
    ]
    assert segments.check(segments.path_of(directory, 7)) == index


def test_a_value_is_compressed_if_that_makes_it_smaller(directory: Path) -> None:
    short, long, _ = map(segments.PLACE.decode, written(directory))

    assert short.size == short.raw
    assert long.size < long.raw // 10


def test_every_flipped_bit_is_found(directory: Path) -> None:
    places = written(directory)
    path = segments.path_of(directory, 7)
    sound = path.read_bytes()
    for at in range(len(sound) * 8):
        data = bytearray(sound)
        data[at // 8] ^= 1 << at % 8
        path.write_bytes(data)

        with pytest.raises((JournalDamaged, JournalNewer)):
            segments.check(path)
    values = [segments.PLACE.decode(place) for place in places]
    for place, value in zip(places, values, strict=True):
        for at in range(value.at, value.at + value.size):
            path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
            with pytest.raises(JournalDamaged):
                segments.read_page(directory, place)


def test_a_segment_that_was_cut_off_is_found(directory: Path) -> None:
    places = written(directory)
    path = segments.path_of(directory, 7)
    sound = path.read_bytes()
    for size in range(len(sound)):
        path.write_bytes(sound[:size])

        with pytest.raises(JournalDamaged):
            segments.check(path)
    path.write_bytes(sound[:60])
    with pytest.raises(JournalDamaged):
        segments.read_page(directory, places[1])


def test_what_a_place_says_is_not_trusted(directory: Path) -> None:
    """A row of LMDB may be damaged, too."""
    [_, place, _] = written(directory)
    value = segments.PLACE.decode(place)
    others = [
        segments.Place(value.segment, at, size, raw, digest)
        for at, size, raw, digest in (
            (value.at + 1, value.size, value.raw, value.digest),
            (1 << 62, value.size, value.raw, value.digest),
            (value.at, value.size - 1, value.raw, value.digest),
            (value.at, 1 << 40, value.raw, value.digest),
            (value.at, value.size, value.raw - 1, value.digest),
            (value.at, value.size, value.raw + 1, value.digest),
            (value.at, value.size, value.raw, b""),
        )
    ]

    for other in others:
        with pytest.raises(JournalDamaged):
            segments.read_page(directory, segments.PLACE.encode(other))
    for data in (b"", b"\xc1", place[:-1], b"\x90"):
        with pytest.raises(JournalDamaged):
            segments.read_page(directory, data)


def test_one_that_is_missing_is_named(directory: Path) -> None:
    places = written(directory)
    segments.unlink(directory, 7)
    segments.unlink(directory, 7)

    with pytest.raises(JournalDamaged, match=r"0000000000000007.seg is missing"):
        segments.read_page(directory, places[0])
    with pytest.raises(FileNotFoundError):
        segments.check(segments.path_of(directory, 7))


def test_a_disk_that_does_not_read_is_no_damage(directory: Path) -> None:
    places = written(directory)
    path = segments.path_of(directory, 7)
    path.unlink()
    path.mkdir()

    with pytest.raises(JournalFailed, match="cannot be read"):
        segments.read_page(directory, places[0])


def test_foreign_newer_and_renamed_files_are_told_apart(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(directory)
    path = segments.path_of(directory, 7)
    renamed = segments.path_of(directory, 8)
    renamed.write_bytes(path.read_bytes())
    foreign = segments.path_of(directory, 9)
    foreign.write_bytes(b"something else" * 100)

    with pytest.raises(JournalDamaged, match="segment 7 under another name"):
        segments.check(renamed)
    with pytest.raises(JournalDamaged, match="does not begin as a segment"):
        segments.check(foreign)
    monkeypatch.setattr(segments, "SEGMENT_FORMAT", 0)
    with pytest.raises(JournalNewer, match="upgrade ironflow"):
        segments.check(path)


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_one_that_cannot_be_written_leaves_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """At each of the calls that may fail."""
    monkeypatch.setattr(limits, "SEGMENT_SYNC_BYTES_MAX", 64)
    written(directory)
    count = calls_of(lambda: written(directory), monkeypatch, call)
    segments.unlink(directory, 7)

    assert count > 0
    for at in range(count):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="injected"):
            calls_of(lambda: written(directory), patch, call, fails=at, with_=number)
        assert files_in(directory) == [], at


def calls_of(
    work: Callable[[], object],
    patch: pytest.MonkeyPatch,
    call: str,
    *,
    fails: int = -1,
    with_: int = 0,
) -> int:
    """Count the calls of a function of `os` while working; let one of them fail."""
    owner, name = (Path, "rename") if call == "rename" else (os, call)
    real, count = getattr(owner, name), 0

    def counted(*args: object) -> object:
        nonlocal count
        count += 1
        if count - 1 == fails:
            raise OSError(with_, "injected")
        return real(*args)

    with patch.context() as own:
        own.setattr(owner, name, counted)
        work()
    return count


def test_one_that_is_given_up_leaves_nothing(directory: Path) -> None:
    directory.mkdir()
    with segments.SegmentWriter(
        directory, 1, store_id=STORE, environment=ENVIRONMENT
    ) as writer:
        writer.add(RUNS[0], PAGES[0], last=1, kept=())
        assert files_in(directory) == ["0000000000000001.part"]

    assert files_in(directory) == []


def test_what_a_kill_left_is_taken_away(directory: Path) -> None:
    written(directory)
    (directory / segments.FOLDER / "0000000000000008.part").write_bytes(b"half")

    segments.drop_parts(directory)

    assert files_in(directory) == ["0000000000000007.seg"]


def test_only_segments_count_as_such(directory: Path) -> None:
    written(directory)
    (directory / segments.FOLDER / "notes.seg").write_bytes(b"")
    (directory / segments.FOLDER / "12.txt").write_bytes(b"")

    assert segments.numbers(directory) == [7]
    assert segments.numbers(directory.parent) == []
