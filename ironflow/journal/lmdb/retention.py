"""What goes from the tables when runs and events are past their retention.

A run is gone with its row; a row in `meta` says that its records are still to be
dropped, so many in a commit. A row of the chain of commits goes with the last event
that it tells of: the chain then begins behind it.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Final

from ironflow import codec
from ironflow.errors import JournalDamaged, JournalNewer
from ironflow.journal.lmdb import keys, rows, segments
from ironflow.journal.lmdb.layers import Overlay

# In a commit: each tells of what one checkpoint brought.
CHAIN_ROWS_MAX: Final = 4
CHAIN_BYTES_MAX: Final = 128 * 1024
_RECORD_BYTES: Final = 64  # a page of more bytes counts as one of more records
_RUNS_MAX: Final = 200  # whose records are looked for in one commit


# --- the records of runs that are gone ------------------------------------------------


def drop_records(overlay: Overlay, gone: dict[bytes, None], *, limit: int) -> bool:
    """Drop records of these runs without a row; say whether `limit` was reached.

    Those that have gone whole are taken off. Records that LMDB does not have yet go
    later, when a checkpoint has come.
    """
    for run in list(islice(gone, _RUNS_MAX)):
        if overlay.has_tail(run):
            continue
        limit -= _drop_pages(overlay, run, limit=limit)
        if limit <= 0:
            return True
        overlay.delete(keys.META, keys.GONE_KEY + run)
        del gone[run]
    return False


def _drop_pages(overlay: Overlay, run: bytes, *, limit: int) -> int:
    """Drop pages of a history until so many records have gone; return how many.

    As many as the limit may mean that more are left. Bytes count, too.
    """
    pages: list[tuple[bytes, list[bytes]]] = []
    count = 0
    for key, page in overlay.scan(keys.LOG, run):
        records, named = _read(page)
        pages.append((key, named))
        count += max(1, records, len(page) // _RECORD_BYTES)
        if count >= limit:
            break
    for key, named in pages:
        overlay.delete(keys.LOG, key)
        for digest in named:
            drop_blob(overlay, run, digest)
    return count


def _read(page: bytes) -> tuple[int, list[bytes]]:
    """Count the records of a page that are to go, and name its payloads beside it."""
    try:
        if segments.is_place(page):
            return 1, segments.kept(page)
        entries = codec.decode_page(page)
    except (JournalDamaged, JournalNewer):
        return 1, []  # whatever payloads it names stay
    needing = (each for each in entries if codec.needs_blob(each))
    return len(entries), [each.record.payload_digest for each in needing]


def drop_blob(overlay: Overlay, run: bytes, digest: bytes) -> None:
    """Forget that a run has a payload; drop it if no other run has it."""
    environment = run[: keys.ENVIRONMENT_BYTES]
    blob = environment + digest
    own = blob + run[keys.ENVIRONMENT_BYTES :]
    if overlay.get(keys.BLOBS, own) is None:
        return
    overlay.delete(keys.BLOBS, own)
    first = blob + keys.UNKNOWN_RUN
    if next(overlay.scan(keys.BLOBS, blob, start=first), None) is None:
        overlay.delete(keys.BLOBS, blob)


# --- events -----------------------------------------------------------------------------


def days_left(
    overlay: Overlay, environment: bytes, days: Sequence[bytes]
) -> list[bytes]:
    """Return the days in which idempotency keys were used that are still there."""
    left = list(days)
    while (
        left
        and next(overlay.scan(keys.EVENT_KEYS, environment + left[-1]), None) is None
    ):
        left.pop()
    return left


def drop_commits(overlay: Overlay, environment: int, *, through: int) -> None:
    """Let the chain of commits begin behind those that tell of no later event.

    The last row stays: from there the chain goes on.
    """
    size = 0
    found = list(islice(overlay.scan(keys.COMMITS, b""), CHAIN_ROWS_MAX + 1))
    for key, data in found[:-1]:
        size += len(data)
        if size > CHAIN_BYTES_MAX and key != found[0][0]:
            break
        try:
            body, digest = rows.read_commit(data)
        except JournalDamaged:
            break  # `verify` shall see it
        last = body.events[-1].position if body.events else 0
        if last > through or (body.events and body.environment != environment):
            break
        overlay.delete(keys.COMMITS, key)
        chain = rows.Chain(keys.to_number(key), digest)
        overlay.put(keys.META, keys.CHAIN_KEY, rows.CHAIN.encode(chain))
