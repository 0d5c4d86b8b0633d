"""What a view in PostgreSQL stands on: answers of the database, and what is changed.

It does not wait. A read whose answer is not there raises `Wanted`; whoever decides
asks for it, with whatever else is wanted, and begins again: `apply` is pure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from ironflow.journal.base import Delivery, FunctionRow, Hint
from ironflow.journal.postgres import questions as ask
from ironflow.journal.postgres.changes import Changes
from ironflow.journal.postgres.questions import Answers, Question

# Numbers of inbox rows and places in the queue begin with the commit's: they grow
# without a counter to be stored.
NUMBERS_PER_COMMIT: Final = 1 << 24

ABSENT: Final = ask.Run()


@final
@dataclass(frozen=True, slots=True)
class Head:
    """What the last commit left: its number, and what every commit must know."""

    number: int
    events: int
    registry: int
    delivery: Delivery | None
    others: int = 0  # nodes beside this one


@final
class Wanted(Exception):
    """`apply` needs answers to these questions: not an error, it begins again."""

    def __init__(self, *questions: Question) -> None:
        super().__init__(questions)
        self.questions: Final = questions


class Tables:
    """What both halves of the view stand on.

    `lengths`: of the histories that grow. `uses_head`: what is decided rests on the last
    commit, by its number or by its events.
    """

    def __init__(
        self,
        head: Head,
        functions: Mapping[str, FunctionRow],
        answers: Answers,
        *,
        more: Callable[[Sequence[Question]], None] | None = None,
    ) -> None:
        self.hint = Hint()
        self.changes: Final = Changes()
        self.lengths: Final[dict[bytes, int]] = {}
        self.uses_head = False
        self._last: Final = head
        self._functions = functions
        self._answers: Final = answers
        self._more: Final = more
        self._numbers = 0
        # What was looked at last: questions about it are asked together.
        self._offered: list[bytes] = []
        self._page: list[int] = []
        self._created: Final[set[bytes]] = set()
        self._deleted: Final[set[bytes]] = set()

    @property
    def _head(self) -> Head:
        """The last commit; whoever asks rests on nobody having made another."""
        self.uses_head = True
        return self._last

    def _want(self, *questions: Question) -> None:
        """Get these answers now, if this thread may wait for them."""
        if self._more is None:
            raise Wanted(*questions)
        self._more(questions)

    def _stored(self, run: bytes) -> ask.Run:
        """What is stored of a run."""
        if run in self._created:
            return ABSENT
        found = self._answers.runs.get(ask.RunOf(run))
        if found is None:
            self._want(ask.RunOf(run))
            found = self._answers.runs[ask.RunOf(run)]
        return found

    def _number(self) -> int:
        """Return a number higher than any before."""
        self._numbers += 1
        assert self._numbers < NUMBERS_PER_COMMIT
        return (self._head.number + 1) * NUMBERS_PER_COMMIT + self._numbers
