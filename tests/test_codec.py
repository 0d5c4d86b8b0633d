"""The stored bytes: read back as written, by any reader, or named as damaged."""

from contextlib import suppress
from typing import Any, get_args

import msgpack  # type: ignore[import-untyped]  # it has no types
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ironflow import codec, limits
from ironflow.errors import JournalDamaged, JournalNewer
from ironflow.records import (
    FORMAT,
    FORMAT_ATTRIBUTES,
    MSGPACK_CODEC,
    NO_PAYLOAD,
    REDACTED_FORMAT,
    AttributesSet,
    Draft,
    Entry,
    EventData,
    Record,
    Redaction,
    RunEnded,
    RunStarted,
    SleepFired,
    StepCompleted,
)

NIL = b"\xc0"
START = codec.chain_start("default", "run_1")
_OF_TYPE: dict[object, st.SearchStrategy[Any]] = {
    int: st.integers(0, 2**63 - 1),
    str: st.text(max_size=20),
    bytes: st.binary(max_size=20),
    bool: st.booleans(),
    tuple[str, ...]: st.lists(st.text(max_size=5), max_size=3).map(tuple),
}


def built(kind: type[Record]) -> st.SearchStrategy[Record]:
    fields = msgspec.structs.fields(kind)
    of = {each.name: _OF_TYPE[each.type] for each in fields}
    # A draft has no payload digest, and its codec is set when it is sealed.
    of |= {"payload_digest": st.just(b""), "codec": st.just(0)}
    return st.builds(kind, **of)


RECORDS = st.one_of([built(kind) for kind in get_args(Record)])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
PAYLOADS = st.just(NO_PAYLOAD) | VALUES.map(msgspec.msgpack.encode)
DRAFTS = st.builds(Draft, RECORDS, PAYLOADS)


def sealed(draft: Draft, *, previous: bytes = START, sequence: int = 1) -> Entry:
    entry, header = codec.seal(
        draft, sequence=sequence, recorded_at=5, previous=previous
    )
    assert codec.encode(entry, header) == codec.encode(entry)
    return entry


def same(one: Entry | Draft, other: Entry | Draft) -> bool:
    """Compare with payloads as bytes: a decoded one is a view of what was read."""
    return one.record == other.record and bytes(one.payload) == bytes(other.payload)


@given(DRAFTS)
def test_an_entry_is_read_as_it_was_written(draft: Draft) -> None:
    """Header, payload and digest, for every class of record."""
    entry = sealed(draft)

    read = codec.decode(codec.encode(entry))

    assert same(read, entry)
    assert read.digest == entry.digest
    assert read.format == codec.format_of(draft.record)
    assert not codec.needs_blob(read)


@given(DRAFTS)
def test_a_draft_is_read_as_it_was_written(draft: Draft) -> None:
    """An inbox row has neither a place nor digests."""
    assert same(codec.decode_draft(codec.encode_draft(draft)), draft)


@given(DRAFTS)
def test_any_reader_can_take_a_record_apart(draft: Draft) -> None:
    """`msgpack` reads what `msgspec` writes, and writes the very same bytes."""
    entry = sealed(draft)
    data = codec.encode(entry)

    found = msgpack.unpackb(data, strict_map_key=False)

    assert found[0] == codec.format_of(draft.record)
    assert found[1] == msgpack.unpackb(msgspec.msgpack.encode(entry.record))
    assert found[2] == entry.digest
    assert found[3:] == ([msgpack.unpackb(draft.payload)] if draft.payload else [])
    assert msgpack.packb(found) == data


@given(VALUES)
def test_both_libraries_are_equal(value: object) -> None:
    """Payloads too: the archive tools and any other reader use `msgpack`."""
    encoded = msgspec.msgpack.encode(value)

    assert msgpack.packb(value) == encoded
    assert msgpack.unpackb(encoded) == msgspec.msgpack.decode(encoded) == value


@given(st.binary() | st.binary().map(lambda tail: b"\x94\x01" + tail))
@example(b"")
@example(NIL)
@example(b"\x91" * 100_000)
@example(b"\x94\x01" + b"\x91" * 100_000)
@example(b"\x92\x01\x93")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Invariant 10: only the two errors of the tree."""
    read_or_refused(data)


def read_or_refused(data: bytes) -> None:
    for read in (codec.decode, codec.decode_draft, codec.decode_page, codec.split_page):
        with suppress(JournalDamaged, JournalNewer):
            read(data)


@given(DRAFTS, st.integers(0, 3), st.data())
def test_a_changed_record_is_read_or_refused(
    draft: Draft, count: int, data: st.DataObject
) -> None:
    """Bytes that are nearly right come to the same two errors."""
    record = codec.encode(sealed(draft))
    stored = bytearray(codec.page([record] * count) if count else record)
    for at in data.draw(st.lists(st.integers(0, len(stored) - 1), max_size=3)):
        stored[at] = data.draw(st.integers(0, 255))
    cut = stored[: data.draw(st.integers(0, len(stored)))]

    read_or_refused(bytes(stored))
    read_or_refused(bytes(cut))


def test_text_that_is_no_utf_8_is_damage() -> None:
    """The decoder has an error of its own for it."""
    stored = codec.encode(sealed(Draft(SleepFired(id="nap:0"))))

    with pytest.raises(JournalDamaged, match="bytes of the journal are not a record"):
        codec.decode(stored.replace(b"nap", b"\xff\xff\xff"))
    with pytest.raises(JournalDamaged):
        codec.decode_draft(b"\x91" + stored.replace(b"nap", b"\xff\xff\xff")[2:-18])


@pytest.mark.parametrize("length", [0, 15, 17, 20])
def test_a_digest_of_another_length_is_damage(length: int) -> None:
    """Written again, such a record would be another one."""
    entry, _ = codec.seal(
        Draft(SleepFired(id="nap:0")), sequence=1, recorded_at=1, previous=b"\0" * 16
    )
    data = codec.encode(entry).replace(
        b"\xc4\x10" + entry.digest, b"\xc4" + bytes([length]) + b"d" * length
    )

    with pytest.raises(JournalDamaged):
        codec.decode(data)
    with pytest.raises(JournalDamaged):
        codec.decode_page(codec.page([data]))


@pytest.mark.parametrize("newer", [codec.FORMATS[-1] + 1, 200, 2**40])
def test_a_newer_format_is_refused_whatever_it_looks_like(newer: int) -> None:
    """The sentence says what to do; nobody calls it damage."""
    for rest in ([], ["what", "we", "cannot", "know"], [[1], b"d" * 16]):
        with pytest.raises(JournalNewer, match=f"format {newer}.*upgrade ironflow"):
            codec.decode(msgpack.packb([newer, *rest]))


@given(st.lists(DRAFTS, max_size=5))
@example([Draft(SleepFired(id="nap:0")), Draft(SleepFired(id="nap:1"))])
def test_a_page_holds_records_as_they_are(drafts: list[Draft]) -> None:
    """One decode reads what `decode` reads one by one; any reader can too."""
    records = [codec.encode(sealed(draft)) for draft in drafts]

    page = codec.page(records)

    assert codec.split_page(page) == records
    assert [*map(codec.encode, codec.decode_page(page))] == records
    assert msgpack.packb(msgpack.unpackb(page, strict_map_key=False)[0:1])[1:] == (
        records[0] if records else b""
    )


@pytest.mark.parametrize("newer", [[4], [4, [1], b"d" * 16]])
def test_a_newer_record_in_a_page_is_refused(newer: list[object]) -> None:
    old = codec.encode(sealed(Draft(SleepFired(id="nap:0"))))

    with pytest.raises(JournalNewer, match="upgrade ironflow"):
        codec.decode_page(codec.page([old, msgpack.packb(newer)]))


def test_a_newer_format_of_records_that_look_alike_is_refused() -> None:
    old = codec.encode(sealed(Draft(SleepFired(id="nap:0"))))

    with pytest.raises(JournalNewer, match="upgrade ironflow"):
        codec.decode_page(codec.page([old, b"\x93\x04" + old[2:]]))


def test_a_redacted_record_is_another_one_under_its_own_digest() -> None:
    """Any reader can take it apart, and a page may have such and others."""
    plain = sealed(Draft(StepCompleted(id="a:0"), b"\x2a"))
    fact = Redaction(5, "ann", "a wish")

    entry = codec.redacted(plain, b"\xa1m", fact)

    data = codec.encode(entry)
    assert (data, codec.header_of(data)) == codec.encode_whole(entry)
    assert same(codec.decode(data), entry)
    assert msgpack.unpackb(data)[0::3] == [REDACTED_FORMAT, "m"]
    assert msgpack.unpackb(data)[4][:3] == [5, "ann", "a wish"]
    assert (entry.record, entry.digest) == (plain.record, plain.digest)
    assert not codec.needs_blob(entry)
    page = codec.decode_page(codec.page([codec.encode(plain), data]))
    assert [each.redaction is None for each in page] == [True, False]


def test_what_was_redacted_proves_itself() -> None:
    """Nothing of it can be changed, nor can it stand in another place."""
    plain = sealed(Draft(StepCompleted(id="a:0"), b"\x2a"))
    entry = codec.redacted(plain, b"\xa1m", Redaction(5, "ann", "a wish"))
    fact, change = entry.redaction, msgspec.structs.replace
    assert fact is not None

    assert codec.is_intact(plain)
    assert codec.is_intact(entry)
    for wrong in (
        change(entry, format=FORMAT),
        change(entry, payload=b"\xa1n"),
        change(entry, redaction=change(fact, at=6)),
        change(entry, redaction=change(fact, actor="bob")),
        change(entry, redaction=change(fact, check=b"x" * 16)),
        change(entry, record=change(entry.record, sequence=9)),
        change(plain, format=REDACTED_FORMAT),
        change(plain, payload=b"\xa1m"),
    ):
        assert not codec.is_intact(wrong), wrong


@pytest.mark.parametrize("payload", [b"\x81\xa1a\x01", b"\xda\x40\x00" + b"x" * 0x4000])
def test_a_kind_that_came_later_has_a_format_of_its_own(payload: bytes) -> None:
    """An ironflow that does not know it says that it is to be upgraded."""
    old = codec.encode(sealed(Draft(SleepFired(id="nap:0"))))
    entry = sealed(Draft(AttributesSet(id="attributes:0"), payload))

    new = codec.encode(entry)

    assert (old[1], new[1]) == (FORMAT, FORMAT_ATTRIBUTES)
    assert codec.decode(new).record == entry.record
    assert codec.encode_whole(entry)[0][:2] == bytes([0x94, FORMAT_ATTRIBUTES])
    assert [each.format for each in codec.decode_page(codec.page([old, new]))] == [1, 3]
    bare = sealed(Draft(AttributesSet(id="attributes:0")))
    assert codec.encode(bare)[:2] == bytes([0x93, FORMAT_ATTRIBUTES])
    assert codec.encode_whole(bare)[0][:2] == bytes([0x93, FORMAT_ATTRIBUTES])
    if len(payload) > limits.BLOB_BYTES_MIN:
        assert codec.filled(new, payload) == codec.encode_whole(entry)[0]


def test_the_first_record_of_a_page_that_is_damaged_says_why() -> None:
    """The page as a whole cannot be read at once, so each is read by itself."""
    good = codec.encode(sealed(Draft(SleepFired(id="nap:0"))))
    bad = good.replace(b"nap", b"\xff\xff\xff")

    with pytest.raises(JournalDamaged, match="bytes of the journal are not a record"):
        codec.decode_page(codec.page([good, bad]))


@pytest.mark.parametrize("payload", [NO_PAYLOAD, b"\x2a"])
def test_a_draft_lies_in_the_inbox_with_or_without_a_payload(payload: bytes) -> None:
    draft = Draft(SleepFired(id="nap:0"), payload)

    assert same(codec.decode_draft(codec.encode_draft(draft)), draft)


def test_a_format_that_never_was_is_damage() -> None:
    """Formats count from 1."""
    entry = sealed(Draft(SleepFired(id="nap:0")))

    with pytest.raises(JournalDamaged):
        codec.decode(codec.encode(entry).replace(b"\x93\x01", b"\x93\x00", 1))


def test_a_large_payload_lies_elsewhere() -> None:
    """The header's digest finds it; a small one stays with its record."""
    large = msgspec.msgpack.encode("x" * limits.BLOB_BYTES_MIN)
    entry = sealed(Draft(RunEnded(status="completed"), large))

    read = codec.decode(codec.encode(entry))

    assert codec.is_blob(large)
    assert not codec.is_blob(large[: limits.BLOB_BYTES_MIN])
    assert codec.needs_blob(read)
    assert read.payload == NO_PAYLOAD
    assert read.record.payload_digest == codec.digest_of(large)


def test_sealing_gives_a_record_its_place() -> None:
    """Sequence, time, the digest and codec of its payload."""
    entry = sealed(Draft(StepCompleted(id="a:0", attempt=1), NIL), sequence=7)

    record = entry.record
    assert (record.sequence, record.recorded_at) == (7, 5)
    assert (record.payload_digest, record.codec) == (
        codec.digest_of(NIL),
        MSGPACK_CODEC,
    )


def test_a_chain_depends_on_where_it_starts_and_on_every_header() -> None:
    """Two runs, environments or records never have one digest."""
    header = msgspec.msgpack.encode(SleepFired(id="a"))
    other = msgspec.msgpack.encode(SleepFired(id="b"))
    start = codec.chain_start("e", "r")
    digests = [
        start,
        codec.chain_start("e", "s"),
        codec.chain_start("f", "r"),
        codec.chained(start, header),
        codec.chained(start, other),
        codec.chained(codec.chained(start, header), header),
    ]

    assert len(set(digests)) == len(digests)
    assert {len(digest) for digest in digests} == {codec.DIGEST_BYTES}


def chain(*drafts: Draft) -> list[Entry]:
    entries: list[Entry] = []
    for number, draft in enumerate(drafts, 1):
        previous = entries[-1].digest if entries else START
        entries.append(sealed(draft, previous=previous, sequence=number))
    return entries


def stored(entries: list[Entry]) -> list[tuple[bytes, Entry]]:
    return [(codec.encode(entry), entry) for entry in entries]


@given(st.lists(DRAFTS, max_size=5), st.integers(0, 5))
def test_what_was_written_verifies(drafts: list[Draft], page: int) -> None:
    """Also page by page, from the digest of the record before."""
    entries = chain(*drafts)
    page = min(page, len(entries))

    whole = list(codec.verify_chain(stored(entries), start=START))
    start = entries[page - 1].digest if page else START
    rest = list(codec.verify_chain(stored(entries[page:]), start=start, after=page))

    assert whole == entries
    assert rest == entries[page:]


EVENT = msgspec.msgpack.encode(EventData(id="e", name="n", data=msgspec.Raw(NIL)))
HISTORY = chain(
    Draft(RunStarted(function_id="f", event_id="e", patches=("p",)), EVENT),
    Draft(
        StepCompleted(id="a:0", attempt=1, source="s.py:1"),
        b"\x93\x01\xa1x\xcb" + b"\0" * 8,
    ),
    Draft(RunEnded(status="completed"), NIL),
)


def damage_found(data: list[bytes]) -> bool:
    try:
        read = [(each, codec.decode(each)) for each in data]
        list(codec.verify_chain(read, start=START))
    except (JournalDamaged, JournalNewer):
        return True
    return False


@pytest.mark.parametrize("number", range(len(HISTORY)))
def test_a_changed_byte_anywhere_is_found(number: int) -> None:
    """Every byte of a record, changed to every other value."""
    data = [codec.encode(entry) for entry in HISTORY]
    assert not damage_found(data)

    missed = []
    for at, byte in enumerate(data[number]):
        for other in range(256):
            changed = data[number][:at] + bytes([other]) + data[number][at + 1 :]
            if other != byte and not damage_found(
                [*data[:number], changed, *data[number + 1 :]]
            ):
                missed.append((at, other))

    assert missed == []


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([0, 2], "record 2 of the run says that it is record 3"),
        ([1, 0, 2], "record 1 of the run says that it is record 2"),
        ([0, 0], "record 2 of the run says that it is record 1"),
    ],
)
def test_a_record_out_of_place_is_found(order: list[int], message: str) -> None:
    """By its number, before the chain is looked at."""
    entries = stored(HISTORY)

    with pytest.raises(JournalDamaged, match=message):
        list(codec.verify_chain([entries[at] for at in order], start=START))


def test_a_history_of_another_run_is_found() -> None:
    """Its chain starts elsewhere."""
    other = codec.chain_start("default", "run_2")

    with pytest.raises(JournalDamaged, match=r"record 1 .* has another digest"):
        list(codec.verify_chain(stored(HISTORY), start=other))


def test_a_changed_blob_is_found() -> None:
    """The payload is not in the record's bytes, but its digest is."""
    large = msgspec.msgpack.encode("x" * limits.BLOB_BYTES_MIN)
    (entry,) = chain(Draft(RunEnded(status="completed"), large))
    read = codec.decode(codec.encode(entry))
    changed = msgspec.structs.replace(read, payload=large[:-1] + b"y")

    with pytest.raises(JournalDamaged, match="the payload of record 1"):
        list(codec.verify_chain([(codec.encode(entry), changed)], start=START))


@pytest.mark.parametrize("payload", [b"", b"\x01", msgspec.msgpack.encode("x" * 9_000)])
def test_a_record_is_encoded_with_its_payload_in_it(payload: bytes) -> None:
    """However large: a reader of a bundle has no blob table."""
    entry, header = codec.seal(
        Draft(SleepFired(id="nap:0"), payload),
        sequence=1,
        recorded_at=5,
        previous=START,
    )

    data, head = codec.encode_whole(entry)

    assert head == header == codec.header_of(data)
    found = codec.decode(data)
    assert (found.record, found.digest) == (entry.record, entry.digest)
    assert bytes(found.payload) == payload


def test_what_is_no_record_has_no_header() -> None:
    with pytest.raises(JournalDamaged, match="are not a record"):
        codec.header_of(b"\xc1")


def test_an_entry_is_checked_with_its_payload() -> None:
    payload = msgspec.msgpack.encode("result")
    entry, header = codec.seal(
        Draft(StepCompleted(id="a:0"), payload),
        sequence=1,
        recorded_at=5,
        previous=START,
    )
    changed = msgspec.msgpack.encode("resolt")

    assert codec.check(entry, previous=START) == header
    for wrong in (
        msgspec.structs.replace(entry, payload=changed),
        msgspec.structs.replace(entry, payload=NO_PAYLOAD),
        msgspec.structs.replace(entry, digest=bytes(16)),
    ):
        with pytest.raises(JournalDamaged, match="record 1 is not what was written"):
            codec.check(wrong, previous=START)


def test_a_payload_comes_back_into_its_record() -> None:
    """What lay in the blob table, in the bytes of a segment."""
    large = msgspec.msgpack.encode("x" * limits.BLOB_BYTES_MIN)
    draft = Draft(StepCompleted(id="s:0"), large)
    entry, header = codec.seal(draft, sequence=1, recorded_at=2, previous=b"")
    stored = codec.encode(entry, header)

    whole = codec.decode(codec.filled(stored, large))

    assert codec.needs_blob(codec.decode(stored))
    assert (whole.record, whole.digest) == (entry.record, entry.digest)
    assert bytes(whole.payload) == large
