"""What tests of redactions share: a journal in memory, and what is looked at."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from ironflow import limits
from ironflow.journal.base import Journal
from ironflow.journal.memory import MemoryJournal
from ironflow.journal.redacting import (
    Redacted,
    Wish,
    redact_event,
    redact_run,
    redact_step,
)
from ironflow.testing.checks_asks import child, completed, ended
from ironflow.testing.checks_scene import Scene

SECRET = "XyZZy-4111"
LARGE = SECRET + "x" * 2 * limits.BLOB_BYTES_MIN


@asynccontextmanager
async def a_scene() -> AsyncGenerator[Scene]:
    """Open a scene on a journal in memory."""
    journal = MemoryJournal()

    @asynccontextmanager
    async def open_journal() -> AsyncGenerator[Journal]:
        yield journal

    scene = Scene("redacting", open_journal)
    async with scene.open():
        yield scene


def store(scene: Scene) -> MemoryJournal:
    assert isinstance(scene.journal, MemoryJournal)
    return scene.journal


def wish(scene: Scene) -> Wish:
    return Wish(scene.now, "ann", "a wish")


async def run(scene: Scene, run_id: str) -> Redacted:
    return await redact_run(store(scene), run_id, wish(scene))


async def step(scene: Scene, run_id: str, name: str) -> Redacted:
    return await redact_step(store(scene), run_id, name, wish(scene))


async def event_of(scene: Scene, event_id: str) -> Redacted:
    return await redact_event(store(scene), event_id, wish(scene))


async def redacted(scene: Scene, run_id: str) -> list[int]:
    """The records of a run that were redacted."""
    history = await scene.journal.history(run_id)
    return [each.record.sequence for each in history if each.redaction is not None]


async def shown(scene: Scene, run_id: str) -> str:
    """All payloads of a run, as text."""
    history = await scene.journal.history(run_id)
    return " ".join(
        str(msgspec.msgpack.decode(each.payload)) for each in history if each.payload
    )


async def family(scene: Scene, *, back: object = 1) -> tuple[str, str]:
    """A parent that has ended, after its one child of the step `call:0`; both ids."""
    await scene.register(scene.function("sub"), scene.function("job", "job.go"))
    await scene.emit(scene.event("job.go"))
    parent = await scene.hold("job")
    await parent.park(child(parent, "call:0", scene.name("sub"), SECRET))
    kid = await scene.hold("sub")
    await kid.append(completed("a:0", "inner"), ended("completed", back))
    again = await scene.hold("job")
    await again.append(ended("completed", 2))
    return parent.run_id, kid.run_id


def error() -> dict[str, str]:
    return {"type": "Error", "message": SECRET, "traceback": SECRET}


async def data_of(scene: Scene, event_id: str) -> Any:
    stored = await store(scene).event(event_id)
    assert stored is not None
    return msgspec.msgpack.decode(stored.event.data)
