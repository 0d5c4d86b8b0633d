"""What is past its retention goes: runs that have ended, then events nobody can want.

So much in a commit, that no other waits long for it. Each commit leaves a whole journal,
and doing it again does nothing.
"""

from itertools import takewhile

from ironflow import limits
from ironflow.journal.base import CLOSED, DeleteEvents, DeleteRuns, Done, RunRow
from ironflow.journal.view import View
from ironflow.policy.retention import KEPT_FOR_EVER, is_past, retention_of


def delete(view: View, command: DeleteRuns | DeleteEvents) -> Done:
    """Forget what is past its retention."""
    if isinstance(command, DeleteRuns):
        return _delete_runs(view, command)
    return _delete_events(view, command)


def _delete_runs(view: View, command: DeleteRuns) -> Done:
    changed = False
    for run_id in command.run_ids:
        row = view.run(run_id)
        if row is not None and _may_go(view, row, command):
            view.drop_run(run_id)
            changed = True
    more = view.drop_records(limit=limits.RETENTION_RECORDS_PER_COMMIT_MAX)
    return Done(changed or more)


def _may_go(view: View, row: RunRow, command: DeleteRuns) -> bool:
    if row.status not in CLOSED:
        return False
    if not command.asked and not _is_past(view, row, command):
        return False
    parent = view.run(row.parent_run) if row.parent_run else None
    return parent is None or parent.status in CLOSED


def _is_past(view: View, row: RunRow, command: DeleteRuns) -> bool:
    function = view.functions().get(row.function_id)  # of an import there may be none
    own_us, default_us = KEPT_FOR_EVER, KEPT_FOR_EVER
    if function is not None:
        own_us, default_us = function.retention_us, command.default_us
    retention_us = retention_of(own_us, default_us=default_us)
    return is_past(row.ended_at, retention_us=retention_us, now=command.now)


def _delete_events(view: View, command: DeleteEvents) -> Done:
    log = view.log()
    # Who opens the journal knows from the last event how long the log is.
    last = min(command.through, log.length - 1)
    if log.delivery is not None:
        last = min(last, log.delivery.position - 1)
    page = view.oldest_events(limit=limits.RETENTION_EVENTS_PER_COMMIT_MAX)
    old = [
        *takewhile(
            lambda each: (
                each.position <= last and each.event.timestamp < command.before
            ),
            page,
        )
    ]
    if old:
        view.drop_events(old)
    return Done(bool(old))
