"""Every test of the engine runs on a journal that answers at once and on one that waits."""

import pytest

from tests.engine.bench import Bench


@pytest.fixture(params=[False, True], ids=["at-once", "yielding"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """A bench of its own for each test."""
    return Bench(yields=request.param)
