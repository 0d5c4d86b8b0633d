"""Lists and counts over a million runs, and what the index adds to a checkpoint.

python -m benchmarks.lists [--runs 1000000] [--rounds 200] [--bare]
"""

import argparse
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Final

import msgspec
import trio

from ironflow import codec, ids
from ironflow.journal.base import RunQuery, RunRow, RunStatus
from ironflow.journal.lmdb import keeper, keys, opening, rows, wal
from ironflow.journal.lmdb._lmdb import MAP_BYTES_MAX, Environment
from ironflow.journal.lmdb.checkpoint import Memtable
from ironflow.journal.lmdb.layers import Tail
from ironflow.journal.lmdb.store import LmdbJournal, open_lmdb
from ironflow.policy import attributes
from ironflow.policy.attributes import parse_filters
from ironflow.records import Draft, EventData, RunStarted

START_US: Final = 1_780_000_000_000_000
PREFIX: Final = keys.environment_prefix(0)
COMMIT_RUNS: Final = 2_000
BOUND_MS: Final = 20  # of one list, p99
RARE: Final = 100_000  # one run of so many is of a rare function, one has failed

_encode: Final = msgspec.msgpack.Encoder().encode


def fill(directory: Path, count: int, *, bare: bool) -> None:
    """Make a store with so many runs: rows as checkpoints write them.

    `bare` ones have no attributes.
    """
    shutil.rmtree(directory, ignore_errors=True)
    trio.run(_make, directory)
    store = opening.open_store(directory, readonly=False, map_bytes=MAP_BYTES_MAX)
    with store.snapshot() as snapshot:
        last = opening.last_commits(snapshot)
    number, head, digest = last.number, last.head, last.digest
    for first in range(0, count, COMMIT_RUNS):
        number += 1
        head = rows.chained(head, keys.number(number))
        memtable = Memtable()
        memtable.take(
            _commit(number, first, min(count, first + COMMIT_RUNS), bare=bare),
            wal.Frame(number, head, b""),
        )
        changes, digest = memtable.changes(digest)
        store.write(changes)
    store.close()
    (directory / "head").unlink(missing_ok=True)


async def _make(directory: Path) -> None:
    await (await open_lmdb(directory)).close()


def _commit(number: int, first: int, end: int, *, bare: bool) -> wal.Commit:
    commit = wal.Commit(number, 0, [], [], {}, {keys.RUNS: {}, keys.READY: {}})
    for index in range(first, end):
        row = run_row(index, bare=bare)
        key = PREFIX + keys.run(row.run_id)
        draft = Draft(
            RunStarted(
                asked_at=row.created_at,
                function_id=row.function_id,
                event_id=row.event_id,
                version="v1",
                attributes=row.attributes,
            ),
            _encode(EventData(id=row.event_id, name="go", data=msgspec.Raw(b"\xc0"))),
        )
        entry, header = codec.seal(
            draft,
            sequence=1,
            recorded_at=row.created_at,
            previous=codec.chain_start("default", row.run_id),
        )
        commit.tails[key] = Tail(1, [codec.encode(entry, header)])
        commit.runs.append(rows.RunChange(key[2:], 1, entry.digest))
        commit.tables[keys.RUNS][key] = rows.RUN.encode(row)
    return commit


def run_row(index: int, *, bare: bool) -> RunRow:
    """Return the row of a run: most have completed, one in a hundred is parked."""
    created = START_US + index * 2_000
    value = ids.derived(created, "bench", str(index))
    status: RunStatus = "completed"
    if index % RARE == RARE // 2:
        status = "failed"
    elif index % 100 == 0:
        status = "open"
    function = "rare" if index % RARE == 7 else f"function-{index % 10}"
    return RunRow(
        run_id=ids.run_id(value),
        function_id=function,
        status=status,
        event_id=ids.event_id(value),
        event_name="go",
        trigger_position=index + 1,
        created_at=created,
        ended_at=0 if status == "open" else created + 1_000,
        attributes=b"" if bare else attributes.encode(_attributes(index)),
    )


def _attributes(index: int) -> dict[str, object]:
    """Some ten runs of a customer, half of a tier, amounts at random, and a number."""
    return {
        "customer": f"c{index * 7_919 % 100_003}",
        "tier": ("gold", "basic")[index % 2],
        "total": index * 48_271 % 1_000_003 / 100,
        "number": index,
    }


def questions(count: int) -> dict[str, RunQuery]:
    """Return what is measured, by name."""
    deep = run_row(count // 100, bare=True).run_id
    return {
        "newest page": RunQuery(),
        "rare status": RunQuery(status="failed"),
        "no such status": RunQuery(status="paused"),
        "rare function": RunQuery(function_id="rare"),
        "function": RunQuery(function_id="function-3"),
        "function + status": RunQuery(function_id="function-0", status="waiting"),
        "rare function + status": RunQuery(function_id="rare", status="failed"),
        "status, deep cursor": RunQuery(status="waiting", cursor=deep),
        "function, since/until": RunQuery(
            function_id="rare", since=START_US, until=START_US + 10**9
        ),
    }


def attribute_questions(count: int) -> dict[str, RunQuery]:
    """Return what is measured of runs with attributes."""
    deep = run_row(count // 100, bare=True).run_id

    def of(
        *texts: str, status: str = "", function_id: str = "", cursor: str = ""
    ) -> RunQuery:
        filters = parse_filters(texts)
        return RunQuery(status, function_id, cursor=cursor, attributes=filters)

    return {
        "rare value": of("customer=c500"),
        "no such value": of("customer=nobody"),
        "common value": of("tier=gold"),
        "common value, deep cursor": of("tier=gold", cursor=deep),
        "common value + rare status": of("tier=gold", status="failed"),
        "common value + status": of("tier=gold", status="waiting"),
        "common value + function": of("tier=gold", function_id="function-4"),
        "two values": of("tier=gold", "customer=c500"),
        "narrow range": of("total>=9999"),
        "range of 1 run in 200": of("total>=9950"),
        "range of 1 run in 50": of("total>=9800"),
        "half of all in a range": of("total<5000"),
        "range + common value": of("total>=9900", "tier=gold"),
        "range + status": of("total>=9900", status="waiting"),
        "range + function": of("total>=9900", function_id="function-3"),
        "half in a range + function": of("total<5000", function_id="function-3"),
        "range + function + status": of(
            "total>=9900", function_id="function-0", status="waiting"
        ),
        "other half of the numbers + status": of(
            f"number<{count // 2}", "tier=basic", status="waiting"
        ),
        "range + rare function": of("total<5000", function_id="rare"),
        "two ranges": of("total<5000", f"number<{count // 2}"),
        "older half + status": of(f"number<{count // 2}", status="completed"),
        "newest, by a number": of(f"number>={count - 100}"),
        "oldest half, by a number": of(f"number<{count // 2}"),
    }


async def measure(directory: Path, count: int, rounds: int, *, bare: bool) -> None:
    """Print the percentiles of each question."""
    journal = await open_lmdb(directory)
    assert isinstance(journal, LmdbJournal)
    journal._keeper.wait_idle()  # noqa: SLF001 - no user waits for it
    look_up = partial(journal.run, run_row(count // 2, bare=True).run_id)
    await percentiles("one run by its id", look_up, rounds)
    for name, query in questions(count).items():
        await percentiles(name, partial(journal.find, query), rounds)
    for name, query in ({} if bare else attribute_questions(count)).items():
        await percentiles(name, partial(journal.find, query), rounds)
    await percentiles("counts", journal.counts, rounds)
    # What it was like: no index is usable.
    journal._keeper._usable = None  # noqa: SLF001 - nothing else does that
    for name in ("newest page", "rare function", "function + status"):
        query = questions(count)[name]
        await percentiles(f"without: {name}", partial(journal.find, query), 3)
    await journal.close()


async def percentiles(
    name: str, ask: Callable[[], Awaitable[object]], rounds: int
) -> None:
    """Ask again and again; print how long it takes, and whether that is too long."""
    times: list[float] = []
    for _ in range(rounds):
        begun = perf_counter()
        await ask()
        times.append((perf_counter() - begun) * 1_000)
    cuts = quantiles(times, n=100, method="inclusive")
    over = f"   over {BOUND_MS} ms" if cuts[98] > BOUND_MS else ""
    line = f"{name:<34} p50 {cuts[49]:9.3f} ms   p99 {cuts[98]:9.3f} ms{over}"
    print(line, flush=True)


def checkpoints(directory: Path, count: int, rounds: int, *, bare: bool) -> None:
    """Print what a checkpoint of new runs costs, and what the index adds beside it."""
    store = opening.open_store(directory, readonly=False, map_bytes=MAP_BYTES_MAX)
    index = keeper.open_index(directory, store)
    with store.snapshot() as snapshot:
        last = opening.last_commits(snapshot)
    number, head, digest = last.number, last.head, last.digest
    taken: list[tuple[float, float]] = []
    for place in range(rounds):
        number += 1
        head = rows.chained(head, keys.number(number))
        memtable = Memtable()
        first = count + place * COMMIT_RUNS
        commit = _commit(number, first, first + COMMIT_RUNS, bare=bare)
        memtable.take(commit, wal.Frame(number, head, b""))
        begun = perf_counter()
        changes, digest = memtable.changes(digest)
        store.write(changes)
        written = perf_counter()
        while keeper.step(index, store):
            pass
        taken.append((written - begun, perf_counter() - written))
    for name, place in (("checkpoint", 0), ("index beside it", 1)):
        values = sorted(each[place] * 1_000 for each in taken)
        print(
            f"{name:<34} p50 {values[len(values) // 2]:9.3f} ms of {COMMIT_RUNS} runs"
        )
    _close(index.environment, store)


def _close(*environments: Environment) -> None:
    for environment in environments:
        environment.close()


def _seconds(work: Callable[[], object]) -> float:
    begun = perf_counter()
    work()
    return perf_counter() - begun


def _rebuild(directory: Path) -> None:
    store = opening.open_store(directory, readonly=False, map_bytes=MAP_BYTES_MAX)
    keeper.rebuild(directory, store, lambda _: None)
    store.close()


def _sizes(directory: Path) -> Iterator[str]:
    for name in ("data.mdb", "index/data.mdb"):
        yield f"{name} {(directory / name).stat().st_blocks * 512 / 1e6:.0f} MB"


def main() -> None:
    """Make the store, then measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lists")
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--bare", action="store_true", help="runs without attributes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ironflow-lists-") as scratch:
        directory = Path(scratch) / "data"
        bare: bool = options.bare
        made = _seconds(lambda: fill(directory, options.runs, bare=bare))
        built = _seconds(lambda: _rebuild(directory))
        print(f"{options.runs} runs made in {made:.0f} s, index in {built:.0f} s")
        print(", ".join(_sizes(directory)))
        ask = partial(measure, bare=bare)
        trio.run(ask, directory, options.runs, options.rounds)
        checkpoints(directory, options.runs, 20, bare=bare)


if __name__ == "__main__":
    main()
