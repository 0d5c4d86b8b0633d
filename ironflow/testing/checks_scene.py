"""What the checks of a journal share: a scene of its own names, and a holder.

A scene's names begin with its word, so that checks can share a store.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, TypeVar, cast, final

import msgspec

from ironflow import codec, ids
from ironflow.errors import IronflowError
from ironflow.journal.base import (
    Answer,
    Appended,
    AppendRecords,
    Claim,
    Done,
    EmitEvents,
    Emitted,
    FunctionRow,
    Journal,
    JournalCommand,
    Receipt,
    Refused,
    RegisterFunctions,
    RunSummary,
    TimerRow,
)
from ironflow.records import Draft, Entry, EventData, Record

OpenJournal = Callable[[], AbstractAsyncContextManager[Journal]]
"""Opens the same store each time it is called: closing and opening is a restart."""

Found = TypeVar("Found")

START_US: Final = 1_700_000_000_000_000
SECOND_US: Final = 1_000_000
ALL: Final = 1_000


def expect(found: object, wanted: object, *, what: str) -> None:
    """Fail unless both are equal; `what` says which promise they are about.

    Any sequence equals a list of the same members.
    """
    if isinstance(wanted, list) and isinstance(found, Sequence):
        found = list(cast("Sequence[object]", found))
    require(found == wanted, what=f"{what}: expected {wanted!r}, found {found!r}")


def require(holds: object, *, what: str) -> None:
    """Fail with this sentence unless it holds."""
    if not holds:
        raise AssertionError(what)


def given(answer: object, kind: type[Found], *, what: str) -> Found:
    """Return the answer, or fail if it is not of this kind."""
    fits = isinstance(answer, kind)
    require(fits, what=f"{what}: expected {kind.__name__}, found {answer!r}")
    return cast("Found", answer)


def refused(answer: Answer, error: type[IronflowError], *, what: str) -> None:
    """Fail unless the command was refused with this error."""
    given(given(answer, Refused, what=what).error, error, what=what)


def encoded(value: object) -> bytes:
    """Return a value as a payload."""
    return msgspec.msgpack.encode(value)


@final
class Scene:
    """A journal under check; it is opened, and later opened again, by `open`."""

    def __init__(self, word: str, open_journal: OpenJournal) -> None:
        self.word: Final = word
        self.now = START_US
        self._open_journal: Final = open_journal
        self._journal: Journal | None = None
        self._events = 0

    @property
    def journal(self) -> Journal:
        """The journal, while it is open."""
        assert self._journal is not None
        return self._journal

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Journal]:
        """Open the store; it is closed at the end of the block."""
        async with self._open_journal() as journal:
            self._journal = journal
            yield journal
            self._journal = None

    def name(self, word: str) -> str:
        """Return a name that no other scene has."""
        return f"{self.word}.{word}"

    def function(
        self,
        word: str,
        *triggers: str,
        version: str = "v1",
        run_timeout_us: int = 0,
        start_timeout_us: int = 0,
    ) -> FunctionRow:
        """Return a function of this scene; the triggers are its own names too."""
        return FunctionRow(
            id=self.name(word),
            version=version,
            triggers=tuple(self.name(trigger) for trigger in triggers),
            run_timeout_us=run_timeout_us,
            start_timeout_us=start_timeout_us,
        )

    def event(self, word: str, data: object = None, *, key: str = "") -> EventData:
        """Return an event with an id of its own, a millisecond after the last."""
        self._events += 1
        self.now += 1_000
        value = ids.derived(self.now, self.word, str(self._events))
        return EventData(
            id=ids.event_id(value),
            name=self.name(word),
            data=msgspec.Raw(encoded(data)),
            idempotency_key=key,
        )

    async def commit(self, command: JournalCommand) -> Answer:
        """Commit one command; return its answer."""
        [answer] = await self.journal.commit([command])
        return answer

    async def done(self, command: JournalCommand, *, what: str) -> bool:
        """Commit one command; return `Done.changed`."""
        return given(await self.commit(command), Done, what=what).changed

    async def register(self, *functions: FunctionRow) -> None:
        """Make functions known."""
        await self.done(RegisterFunctions(functions, self.now), what="register")

    async def emit(self, *events: EventData) -> Sequence[Receipt]:
        """Emit events in one command; return their receipts."""
        answer = await self.commit(EmitEvents(events, self.now))
        return given(answer, Emitted, what="emit").receipts

    async def claim(self, *words: str, limit: int = ALL) -> Sequence[Claim]:
        """Claim ready runs of functions of this scene."""
        functions = frozenset(self.name(word) for word in words)
        return await self.journal.claim(functions, limit=limit)

    async def hold(self, *words: str) -> "Holder":
        """Claim the one run of these functions that is ready."""
        claims = await self.claim(*words)
        expect(len(claims), 1, what=f"ready runs of {words}")
        return await Holder.of(self, claims[0])

    async def start(self, word: str = "job") -> "Holder":
        """Register a function, start it with an event `<word>.go`, hold the run."""
        await self.register(self.function(word, f"{word}.go"))
        await self.emit(self.event(f"{word}.go"))
        return await self.hold(word)

    async def summary(self, run_id: str) -> RunSummary:
        """Return the summary of a run that must be there."""
        return given(await self.journal.run(run_id), RunSummary, what=f"run {run_id}")

    async def due(self, now: int) -> list[TimerRow]:
        """Return the due timers of this scene's functions, earliest first."""
        timers, _ = await self.journal.due(now, limit=ALL)
        return [
            timer
            for timer in timers
            if (await self.summary(timer.run_id)).row.function_id.startswith(self.word)
        ]


@final
class Holder:
    """Who holds a run: it seals drafts and appends them, as an engine does."""

    def __init__(self, scene: Scene, claim: Claim, digest: bytes) -> None:
        self.scene: Final = scene
        self.claim: Final = claim
        self.run_id: Final = claim.run_id
        self.length = claim.length
        self.inbox = claim.inbox
        self._digest = digest

    @classmethod
    async def of(cls, scene: Scene, claim: Claim) -> "Holder":
        """Read the end of the history of a claimed run."""
        after = claim.length - 1
        [last] = await scene.journal.history(claim.run_id, after=after)
        return cls(scene, claim, last.digest)

    async def reread(self) -> None:
        """Note the end of the history, which others may have written since."""
        self.length = (await self.scene.summary(self.run_id)).length
        after = self.length - 1
        [last] = await self.scene.journal.history(self.run_id, after=after)
        self._digest = last.digest

    def sealed(self, *drafts: Draft) -> tuple[tuple[Entry, ...], tuple[bytes, ...]]:
        """Give drafts their places at the end of the history."""
        self.scene.now += 1_000
        digest, entries, headers = self._digest, list[Entry](), list[bytes]()
        for sequence, draft in enumerate(drafts, self.length + 1):
            entry, header = codec.seal(
                draft,
                sequence=sequence,
                recorded_at=self.scene.now,
                previous=digest,
            )
            digest = entry.digest
            entries.append(entry)
            headers.append(header)
        return tuple(entries), tuple(headers)

    def command(
        self,
        *drafts: Draft,
        park: bool = False,
        abandoned: tuple[str, ...] = (),
        awaited: tuple[Record, ...] = (),
    ) -> AppendRecords:
        """Return the command that moves the inbox and appends the drafts."""
        kept = [row for row in self.inbox if row.draft.record.id not in abandoned]
        entries, headers = self.sealed(*(row.draft for row in kept), *drafts)
        return AppendRecords(
            run_id=self.run_id,
            epoch=self.claim.epoch,
            expected_length=self.length,
            entries=entries,
            headers=headers,
            inbox_through=self.inbox[-1].number if self.inbox else 0,
            park=park,
            abandoned=abandoned,
            awaited=awaited,
        )

    def took(self, command: AppendRecords, answer: Answer) -> Appended:
        """Note what an append came to."""
        appended = given(answer, Appended, what=f"append to run {self.run_id}")
        if command.entries:
            self._digest = command.entries[-1].digest
        self.length = appended.length
        self.inbox = appended.inbox
        return appended

    async def append(
        self,
        *drafts: Draft,
        park: bool = False,
        abandoned: tuple[str, ...] = (),
        awaited: tuple[Record, ...] = (),
    ) -> Appended:
        """Move the inbox into the history, and then the drafts."""
        command = self.command(*drafts, park=park, abandoned=abandoned, awaited=awaited)
        return self.took(command, await self.scene.commit(command))

    async def park(self, *drafts: Draft) -> None:
        """Append drafts and park; fail if something waits in the inbox."""
        appended = await self.append(*drafts, park=True)
        require(appended.parked, what="a run with an empty inbox parks")

    async def woken(self) -> Sequence[Draft]:
        """Claim the parked run again if it was woken; return its inbox, else ()."""
        word = self.claim.function_id.removeprefix(self.scene.word + ".")
        others: list[Claim] = []
        drafts: list[Draft] = []
        while claims := await self.scene.claim(word):
            others += [claim for claim in claims if claim.run_id != self.run_id]
            drafts += [
                row.draft
                for claim in claims
                if claim.run_id == self.run_id
                for row in claim.inbox
            ]
        await self.scene.journal.release(others)
        return drafts
