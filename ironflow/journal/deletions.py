"""Commands by which a journal forgets what is past its retention."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeleteRuns:
    """Forget runs that have ended and are past their function's retention.

    Answer: `Done`; repeat it, also without any runs, while it answers `changed=True`:
    the records of a long run go in several commits. Those that are not past it stay,
    and so does a child whose parent has not ended. A run that is forgotten is there for
    nobody any more, whether its records have gone or not. `asked`: somebody wants these
    runs gone, whatever their function's retention. `default_us` is the retention of
    functions in the registry that have none of their own, 0 for ever.
    """

    run_ids: tuple[str, ...]
    now: int
    asked: bool = False
    default_us: int = 0


@dataclass(frozen=True, slots=True)
class DeleteEvents:
    """Forget events up to position `through`, with their idempotency keys.

    Answer: `Done`; repeat it while it answers `changed=True`. Only the oldest go, those
    with a time before `before`; the last event stays, and so does one that has not been
    offered to all waits. No run that has not ended may have been started before the
    event at `through`: whoever asks has looked at all of them since the log was as long.
    """

    through: int
    before: int
