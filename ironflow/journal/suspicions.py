"""Commands about claims that may have ended with their process, or with their worker."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CountClaims:
    """Count claims, by run id and epoch, whose runs may have ended a process before.

    Whoever claimed them says so before it carries them on. Answer: `Counted`. A run that
    recorded nothing in `limits.POISON_CLAIMS_MAX` counted claims is paused as
    `poison` instead. Claims that have ended are passed over.

    A server counts the claims of a worker, `lost`, as soon as it is lost, and says
    `why`: the rows of the runs keep both.
    """

    claims: tuple[tuple[str, int], ...]
    now: int
    lost: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class ForgiveClaims:
    """Take back the count of these claims: the process ends in order. Answer: `Done`."""

    claims: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class NoteLost:
    """The worker that was at the runs of these claims was lost. Answer: `Done`.

    The rows of the runs say so, and `why`; nothing is counted. Claims that have ended are
    passed over.
    """

    claims: tuple[tuple[str, int], ...]
    now: int
    worker: str
    why: str


@dataclass(frozen=True, slots=True)
class NoteWorker:
    """This worker carries on, under these claims, what another lost. Answer: `Done`.

    The rows of the runs keep its name, also where nobody holds the run any more. Runs that are
    gone, or that are held under another claim, are passed over.
    """

    claims: tuple[tuple[str, int], ...]
    worker: str
