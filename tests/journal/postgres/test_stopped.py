"""A process that is stopped in the middle of a commit keeps nobody waiting for long."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import trio

from ironflow.journal.postgres.link import Options
from ironflow.testing.checks_scene import Scene
from tests.journal.postgres.conftest import store_at

LEASE = 0.4

# It stops after it has decided, so it holds the lock of the environment.
STOPS = f"""
import os, signal, sys, trio
from ironflow.journal.postgres.batch import Batch
from ironflow.journal.postgres.link import Options
from ironflow.testing.checks_scene import Scene
from tests.journal.postgres.conftest import store_at

decide = Batch._decided
stops = [True]

async def decide_and_stop(batch, connection):
    view = await decide(batch, connection)
    if view.changes.events and stops.pop():
        stops.append(False)
        os.kill(os.getpid(), signal.SIGSTOP)
    return view

async def main():
    Batch._decided = decide_and_stop
    scene = Scene("stopped", store_at(sys.argv[1], options=Options(lease={LEASE})))
    async with scene.open():
        [receipt] = await scene.emit(scene.event("theirs"))
        print(receipt.position, flush=True)

trio.run(main)
"""


@pytest.fixture
def stopping(url: str) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        [sys.executable, "-c", STOPS, url], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.e2e
async def test_the_server_cuts_off_who_stops_in_a_commit(
    url: str, stopping: "subprocess.Popen[str]"
) -> None:
    """Half a lease later others commit; who goes on then makes its commit again, once."""
    await trio.to_thread.run_sync(
        os.waitid, os.P_PID, stopping.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT
    )
    scene = Scene("going", store_at(url, options=Options(lease=LEASE)))
    async with scene.open() as journal:
        with trio.fail_after(10):
            [ours] = await scene.emit(scene.event("ours"))
        stopping.send_signal(signal.SIGCONT)
        out, _ = await trio.to_thread.run_sync(stopping.communicate)

        assert ours.position == 1
        assert int(out) == 2
        assert [stored.position for stored in await journal.events()] == [1, 2]
