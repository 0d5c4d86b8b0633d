"""Whatever bytes a client sends: its connection ends, and nothing else happens."""

import logging

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.transport.http.conversing import ENDS, PREFACE, SETTINGS, UPGRADE, talk
from tests.transport.http.peers import HOST

# Of a valid GET and POST, by the static table of HPACK.
HEADS = [b"\x82\x84\x86\x41\x01a", b"\x83\x84\x86\x41\x01a"]


@st.composite
def http2_frames(draw: st.DrawFn) -> bytes:
    kind = draw(st.integers(0, 11))
    heads = st.sampled_from(HEADS)
    payload = draw(heads if kind == 1 else st.binary(max_size=20))
    flags = draw(st.sampled_from([0, 1, 4, 5, 8, 0x20, 0xFF]))
    stream = draw(st.sampled_from([0, 1, 1, 2, 3, 5, 7, 2**31 - 1]))
    length = len(payload) + draw(st.sampled_from([0, 0, 0, 0, 1, -1]))
    head = max(length, 0).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4)
    return head + payload


@st.composite
def websocket_frames(draw: st.DrawFn) -> bytes:
    first = draw(st.sampled_from([0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8A, 0xC1, 0x83]))  # fmt: skip
    payload = draw(st.binary(max_size=125))
    mask = draw(st.sampled_from([0x80, 0x80, 0x80, 0]))
    return bytes([first, mask | len(payload)]) + b"\0\0\0\0" * bool(mask) + payload


http1_parts = st.one_of(
    st.sampled_from(
        [
            b"GET / HTTP/1.1\r\n" + HOST + b"\r\n",
            b"POST /stream HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n",
            b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 5\r\n\r\n",
            b"expect: 100-continue\r\n",
            b"connection: close\r\n",
            b"content-encoding: gzip\r\n",
            b"5\r\nhello\r\n",
            b"0\r\n\r\n",
            b"hello",
            b"\r\n",
            UPGRADE,
        ]
    ),
    st.binary(max_size=20),
)
conversations = st.one_of(
    st.lists(http1_parts, max_size=8),
    st.lists(http2_frames(), max_size=12).map(lambda each: [PREFACE, SETTINGS, *each]),
    st.lists(websocket_frames(), max_size=8).map(lambda each: [UPGRADE, *each]),
    st.lists(st.binary(max_size=40), max_size=4).map(lambda each: [PREFACE, *each]),
)


@pytest.mark.slow
@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    conversation=conversations,
    cut=st.sampled_from([1, 3, 20, 10_000]),
    end=st.sampled_from(ENDS),
)
def test_a_connection_ends_and_says_no_more_than_it_may(
    caplog: pytest.LogCaptureFixture, conversation: list[bytes], cut: int, end: str
) -> None:
    caplog.clear()
    caplog.set_level(logging.INFO, "ironflow")

    trio.run(talk, b"".join(conversation), cut, end, clock=MockClock(autojump_threshold=0))  # fmt: skip

    assert [each.getMessage() for each in caplog.records] == []
