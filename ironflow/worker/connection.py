"""One connection of a worker to its server: questions with numbers, and their answers."""

from collections.abc import Sequence
from itertools import count
from typing import Final, NamedTuple, final

import trio

from ironflow.journal.base import Answer
from ironflow.records import Entry
from ironflow.wire.frames import Frame, NotStored, encode
from ironflow.wire.link import Link, LinkClosed


class Page(NamedTuple):
    """Records of a history; `more`: there may be others after them."""

    entries: Sequence[Entry]
    more: bool


Reply = list[Answer] | NotStored | Page


@final
class Question:
    """A frame that was sent and is to be answered; None: the connection was lost."""

    __slots__ = ("_answered", "reply")

    def __init__(self) -> None:
        self.reply: Reply | None = None
        self._answered = trio.Event()

    def answer(self, reply: Reply | None) -> None:
        """Let whoever asked go on."""
        self.reply = reply
        self._answered.set()

    async def wait(self) -> Reply | None:
        """Return the reply when it is there."""
        await self._answered.wait()
        return self.reply


@final
class Connection:
    """A link that was welcomed. Whoever asks over it gets an answer, or learns its end."""

    def __init__(self, link: Link) -> None:
        self._link: Final = link
        self._numbers: Final = count(1)
        self._questions: Final[dict[int, Question]] = {}
        self.is_lost = False

    def number(self) -> int:
        """Return a number for a question that no other has."""
        return next(self._numbers)

    async def ask(self, number: int, frame: Frame) -> Reply | None:
        """Send a question and return its reply; None if the connection was lost."""
        if self.is_lost:
            return None
        question = self._questions[number] = Question()
        try:
            await self.send(frame)
            return await question.wait()
        finally:
            self._questions.pop(number, None)

    async def send(self, frame: Frame) -> None:
        """Send a frame, if the link is still there."""
        try:
            await self._link.send(encode(frame))
        except LinkClosed:
            self.lose()

    def replied(self, number: int, reply: Reply) -> None:
        """Pass a reply on; one that nobody waits for is dropped."""
        question = self._questions.pop(number, None)
        if question is not None:
            question.answer(reply)

    def lose(self) -> None:
        """Tell everybody who waits that no reply will come."""
        self.is_lost = True
        questions = tuple(self._questions.values())
        self._questions.clear()
        for question in questions:
            question.answer(None)
