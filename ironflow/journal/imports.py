"""Commands by which a journal takes over what another one has recorded."""

from dataclasses import dataclass

from ironflow.journal.rows import InboxRow, RunRow, StoredEvent, TimerRow
from ironflow.records import Entry


@dataclass(frozen=True, slots=True)
class ImportRun:
    """Take a run over from another journal, with its history. Answer: `Done`.

    Refused with `RunExists`, or with `JournalDamaged` if row and records do not make a
    run. `headers` are the encoded headers, as they were stored; the digests of the
    entries are made anew, because a chain starts from the environment. Nothing is told
    to anybody, but a parent that is here learns how the run has ended, and the run how
    its children have that are here.

    A run that has not ended is paused for `import`; with `resume` it stands as it did,
    ready if it was open. Its sleeps and waits have their rows again when it is loaded
    (`AppendRecords.awaited`); of `timers` the others are taken, `inbox` all, under new
    numbers. `position` is its event's place in the log of this journal, and so are
    those in `inbox` and `consumed`; None: at its end, and then nothing was consumed.
    """

    row: RunRow
    entries: tuple[Entry, ...]
    headers: tuple[bytes, ...]
    inbox: tuple[InboxRow, ...]
    timers: tuple[TimerRow, ...]
    now: int
    position: int | None = None
    consumed: tuple[int, ...] = ()
    resume: bool = False


@dataclass(frozen=True, slots=True)
class ImportEvents:
    """Store events of another journal, each with the runs it started. Answer: `Done`.

    They start nothing here; waits are offered them like any event. Their positions are
    those that they had: refused with `Conflict` if the log does not end before the
    first, and with `EventConflict` if an idempotency key was used before. A log that has
    never had an event begins at the first, as if those before it had been deleted.
    """

    events: tuple[StoredEvent, ...]
