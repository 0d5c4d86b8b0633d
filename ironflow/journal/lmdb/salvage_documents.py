"""The documents of a damaged journal, as they are, into a new one."""

from collections.abc import Iterator

from ironflow.errors import JournalDamaged
from ironflow.journal.base import DocumentRow, ImportDocuments, Journal, Refused
from ironflow.journal.lmdb import apart, keys, ordered, rows
from ironflow.journal.lmdb.chain import Row
from ironflow.journal.lmdb.reading import Source


async def save_documents(source: Source, prefix: bytes, journal: Journal) -> None:
    """Store every document of an environment whose digest is right; count the others."""
    saved = lost = 0
    try:
        for page in _pages(source, prefix):
            found = [*filter(None, (_opened(prefix, *row) for row in page))]
            await _store(found, journal)
            saved += sum(bool(each.id) for each in found)
            lost += len(page) - len(found)
    except JournalDamaged:
        lost += 1  # at least: there is no next page
    name = journal.environment
    apart.say({"environment": name, "documents": saved, "lost": lost})


def _pages(source: Source, prefix: bytes) -> Iterator[list[Row]]:
    if source.environment.has_table(keys.DOCUMENTS):
        yield from ordered.scan(source, keys.DOCUMENTS, prefix)


def _opened(prefix: bytes, key: bytes, data: bytes) -> DocumentRow | None:
    try:
        row = rows.decode_document(data)
    except JournalDamaged:
        return None
    return row if key == prefix + keys.document(row.kind, row.id) else None


async def _store(found: list[DocumentRow], journal: Journal) -> None:
    for row in found:  # one a commit: each may be as large as one may be
        [answer] = await journal.commit([ImportDocuments((row,))])
        if isinstance(answer, Refused):
            raise answer.error
