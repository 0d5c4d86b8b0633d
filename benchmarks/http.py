"""Tiny POSTs to the HTTP server, beside a loop on Trio that answers without looking.

Over HTTP/2 only what they cost the server counts: the client, in Python too, is slower.

The server is a process of its own, and so is whoever asks: 16 connections, each with one
request in flight. What is left between the two is parsing, limits, the handler's call and
the making of an answer.
"""

import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded

from benchmarks.rows import Row
from ironflow.transport.http.messages import Request, Response
from ironflow.transport.http.router import Parameters, Router
from ironflow.transport.http.server import HttpServer, serve_http

_CONNECTIONS: Final = 16
_SECONDS: Final = 1.0
_BODY: Final = (
    b'{"name": "order.placed", "data": {"order_id": "o-4711", "amount": 12.5}}'
)
_ASK: Final = (
    b"POST /api/v1/events HTTP/1.1\r\nhost: 127.0.0.1:9123\r\nuser-agent: benchmark\r\n"
    b"accept: */*\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
) % (len(_BODY), _BODY)
_HEAD_2: Final = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "127.0.0.1:9123"),
    (":path", "/api/v1/events"),
    ("content-type", "application/json"),
]
_ANSWER: Final = b'{"id": "0196b6a8-0000-7000-8000-000000000000", "runs": []}'
_RAW_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    b"date: Mon, 23 Nov 2026 08:00:00 GMT\r\ncontent-length: %d\r\n\r\n%b"
) % (len(_ANSWER), _ANSWER)


@dataclass(frozen=True, slots=True)
class Load:
    """What a server did in a round."""

    requests_per_second: float
    cpu_us: float  # of the server, for each request


def measure(_scratch: Path, rounds: int) -> list[Row]:
    """Measure requests a second, and what one costs, in alternating rounds."""
    served: list[Load] = []
    multiplexed: list[Load] = []
    raw: list[Load] = []
    with _child("serve") as server, _child("answer") as loop:
        for _ in range(rounds):
            raw.append(_round(loop))
            served.append(_round(server))
            multiplexed.append(_round_2(server))
    shares = [
        one.requests_per_second / other.requests_per_second
        for one, other in zip(served, raw, strict=True)
    ]
    beside = f"the loop: {_middle([each.requests_per_second for each in raw]):,.0f}/s"
    cost = f"the loop: {_middle([each.cpu_us for each in raw]):.0f} us"
    rates = tuple(each.requests_per_second for each in served)
    costs = tuple(each.cpu_us for each in served)
    share = "  of them, share of a loop that looks at nothing"
    return [
        Row(
            "HTTP/1.1: tiny POSTs, 16 connections",
            "1/s",
            rates,
            must=2_000,
            aim=8_000,
            higher=True,
            beside=beside,
        ),
        Row(share, "1", tuple(shares), must=0.2, aim=0.4, higher=True),
        Row(
            "  CPU of the server for each",
            "us",
            costs,
            must=200,
            aim=100,
            higher=False,
            beside=cost,
        ),
        Row(
            "HTTP/2: the same, 16 streams of one connection",
            "us",
            tuple(each.cpu_us for each in multiplexed),
            must=800,
            aim=300,
            higher=False,
        ),
    ]


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


@dataclass(frozen=True, slots=True)
class _Child:
    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Return the time that the process was on a core."""
        # utime and stime: the 14th and 15th field of proc(5), behind the name.
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _child(program: str) -> Generator[_Child]:
    """Start a server; it ends with its standard input."""
    command = [sys.executable, "-m", "benchmarks.http", program]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        yield _Child(json.loads(child.stdout.readline()), child.pid)
        child.stdin.close()


def _round(child: _Child) -> Load:
    """Ask for a second over all connections."""
    connections = [
        socket.create_connection(("127.0.0.1", child.port)) for _ in range(_CONNECTIONS)
    ]
    cpu = child.cpu_seconds()
    began = time.perf_counter()
    try:
        done = _ask(connections, until=began + _SECONDS)
    finally:
        took = time.perf_counter() - began
        for connection in connections:
            connection.close()
    return Load(done / took, (child.cpu_seconds() - cpu) / done * 1e6)


def _ask(connections: list[socket.socket], *, until: float) -> int:
    """Return how many answers there were; with one request on each in flight."""
    done = 0
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ, connection)
            connection.sendall(_ASK)
        while time.perf_counter() < until:
            for key, _ in selector.select(timeout=1):
                connection = key.data
                answer = connection.recv(4096)
                assert answer.endswith(_ANSWER), answer
                done += 1
                connection.sendall(_ASK)
    return done


def _round_2(child: _Child) -> Load:
    """Ask for a second over one connection of HTTP/2."""
    cpu = child.cpu_seconds()
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", child.port)) as connection:
        done = _ask_2(connection, until=began + _SECONDS)
    took = time.perf_counter() - began
    return Load(done / took, (child.cpu_seconds() - cpu) / done * 1e6)


def _ask_2(connection: socket.socket, *, until: float) -> int:
    protocol = H2Connection(H2Configuration(client_side=True))
    protocol.initiate_connection()
    for _ in range(_CONNECTIONS):
        _begin(protocol)
    done = 0
    while time.perf_counter() < until:
        connection.sendall(protocol.data_to_send())
        for event in protocol.receive_data(connection.recv(65_536)):
            if isinstance(event, DataReceived):
                protocol.acknowledge_received_data(len(event.data), event.stream_id)
            if isinstance(event, StreamEnded):
                done += 1
                _begin(protocol)
    return done


def _begin(protocol: H2Connection) -> None:
    stream = protocol.get_next_available_stream_id()
    protocol.send_headers(stream, _HEAD_2)
    protocol.send_data(stream, _BODY, end_stream=True)


# The programs of the children.


async def _serve() -> None:
    router = Router()
    router.add("POST", "/api/v1/events", _handle)
    async with trio.open_nursery() as nursery:
        serve = partial(serve_http, router.handle, port=0)
        server = await nursery.start(serve)
        assert isinstance(server, HttpServer)
        await _until_told(server.addresses[0][1])
        nursery.cancel_scope.cancel()


async def _handle(request: Request, _: Parameters) -> Response:
    assert await request.read() == _BODY
    return Response(200, [("content-type", "application/json")], _ANSWER)


async def _answer() -> None:
    async def loop(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            while await stream.receive_some(65_536):
                await stream.send_all(_RAW_ANSWER)

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, loop, 0, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        await _until_told(listener.socket.getsockname()[1])
        nursery.cancel_scope.cancel()


async def _until_told(port: int) -> None:
    print(port, flush=True)
    await trio.to_thread.run_sync(sys.stdin.read)


if __name__ == "__main__":
    trio.run({"serve": _serve, "answer": _answer}[sys.argv[1]])
