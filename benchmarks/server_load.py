"""Requests from many connections, one at a time on each, in a process of its own.

`python -m benchmarks.server_load PORT CONNECTIONS REQUESTS PATH BODY` prints one line of
JSON: requests a second and latencies in milliseconds. Raw sockets and a parser of C: what
is measured is the server.
"""

import json
import selectors
import socket
import sys
import time

import httptools


class Connection:
    """A connection with at most one request on its way."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = request
        self.began = 0.0
        self.is_answered = False
        self.parser = httptools.HttpResponseParser(self)

    def on_message_complete(self) -> None:
        """Note that an answer is whole: called by the parser."""
        self.is_answered = True

    def send(self) -> None:
        """Begin a request; it fits into the socket's buffer."""
        self.is_answered = False
        self.parser = httptools.HttpResponseParser(self)
        self.began = time.perf_counter()
        self.socket.sendall(self.request)

    def receive(self) -> bool:
        """Read what has come; say whether the answer is whole."""
        self.parser.feed_data(self.socket.recv(65_536))
        if self.is_answered and self.parser.get_status_code() != 200:
            raise RuntimeError(f"the server answered {self.parser.get_status_code()}")
        return self.is_answered


def load(
    port: int, connections: int, requests: int, request: bytes
) -> dict[str, float]:
    """Send requests; return how fast they were answered."""
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        connection = Connection(port, request)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    latencies: list[float] = []
    began = time.perf_counter()
    left = requests
    for key in list(selector.get_map().values()):
        key.data.send()
        left -= 1
    while len(latencies) < requests:
        for key, _ in selector.select():
            connection = key.data
            if not connection.receive():
                continue
            latencies.append((time.perf_counter() - connection.began) * 1_000)
            if left:
                left -= 1
                connection.send()
    seconds = time.perf_counter() - began
    latencies.sort()
    return {
        "per_second": requests / seconds,
        "p50_ms": latencies[len(latencies) // 2],
        "p99_ms": latencies[len(latencies) * 99 // 100],
    }


def request_of(path: str, body: str) -> bytes:
    """Return a POST of JSON; without a body, a GET."""
    data = body.encode()
    method = "POST" if data else "GET"
    head = (
        f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"content-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


if __name__ == "__main__":
    _port, _connections, _requests = map(int, sys.argv[1:4])
    _request = request_of(sys.argv[4], sys.argv[5])
    load(_port, _connections, _connections, _request)  # what is done once is done
    print(json.dumps(load(_port, _connections, _requests, _request)))
