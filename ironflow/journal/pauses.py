"""Commands by which runs stand still and go on."""

from dataclasses import dataclass

from ironflow.journal.rows import Pause
from ironflow.records import Draft


@dataclass(frozen=True, slots=True)
class RequestPause:
    """Ask a run to stand still. Answer: `Done`; refused with `RunNotFound`.

    One that nobody holds is paused at once (`Pause.reason` is `asked`), with what has
    come for it. The holder of another is asked, by `RunRow.asked`: he begins no step any
    more and pauses it when those under way have ended, or it parks, and then is paused.
    Whoever claims it before that learns of it with the claim.

    What ends a run comes before a pause: nothing changes (`Done(changed=False)`) if a
    cancel or its deadline waits, and both take back what was asked before. Nor does a
    run change that has ended, is paused, or is being asked. Of a chain made by
    continue_as_new it is the last run that is asked.
    """

    run_id: str
    actor: str
    reason: str
    now: int


@dataclass(frozen=True, slots=True)
class PauseRun:
    """The holder gives a run up until somebody resumes it. Answer: `Done`.

    Refused with `LeaseLost` or `RunNotFound`. `inbox_through`: inbox rows that the
    holder has seen. If a cancel or the run's deadline came after them, nothing changes
    and the holder keeps the run (`Done(changed=False)`): an end comes before a pause.
    A pause for `asked` is the one that the row has; nothing changes if nobody asks any
    more. `kept`: outcomes that the run's code could not be shown; they go into the inbox.
    """

    run_id: str
    epoch: int
    pause: Pause
    inbox_through: int = 0
    kept: tuple[Draft, ...] = ()


@dataclass(frozen=True, slots=True)
class ResumeRun:
    """Make a paused run ready again. Answer: `Done`; refused with `RunNotFound`.

    If a pause is only asked for, nobody asks for it any more.
    """

    run_id: str
