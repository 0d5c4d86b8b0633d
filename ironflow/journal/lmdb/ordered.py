"""Rows of a damaged table, in their order or not at all.

A damaged page may name an earlier one as the next, and a scan would never end.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from ironflow.errors import JournalDamaged
from ironflow.journal.lmdb.chain import Row
from ironflow.journal.lmdb.reading import Source

_PAGE: Final = 500


def ordered(found: Iterable[Row], *, start: bytes) -> Iterator[Row]:
    """Yield rows from `start` on as long as each key is behind the one before.

    Raises:
        JournalDamaged: one is not.
    """
    lowest = start
    for row in found:
        if row[0] < lowest:
            raise JournalDamaged(
                "the rows of a table are not in order: a page is wrong"
            )
        lowest = row[0] + b"\0"
        yield row


def scan(source: Source, table: str, prefix: bytes) -> Iterator[list[Row]]:
    """Yield the rows of a table by the page, each of a snapshot of its own.

    Raises:
        JournalDamaged: they are not in order; what lies before was yielded.
    """
    start = prefix
    while True:
        page: list[Row] = []
        wrong: JournalDamaged | None = None
        with source.snapshot() as snapshot:
            found = ordered(snapshot.scan(table, prefix, start=start), start=start)
            try:
                page.extend(islice(found, _PAGE))
            except JournalDamaged as error:
                wrong = error
        if page:
            yield page
        if wrong is not None:
            raise wrong
        if len(page) < _PAGE:
            return
        start = page[-1][0] + b"\0"
