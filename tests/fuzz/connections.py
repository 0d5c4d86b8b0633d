"""Whole connections in virtual time: HTTP of both versions, WebSocket, a worker's link.

Whatever a client sends, its connection ends within its deadlines, nothing is left behind,
and nothing is logged: what is logged would be a fault of the server.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import h2.connection
import msgspec
import trio
from trio.testing import MockClock

from ironflow import ids
from ironflow.journal.base import EmitEvents
from ironflow.journal.memory import MemoryJournal
from ironflow.records import EventData
from ironflow.transport.pull import PullHost
from ironflow.wire import frames
from ironflow.wire.link import LinkClosed
from tests.fuzz.messages import NOW, OF_WORKER
from tests.fuzz.target import Target
from tests.interpreter.segments_world import pack
from tests.transport.http.conversing import ENDS, PREFACE, SETTINGS, UPGRADE, talk
from tests.worker.links import pair

_CUTS: Final = (1, 3, 20, 10_000)


class _Lines(logging.Handler):
    """Keeps what is logged: all of it, or only what has a traceback."""

    def __init__(self, *, only_tracebacks: bool) -> None:
        super().__init__(logging.INFO)
        self._only_tracebacks = only_tracebacks
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or not self._only_tracebacks:
            self.found.append(self.format(record))


@contextmanager
def silence(*, only_tracebacks: bool = False) -> Iterator[None]:
    """Fail if anything is logged."""
    logger = logging.getLogger("ironflow")
    lines = _Lines(only_tracebacks=only_tracebacks)
    logger.addHandler(lines)
    try:
        yield
    finally:
        logger.removeHandler(lines)
    assert not lines.found, lines.found


def _clock() -> MockClock:
    return MockClock(autojump_threshold=0)


def _converse(first: bytes, data: bytes) -> None:
    if not data:
        return
    cut, end = _CUTS[data[0] % len(_CUTS)], ENDS[data[0] // 8 % len(ENDS)]
    with silence():
        trio.run(talk, first + data[1:], cut, end, clock=_clock())


def connection(data: bytes) -> None:
    """Any bytes of a client."""
    _converse(b"", data)


def http2(data: bytes) -> None:
    """Any frames behind the preface and the settings of a client."""
    _converse(PREFACE + SETTINGS, data)


def websocket(data: bytes) -> None:
    """Any frames of an open WebSocket."""
    _converse(UPGRADE, data)


def _http2_seeds() -> list[bytes]:
    """Requests as a client of h2 writes them, without its preface."""
    client = h2.connection.H2Connection()
    client.initiate_connection()
    client.data_to_send()
    head = [
        (":method", "POST"),
        (":path", "/"),
        (":scheme", "http"),
        (":authority", "a"),
    ]
    client.send_headers(1, head)
    client.send_data(1, b"hello", end_stream=True)
    posted = client.data_to_send()
    client.send_headers(3, [*head, ("expect", "100-continue"), ("x", "y" * 50)])
    client.reset_stream(3)
    client.ping(b"12345678")
    client.increment_flow_control_window(5)
    reset = client.data_to_send()
    streamed = [(":method", "GET"), (":path", "/stream"), *head[2:]]
    client.send_headers(5, streamed, end_stream=True)
    client.close_connection()
    return [
        b"\x03" + posted,
        b"\x08" + posted + reset,
        b"\x12" + posted + reset + client.data_to_send(),
    ]


_WEBSOCKET_SEEDS: Final = [
    b"\x03\x81\x85\0\0\0\0hello\x88\x80\0\0\0\0",
    b"\x08\x01\x82\0\0\0\0he\x89\x80\0\0\0\0\x80\x83\1\1\1\1mmn",
    b"\x11\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\x00\x82\xfe\x00\x80",
    b"\x02\x88\x82\0\0\0\0\x03\xe8",
]
_HTTP1_SEEDS: Final = [
    b"\x03GET /stream HTTP/1.1\r\nhost: a\r\n\r\n",
    b"\x0aPOST /stream HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n"
    b"expect: 100-continue\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    b"\x11POST / HTTP/1.1\r\nhost: a\r\ncontent-encoding: gzip\r\n"
    b"content-length: 3\r\n\r\n\x1f\x8b\x08",
]


# --- the link of a worker -----------------------------------------------------------------


def worker_link(data: bytes) -> None:
    """A worker that says hello, is given a run, and then sends anything.

    Each message has its length before it, in one byte.
    """
    with silence(only_tracebacks=True):  # it is told why it is sent away
        trio.run(_work, data, clock=_clock())


async def _work(data: bytes) -> None:
    journal = MemoryJournal()
    host = PullHost(journal, lambda: NOW)
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        ours, theirs = pair()
        nursery.start_soon(host.serve, ours)
        await theirs.send(frames.encode(OF_WORKER[0]))
        await trio.testing.wait_all_tasks_blocked()
        event = EventData(
            id=_EVENT_ID, name="go", data=msgspec.Raw(pack({"n": 1})), timestamp=NOW
        )
        journal.commit_now([EmitEvents((event,), NOW)])
        while data:
            size, message = data[0], data[1 : data[0] + 1]
            data = data[size + 1 :]
            try:
                await theirs.send(message)
            except LinkClosed:
                break
            await trio.testing.wait_all_tasks_blocked()
        theirs.cut()
        await trio.sleep(10)  # more than a worker may be silent for
        nursery.cancel_scope.cancel()


_EVENT_ID: Final = ids.event_id(ids.uuid7(NOW, b"\0" * 10))
_RUN_ID: Final = ids.triggered_run_id(_EVENT_ID, "f")


def _told(*messages: frames.Frame) -> bytes:
    raw = [frames.encode(each) for each in messages]
    return b"".join(bytes([len(each)]) + each for each in raw if len(each) < 256)


TARGETS: Final = (
    Target("connection", connection, _HTTP1_SEEDS, [b"\r\n", b"0\r\n\r\n"], many=60),
    Target("http2", http2, _http2_seeds(), [b"\0\0\0", b"\0\0\4\3"], many=60),
    Target("websocket", websocket, _WEBSOCKET_SEEDS, [b"\xff" * 8, b"\x80"], many=60),
    Target(
        "worker_link",
        worker_link,
        [_told(each) for each in OF_WORKER]
        + [
            _told(frames.HistoryRequest(1, _RUN_ID, 0, 100), frames.Bye("enough")),
            _told(frames.GiveBack(((_RUN_ID, 1),)), frames.Credit(0)),
        ],
        [b"\xc0", b"\xdd\xff\xff\xff\xff"],
        many=60,
    ),
)
