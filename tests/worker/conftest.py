"""The tests of the engine are run here with their functions in a worker."""

import pytest

from tests.worker.pulled_bench import PulledBench


@pytest.fixture
def bench() -> PulledBench:
    """A bench of its own for each test."""
    return PulledBench()
