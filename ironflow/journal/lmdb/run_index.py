"""The index of runs: by status, function and parent, newest first, and how many of each.

It lies in an LMDB file of its own, no commit writes it, and it may be thrown away at any
time: everything in it follows from the store. It says up to which commit it is right;
who asks looks at the runs of later commits in the store itself, so answers are exact.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from typing import Final, Protocol, final

import msgspec

from ironflow.errors import RunNotFound
from ironflow.journal.base import CLOSED, RunQuery
from ironflow.journal.lmdb import keys, rows, segments
from ironflow.journal.lmdb._lmdb import Changes, Environment, Snapshot
from ironflow.journal.lmdb.layers import Layered
from ironflow.journal.row_codec import Decoder

META: Final = "meta"  # what the index is of, and how far it goes
STATES: Final = "states"  # run -> state, function, parent, time in `ENDED`
LISTS: Final = "lists"  # status, function and status, or parent; then run -> nothing
COUNTS: Final = "counts"  # function, state -> count, function id
ENDED: Final = "ended"  # time of the end, run -> nothing, until the run is packed
INDEX_TABLES: Final = (META, STATES, LISTS, COUNTS, ENDED)
INDEX_LAYOUT: Final = 2
# With more runs to be looked at beside the index, a search without it is as good.
BEHIND_RUNS_MAX: Final = 50_000

_META_KEY: Final = b"index"
_BY_STATE: Final = b"s"
_BY_FUNCTION: Final = b"f"
_BY_PARENT: Final = b"p"

QUEUED: Final = b"q"
STATES_OF: Final[Mapping[str, bytes]] = {
    "queued": QUEUED,
    "running": b"r",
    "waiting": b"w",
    "paused": b"p",
    "completed": b"c",
    "failed": b"f",
    "cancelled": b"x",
    "continued": b"n",
}
_CLOSED: Final = frozenset(STATES_OF[status] for status in CLOSED)
STATUS_OF: Final = {state: status for status, state in STATES_OF.items()}

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


class _RunHead(msgspec.Struct, array_like=True):
    """The first fields of a `RunRow`: the others need not be read."""

    run_id: str
    function_id: str
    status: str
    event_id: str
    event_name: str
    trigger_position: int
    created_at: int
    attempt: int = 1
    parent_run: str = ""
    parent_step: str = ""
    attached: bool = False
    continued_from: str = ""
    continued_to: str = ""
    first_run: str = ""
    ended_at: int = 0


_decode_head: Final[Decoder] = msgspec.msgpack.Decoder(_RunHead).decode


class Tables(Protocol):
    """Where a run is read: a snapshot of LMDB, or that with the layers above."""

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return the value of a key."""
        ...


def standing(tables: Snapshot | Layered, key: bytes) -> tuple[bytes, str] | None:
    """Return the row of a run in `STATES` and its function id; None: no such run.

    Holds play no part: a run that has only begun is queued here while it is held.
    """
    data = tables.get(keys.RUNS, key)
    if data is None:
        return None
    head: _RunHead = rows.decoded(_decode_head, data, name="a RunRow")
    status = head.status
    if status == "open":
        if tables.get(keys.READY, key) is None:
            status = "waiting"
        else:
            status = "queued" if _length(tables, key) == 1 else "running"
    parent = keys.run(head.parent_run) if head.parent_run else b""
    return STATES_OF[status] + keys.text(head.function_id) + parent, head.function_id


def _ended(store: Snapshot, run: bytes) -> bytes:
    """When a closed run ended, unless it is packed: then nothing."""
    last = store.last(keys.LOG, run, width=keys.NUMBER_BYTES)
    if last is None or segments.is_place(last[1]):
        return b""
    data = store.get(keys.RUNS, run) or b""
    head: _RunHead = rows.decoded(_decode_head, data, name="a RunRow")
    return keys.number(max(0, head.ended_at))


def _length(tables: Snapshot | Layered, key: bytes) -> int:
    if isinstance(tables, Layered):
        return tables.length(key)
    last = tables.last_key(keys.LOG, key, width=keys.NUMBER_BYTES)
    return 0 if last is None else keys.to_number(last[len(key) :])


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


# --- reading ------------------------------------------------------------------------


@final
class Indexed:
    """A snapshot of the index, beside one of the store that is at least as new."""

    def __init__(self, index: Snapshot, tables: Layered, later: set[bytes]) -> None:
        self._index: Final = index
        self._tables: Final = tables
        self._later: Final = later  # runs that commits beyond the index have changed

    def candidates(
        self, query: RunQuery, prefix: bytes, *, before: bytes, held: Iterable[bytes]
    ) -> Iterator[bytes]:
        """Yield keys of runs before a key, last first, among them all that fit.

        `held` are runs that are held and have only begun: they are running.
        """
        later = {key for key in self._later if prefix <= key < before}
        if query.status == "running":
            later |= {key for key in held if key < before}
        place = before[len(prefix) :] if before.startswith(prefix) else b""
        found = [
            self._run_keys(prefix, group, place)
            for group in self._groups(query, prefix)
        ]
        known = (key for key in merge(*found, reverse=True) if key not in later)
        return merge(known, sorted(later, reverse=True), reverse=True)

    def _groups(self, query: RunQuery, prefix: bytes) -> list[bytes]:
        """Prefixes in `LISTS` that together have all runs that a query may find."""
        state = STATES_OF.get(query.status, b"?") if query.status else b""
        if query.parent_run:
            try:
                return [prefix + _BY_PARENT + keys.run(query.parent_run)]
            except RunNotFound:
                return []
        if query.function_id:
            group = prefix + _BY_FUNCTION + keys.text(query.function_id)
            return [group + each for each in ([state] if state else STATUS_OF)]
        return [prefix + _BY_STATE + state]

    def _run_keys(self, prefix: bytes, group: bytes, place: bytes) -> Iterator[bytes]:
        before = group + place if place else keys.after(group)
        for key, _ in self._index.scan_back(LISTS, group, before=before):
            yield prefix + key[-keys.RUN_BYTES :]

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
                    pieces[_piece(before)] -= 1
                now = standing(self._tables, run)
                if now is not None:
                    pieces[_piece(now[0])] += 1
                    names[_piece(now[0])[1:]] = now[1]
        for run in held:
            now = standing(self._tables, run)
            if now is not None and now[0].startswith(QUEUED):
                pieces[_piece(now[0])] -= 1
                pieces[STATES_OF["running"] + _piece(now[0])[1:]] += 1
        return Counter(
            {
                (names[piece[1:]], STATUS_OF[piece[:1]]): count
                for piece, count in pieces.items()
                if count
            }
        )


def _piece(state: bytes) -> bytes:
    """The state and function in a row of `STATES`."""
    return state[: 1 + keys.DIGEST_BYTES]


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
            for run in dict.fromkeys(runs):
                before = snapshot.get(STATES, run)
                now, name = standing(store, run) or (None, "")
                if now is not None and now[:1] in _CLOSED:
                    now += _ended(store, run)
                if now != before:
                    _edit(edits, run, before, now)
                    move = _count_key(run, before), _count_key(run, now)
                    moves[move] += 1
                    names[move[1]] = name
                rest()
            edits[COUNTS] = _counted(snapshot, moves, names)
        changes: Changes = edits
        self.environment.write(changes, rest=rest)


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
            edits[LISTS].update(dict.fromkeys(_list_keys(run, state), value))
            edits[ENDED].update(dict.fromkeys(_ended_keys(run, state), value))


def _list_keys(run: bytes, state: bytes) -> list[bytes]:
    prefix, place = run[: keys.ENVIRONMENT_BYTES], run[keys.ENVIRONMENT_BYTES :]
    piece = _piece(state)
    found = [
        prefix + _BY_STATE + piece[:1] + place,
        prefix + _BY_FUNCTION + piece[1:] + piece[:1] + place,
    ]
    parent = _parent(state)
    if parent:
        found.append(prefix + _BY_PARENT + parent + place)
    return found


def _parent(state: bytes) -> bytes:
    """The parent in a row of `STATES`; a time is shorter."""
    rest = state[1 + keys.DIGEST_BYTES :]
    return rest[: keys.RUN_BYTES] if len(rest) >= keys.RUN_BYTES else b""


def _ended_keys(run: bytes, state: bytes) -> list[bytes]:
    prefix, place = run[: keys.ENVIRONMENT_BYTES], run[keys.ENVIRONMENT_BYTES :]
    ended = state[len(_piece(state)) + len(_parent(state)) :]
    return [prefix + ended + place] if ended else []


def _count_key(run: bytes, state: bytes | None) -> bytes:
    """Where runs like this one are counted; empty for one that is not there."""
    if state is None:
        return b""
    piece = _piece(state)
    return run[: keys.ENVIRONMENT_BYTES] + piece[1:] + piece[:1]


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
