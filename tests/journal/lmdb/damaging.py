"""A program that opens damaged copies of a journal and says what it met.

Its arguments are a directory with a journal, a seed, and how many copies to damage. A
line of its output is a copy: `refused` (it does not open), `found` (verify tells of it),
`whole` (all records and events are what they were), or `SILENT`.
"""

import random
import shutil
import sys
from pathlib import Path

import trio

from ironflow import codec
from ironflow.errors import JournalError
from ironflow.journal.base import Journal, RunQuery
from ironflow.journal.lmdb.store import open_lmdb
from ironflow.journal.lmdb.verify import Finding, verify

PAGE_BYTES = 4096
NAMES = ("data.mdb", "wal", "head")


async def content(journal: Journal) -> object:
    """All records and all events."""
    events = await journal.events(limit=1_000)
    runs = {run_id for stored in events for run_id in stored.run_ids}
    assert len(await journal.find(RunQuery(limit=1_000))) >= 0
    histories = {
        run_id: [*map(codec.encode, await journal.history(run_id))] for run_id in runs
    }
    return sorted(histories.items()), [
        (stored.position, stored.event, stored.run_ids) for stored in events
    ]


def damage(directory: Path, chosen: random.Random) -> str:
    """Change something in one of the files; return what."""
    name = chosen.choice(["data.mdb", "data.mdb", "wal"])
    path = directory / name
    data = bytearray(path.read_bytes())
    used = len(data) if name == "data.mdb" else len(data.rstrip(b"\0"))
    kind = chosen.choice(["flip", "flip", "flip", "byte", "cut", "swap", "zero"])
    at = chosen.randrange(used)
    page, other = (chosen.randrange(max(1, used // PAGE_BYTES)) for _ in range(2))
    match kind:
        case "flip":
            data[at] ^= 1 << chosen.randrange(8)
        case "byte":
            data[at] = chosen.randrange(256)
        case "cut":
            del data[at:]
        case "zero":
            data[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = bytes(PAGE_BYTES)
        case _:
            first, second = (
                slice(p * PAGE_BYTES, (p + 1) * PAGE_BYTES) for p in (page, other)
            )
            data[first], data[second] = data[second], data[first]
    path.write_bytes(data)
    return f"{kind} of {name} at {at}, pages {page} and {other}"


async def outcome(directory: Path, sound: object) -> str:
    try:
        found = [each for each in verify(directory) if isinstance(each, Finding)]
    except JournalError:
        found = []
    try:
        journal = await open_lmdb(directory)
    except JournalError:
        return "refused"
    try:
        is_whole = await content(journal) == sound
    except JournalError:
        is_whole = False
    finally:
        await journal.close()
    if is_whole:
        return "whole"
    return "found" if found else "SILENT"


async def main(origin: Path, seed: int, copies: int) -> None:
    chosen = random.Random(seed)
    directory = origin.with_name("copy")
    shutil.copytree(origin, directory)
    journal = await open_lmdb(directory)
    sound = await content(journal)
    await journal.close()
    for _ in range(copies):
        shutil.rmtree(directory)
        directory.mkdir()
        for name in NAMES:
            shutil.copy(origin / name, directory / name)
        what = damage(directory, chosen)
        print(what, flush=True)  # if this is the last line, it ended the process
        print(await outcome(directory, sound), flush=True)


trio.run(main, Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
