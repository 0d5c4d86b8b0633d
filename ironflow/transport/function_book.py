"""The functions of a server: those of its own app, and those registered over the wire.

What a function of the wire was before is kept, as versions in a document of the journal.
A version is stored in the commit that makes it, if it is the next one: of two servers that
change a function at once, one begins again with what the other has made.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

import trio
from msgspec.structs import replace

from ironflow import limits
from ironflow.engine.clock import Clock
from ironflow.errors import FunctionNotFound, MisusedOperation, RevisionConflict
from ironflow.journal.base import (
    FunctionRow,
    JournalCommand,
    PutDocument,
    Refused,
    RegisterFunctions,
)
from ironflow.journal.served import ServedJournal
from ironflow.transport.registry import SEGMENTS, check_host, config_of, row_of
from ironflow.wire import function_history
from ironflow.wire.function_history import KIND, FunctionVersion, Versions
from ironflow.wire.functions import FunctionConfig, Standing, registered

_TRIES: Final = 10  # when others change the same function at the same time


@dataclass(frozen=True, slots=True)
class Registered:
    """A function as it is kept now; `is_new`: there was none, or it was archived."""

    row: FunctionRow
    is_new: bool


@final
@dataclass(frozen=True, slots=True)
class _Known:
    """What the journal has of a function: its row, its versions and their revision."""

    row: FunctionRow | None
    versions: Versions
    revision: int

    @property
    def config(self) -> FunctionConfig | None:
        """What the function is now, None for one that nobody registered."""
        return self.versions[-1].config if self.versions else None


Change = Callable[[_Known], FunctionVersion | None]
"""What a function becomes; None: what it is. Raises if it may not be changed so."""


@final
class FunctionBook:
    """The registry of a journal; who hosts functions of others is in `registered`."""

    def __init__(self, journal: ServedJournal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._changing: Final = trio.Lock()
        self.registered: list[Callable[[FunctionRow], None]] = []  # told of new ones

    async def all(self) -> Sequence[FunctionRow]:
        """Return the registry, by id."""
        return await self._journal.functions()

    async def get(self, function_id: str) -> FunctionRow:
        """Return a function of the registry.

        Raises:
            FunctionNotFound: there is none with this id.
        """
        row = await self._row(function_id)
        if row is None:
            raise FunctionNotFound(
                f"there is no function {function_id[:80]!r} in environment"
                f" {self._journal.environment!r}; an app or a worker that has it makes"
                " it known"
            )
        return row

    async def versions(self, function_id: str) -> Versions:
        """Return the versions of a function that are kept, oldest first.

        There are none of one whose code this server, or a worker of ours, has: it is what
        its code says.

        Raises:
            FunctionNotFound: there is none with this id.
        """
        row = await self.get(function_id)
        if row.rules != SEGMENTS:
            return ()
        return (await self._known(function_id)).versions

    async def version(self, function_id: str, number: int) -> FunctionVersion:
        """Return one version of a function.

        Raises:
            FunctionNotFound: there is none with this id, or the version is not kept.
        """
        found = await self.versions(function_id)
        if not found:
            raise FunctionNotFound(
                f"function {function_id!r} has no versions: it is what its code says"
            )
        return function_history.numbered(found, number)

    async def register(self, config: FunctionConfig, *, actor: str = "") -> Registered:
        """Make a function known whose code lives elsewhere.

        Whoever hosts such functions is told (`registered`) before this returns. It is a
        new version if it is another than before; one that was archived begins anew.

        Raises:
            ConfigurationError: the server's own app has one of this id, or it is too large.
        """
        is_new = False

        def change(known: _Known) -> FunctionVersion | None:
            nonlocal is_new
            check_host(known.row, config)
            before, now = known.config, self._clock.now()
            is_new = before is None or before.status == "archived"
            after = registered(config, before, now=now)
            if after == before:
                return None
            return FunctionVersion(
                config=after, reason=config.change_reason, actor=actor, at=now
            )

        row = await self._change(config.id, change)
        return Registered(row, is_new)

    async def set_standing(
        self, function_id: str, status: Standing, *, actor: str = ""
    ) -> FunctionRow:
        """Let events start a function or not; its runs go on in either case.

        Raises:
            FunctionNotFound: there is none with this id.
            MisusedOperation: its code is the server's, or that of a worker of ours.
        """

        def change(known: _Known) -> FunctionVersion | None:
            config, now = _changeable(known, function_id), self._clock.now()
            if config.status == status:
                return None
            return FunctionVersion(
                config=replace(
                    config,
                    status=status,
                    revision=config.revision + 1,
                    updated_at=now,
                    change_reason="",
                ),
                change="delete" if status == "archived" else "status_change",
                actor=actor,
                at=now,
            )

        await self.get(function_id)
        return await self._change(function_id, change)

    async def roll_back(
        self, function_id: str, number: int, *, reason: str = "", actor: str = ""
    ) -> FunctionRow:
        """Make a function what it was in an earlier version, as a new one.

        It is paused or not as it is now. A worker that registers what it has, at its next
        start, makes another version of it.

        Raises:
            FunctionNotFound: there is none with this id, or the version is not kept.
            MisusedOperation: it is archived; or its code is the server's, or that of a
                worker of ours.
        """

        def change(known: _Known) -> FunctionVersion | None:
            config, now = _changeable(known, function_id), self._clock.now()
            if config.status == "archived":
                raise MisusedOperation(
                    f"function {function_id!r} was deleted; register it again"
                )
            if number == config.revision:
                return None
            found = function_history.numbered(known.versions, number)
            return FunctionVersion(
                config=replace(
                    found.config,
                    status=config.status,
                    revision=config.revision + 1,
                    created_at=config.created_at,
                    updated_at=now,
                    change_reason=reason,
                ),
                change="rollback",
                reason=reason,
                actor=actor,
                at=now,
            )

        await self.get(function_id)
        return await self._change(function_id, change)

    # --- inside -------------------------------------------------------------------------

    async def _row(self, function_id: str) -> FunctionRow | None:
        for row in await self._journal.functions():
            if row.id == function_id:
                return row
        return None

    async def _known(self, function_id: str) -> _Known:
        row = await self._row(function_id)
        found = await self._journal.document(KIND, _document_id(function_id))
        versions = () if found is None else function_history.from_bytes(found.data)
        is_ours = row is None or row.rules != SEGMENTS
        kept = None if row is None or is_ours else config_of(row)
        return _Known(
            row,
            function_history.standing(versions, kept, now=self._clock.now()),
            0 if found is None else found.revision,
        )

    async def _change(self, function_id: str, change: Change) -> FunctionRow:
        """Change a function, and tell its host; return it as it is then."""
        async with self._changing:
            row = await self._changed(function_id, change, tries=_TRIES)
        for tell in self.registered:
            tell(row)
        return row

    async def _changed(
        self, function_id: str, change: Change, *, tries: int
    ) -> FunctionRow:
        try:
            return await self._stored(function_id, change)
        except RevisionConflict:  # another server has changed it meanwhile
            if tries <= 1:
                raise
        return await self._changed(function_id, change, tries=tries - 1)

    async def _stored(self, function_id: str, change: Change) -> FunctionRow:
        """Store what a function becomes.

        Raises:
            RevisionConflict: it was changed in between.
        """
        known = await self._known(function_id)
        version = change(known)
        if version is None:
            assert known.config is not None
            return await self._registered(row_of(known.config), known)
        row, now = row_of(version.config), self._clock.now()
        data = function_history.to_bytes((*known.versions, version))
        put = PutDocument(KIND, _document_id(function_id), data, now, known.revision)
        await self._commit(put, RegisterFunctions((row,), now))
        return row

    async def _registered(self, row: FunctionRow, known: _Known) -> FunctionRow:
        """Write the row of a function that stays what it is, if it has another one."""
        if row != known.row:
            await self._commit(RegisterFunctions((row,), self._clock.now()))
        return row

    async def _commit(self, *commands: JournalCommand) -> None:
        for answer in await self._journal.commit(commands):
            if isinstance(answer, Refused):
                raise answer.error


def _changeable(known: _Known, function_id: str) -> FunctionConfig:
    """Return what a function is that clients may change.

    Raises:
        MisusedOperation: it is what its code says.
    """
    if known.config is None or known.row is None or known.row.rules != SEGMENTS:
        raise MisusedOperation(
            f"the code of function {function_id!r} says what it is, in the app of this"
            " server or of a worker; take it out of the app, or change its triggers there"
        )
    return known.config


def _document_id(function_id: str) -> str:
    """Return the id of the document that has the versions of a function."""
    data = function_id.encode("utf-8", "surrogatepass")
    if len(data) <= limits.DOCUMENT_ID_BYTES_MAX:
        return function_id
    return "sha256:" + hashlib.sha256(data).hexdigest()
