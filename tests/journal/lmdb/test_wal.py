"""The log: frames read back as written, and whatever is not that is noticed."""

import os
import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow.errors import JournalDamaged, JournalFailed, JournalNewer
from ironflow.journal.lmdb import rows, wal
from ironflow.journal.lmdb.layers import Tail
from ironflow.journal.lmdb.wal import Commit, Frame, Place, Wal, WalFile, open_wal, seal

STORE_ID = b"i" * 16
HALF_BYTES = 8 * 1024
FIRST_BYTES = 4096
SIXTEEN = st.binary(min_size=16, max_size=16)
BINARY = st.binary(max_size=20)
COMMIT_BODIES = st.builds(
    Commit,
    number=st.integers(1, 2**64 - 1),
    environment=st.integers(0, 2**16 - 1),
    runs=st.lists(
        st.builds(rows.RunChange, SIXTEEN, st.integers(1, 2**40), SIXTEEN), max_size=3
    ),
    events=st.lists(
        st.builds(rows.EventChange, st.integers(1, 2**40), SIXTEEN), max_size=3
    ),
    tails=st.dictionaries(
        SIXTEEN,
        st.builds(Tail, st.integers(1, 2**40), st.lists(BINARY, max_size=3)),
        max_size=3,
    ),
    tables=st.dictionaries(
        st.sampled_from(["runs", "inbox"]),
        st.dictionaries(BINARY, st.none() | BINARY, max_size=3),
    ),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / wal.NAME
    wal.make(found, store_id=STORE_ID, half_bytes=HALF_BYTES)
    return found


def commit(number: int, size: int = 10) -> Commit:
    return Commit(number, 0, [], [], {}, {"inbox": {b"k": b"x" * size}})


def written(path: Path, sizes: Iterable[int], *, switch_at: int = 0) -> list[Frame]:
    """Write frames of these sizes, from commit 1; the ends of halves are those of
    the file, or come before commit `switch_at`."""
    log = open_wal(path)
    frames: list[Frame] = []
    for number, size in enumerate(sizes, 1):
        before = frames[-1].head if frames else rows.HEAD_START
        frame = seal(commit(number, size), after=before)
        if number == switch_at or not log.fits(frame):
            log.switch()
        log.append(frame)
        frames.append(frame)
    log.close()
    return frames


def read(path: Path, *, after: int = 0, head: bytes = rows.HEAD_START) -> list[Frame]:
    log = WalFile(path)
    try:
        return log.frames(after, head)
    finally:
        log.close()


@given(COMMIT_BODIES, SIXTEEN)
def test_a_commit_reads_back(made: Commit, after: bytes) -> None:
    frame = seal(made, after=after)

    assert frame.commit() == made
    assert frame.head == rows.chained(after, frame.body)


def test_a_body_that_is_no_commit_is_damage() -> None:
    with pytest.raises(JournalDamaged, match="are not a commit"):
        Frame(1, b"", b"\x93\x01\x02\xc1").commit()


def test_frames_are_read_in_order_over_both_halves(path: Path) -> None:
    frames = written(path, [10, 600, 3_000, 10, 4_000, 10, 10], switch_at=5)

    assert read(path) == frames
    for known in range(len(frames)):
        head = frames[known - 1].head if known else rows.HEAD_START
        assert read(path, after=known, head=head) == frames[known:]


def test_a_half_that_is_used_again_has_the_newest_frames(path: Path) -> None:
    frames = written(path, [3_000] * 9)  # two fit a half: it is in its third use

    assert read(path, after=6, head=frames[5].head) == frames[6:]


def test_frames_are_followed_one_by_one_into_the_other_half(path: Path) -> None:
    frames = written(path, [10, 5_000, 10, 7_000, 10], switch_at=4)
    log = WalFile(path)

    found = log.following(Place(0, 512), frames[0])

    assert found == frames[1:]
    assert log.place.half == 1
    assert not log.following(log.place, frames[-1])
    log.close()


def test_a_frame_is_a_frame_of_its_store_only(path: Path, tmp_path: Path) -> None:
    """A payload may hold the file of another journal, at the start of a sector."""
    other = tmp_path / "other"
    wal.make(other, store_id=b"o" * 16, half_bytes=HALF_BYTES)
    written(other, [10, 10, 10])
    frames = written(path, [10])
    foreign = other.read_bytes()[FIRST_BYTES : FIRST_BYTES + 1_536]
    overwrite(path, at=FIRST_BYTES + 512, data=foreign)

    assert read(path) == frames


@pytest.mark.slow
def test_any_bit_of_the_last_frame_makes_it_none(path: Path) -> None:
    """What tells a torn write from damage is the head file: see `test_opening.py`."""
    frames = written(path, [10, 700, 300], switch_at=2)
    sound = path.read_bytes()
    size = 36 + len(frames[-1].body)
    at = FIRST_BYTES + HALF_BYTES + 1_024
    for bit in range(size * 8):
        path.write_bytes(flipped(sound, at * 8 + bit))

        assert read(path) == frames[:-1], bit


def test_a_last_frame_that_is_cut_anywhere_is_none(path: Path) -> None:
    frames = written(path, [10, 3_000])
    sound = path.read_bytes()
    at, end = FIRST_BYTES + 512, FIRST_BYTES + 512 + 36 + len(frames[-1].body)
    for cut in range(at, end, 17):
        path.write_bytes(sound[:cut] + bytes(len(sound) - cut))

        assert read(path) == frames[:-1], cut


@pytest.mark.slow
@pytest.mark.parametrize("switch_at", [0, 2, 3])
def test_any_bit_of_an_earlier_frame_is_damage(path: Path, switch_at: int) -> None:
    frames = written(path, [300, 10, 10], switch_at=switch_at)
    sound = path.read_bytes()
    for bit in range((36 + len(frames[0].body)) * 8):
        path.write_bytes(flipped(sound, FIRST_BYTES * 8 + bit))

        with pytest.raises(JournalDamaged, match="without commit 1, which was"):
            read(path)


def test_a_bit_behind_the_body_of_a_frame_is_nothing(path: Path) -> None:
    frames = written(path, [10])
    overwrite(path, at=FIRST_BYTES + 36 + len(frames[0].body), data=b"\xff")

    assert read(path) == frames


@pytest.mark.parametrize("bit", range(0, 36 * 8, 7))
def test_any_bit_of_the_first_page_is_damage(path: Path, bit: int) -> None:
    path.write_bytes(flipped(path.read_bytes(), bit))

    with pytest.raises((JournalDamaged, JournalNewer)):
        WalFile(path)


def test_another_copys_log_is_no_continuation(path: Path) -> None:
    frames = written(path, [10, 10])

    with pytest.raises(JournalDamaged, match="commit 2 in the file 'wal' does not fol"):
        read(path, after=1, head=b"another copy    ")
    assert read(path, after=2, head=b"another copy    ") == []
    assert len(frames) == 2


@pytest.mark.parametrize("size", [0, 10, FIRST_BYTES, FIRST_BYTES + HALF_BYTES])
def test_a_log_that_was_cut_off_is_refused(path: Path, size: int) -> None:
    os.truncate(path, size)

    with pytest.raises(JournalDamaged, match=r"cut off|does not begin"):
        WalFile(path)


def test_a_newer_log_asks_for_an_upgrade(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal, "WAL_FORMAT", wal.WAL_FORMAT + 1)
    wal.make(path, store_id=STORE_ID, half_bytes=HALF_BYTES)
    monkeypatch.undo()

    with pytest.raises(JournalNewer, match="upgrade ironflow"):
        WalFile(path)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_log_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    found = tmp_path_factory.mktemp("wal") / "wal"
    found.write_bytes(data)

    with pytest.raises(JournalDamaged):
        WalFile(found)


def test_random_halves_are_read_or_refused(path: Path) -> None:
    """Frames of many lives of the file, overwritten anywhere: no other error."""
    chosen = random.Random(4)
    frames = written(path, [chosen.choice([10, 600, 2_000]) for _ in range(40)])
    sound = path.read_bytes()
    for _ in range(200):
        at = chosen.randrange(FIRST_BYTES, len(sound), 512)
        path.write_bytes(sound[:at] + chosen.randbytes(512) + sound[at + 512 :])
        last = chosen.randrange(30, 40)
        try:
            found = read(path, after=last, head=frames[last - 1].head)
        except JournalDamaged:
            continue
        assert found == frames[last : last + len(found)]
        assert last + len(found) >= 39


def test_a_disk_that_takes_less_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_wal(path)
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: len(data) - 1)

    with pytest.raises(OSError, match="511 of 512 bytes were written"):
        log.append(seal(commit(1), after=b""))
    log.close()
    log.close()


def test_a_flush_that_fails_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: int) -> None:
        raise OSError(5, "Input/output error")

    log = WalFile(path)
    monkeypatch.setattr(os, "fsync", failing)

    with pytest.raises(JournalFailed, match="cannot be flushed"):
        log.flush()
    log.close()


def test_what_could_never_fit_is_known(path: Path) -> None:
    log: Wal = open_wal(path)
    fitting = seal(commit(1, HALF_BYTES - 200), after=b"")

    assert log.could_fit(fitting)
    assert log.fits(fitting)
    assert not log.could_fit(seal(commit(1, HALF_BYTES), after=b""))
    log.append(fitting)
    assert not log.fits(seal(commit(2), after=b""))
    log.close()


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def overwrite(path: Path, *, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
