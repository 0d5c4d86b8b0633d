"""What an owner reads when it opens a journal: all that it keeps in memory."""

from ironflow.journal.base import EventLog, FunctionRow, MatchPath
from ironflow.journal.lmdb import keys, rows
from ironflow.journal.lmdb._lmdb import Snapshot
from ironflow.journal.lmdb.known import Memory
from ironflow.journal.lmdb.layers import Layered
from ironflow.journal.ready import ReadyQueue


def load_memory(snapshot: Snapshot, number: int, *, owner_number: int) -> Memory:
    """Return what an owner has to know before its first commit.

    The commit that it begins with is not in here yet.
    """
    prefix = keys.environment_prefix(number)
    queue = ReadyQueue(owner_number)
    ready = sorted(
        (*rows.decode_ready(data), keys.shown_run(key[len(prefix) :]))
        for key, data in snapshot.scan(keys.READY, prefix)
    )
    for _, function_id, lane, run_id in ready:
        queue.add(run_id, function_id, lane)
    memory = Memory(
        environment=number,
        commit_number=0,
        head=rows.HEAD_START,
        queue=queue,
        functions={},
        event_log=_load_event_log(snapshot, prefix),
        key_days=_load_key_days(snapshot, prefix),
        ready_place=ready[-1][0] if ready else 0,
        match_paths=_load_match_paths(snapshot, prefix),
        gone=_load_gone(snapshot, prefix),
        first_event=_load_first_event(snapshot, prefix),
    )
    memory.take_functions(read_functions(snapshot, prefix))
    return memory


def read_functions(tables: Snapshot | Layered, prefix: bytes) -> dict[str, FunctionRow]:
    """Return the registry, by id."""
    found = [
        rows.FUNCTION.decode(data) for _, data in tables.scan(keys.FUNCTIONS, prefix)
    ]
    return {row.id: row for row in sorted(found, key=lambda row: row.id)}


def _load_match_paths(
    snapshot: Snapshot, prefix: bytes
) -> dict[str, dict[str, MatchPath]]:
    found: dict[str, dict[str, MatchPath]] = {}
    for _, data in snapshot.scan(keys.MATCH_PATHS, prefix):
        row = rows.MATCH_PATH.decode(data)
        found.setdefault(row.event, {})[row.path] = row
    return found


def _load_event_log(snapshot: Snapshot, prefix: bytes) -> EventLog:
    key = snapshot.last_key(keys.EVENTS, prefix, width=keys.NUMBER_BYTES)
    length = 0 if key is None else keys.to_number(key[len(prefix) :])
    delivery = snapshot.get(keys.META, keys.DELIVERY_KEY + prefix)
    return EventLog(
        length, None if delivery is None else rows.DELIVERY.decode(delivery)
    )


def _load_gone(snapshot: Snapshot, prefix: bytes) -> dict[bytes, None]:
    found = snapshot.scan(keys.META, keys.GONE_KEY + prefix)
    return {key[len(keys.GONE_KEY) :]: None for key, _ in found}


def _load_first_event(snapshot: Snapshot, prefix: bytes) -> int:
    first = next(snapshot.scan(keys.EVENTS, prefix), None)
    return 1 if first is None else keys.to_number(first[0][len(prefix) :])


def _load_key_days(snapshot: Snapshot, prefix: bytes) -> list[bytes]:
    """The days in which idempotency keys were used: one seek each."""
    days: list[bytes] = []
    start, end = prefix, len(prefix) + keys.DAYS_BYTES
    while row := next(snapshot.scan(keys.EVENT_KEYS, prefix, start=start), None):
        days.append(row[0][len(prefix) : end])
        start = keys.after(row[0][:end])
    return days[::-1]
