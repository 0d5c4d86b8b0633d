"""What ironflow's own tests use, shipped for yours."""

from ironflow.testing.checks import JOURNAL_CHECKS, check_journal

__all__ = ["JOURNAL_CHECKS", "check_journal"]
