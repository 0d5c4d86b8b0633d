"""The index of runs: by status, function, parent and attributes, newest first; and counts.

It lies in an LMDB file of its own, no commit writes it, and it may be thrown away at any
time: everything in it follows from the store. It says up to which commit it is right;
who asks looks at the runs of later commits in the store itself, so answers are exact.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, final

import msgspec

from ironflow.journal.lmdb import keys, rows
from ironflow.journal.lmdb._lmdb import Changes, Environment, Snapshot
from ironflow.journal.lmdb.attribute_blocks import BlockEdits, cut, group_of
from ironflow.journal.lmdb.indexed import Indexed
from ironflow.journal.lmdb.layers import Layered
from ironflow.journal.lmdb.run_states import (
    CLOSED_STATES,
    COUNTS,
    ENDED,
    LISTS,
    META,
    STATES,
    attributes_in,
    ended,
    ended_keys,
    list_keys,
    piece,
    standing,
)

# With more runs to be looked at beside the index, a search without it is as good.
BEHIND_RUNS_MAX: Final = 50_000

_META_KEY: Final = b"index"

_Edits = dict[str, dict[bytes, bytes | None]]


class Reach(msgspec.Struct, frozen=True, array_like=True):
    """What an index is of, and up to which commit it goes.

    `head` is the head digest after that commit. `built` is the last run that has been
    taken in; None once all have.
    """

    layout: int
    store_id: bytes
    number: int
    head: bytes
    built: bytes | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_reach: Final = msgspec.msgpack.Decoder(Reach).decode
_decode_count: Final = msgspec.msgpack.Decoder(tuple[int, str]).decode


def touched(body: rows.CommitBody) -> list[bytes] | None:
    """Return the keys of the runs that commits changed; None: they do not say."""
    if body.touched is None:
        return None
    prefix = keys.environment_prefix(body.environment)
    changed = [prefix + change.run for change in body.runs]
    return changed + [prefix + run for run in body.touched]


def behind(
    tables: Snapshot | Layered, reach: Reach
) -> Iterator[tuple[int, bytes, list[bytes]]]:
    """Yield rows of commits beyond an index: number, head digest, touched runs.

    Raises:
        LookupError: they do not say which runs they have touched, or one is missing.
    """
    number = reach.number
    start = keys.number(number + 1)
    for _, data in tables.scan(keys.COMMITS, b"", start=start):
        body, _ = rows.read_commit(data)
        first = body.number - len(body.heads) // keys.DIGEST_BYTES + 1
        runs = touched(body)
        if runs is None or first > number + 1:
            raise LookupError(f"commits after {number} do not say what they have done")
        yield body.number, body.head, runs
        number = body.number


@final
class RunIndex:
    """An open index. One thread writes it; any may read."""

    def __init__(self, environment: Environment) -> None:
        self.environment: Final = environment

    def reach(self) -> Reach | None:
        """Return how far the index goes; None: it was only just made.

        Raises:
            JournalDamaged: it does not say.
        """
        with self.environment.snapshot() as snapshot:
            return _reach(snapshot)

    def runs(self) -> int:
        """Return how many runs are in it."""
        with self.environment.snapshot() as snapshot:
            return snapshot.entries(STATES)

    def beside(self, index: Snapshot, tables: Layered) -> Indexed | None:
        """Return the index for what `tables` hold; None: it is not ready for that.

        `index` was taken before `tables`, or the same process writes both.
        """
        later = self.later(index, tables)
        return None if later is None else Indexed(index, tables, later)

    def later(self, index: Snapshot, tables: Layered) -> set[bytes] | None:
        """Return the runs that have changed beyond the index, as in `beside`."""
        reach = _reach(index)
        if reach is None or reach.built is not None:
            return None
        return _later(tables, reach)

    # --- writing ----------------------------------------------------------------------

    def begin(self, reach: Reach) -> None:
        """Make it the empty index of a store."""
        self.environment.write({META: {_META_KEY: _encode(reach)}})

    def take(
        self,
        store: Snapshot,
        runs: Sequence[bytes],
        reach: Reach,
        *,
        rest: Callable[[], object] = lambda: None,
    ) -> None:
        """Let these runs be as they are in the store, and the index go so far.

        `rest` is called now and then, so that others may have the interpreter.
        """
        edits: _Edits = {STATES: {}, LISTS: {}, ENDED: {}}
        edits[META] = {_META_KEY: _encode(reach)}
        moves: Counter[tuple[bytes, bytes]] = Counter()
        names: dict[bytes, str] = {}
        with self.environment.snapshot() as snapshot:
            blocks = BlockEdits(snapshot)
            for run in dict.fromkeys(runs):
                before = snapshot.get(STATES, run)
                now, name = standing(store, run) or (None, "")
                if now is not None and now[:1] in CLOSED_STATES:
                    now += ended(store, run)
                if now != before:
                    _edit(edits, run, before, now)
                    _mark(blocks, run, before, now)
                    move = _count_key(run, before), _count_key(run, now)
                    moves[move] += 1
                    names[move[1]] = name
                rest()
            edits[COUNTS] = _counted(snapshot, moves, names)
        changes: Changes = {**edits, **blocks.edits()}
        self.environment.write(changes, rest=rest)
        for block in blocks.large():
            with self.environment.snapshot() as snapshot:
                halves = cut(snapshot, block)
            self.environment.write(halves, rest=rest)


def _reach(snapshot: Snapshot) -> Reach | None:
    data = snapshot.get(META, _META_KEY)
    if data is None:
        return None
    found: Reach = rows.decoded(_decode_reach, data, name="the reach of an index")
    return found


def _later(tables: Layered, reach: Reach) -> set[bytes] | None:
    """The runs that commits beyond the index have changed; None: too many to look at."""
    later = tables.touched()
    try:
        for _, _, runs in behind(tables, reach):
            later.update(runs)
            if len(later) > BEHIND_RUNS_MAX:
                return None
    except LookupError:
        return None
    return later


def _edit(edits: _Edits, run: bytes, before: bytes | None, now: bytes | None) -> None:
    edits[STATES][run] = now
    for state, value in ((before, None), (now, b"")):
        if state is not None:
            edits[LISTS].update(dict.fromkeys(list_keys(run, state), value))
            edits[ENDED].update(dict.fromkeys(ended_keys(run, state), value))


def _mark(
    blocks: BlockEdits, run: bytes, before: bytes | None, now: bytes | None
) -> None:
    """Note which attributes a run has and had, where that has changed."""
    prefix, place = run[: keys.ENVIRONMENT_BYTES], run[keys.ENVIRONMENT_BYTES :]
    had = dict(attributes_in(before)) if before is not None else {}
    has = dict(attributes_in(now)) if now is not None else {}
    if had == has:
        return
    for name, value in had.items():
        if has.get(name) != value:
            blocks.remove(group_of(prefix, name), value, place)
    for name, value in has.items():
        if had.get(name) != value:
            blocks.add(group_of(prefix, name), value, place)


def _count_key(run: bytes, state: bytes | None) -> bytes:
    """Where runs like this one are counted; empty for one that is not there."""
    if state is None:
        return b""
    both = piece(state)
    return run[: keys.ENVIRONMENT_BYTES] + both[1:] + both[:1]


def _counted(
    snapshot: Snapshot,
    moves: Mapping[tuple[bytes, bytes], int],
    names: Mapping[bytes, str],
) -> dict[bytes, bytes | None]:
    counts: Counter[bytes] = Counter()
    for (before, now), runs in moves.items():
        counts[before] -= runs
        counts[now] += runs
    del counts[b""]
    found: dict[bytes, bytes | None] = {}
    for key, change in counts.items():
        data = snapshot.get(COUNTS, key)
        count, name = _decode_count(data) if data else (0, names.get(key, ""))
        found[key] = _encode((count + change, name)) if count + change else None
    return found
