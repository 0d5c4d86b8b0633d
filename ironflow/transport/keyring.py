"""The API keys of a journal: they are documents in it, and few."""

import secrets
from collections.abc import Sequence
from typing import Final, final

from ironflow import limits
from ironflow.engine.clock import Clock
from ironflow.errors import ConfigurationError
from ironflow.journal.base import (
    DeleteDocument,
    DocumentRow,
    JournalCommand,
    PutDocument,
    Refused,
)
from ironflow.journal.served import ServedJournal
from ironflow.wire import keys
from ironflow.wire.keys import ApiKey

_FIRST: Final = "first key"


@final
class Keyring:
    """The API keys of a journal.

    What was read is remembered for `KEYS_KNOWN_US_MAX`: so long a key that another process
    has revoked may still be taken. A change through this object is seen at once.
    """

    def __init__(self, journal: ServedJournal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._by_hash: dict[str, ApiKey] = {}
        self._read_at: int | None = None

    @property
    def environment(self) -> str:
        """The environment that the journal is open in."""
        return self._journal.environment

    def now(self) -> int:
        """Return the time, in microseconds."""
        return self._clock.now()

    async def find(self, text: str) -> ApiKey | None:
        """Return the key that this is the text of, also if it has expired."""
        if not keys.is_text(text):
            return None
        age = None if self._read_at is None else self._clock.now() - self._read_at
        if age is None or not 0 <= age < limits.KEYS_KNOWN_US_MAX:
            await self.all()
        found = self._by_hash.get(keys.hashed(text))
        return found if found is not None and keys.fits(found, text) else None

    async def all(self) -> list[ApiKey]:
        """Return all keys, in the order of their ids."""
        rows: list[DocumentRow] = []
        while True:
            page = await self._journal.documents(
                keys.KIND,
                after=rows[-1].id if rows else "",
                limit=limits.PAGE_DOCUMENTS_MAX,
            )
            rows.extend(page)
            if len(page) < limits.PAGE_DOCUMENTS_MAX:
                break
        found = [keys.from_bytes(row.data) for row in rows]
        self._by_hash = {each.sha256: each for each in found}
        self._read_at = self._clock.now()
        return found

    async def get(self, key_id: str) -> ApiKey | None:
        """Return a key by its id, or None."""
        if not keys.is_id(key_id):
            return None
        row = await self._journal.document(keys.KIND, key_id)
        return None if row is None else keys.from_bytes(row.data)

    async def create(
        self,
        *,
        name: str,
        roles: Sequence[str],
        environment: str = "",
        lasts_us: int = 0,
    ) -> tuple[ApiKey, str]:
        """Store a new key; return it with its text, which nobody can read again.

        Raises:
            ConfigurationError: a name or role is none, or there are too many keys.
        """
        if len(await self.all()) >= limits.KEYS_MAX:
            raise ConfigurationError(
                f"there are {limits.KEYS_MAX} API keys, which is the most; revoke some"
            )
        text = keys.text_of(secrets.token_bytes(keys.ENTROPY_BYTES))
        key = keys.created(
            text,
            name=name,
            roles=tuple(roles),
            now=self._clock.now(),
            environment=environment,
            lasts_us=lasts_us,
        )
        await self._put(key, expected_revision=0)
        return key, text

    async def first(self) -> str | None:
        """Return the text of a new key for an administrator, if there is no key at all."""
        if await self.all():
            return None
        _, text = await self.create(name=_FIRST, roles=["admin"])
        return text

    async def rotate(self, key_id: str) -> tuple[ApiKey, str] | None:
        """Give a key another text; None if there is none with this id.

        The text before is worth nothing from now on.
        """
        before = await self.get(key_id)
        if before is None:
            return None
        text = keys.text_of(secrets.token_bytes(keys.ENTROPY_BYTES))
        key = keys.rotated(before, text, now=self._clock.now())
        await self._put(key)
        return key, text

    async def set_roles(self, key_id: str, roles: Sequence[str]) -> ApiKey | None:
        """Give a key other roles; None if there is none with this id.

        Raises:
            ConfigurationError: a role is none, or there is none.
        """
        before = await self.get(key_id)
        if before is None:
            return None
        key = keys.with_roles(before, tuple(roles))
        await self._put(key)
        return key

    async def revoke(self, key_id: str) -> bool:
        """Forget a key; False if there is none with this id."""
        key = await self.get(key_id)
        if key is None:
            return False
        await self._commit(DeleteDocument(keys.KIND, key.id, self._clock.now()))
        return True

    async def _put(self, key: ApiKey, *, expected_revision: int | None = None) -> None:
        await self._commit(
            PutDocument(
                keys.KIND, key.id, key.to_bytes(), self._clock.now(), expected_revision
            )
        )

    async def _commit(self, command: JournalCommand) -> None:
        [answer] = await self._journal.commit((command,))
        if isinstance(answer, Refused):
            raise answer.error
        self._read_at = None
