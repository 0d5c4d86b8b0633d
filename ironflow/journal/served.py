"""What a server needs of a journal beyond what an engine does: documents and lists."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ironflow.journal.base import CountedJournal, DocumentRow


@runtime_checkable
class ServedJournal(CountedJournal, Protocol):
    """A journal that a server can stand on: every store that keeps runs is one."""

    async def documents(
        self, kind: str, *, after: str = "", limit: int = 100
    ) -> Sequence[DocumentRow]:
        """Return documents of a kind with ids after one, in the order of their ids.

        A page has at most `limits.PAGE_DOCUMENTS_MAX`. Ids are in the order of their
        characters' numbers.
        """
        ...

    async def document(self, kind: str, id_: str) -> DocumentRow | None:
        """Return one document, or None."""
        ...
