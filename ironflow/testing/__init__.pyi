# The public names of ironflow.testing, as type checkers and editors see them.

from ironflow.testing.checks import JOURNAL_CHECKS as JOURNAL_CHECKS
from ironflow.testing.checks import check_journal as check_journal
from ironflow.testing.harness import Harness as Harness
from ironflow.testing.harness import open_harness as open_harness
from ironflow.testing.harness_runs import HarnessRun as HarnessRun
from ironflow.testing.harness_runs import RunNotEnded as RunNotEnded
from ironflow.testing.harness_runs import Step as Step
from ironflow.testing.host_checks import HOST_CHECKS as HOST_CHECKS
from ironflow.testing.host_checks import OUTCOME_CHECKS as OUTCOME_CHECKS
from ironflow.testing.host_checks import check_host as check_host
from ironflow.testing.virtual_clock import VirtualClock as VirtualClock

__all__ = [
    "HOST_CHECKS",
    "JOURNAL_CHECKS",
    "OUTCOME_CHECKS",
    "Harness",
    "HarnessRun",
    "RunNotEnded",
    "Step",
    "VirtualClock",
    "check_host",
    "check_journal",
    "open_harness",
]
