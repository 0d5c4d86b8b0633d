"""What ironflow's own tests use, shipped for yours.

Names are imported when they are first asked for: the pytest plugin is in this package,
and pytest loads it also where no test uses ironflow. `__init__.pyi` lists them too.
"""

from importlib import import_module

# Where each public name is defined.
_HOMES = {
    "JOURNAL_CHECKS": "ironflow.testing.checks",
    "HOST_CHECKS": "ironflow.testing.host_checks",
    "OUTCOME_CHECKS": "ironflow.testing.host_checks",
    "Harness": "ironflow.testing.harness",
    "HarnessRun": "ironflow.testing.harness_runs",
    "RunNotEnded": "ironflow.testing.harness_runs",
    "Step": "ironflow.testing.harness_runs",
    "VirtualClock": "ironflow.testing.virtual_clock",
    "check_host": "ironflow.testing.host_checks",
    "check_journal": "ironflow.testing.checks",
    "open_harness": "ironflow.testing.harness",
}

# Static readers have the stub; a second list here could only disagree with it.
__all__ = list(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'ironflow.testing' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value  # the next time Python finds it without asking
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
