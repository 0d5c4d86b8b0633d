"""Amend a run from outside: a retry, a corrected result.

An amendment is a record that is appended while nobody holds the run
(`journal/apply_amendments.py` says what makes sense). Whoever carries the run on next
reads its history anew.
"""

from typing import Final

from ironflow import codec
from ironflow.engine.runtime import Runtime
from ironflow.errors import Conflict, IronflowError
from ironflow.journal.base import AppendRecords, Refused
from ironflow.records import Draft

_TRIES: Final = 8  # others may append between the look and the append


async def amend(runtime: Runtime, run_id: str, length: int, draft: Draft) -> None:
    """Append an amendment to a run that had `length` records a moment ago.

    Raises:
        LeaseLost: the run is being carried on; amend it while it waits or is paused.
        MisusedOperation: the amendment makes no sense here; the message says why.
    """
    error: IronflowError | None = None
    for _ in range(_TRIES):
        tail = await runtime.journal.history(run_id, after=length - 1)
        last = tail[-1]
        length += len(tail) - 1
        entry, header = codec.seal(
            draft,
            sequence=length + 1,
            recorded_at=max(runtime.clock.now(), last.record.recorded_at),
            previous=last.digest,
        )
        command = AppendRecords(run_id, 0, length, (entry,), (header,))
        [answer] = await runtime.commit((command,))
        if not isinstance(answer, Refused):
            return
        error = answer.error
        if not isinstance(error, Conflict):
            raise error
    assert error is not None
    raise error
