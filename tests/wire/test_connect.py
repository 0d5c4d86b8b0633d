"""Envelopes, error answers and headers of Connect."""

import gzip
from contextlib import suppress
from itertools import pairwise

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from ironflow.wire.connect import (
    COMPRESSED,
    ContentType,
    EnvelopeReader,
    content_type,
    end_of_stream,
    envelope,
    error_body,
    gunzip,
    timeout_ms,
)
from ironflow.wire.errors import ConnectError

LIMIT = 1_000


def read_all(reader: EnvelopeReader, *pieces: bytes) -> list[bytes]:
    found = [message for piece in pieces for message in reader.feed(piece)]
    reader.finish()
    return found


@given(
    st.lists(st.tuples(st.binary(max_size=50), st.booleans()), max_size=5),
    st.lists(st.integers(0, 400), max_size=6),
)
def test_messages_are_whole_however_their_bytes_come(
    messages: list[tuple[bytes, bool]], cuts: list[int]
) -> None:
    raw = b"".join(
        envelope(gzip.compress(payload), flags=COMPRESSED)
        if packed
        else envelope(payload)
        for payload, packed in messages
    )
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]

    found = read_all(
        EnvelopeReader(encoding="gzip"), *(raw[a:b] for a, b in pairwise(places))
    )

    assert found == [payload for payload, _ in messages]


@given(st.lists(st.binary(max_size=40), max_size=4), st.sampled_from(["", "gzip"]))
def test_any_bytes_are_messages_or_an_error(pieces: list[bytes], encoding: str) -> None:
    reader = EnvelopeReader(encoding=encoding, bytes_max=LIMIT)

    with suppress(ConnectError):
        read_all(reader, *pieces)


def test_a_message_that_is_too_large_is_refused_before_it_has_come() -> None:
    reader = EnvelopeReader(bytes_max=LIMIT)

    with pytest.raises(ConnectError, match="larger than 1000 bytes") as caught:
        read_all(reader, envelope(bytes(LIMIT + 1))[:5])

    assert caught.value.code == "resource_exhausted"


def test_a_message_that_grows_too_large_is_refused() -> None:
    raw = envelope(gzip.compress(bytes(10 * LIMIT)), flags=COMPRESSED)
    reader = EnvelopeReader(encoding="gzip", bytes_max=LIMIT)

    with pytest.raises(ConnectError, match="larger than 1000 bytes"):
        read_all(reader, raw)


def test_what_comes_before_a_bad_envelope_is_read() -> None:
    reader = EnvelopeReader()
    messages = reader.feed(envelope(b"first") + envelope(b"second", flags=2))

    assert next(messages) == b"first"
    with pytest.raises(ConnectError, match="flags 0x02"):
        next(messages)


@pytest.mark.parametrize(
    ("encoding", "raw", "said"),
    [
        ("", envelope(b"a", flags=COMPRESSED), "no encoding was announced"),
        ("gzip", envelope(b"a b", flags=COMPRESSED), "no gzip"),
        ("gzip", envelope(gzip.compress(b"abc")[:-4], flags=COMPRESSED), "cut off"),
        ("gzip", envelope(gzip.compress(b"a") * 2, flags=COMPRESSED), "followed by"),
        ("", envelope(b"abc")[:-1], "ends inside a message"),
    ],
)
def test_what_is_no_envelope_is_said(encoding: str, raw: bytes, said: str) -> None:
    with pytest.raises(ConnectError, match=said):
        read_all(EnvelopeReader(encoding=encoding), raw)


def test_an_encoding_that_is_not_known_is_unimplemented() -> None:
    with pytest.raises(ConnectError, match="'br'") as caught:
        EnvelopeReader(encoding="br")

    assert caught.value.code == "unimplemented"


def test_no_bytes_are_no_gzip_of_anything() -> None:
    assert gunzip(b"", bytes_max=1) == b""


@pytest.mark.parametrize("name", ["json", "proto", "connect+json", "connect+proto"])
def test_a_content_type_is_the_one_that_is_answered(name: str) -> None:
    found = content_type(f" Application/{name}; charset=utf-8")

    assert str(found) == f"application/{name}"


def test_a_content_type_of_others_is_none() -> None:
    assert content_type("application/grpc") is None
    assert content_type("application/json") == ContentType("json", streaming=False)


@pytest.mark.parametrize("header", ["", "-1", "1.5", "12345678901", "\u0661", "1s"])
def test_a_timeout_that_is_no_number_is_refused(header: str) -> None:
    with pytest.raises(ConnectError, match="connect-timeout-ms"):
        timeout_ms(header)


def test_a_timeout_is_in_milliseconds() -> None:
    assert timeout_ms("1500") == 1500


def test_an_error_has_its_status_and_body() -> None:
    error = ConnectError("not_found", "there is no run")

    assert error.status == 404
    assert msgspec.json.decode(error_body(error)) == {
        "code": "not_found",
        "message": "there is no run",
    }


def test_a_stream_ends_with_a_frame_in_every_case() -> None:
    good = end_of_stream()
    bad = end_of_stream(ConnectError("aborted", "no"), {"k": ["v"]})

    assert good == b"\x02\x00\x00\x00\x02{}"
    assert (bad[0], msgspec.json.decode(bad[5:])) == (
        2,
        {"error": {"code": "aborted", "message": "no"}, "metadata": {"k": ["v"]}},
    )
