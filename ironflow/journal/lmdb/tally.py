"""The tally of an environment's documents: how many there are, and what they add up to.

Documents are not in the chain of commits. A row of `meta` has their count and the sum of
a digest of each, and is written by the commit that changes one. So one that was lost, or
that came back, is noticed; the order in which they were stored does not matter.

A tally belongs to the owner that wrote it. One of an owner before the last proves nothing: an
older ironflow, which knows no tallies, had the store meanwhile. A tally that is damaged itself
stands in nobody's way: it stays as it is, and `verify` tells.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

import msgspec

from ironflow.errors import JournalDamaged
from ironflow.journal.lmdb import keys, rows
from ironflow.journal.lmdb._lmdb import Snapshot
from ironflow.journal.lmdb.layers import Layered, Overlay
from ironflow.journal.lmdb.ordered import ordered
from ironflow.journal.row_codec import encode

_SUMS: Final = 1 << 8 * keys.DIGEST_BYTES


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """What the owner with this number says of the documents of an environment.

    `total` is the sum of their digests modulo 2^128. `check` is a digest of the rest.
    """

    owner: int
    count: int = 0
    total: bytes = bytes(keys.DIGEST_BYTES)
    check: bytes = b""

    def changed(self, key: bytes, before: bytes | None, after: bytes | None) -> "Tally":
        """Return what it is when the row under a key is another; None: there is none."""
        total = keys.to_number(self.total) - _digest(key, before) + _digest(key, after)
        count = self.count - (before is not None) + (after is not None)
        data = (total % _SUMS).to_bytes(keys.DIGEST_BYTES, "big")
        return Tally(self.owner, count, data)


_decode: Final = msgspec.msgpack.Decoder(Tally).decode


def _digest(key: bytes, row: bytes | None) -> int:
    """The number of a document: of its place and the digest that its row names."""
    if row is None:
        return 0
    data = key + row[rows.NAMED_DIGEST]
    return keys.to_number(hashlib.blake2b(data, digest_size=keys.DIGEST_BYTES).digest())


def _encoded(tally: Tally) -> bytes:
    return encode(msgspec.structs.replace(tally, check=_check(tally)))


def _check(tally: Tally) -> bytes:
    return rows.chained(b"", encode((tally.owner, tally.count, tally.total)))


def _decoded(data: bytes) -> Tally:
    found: Tally = rows.decoded(_decode, data, name="the tally of documents")
    if found.check != _check(found):
        raise JournalDamaged(
            "the tally of documents has another digest than when it was written"
        )
    return found


def _counted(owner: int, found: Iterable[tuple[bytes, bytes]]) -> Tally:
    tally = Tally(owner)
    for key, row in found:
        tally = tally.changed(key, None, row)
    return tally


def renewed(
    snapshot: Snapshot, environments: Iterable[int], *, before: int, owner: int
) -> dict[bytes, bytes | None]:
    """Return the rows of `meta` with which a new owner begins.

    `before` is the number of the owner before. A tally of his goes on, also where it is not
    that of the documents, so that `verify` tells; else the documents that there are get one.
    """
    found: dict[bytes, bytes | None] = {}
    for number in environments:
        prefix = keys.environment_prefix(number)
        own = keys.TALLY_KEY + prefix
        data = snapshot.get(keys.META, own)
        with suppress(JournalDamaged):  # it stays as it is
            tally = None if data is None else _decoded(data)
            if tally is None or tally.owner != before:
                tally = _counted(owner, snapshot.scan(keys.DOCUMENTS, prefix))
            found[own] = _encoded(msgspec.structs.replace(tally, owner=owner))
    return found


def note(overlay: Overlay, prefix: bytes, key: bytes, row: bytes | None) -> None:
    """Take a change of a document into the tally; before the row itself is changed."""
    own = keys.TALLY_KEY + prefix
    data = overlay.get(keys.META, own)
    assert data is not None  # whoever owns a store has made it at the start
    with suppress(JournalDamaged):  # it stays as it is
        tally = _decoded(data).changed(key, overlay.get(keys.DOCUMENTS, key), row)
        overlay.put(keys.META, own, _encoded(tally))


def compared(
    snapshot: Layered, names: Iterable[tuple[bytes, str]], *, has_table: bool
) -> Iterator[str]:
    """Yield what is wrong with documents as a whole; `names` are environments by prefix."""
    owner = keys.to_number(snapshot.get(keys.META, keys.OWNER_KEY) or b"")
    for prefix, name in names:
        data = snapshot.get(keys.META, keys.TALLY_KEY + prefix)
        try:
            tally = None if data is None else _decoded(data)
            if tally is None or tally.owner != owner:
                continue  # an older ironflow was its last owner
            found = snapshot.scan(keys.DOCUMENTS, prefix) if has_table else iter(())
            there = _counted(owner, ordered(found, start=b""))
        except JournalDamaged as error:
            yield f"documents of the environment {name!r}: {error}"
            continue
        if (there.count, there.total) != (tally.count, tally.total):
            yield _wrong(name, stored=tally.count, there=there.count)


def _wrong(name: str, *, stored: int, there: int) -> str:
    what = f"there are {there}, and there should be {stored}"
    if stored == there:
        what = f"there are {there}, as there should be, but not the same"
    return (
        f"documents of the environment {name!r} are not those that were stored last:"
        f" {what} (rows of deleted ones are counted, too)"
    )
