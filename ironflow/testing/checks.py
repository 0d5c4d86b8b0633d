"""The specification of a journal in code: whoever stores runs passes all of this.

A check is a function of `open_journal`, which opens the same store each time it
is called; closing and opening is a restart. A failed check raises an
AssertionError that says what was expected.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from ironflow.testing.checks_amendments import AMENDMENT_CHECKS
from ironflow.testing.checks_attributes import ATTRIBUTE_CHECKS
from ironflow.testing.checks_children import CHILD_CHECKS
from ironflow.testing.checks_claims import CLAIM_CHECKS
from ironflow.testing.checks_crowds import CROWD_CHECKS
from ironflow.testing.checks_documents import DOCUMENT_CHECKS
from ironflow.testing.checks_event_lists import EVENT_LIST_CHECKS
from ironflow.testing.checks_events import EVENT_CHECKS
from ironflow.testing.checks_histories import HISTORY_CHECKS
from ironflow.testing.checks_imports import IMPORT_CHECKS
from ironflow.testing.checks_lanes import LANE_CHECKS
from ironflow.testing.checks_late_imports import LATE_IMPORT_CHECKS
from ironflow.testing.checks_lists import LIST_CHECKS
from ironflow.testing.checks_look_back import LOOK_BACK_CHECKS
from ironflow.testing.checks_pauses import PAUSE_CHECKS
from ironflow.testing.checks_redactions import REDACTION_CHECKS
from ironflow.testing.checks_retention import RETENTION_CHECKS
from ironflow.testing.checks_rewinds import REWIND_CHECKS
from ironflow.testing.checks_runs import RUN_CHECKS
from ironflow.testing.checks_scene import OpenJournal
from ironflow.testing.checks_timers import TIMER_CHECKS
from ironflow.testing.checks_waits import WAIT_CHECKS

JournalCheck = Callable[[OpenJournal], Awaitable[None]]

JOURNAL_CHECKS: Final[tuple[JournalCheck, ...]] = (
    *EVENT_CHECKS,
    *HISTORY_CHECKS,
    *WAIT_CHECKS,
    *LOOK_BACK_CHECKS,
    *TIMER_CHECKS,
    *RUN_CHECKS,
    *PAUSE_CHECKS,
    *LIST_CHECKS,
    *ATTRIBUTE_CHECKS,
    *LANE_CHECKS,
    *CLAIM_CHECKS,
    *AMENDMENT_CHECKS,
    *REWIND_CHECKS,
    *CHILD_CHECKS,
    *IMPORT_CHECKS,
    *RETENTION_CHECKS,
    *LATE_IMPORT_CHECKS,
    *REDACTION_CHECKS,
    *DOCUMENT_CHECKS,
    *EVENT_LIST_CHECKS,
    # Last: where checks share a store, nobody has to carry their thousands of runs.
    *CROWD_CHECKS,
)


async def check_journal(open_journal: OpenJournal) -> None:
    """Hold a store to every promise of `Journal`.

    Begin with an empty store. The checks use names and ids of their own, so they
    can share it; but not twice.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    for check in JOURNAL_CHECKS:
        await check(open_journal)
