"""Profiles, time limits and order for all tests.

All tests run by default, in a few minutes. ``-m "not slow and not e2e"`` is the quick
round while editing.
"""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# Seconds by mark; an unmarked test has the `timeout` of pyproject.toml.
TIMEOUTS = {"e2e": 300, "slow": 120, "simulation": 120}

settings.register_profile(
    "dev",
    max_examples=50,
    deadline=None,
)
# The same examples every time: a change is not refused for what it did not do.
settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "nightly",
    max_examples=5_000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)


# A shell starts what it puts in the background deaf to Ctrl-C, and that is inherited by the
# processes that are sent one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give marked tests longer; a timeout on the test itself wins."""
    for item in items:
        if item.get_closest_marker("timeout"):
            continue
        longest = max(
            (
                TIMEOUTS[mark.name]
                for mark in item.iter_markers()
                if mark.name in TIMEOUTS
            ),
            default=None,
        )
        if longest is not None:
            item.add_marker(pytest.mark.timeout(longest))
