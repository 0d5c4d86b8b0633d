"""The pure packages are covered to the last branch, or the test run fails.

A pytest plugin, loaded by scripts/test under ``coverage run``. It reports inside pytest
so that pytest's own summary stays the last line. Not pytest-cov: that starts after
pytest has imported ironflow's plugin, and would miss all module-level lines.
"""

import io

import coverage
import pytest

PURE = [
    "ironflow/errors.py",
    "ironflow/limits.py",
    "ironflow/ids.py",
    "ironflow/records.py",
    "ironflow/codec.py",
    "ironflow/values/*",
    "ironflow/policy/*",
    "ironflow/interpreter/*",
    "ironflow/debug/*",
    "ironflow/journal/apply*.py",
    "ironflow/journal/base.py",
    "ironflow/journal/documents.py",
    "ironflow/journal/event_lists.py",
    "ironflow/journal/lists.py",
    "ironflow/journal/markers.py",
    "ironflow/journal/matching.py",
    "ironflow/journal/ready.py",
    "ironflow/journal/redaction_plan.py",
    "ironflow/journal/rows.py",
    "ironflow/journal/view.py",
]
REPORT = pytest.StashKey[str]()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    measured = coverage.Coverage.current()
    if measured is None:
        raise pytest.UsageError("tests.coverage_gate needs `coverage run -m pytest`")
    measured.stop()
    measured.save()
    report = io.StringIO()
    percent = measured.report(include=PURE, file=report)
    if percent < 100 and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    session.config.stash[REPORT] = report.getvalue()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    terminalreporter.section("coverage of the pure packages (100 % is required)")
    terminalreporter.line(config.stash[REPORT])
