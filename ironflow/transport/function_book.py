"""The functions of a server: those of its own app, and those registered over the wire."""

from collections.abc import Callable, Sequence
from typing import final

import msgspec

from ironflow.engine.clock import Clock
from ironflow.errors import FunctionNotFound, MisusedOperation
from ironflow.journal.base import FunctionRow, Refused, RegisterFunctions
from ironflow.journal.served import ServedJournal
from ironflow.transport.registry import check_host, config_of, row_of
from ironflow.wire.functions import FunctionConfig, Standing, registered


@final
class FunctionBook:
    """The registry of a journal; who hosts functions of others is in `registered`."""

    def __init__(self, journal: ServedJournal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self.registered: list[Callable[[FunctionRow], None]] = []  # told of new ones

    async def all(self) -> Sequence[FunctionRow]:
        """Return the registry, by id."""
        return await self._journal.functions()

    async def get(self, function_id: str) -> FunctionRow:
        """Return a function of the registry.

        Raises:
            FunctionNotFound: there is none with this id.
        """
        for row in await self._journal.functions():
            if row.id == function_id:
                return row
        raise FunctionNotFound(
            f"there is no function {function_id[:80]!r} in environment"
            f" {self._journal.environment!r}; an app or a worker that has it makes it known"
        )

    async def register(self, config: FunctionConfig) -> FunctionRow:
        """Make a function known whose code lives elsewhere; return its row.

        Whoever hosts such functions is told (`registered`) before this returns. One that
        was archived begins anew.

        Raises:
            ConfigurationError: the server's own app has one of this id.
        """
        known = {row.id: row for row in await self._journal.functions()}.get(config.id)
        check_host(known, config)
        before = config_of(known) if known else None
        if before is not None and before.status == "archived":
            before = None
        return await self._keep(registered(config, before, now=self._clock.now()))

    async def set_standing(self, function_id: str, status: Standing) -> FunctionRow:
        """Let events start a function or not; its runs go on in either case.

        Raises:
            FunctionNotFound: there is none with this id.
            MisusedOperation: it is one of the server's own app.
        """
        config = config_of(await self.get(function_id))
        if config is None:
            raise MisusedOperation(
                f"function {function_id!r} is hosted by the server itself, in its app;"
                " take it out of the app, or change its triggers there"
            )
        changed = msgspec.structs.replace(
            config,
            status=status,
            revision=config.revision + (status != config.status),
            updated_at=self._clock.now(),
        )
        return await self._keep(changed)

    async def _keep(self, config: FunctionConfig) -> FunctionRow:
        """Write a function into the registry, and tell its host."""
        row, now = row_of(config), self._clock.now()
        [answer] = await self._journal.commit([RegisterFunctions((row,), now)])
        if isinstance(answer, Refused):
            raise answer.error
        for tell in self.registered:
            tell(row)
        return row
