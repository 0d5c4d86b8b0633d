"""Runs of a process that is killed go on elsewhere, as soon as users are promised."""

import json
import subprocess

import pytest
import trio

from tests.journal.postgres.server import Server
from tests.journal.postgres.takeover import RUNS

SECONDS_MAX = 12.0


@pytest.mark.e2e
async def test_runs_of_a_killed_process_go_on_within_twelve_seconds(
    server: Server, takeover: "subprocess.Popen[str]"
) -> None:
    """With the leases that users have: 10 s, renewed every 3 s.

    It has begun with the first test of this folder, and is mostly over.
    """
    del server  # without one this is skipped
    output, _ = await trio.to_thread.run_sync(takeover.communicate)

    assert takeover.returncode == 0, output
    times = json.loads(output.splitlines()[-1])
    assert len(times) == RUNS
    assert max(times.values()) < SECONDS_MAX
    assert min(times.values()) > 1.0, "a lease that lives is not ended"
