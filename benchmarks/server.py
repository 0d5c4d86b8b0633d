"""The server: events over HTTP, hello world with wait, what it takes when it is idle."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.rows import Row

_IDLE_SECONDS = 5
_FLUSHES = 200
_APP = "benchmarks.functions:app"
_EVENT = '{"name":"order.seen","data":{"id":"o-1","total":12.5,"items":["book","pen"]}}'


@dataclass(frozen=True)
class _Requests:
    """So many of one request, from so many connections."""

    connections: int
    count: int
    path: str
    body: str


_EVENTS = _Requests(16, 20_000, "/api/v1/events", _EVENT)
_HELLOS = _Requests(1, 1_000, "/api/v1/events?wait=30", '{"name":"hello"}')
_CALLS = 500  # of each client


@dataclass(frozen=True)
class _Found:
    """What was measured, round by round."""

    flush_ms: list[float] = field(default_factory=list[float])
    ready_s: list[float] = field(default_factory=list[float])
    memory_mb: list[float] = field(default_factory=list[float])
    idle_percent: list[float] = field(default_factory=list[float])
    events: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    hellos: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    clients: list[dict[str, float]] = field(default_factory=list[dict[str, float]])


def measure(scratch: Path, rounds: int) -> list[Row]:
    """Measure a server in a process of its own, and its load in another."""
    found = _Found()
    for _ in range(rounds):
        _round(scratch, found)
    flush = statistics.median(found.flush_ms)
    most = _EVENTS.connections / flush * 1_000
    events, hellos = found.events, found.hellos
    return [
        Row(
            "POST of an event, 16 connections, durable",
            "events/s",
            tuple(each["per_second"] for each in events),
            must=5_000,
            aim=15_000,
            higher=True,
            beside=f"a flush of the disk {flush:.2f} ms: {most:,.0f} events/s",
        ),
        Row(
            "POST of an event, 16 connections, p99",
            "ms",
            tuple(each["p99_ms"] for each in events),
            must=20,
            aim=5,
            higher=False,
        ),
        Row(
            "hello world over HTTP, with wait, p50",
            "ms",
            tuple(each["p50_ms"] for each in hellos),
            must=3,
            aim=1.5,
            higher=False,
        ),
        *_by_client(found.clients),
        Row("server, start to ready", "s", tuple(found.ready_s), 1, 0.5, higher=False),
        Row(
            "server, idle, resident memory",
            "MB",
            tuple(found.memory_mb),
            must=60,
            aim=50,
            higher=False,
        ),
        Row(
            "server, idle, of one core",
            "%",
            tuple(found.idle_percent),
            must=0.5,
            aim=0.1,
            higher=False,
        ),
    ]


def _by_client(clients: list[dict[str, float]]) -> Iterator[Row]:
    for name, figure in (("Client", "blocking_ms"), ("AsyncClient", "awaited_ms")):
        took = tuple(each[figure] for each in clients)
        of = f"hello world through {name}, with wait, p50"
        yield Row(of, "ms", took, must=3, aim=1.5, higher=False)


def _round(scratch: Path, found: _Found) -> None:
    folder = scratch / "server"
    shutil.rmtree(folder, ignore_errors=True)
    found.flush_ms.append(_flush_ms(scratch / "flushed"))
    began = time.perf_counter()
    with _serving(folder) as (process, port):
        found.ready_s.append(time.perf_counter() - began)
        found.idle_percent.append(_idle_percent(process))
        found.memory_mb.append(_resident_mb(process))
        found.events.append(_load(port, _EVENTS))
        found.hellos.append(_load(port, _HELLOS))
        found.clients.append(_clients(port))


@contextmanager
def _serving(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "ironflow", "serve", "--app", _APP, "--dev"),
            *("--port", "0", "--data-dir", str(folder), "--json"),
            *("--log-level", "warning"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = json.loads(process.stdout.readline())
        port = urlsplit(line["url"]).port
        assert port is not None
        yield process, port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _load(port: int, requests: _Requests) -> dict[str, float]:
    return _said(
        *("benchmarks.server_load", str(port)),
        *(str(requests.connections), str(requests.count)),
        *(requests.path, requests.body),
    )


def _clients(port: int) -> dict[str, float]:
    return _said("benchmarks.client_load", f"http://127.0.0.1:{port}", str(_CALLS))


def _said(*arguments: str) -> dict[str, float]:
    """Return what another process of ours has measured."""
    out = subprocess.run(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: dict[str, float] = json.loads(out.stdout)
    return found


def _flush_ms(path: Path) -> float:
    """Return how long the disk takes for what every group of commits waits for."""
    took: list[float] = []
    with path.open("wb", buffering=0) as file:
        file.write(bytes(4_096 * _FLUSHES))
        os.fsync(file.fileno())
        for number in range(_FLUSHES):
            began = time.perf_counter()
            os.pwrite(file.fileno(), bytes(4_096), number * 4_096)
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1_000)
    return statistics.median(took)


def _resident_mb(process: "subprocess.Popen[str]") -> float:
    text = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    [line] = [line for line in text.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1_024


def _idle_percent(process: "subprocess.Popen[str]") -> float:
    """Return how much of a core the server takes while nobody asks for anything."""
    time.sleep(1)  # what the start leaves to be done
    before = _cpu_seconds(process)
    time.sleep(_IDLE_SECONDS)
    return (_cpu_seconds(process) - before) / _IDLE_SECONDS * 100


def _cpu_seconds(process: "subprocess.Popen[str]") -> float:
    """Return the processor's time of a process, which is known to a nanosecond."""
    total = 0
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        total += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    return total / 1e9
