"""What is redacted is in no file any more, `verify` knows it, and damage is no redaction."""

import zlib
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from ironflow import codec, limits
from ironflow.journal.base import RedactEvent, RedactRecords
from ironflow.journal.lmdb import keys, migrate, rows, segments
from ironflow.journal.lmdb.compacting import compact
from ironflow.journal.lmdb.store import LmdbJournal, open_lmdb, open_reader
from ironflow.journal.lmdb.verify import Finding, verify
from ironflow.journal.redactions import Replacement
from ironflow.records import AttributesSet, Draft, StepCompleted
from ironflow.testing.checks_asks import completed, ended
from ironflow.testing.checks_scene import Scene, encoded
from tests.journal.lmdb.conftest import store_in
from tests.journal.lmdb.packing import pack
from tests.journal.lmdb.test_packing_crashes import Camera
from tests.journal.lmdb.test_verify import Store
from tests.journal.packing import LARGE, live, steps

SECRET = "XyZZy-4111-1111"
MARK = msgspec.msgpack.encode({"$redacted": True})


def findings(source: Path | LmdbJournal) -> list[Finding]:
    return [found for found in verify(source) if isinstance(found, Finding)]


async def redact(scene: Scene, run_id: str, *sequences: int) -> None:
    history = await scene.journal.history(run_id)
    replacements = tuple(
        Replacement(each, history[each - 1].record.payload_digest, MARK)
        for each in sequences
    )
    command = RedactRecords(run_id, len(history), replacements, scene.now, "ann")
    assert await scene.done(command, what="a redaction")


async def redact_event(scene: Scene, position: int, event_id: str) -> None:
    command = RedactEvent(position, event_id, scene.now)
    assert await scene.done(command, what="a redaction")


def files_with(directory: Path, secret: str = SECRET) -> list[str]:
    """The files that have these bytes, also in compressed values of segments."""
    wanted = secret.encode()
    found = [
        str(path.relative_to(directory))
        for path in sorted(directory.rglob("*"))
        if path.is_file() and wanted in path.read_bytes()
    ]
    for path in segments.files(directory):
        data = path.read_bytes()
        for each in segments.read_index(path):
            value = data[each.at : each.at + each.size]
            if wanted in value or wanted in _inflated(value):
                found.append(f"{path.name} at {each.at}")
    return found


def _inflated(value: bytes) -> bytes:
    try:
        return zlib.decompress(value)
    except zlib.error:
        return b""


async def values(scene: Scene, run_id: str) -> list[object]:
    history = await scene.journal.history(run_id)
    return [msgspec.msgpack.decode(each.payload) for each in history[1:]]


# --- the files ------------------------------------------------------------------------


async def test_no_file_has_it_after_compact(directory: Path) -> None:
    """Neither free pages, nor the log, nor what is left of changed pages."""
    scene = Scene("gone", store_in(directory))
    async with scene.open():
        event = scene.event("go", {"card": SECRET})
        [receipt] = await scene.emit(event)
        holder = await scene.start()
        await holder.append(
            completed("a:0", SECRET),
            completed("b:0", "kept"),
            completed("c:0", SECRET + LARGE),
            ended(),
        )
        others = [await live(scene, *steps(1, "kept" + LARGE)) for _ in range(20)]
    async with scene.open():
        assert files_with(directory)
        await redact(scene, holder.run_id, 2, 4)
        await redact_event(scene, receipt.position, event.id)
    async with scene.open():
        kept = await values(scene, others[0])

    found = compact(directory)

    assert files_with(directory) == []
    assert found.left == ()
    assert findings(directory) == []
    async with scene.open():
        mark = {"$redacted": True}
        assert await values(scene, holder.run_id) == [mark, "kept", mark, None]
        assert await values(scene, others[0]) == kept


async def test_nor_has_a_segment(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segment is written anew; what others have in it stays packed."""
    monkeypatch.setattr(limits, "PACKED_BYTES_MIN", 3_000)
    scene = Scene("packed", store_in(directory))
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        run_id = await live(
            scene, *steps(SECRET, "a" + LARGE, SECRET + LARGE, *range(300))
        )
        other = await live(scene, *steps("b" + LARGE, 2))
        await pack(journal)
        [before] = segments.numbers(directory)
        assert files_with(directory)

        await redact(scene, run_id, 2, 4)

        assert (await values(scene, run_id))[0] == {"$redacted": True}
    assert findings(directory) == []
    compact(directory)

    assert files_with(directory) == []
    assert findings(directory) == []
    assert before not in segments.numbers(directory)
    assert segments.numbers(directory) == [before + 1]
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        assert await values(scene, other) == ["b" + LARGE, 2, 1]
        found = await values(scene, run_id)
        assert found[:3] == [{"$redacted": True}, "a" + LARGE, {"$redacted": True}]
        await pack(journal)
        assert await values(scene, run_id) == found
    compact(directory)
    assert segments.numbers(directory)
    assert findings(directory) == []


async def test_a_segment_of_which_all_is_dead_goes(directory: Path) -> None:
    scene = Scene("alone", store_in(directory))
    async with scene.open() as journal:
        run_id = await live(scene, *steps(SECRET))
        await pack(journal)
        await redact(scene, run_id, 2)

    compact(directory)

    assert segments.numbers(directory) == []
    assert files_with(directory) == []


async def test_what_cannot_be_made_clean_is_named(directory: Path) -> None:
    """A damaged segment stays for `doctor`; the file of an older layout is the user's."""
    scene = Scene("left", store_in(directory))
    async with scene.open() as journal:
        run_id = await live(scene, *steps(SECRET))
        await live(scene, *steps("other"))
        await pack(journal)
        await redact(scene, run_id, 2)
    [path] = segments.files(directory)
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    (directory / migrate.KEPT).write_bytes(b"")

    found = compact(directory)

    assert found.left == (f"segments/{path.name}", migrate.KEPT)
    assert path.exists()


async def test_compact_can_be_killed_at_any_call(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each image is whole, and to compact it takes the bytes away."""
    scene = Scene("killed", store_in(directory))
    async with scene.open() as journal:
        run_id = await live(scene, *steps(SECRET, "a" + LARGE, SECRET + LARGE))
        other = await live(scene, *steps("b" + LARGE, 2))
        await pack(journal)
        await redact(scene, run_id, 2, 4)
    images = tmp_path / "images"
    with monkeypatch.context() as patch:
        camera = Camera(directory, images, patch)
        compact(directory)
    assert len(camera.copies) > 10

    for image in camera.copies:
        (image / "owner.json").unlink(missing_ok=True)
        assert findings(image) == [], image
        reader = await open_reader(image)
        history = await reader.history(run_id)
        await reader.close()
        assert history[1].redaction is not None, image
        compact(image)
        assert files_with(image) == [], image
        assert findings(image) == [], image
        journal = await open_lmdb(image)
        try:
            found = await journal.history(other)
            assert msgspec.msgpack.decode(found[1].payload) == "b" + LARGE
        finally:
            await journal.close()


async def test_a_redaction_can_be_killed_at_any_call(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there whole or not at all, and once it is acknowledged it stays."""
    scene = Scene("halfway", store_in(directory))
    async with scene.open() as journal:
        event = scene.event("said", SECRET)
        [receipt] = await scene.emit(event)
        run_id = await live(scene, *steps(SECRET, "a" + LARGE, SECRET + LARGE))
        await pack(journal)
        late = await live(scene, *steps(SECRET, SECRET + LARGE))
        with monkeypatch.context() as patch:
            camera = Camera(directory, tmp_path / "images", patch)
            await redact(scene, run_id, 2, 4)
            await redact(scene, late, 2, 3)
            await redact_event(scene, receipt.position, event.id)
    assert len(camera.copies) > 3

    seen = {await stages_of(image, (run_id, late), event.id) for image in camera.copies}

    assert seen >= {(False, False, False), (True, True, False)}
    # In the order in which they were asked for.
    assert all(list(each) == sorted(each, reverse=True) for each in seen)


async def stages_of(
    image: Path, run_ids: tuple[str, str], event_id: str
) -> tuple[bool, ...]:
    """Whether each of both runs and the event is redacted, which they are whole."""
    (image / "owner.json").unlink(missing_ok=True)
    assert findings(image) == [], image
    journal = await open_lmdb(image)
    try:
        first, late = [
            [each.redaction is not None for each in await journal.history(run_id)]
            for run_id in run_ids
        ]
        stored = await journal.event(event_id)
    finally:
        await journal.close()
    assert first[1:4] in ([False] * 3, [True, False, True])
    assert late[1:3] in ([False] * 2, [True] * 2)
    assert stored is not None
    return first[1], late[1], stored.redaction is not None


# --- verify ---------------------------------------------------------------------------


async def redacted(directory: Path) -> tuple[Scene, str]:
    """A directory with a redacted record and a redacted event; nobody owns it."""
    scene = Scene("proved", store_in(directory))
    async with scene.open():
        event = scene.event("said", SECRET)
        [receipt] = await scene.emit(event)
        run_id = await live(scene, *steps(SECRET, "kept"))
        await redact(scene, run_id, 2)
        await redact_event(scene, receipt.position, event.id)
    assert findings(directory) == []
    return scene, run_id


def the_page(store: Store) -> tuple[bytes, list[bytes]]:
    """The page with a redacted record."""
    for key, data in store.rows(keys.LOG):
        if any(each.redaction for each in codec.decode_page(data)):
            return key, codec.split_page(data)
    raise AssertionError("there is none")


async def test_every_flipped_byte_of_a_redacted_record_is_found(
    directory: Path,
) -> None:
    await redacted(directory)
    store = Store(directory)
    key, records = the_page(store)
    for place in range(len(records[1])):
        flipped = bytearray(records[1])
        flipped[place] ^= 1
        changed = [records[0], bytes(flipped), *records[2:]]
        store.put(keys.LOG, key, codec.page(changed))

        assert findings(directory), place

    store.put(keys.LOG, key, codec.page(records))
    assert findings(directory) == []


async def test_every_flipped_byte_of_a_redacted_event_is_found(
    directory: Path,
) -> None:
    await redacted(directory)
    store = Store(directory)
    key, data = next(
        (key, data) for key, data in store.rows(keys.EVENTS) if b"$redacted" in data
    )
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1
        store.put(keys.EVENTS, key, bytes(flipped))

        assert findings(directory), place


async def test_a_marker_without_a_redaction_is_damage(directory: Path) -> None:
    """Whoever only puts the marker there has no fact for it."""
    await redacted(directory)
    store = Store(directory)
    key, records = the_page(store)
    plain = codec.decode(records[2])
    assert isinstance(plain.record, StepCompleted)
    forged = codec.encode(replace(plain, payload=MARK))
    store.put(keys.LOG, key, codec.page([*records[:2], forged, *records[3:]]))

    [found] = findings(directory)

    assert found.record == 3
    assert "digest" in found.message


async def test_a_redaction_of_which_no_commit_tells_is_damage(directory: Path) -> None:
    """Also one whose digests are right."""
    _, run_id = await redacted(directory)
    store = Store(directory)
    key, records = the_page(store)
    plain, fact = codec.decode(records[2]), codec.decode(records[1]).redaction
    assert fact is not None
    forged = codec.encode(codec.redacted(plain, MARK, fact))
    store.put(keys.LOG, key, codec.page([*records[:2], forged, *records[3:]]))

    [found] = findings(directory)

    assert (found.run_id, found.record) == (run_id, 3)
    assert "no commit says so" in found.message


async def test_a_forged_redaction_of_an_event_is_damage(directory: Path) -> None:
    scene, _ = await redacted(directory)
    async with scene.open():
        [receipt] = await scene.emit(scene.event("said", "kept"))
        fact = (await scene.journal.events(after=0, limit=1))[0].redaction
        [stored] = await scene.journal.events(after=receipt.position - 1, limit=1)
    assert fact is not None
    event = replace(stored.event, data=msgspec.Raw(MARK))
    body = msgspec.msgpack.encode((event, stored.run_ids))
    proved = codec.redaction_of_event(stored.position, body, fact)
    store = Store(directory)
    key, data = store.rows(keys.EVENTS)[-1]
    forged = replace(stored, event=event, redaction=proved)
    row, _ = rows.encode_event(forged, data[rows.NAMED_DIGEST])
    store.put(keys.EVENTS, key, row)

    [found] = findings(directory)

    assert f"event {stored.position} says that it was redacted" in found.message


async def test_what_was_redacted_must_not_come_back(directory: Path) -> None:
    """An old copy of a page, or of an event, is found by the chain of commits."""
    scene = Scene("back", store_in(directory))
    async with scene.open():
        event = scene.event("said", SECRET)
        [receipt] = await scene.emit(event)
        run_id = await live(scene, *steps(SECRET))
    store = Store(directory)
    log, events = store.rows(keys.LOG), store.rows(keys.EVENTS)
    async with scene.open():
        await redact(scene, run_id, 2)
        await redact_event(scene, receipt.position, event.id)
    for table, kept in ((keys.LOG, log), (keys.EVENTS, events)):
        for key, data in kept:
            store.put(table, key, data)

    found = findings(directory)

    assert {(each.run_id, each.record) for each in found} == {(run_id, 2), ("", 0)}
    assert all("was redacted, and is not" in each.message for each in found)


async def test_attributes_that_were_set_are_no_damage(directory: Path) -> None:
    """The row keeps them, as 0052 says; their record has the marker."""
    scene = Scene("attributes", store_in(directory))
    async with scene.open():
        holder = await scene.start()
        changes = Draft(AttributesSet(), encoded({"card": SECRET}))
        await holder.append(changes, ended())
        await redact(scene, holder.run_id, 2)

    assert findings(directory) == []
    async with scene.open():
        assert await values(scene, holder.run_id) == [{"$redacted": True}, None]


async def test_it_is_known_beside_the_owner(directory: Path) -> None:
    """Commits that only the log has are no forgery, nor those that come meanwhile."""
    scene = Scene("beside", store_in(directory))
    async with scene.open() as journal:
        event = scene.event("said", SECRET)
        [receipt] = await scene.emit(event)
        run_id = await live(scene, *steps(SECRET, SECRET + LARGE))
        await redact(scene, run_id, 2, 3)
        await redact_event(scene, receipt.position, event.id)
        assert isinstance(journal, LmdbJournal)

        assert findings(journal) == []
        await journal._writer._empty_log()
        assert findings(journal) == []


async def test_a_chain_that_begins_later_takes_them_on_trust(directory: Path) -> None:
    """Retention drops commits from the front; the redaction proves itself."""
    await redacted(directory)
    store = Store(directory)
    for key, data in store.rows(keys.COMMITS)[:-1]:
        body, digest = rows.read_commit(data)
        store.delete(keys.COMMITS, key)
        chain = rows.Chain(body.number, digest)
        store.put(keys.META, keys.CHAIN_KEY, rows.CHAIN.encode(chain))

    assert findings(directory) == []


# --- older ones -----------------------------------------------------------------------


async def test_an_older_ironflow_does_not_open_it(directory: Path) -> None:
    """The number of the layout says so, and packing does not lower it."""
    scene, _ = await redacted(directory)
    async with scene.open() as journal:
        await live(scene, *steps(1, 2))
        await pack(journal)
        assert isinstance(journal, LmdbJournal)
        with journal.source.environment.snapshot() as snapshot:
            layout = snapshot.get(keys.META, keys.FORMAT_KEY)

    assert keys.to_number(layout or b"") == keys.LAYOUT_REDACTED == 4
