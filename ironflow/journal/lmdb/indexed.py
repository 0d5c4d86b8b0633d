"""Lists and counts of runs as the index has them, corrected by what is newer in the store."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from heapq import merge
from typing import Final, final

import msgspec

from ironflow.errors import RunNotFound
from ironflow.journal.base import RunQuery
from ironflow.journal.lmdb import intersect, keys
from ironflow.journal.lmdb._lmdb import Snapshot
from ironflow.journal.lmdb.layers import Layered
from ironflow.journal.lmdb.run_states import (
    BY_ATTRIBUTE,
    BY_FUNCTION,
    BY_PARENT,
    BY_STATE,
    COUNTS,
    LISTS,
    QUEUED,
    STATES,
    STATES_OF,
    STATUS_OF,
    piece,
    standing,
    value_in,
)
from ironflow.policy.attributes import AttributeFilter

# Runs with an attribute in a range are gathered, unless there are more: then many fit, and
# one run after the other is looked at, newest first.
GATHERED_RUNS_MAX: Final = 20_000

_decode_count: Final = msgspec.msgpack.Decoder(tuple[int, str]).decode


@final
class Indexed:
    """A snapshot of the index, beside one of the store that is at least as new."""

    def __init__(self, index: Snapshot, tables: Layered, later: set[bytes]) -> None:
        self._index: Final = index
        self._tables: Final = tables
        self._later: Final = later  # runs that commits beyond the index have changed

    def candidates(
        self,
        query: RunQuery,
        prefix: bytes,
        *,
        before: bytes,
        held: Iterable[bytes],
        wide: set[str],
    ) -> Iterator[tuple[bytes, bool]]:
        """Yield keys of runs before a key, last first, with True all that may fit.

        With False it says how far it is: nothing that fits is between that and the key
        before. `held` are runs that are held and have only begun: they are running. `wide`
        has the names of attributes that too many runs have in the range: they are noted
        there, and not gathered in vain again for the next page.
        """
        later = {key for key in self._later if prefix <= key < before}
        if query.status == "running":
            later |= {key for key in held if key < before}
        if not later:
            return self._known(query, prefix, before, wide)
        known = (
            found
            for found in self._known(query, prefix, before, wide)
            if found[0] not in later
        )
        changed = ((key, True) for key in sorted(later, reverse=True))
        return merge(known, changed, reverse=True)

    def _known(
        self, query: RunQuery, prefix: bytes, before: bytes, wide: set[str]
    ) -> Iterator[tuple[bytes, bool]]:
        """Yield what the index says, as `candidates` does."""
        up_to = _up_to(prefix, before)
        if up_to is None:
            return
        lists: list[intersect.Places] = []
        checked: list[AttributeFilter] = []
        for each in query.attributes:
            places = None
            if each.is_equality or each.name not in wide:
                places = self._with_attribute(each, prefix, up_to)
            if places is None:
                wide.add(each.name)
                checked.append(each)
            else:
                lists.append(places)
        groups = self._groups(query, prefix)
        if groups or not lists:
            lists.append(self._walked(groups or self._every(prefix), up_to))
        for place, is_in_all in intersect.in_all(lists, up_to):
            key = prefix + place
            yield key, is_in_all and all(self._has(key, each) for each in checked)

    def _walked(self, groups: Sequence[bytes], up_to: bytes) -> intersect.Walked:
        return intersect.Walked([partial(self._places, each) for each in groups], up_to)

    def _places(self, group: bytes, before: bytes) -> Iterator[bytes]:
        for key, _ in self._index.scan_back(LISTS, group, before=group + before):
            yield key[-keys.RUN_BYTES :]

    def _groups(self, query: RunQuery, prefix: bytes) -> list[bytes]:
        """Prefixes in `LISTS` that together have all of a parent, function or status."""
        state = STATES_OF.get(query.status, b"?") if query.status else b""
        if query.parent_run:
            try:
                return [prefix + BY_PARENT + keys.run(query.parent_run)]
            except RunNotFound:
                return [prefix + BY_STATE + b"?"]  # none is there
        if query.function_id:
            group = prefix + BY_FUNCTION + keys.text(query.function_id)
            return [group + each for each in ([state] if state else STATUS_OF)]
        return [prefix + BY_STATE + state] if state else []

    def _every(self, prefix: bytes) -> list[bytes]:
        return [prefix + BY_STATE + state for state in STATUS_OF]

    def _with_attribute(
        self, wanted: AttributeFilter, prefix: bytes, up_to: bytes
    ) -> intersect.Places | None:
        """Return the runs that pass a filter; None: too many to be gathered."""
        group = prefix + BY_ATTRIBUTE + keys.text(wanted.name)
        if wanted.is_equality:
            return self._walked([group + value for value, _ in wanted.ranges], up_to)
        found: list[bytes] = []
        for first, beyond in wanted.ranges:
            last = group + beyond
            for key, _ in self._index.scan(LISTS, group, start=group + first):
                if key >= last:
                    break
                if len(found) == GATHERED_RUNS_MAX:
                    return None
                found.append(key[-keys.RUN_BYTES :])
        return intersect.Gathered(found)

    def _has(self, run: bytes, wanted: AttributeFilter) -> bool:
        """Say whether the index has the run with such an attribute."""
        state = self._index.get(STATES, run)
        value = value_in(state, keys.text(wanted.name)) if state else b""
        return any(first <= value < beyond for first, beyond in wanted.ranges)

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


def _up_to(prefix: bytes, before: bytes) -> bytes | None:
    """The last place of a run before a key; None: there is none."""
    if not before.startswith(prefix):
        return b"\xff" * keys.RUN_BYTES  # it is beyond the environment
    place = before[len(prefix) :]
    if len(place) > keys.RUN_BYTES:
        return place[: keys.RUN_BYTES]
    return intersect.below(place)
