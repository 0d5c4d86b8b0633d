"""Hello world through the client, one call after the other, in a process of its own.

Prints the median of the calls of `Client` and of `AsyncClient`, in milliseconds.
"""

import json
import statistics
import sys
import time

import trio

import ironflow

_FIRST = 50  # what is done once is done


def blocking(url: str, calls: int) -> float:
    """Return the median of a call of `Client.emit_sync`."""
    took: list[float] = []
    with ironflow.Client(url) as client:
        for _ in range(_FIRST + calls):
            began = time.perf_counter()
            [run] = client.emit_sync("hello", {"name": "you"})
            took.append((time.perf_counter() - began) * 1_000)
            assert run.status == "completed", run
    return statistics.median(took[_FIRST:])


async def awaited(url: str, calls: int) -> float:
    """Return the median of a call of `AsyncClient.emit_sync`, on Trio."""
    took: list[float] = []
    async with ironflow.AsyncClient(url) as client:
        for _ in range(_FIRST + calls):
            began = time.perf_counter()
            [run] = await client.emit_sync("hello", {"name": "you"})
            took.append((time.perf_counter() - began) * 1_000)
            assert run.status == "completed", run
    return statistics.median(took[_FIRST:])


if __name__ == "__main__":
    _url, _calls = sys.argv[1], int(sys.argv[2])
    print(
        json.dumps(
            {
                "blocking_ms": blocking(_url, _calls),
                "awaited_ms": trio.run(awaited, _url, _calls),
            }
        )
    )
