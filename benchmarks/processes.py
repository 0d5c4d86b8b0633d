"""What can only be seen from outside: start, import, memory, recovery after a kill.

Each is a program in a process of its own; `python -m benchmarks.processes NAME FOLDER`
is that process.
"""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.rows import Row

_PARKED = 100_000
_IN_FLIGHT = 1_000


def start(*arguments: str) -> "subprocess.Popen[str]":
    """Start a program of `children`."""
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.processes", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Return what a program says, which it does once."""
    assert process.stdout is not None
    line = process.stdout.readline()
    said: dict[str, Any] = json.loads(line)
    return said


def importing(scratch: Path, rounds: int) -> list[Row]:
    """`import ironflow` in a fresh process, with the names that a module of functions uses."""
    took = []
    for _ in range(max(rounds, 5) * 2):
        out = subprocess.run(
            [
                sys.executable,
                "-c",
                "import time; t=time.perf_counter(); import ironflow;"
                " ironflow.App, ironflow.Context, ironflow.function;"
                " print(time.perf_counter()-t)",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        took.append(float(out.stdout) * 1_000)
    return [
        Row(
            "import ironflow, with App, Context and function",
            "ms",
            tuple(took),
            must=100,
            aim=60,
            higher=False,
        )
    ]


def parking(scratch: Path, rounds: int) -> list[Row]:
    """100,000 runs parked on a sleep: what a restart needs of memory and time."""
    folder, empty = scratch / "parked", scratch / "empty"
    for each in (folder, empty):
        shutil.rmtree(each, ignore_errors=True)
    for each, count in ((folder, _PARKED), (empty, 0)):
        finish(start("park", str(each), str(count)))
    ready: list[float] = []
    inside: list[float] = []
    memory: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        process = start("open", str(folder))
        full = said(process)
        ready.append((time.perf_counter() - began) * 1_000)
        inside.append(full["open_ms"])
        finish(process)
        other = start("open", str(empty))
        base = said(other)
        finish(other)
        memory.append((full["rss"] - base["rss"]) / _PARKED)
    beside = f"open_engine alone {sorted(inside)[rounds // 2]:.1f} ms"
    return [
        Row(
            "100,000 parked runs, memory a run after a restart",
            "bytes",
            tuple(memory),
            must=200,
            aim=1,
            higher=False,
        ),
        Row(
            "100,000 parked runs, process start to ready",
            "ms",
            tuple(ready),
            must=1_000,
            aim=300,
            higher=False,
            beside=beside,
        ),
    ]


def recovering(scratch: Path, rounds: int) -> list[Row]:
    """1,000 runs in flight, SIGKILL: from start until every run goes on."""
    took: list[float] = []
    for _ in range(rounds):
        folder = scratch / "recovering"
        shutil.rmtree(folder, ignore_errors=True)
        process = start("flight", str(folder), str(_IN_FLIGHT))
        said(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        began = time.perf_counter()
        process = start("flight", str(folder), "0")
        said(process)
        took.append((time.perf_counter() - began) * 1_000)
        process.kill()
        process.wait()
    return [
        Row(
            "1,000 runs in flight killed, start until all go on",
            "ms",
            tuple(took),
            must=1_000,
            aim=300,
            higher=False,
        )
    ]


def finish(process: "subprocess.Popen[str]") -> None:
    """Wait for the end of a program."""
    _, _ = process.communicate()
    assert process.returncode == 0, process.returncode


if __name__ == "__main__":
    from benchmarks import children

    children.main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
