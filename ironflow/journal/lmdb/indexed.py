"""Lists and counts of runs as the index has them, corrected by what is newer in the store."""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from heapq import merge
from typing import Final, final

import msgspec

from ironflow.errors import RunNotFound
from ironflow.journal.base import RunQuery
from ironflow.journal.lmdb import intersect, keys
from ironflow.journal.lmdb._lmdb import Snapshot
from ironflow.journal.lmdb.attribute_places import Passing
from ironflow.journal.lmdb.layers import Layered
from ironflow.journal.lmdb.listed_places import Listed
from ironflow.journal.lmdb.run_states import (
    BY_FUNCTION,
    BY_PARENT,
    BY_STATE,
    COUNTS,
    QUEUED,
    STATES,
    STATES_OF,
    STATUS_OF,
    parent_in,
    piece,
    standing,
)
from ironflow.policy.attributes import AttributeFilter

_decode_count: Final = msgspec.msgpack.Decoder(tuple[int, str]).decode


@final
class Indexed:
    """A snapshot of the index, beside one of the store that is at least as new."""

    def __init__(self, index: Snapshot, tables: Layered, later: set[bytes]) -> None:
        self._index: Final = index
        self._tables: Final = tables
        self._later: Final = later  # runs that commits beyond the index have changed
        self.looks: Final = intersect.Looks()  # of all that was asked

    def candidates(
        self,
        query: RunQuery,
        prefix: bytes,
        *,
        before: bytes,
        held: Iterable[bytes],
    ) -> Iterator[tuple[bytes, bool]]:
        """Yield keys of runs before a key, last first, with True all that may fit.

        With False it says how far it is: nothing that fits is between that and the key
        before. `held` are runs that are held and have only begun: they are running.
        """
        later = {key for key in self._later if prefix <= key < before}
        if query.status == "running":
            later |= {key for key in held if key < before}
        if not later:
            return self._known(query, prefix, before)
        known = (
            found
            for found in self._known(query, prefix, before)
            if found[0] not in later
        )
        changed = ((key, True) for key in sorted(later, reverse=True))
        return merge(known, changed, reverse=True)

    def _known(
        self, query: RunQuery, prefix: bytes, before: bytes
    ) -> Iterator[tuple[bytes, bool]]:
        """Yield what the index says, as `candidates` does."""
        up_to = _up_to(prefix, before)
        if up_to is None:
            return
        attributes = sorted(query.attributes, key=_is_range)
        # One value mostly has fewer runs than a range.
        lists: list[intersect.Places] = [
            Passing(self._index, each, prefix, self.looks) for each in attributes
        ]
        lists += self._listed(query, prefix)

        def state_of(place: bytes) -> bytes | None:
            return self._index.get(STATES, prefix + place)

        for place, is_in_all in intersect.in_all(lists, up_to, state_of, self.looks):
            yield prefix + place, is_in_all

    def _listed(self, query: RunQuery, prefix: bytes) -> Iterator[Listed]:
        """Yield the lists of a parent, and of a function or status."""
        state = STATES_OF.get(query.status, b"?") if query.status else b""
        if query.parent_run:
            yield self._children(query.parent_run, prefix)
        if query.function_id:
            function = keys.text(query.function_id)
            group = prefix + BY_FUNCTION + function
            groups = [group + each for each in ([state] if state else STATUS_OF)]
            is_listed = partial(_is_of, state, function)
            yield Listed(self._index, groups, is_listed, self.looks)
        elif state:
            groups = [prefix + BY_STATE + state]
            yield Listed(self._index, groups, partial(_is_of, state, b""), self.looks)

    def _children(self, run_id: str, prefix: bytes) -> Listed:
        try:
            parent = keys.run(run_id)
        except RunNotFound:
            return Listed(self._index, (), lambda _: False, self.looks)
        is_child = partial(_is_child, parent)
        return Listed(self._index, [prefix + BY_PARENT + parent], is_child, self.looks)

    def counts(self, prefix: bytes, held: Iterable[bytes]) -> Counter[tuple[str, str]]:
        """Return how many runs there are of each function id and status."""
        pieces: Counter[bytes] = Counter()
        names: dict[bytes, str] = {}
        for key, data in self._index.scan(COUNTS, prefix):
            function = key[len(prefix) : -1]
            count, names[function] = _decode_count(data)
            pieces[key[-1:] + function] = count
        for run in self._later:
            if run.startswith(prefix):
                before = self._index.get(STATES, run)
                if before is not None:
                    pieces[piece(before)] -= 1
                now = standing(self._tables, run)
                if now is not None:
                    pieces[piece(now[0])] += 1
                    names[piece(now[0])[1:]] = now[1]
        for run in held:
            now = standing(self._tables, run)
            if now is not None and now[0].startswith(QUEUED):
                pieces[piece(now[0])] -= 1
                pieces[STATES_OF["running"] + piece(now[0])[1:]] += 1
        return Counter(
            {
                (names[piece[1:]], STATUS_OF[piece[:1]]): count
                for piece, count in pieces.items()
                if count
            }
        )


def _is_child(parent: bytes, state: bytes) -> bool:
    return parent_in(state) == parent


def _is_of(status: bytes, function: bytes, state: bytes) -> bool:
    return state.startswith(status) and state[1:].startswith(function)


def _is_range(wanted: AttributeFilter) -> bool:
    return not wanted.is_equality


def _up_to(prefix: bytes, before: bytes) -> bytes | None:
    """The last place of a run before a key; None: there is none."""
    if not before.startswith(prefix):
        return b"\xff" * keys.RUN_BYTES  # it is beyond the environment
    place = before[len(prefix) :]
    if len(place) > keys.RUN_BYTES:
        return place[: keys.RUN_BYTES]
    return intersect.below(place)
