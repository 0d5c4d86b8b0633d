"""A program that commits without end and says what was acknowledged.

Its arguments are a directory, a number that is new each time, how long the journal
shall believe that a commit takes, and how much of the log makes a checkpoint. A line of its output is an event id, or a
run id and the length of its history, written after the commit came back.
"""

import os
import sys
from pathlib import Path

import trio
import trio.lowlevel

from ironflow.journal.lmdb import writer
from ironflow.journal.lmdb.store import LmdbJournal
from ironflow.records import Draft, StepCompleted
from ironflow.testing.checks_scene import Holder, Scene, encoded
from tests.journal.lmdb.conftest import store_in

RUNS = 5
EMITTERS = 5


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def append(holder: Holder) -> None:
    while True:
        size = 9_000 if holder.length % 7 == 0 else 10
        done = Draft(StepCompleted(id=f"s:{holder.length}"), encoded("x" * size))
        appended = await holder.append(done)
        say(f"{holder.run_id} {appended.length}")


async def emit(scene: Scene, name: str) -> None:
    while True:
        [receipt] = await scene.emit(scene.event(name))
        say(receipt.event_id)


async def main(directory: str, round_number: str, held: str, bytes_: str) -> None:
    writer.CHECKPOINT_BYTES = int(bytes_)  # type: ignore[misc]  # it is a constant
    scene = Scene(f"round{round_number}", store_in(Path(directory)))
    scene.now += int(round_number) * 1_000_000_000
    async with scene.open() as journal, trio.open_nursery() as nursery:
        assert isinstance(journal, LmdbJournal)
        for number in range(RUNS):
            holder = await scene.start(f"job{number}")
            nursery.start_soon(append, holder)
        for number in range(EMITTERS):
            nursery.start_soon(emit, scene, f"e{number}")
        while True:
            journal._writer.pace.held = int(held) << 20
            await trio.lowlevel.checkpoint()


trio.run(main, sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4])
