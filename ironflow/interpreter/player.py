"""What an engine needs of whatever carries a run on: drafts in, moves out.

`Session` plays the code of a function; a program may bring a player of its own, whose
code lives elsewhere and goes by other rules (`records.RunStarted.rules`).
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ironflow.interpreter.turn import (
    LogLine,
    PerformStep,
    StopChild,
    StopStep,
    TurnState,
)
from ironflow.records import Draft, Entry, Record


class Move(msgspec.Struct, frozen=True):
    """What to append, and what to do once it is durable.

    `length_before` is the history's length without `entries`. `taken` drafts are
    dealt with; the others must be absorbed again. `more`: the move was cut at its
    bound, absorb nothing to go on. The entries of a `broken` move hold like others:
    what has happened is on record before the run is paused.
    """

    state: TurnState
    length_before: int
    entries: tuple[Entry, ...] = ()
    headers: tuple[bytes, ...] = ()
    perform: tuple[PerformStep, ...] = ()
    stops: tuple[StopStep | StopChild, ...] = ()
    abandoned: tuple[str, ...] = ()
    logs: tuple[LogLine, ...] = ()
    taken: int = 0
    more: bool = False
    bug: Exception | None = None


class Player(Protocol):
    """One run, held by one host. After a `broken` move it can only be closed.

    `length` counts the records of its history. `loaded` is how many of them were
    durable when it was loaded: steps started at or before this were started by a host
    that is gone.
    """

    run_id: str
    length: int
    loaded: int

    def load(self, entries: Sequence[Entry], *, more: bool = False) -> bool:
        """Take the durable history; call `absorb((), now)` next.

        A long one may come in pages, all but the last with `more`. False: nothing was
        taken, and a new player has to be given the whole.
        """
        ...

    def absorb(self, drafts: Sequence[Draft], now: int) -> Move:
        """Seal what has happened and what is asked because of it.

        Drafts that no longer name anything open are dropped. `now` is in microseconds.
        """
        ...

    def end_broken(self, request: Draft, bug: Exception | None, now: int) -> Move:
        """End a run whose code is broken, by a cancel or the deadline of the run."""
        ...

    def awaited(self) -> tuple[Record, ...]:
        """Return the sleeps and waits that were loaded and are still waited for."""
        ...

    @property
    def is_rewound(self) -> bool:
        """Say whether results that a rewind has set free may be used again."""
        ...

    def reusable(self, perform: PerformStep) -> Draft | None:
        """Return the outcome that a rewound history holds for this very step."""
        ...

    def may_have_begun(self, step: str) -> bool:
        """Say whether a host before this one may have begun a step that is open."""
        ...

    def close(self) -> bool:
        """Drop the run's code; say whether it let itself be closed."""
        ...
