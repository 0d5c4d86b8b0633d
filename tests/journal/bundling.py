"""What tests of bundles share: journals with foreign runs, and files of theirs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]  # it has no types
from msgspec import structs

from ironflow.journal.archive import (
    Imported,
    Selection,
    export_runs,
    import_runs,
)
from ironflow.journal.base import (
    Done,
    ImportRun,
    Journal,
)
from ironflow.journal.bundle import BundleFile
from ironflow.journal.memory import MemoryJournal
from ironflow.testing.checks_asks import ended
from ironflow.testing.checks_imports import foreign
from ironflow.testing.checks_scene import Scene
from tests.journal.lmdb.conftest import store_in


def nobody(done: int, total: int) -> None:
    """Look at no progress."""


def a_scene() -> Scene:
    return Scene("archive", store_in(Path("unused")))


async def stored(journal: MemoryJournal, *commands: ImportRun) -> MemoryJournal:
    for command in commands:
        assert await journal.commit([command]) == [Done()]
    return journal


async def exported(
    journal: Journal,
    path: Path,
    selection: Selection = Selection(),  # noqa: B008 - a value
) -> list[str]:
    return await export_runs(journal, selection, path, nobody)


async def imported(journal: Journal, path: Path, **options: bool) -> Imported:
    bundle = BundleFile(path)
    try:
        return await import_runs(journal, bundle, nobody, **options)
    finally:
        bundle.close()


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def parts(path: Path) -> list[Any]:
    """What any reader of MessagePack finds in a bundle."""
    with path.open("rb") as file:
        return list(msgpack.Unpacker(file, strict_map_key=False))


def body(path: Path) -> list[Any]:
    """A bundle without what says when it was written, and by that its digest."""
    return parts(path)[2:-1]


async def family() -> tuple[MemoryJournal, list[str]]:
    """A parent, its child, what the child continues in, and a stranger."""
    scene = a_scene()
    commands = [
        foreign(scene, ended(), status="completed"),
        foreign(scene, ended(), status="completed"),
        foreign(scene),
        foreign(scene, ended("failed"), status="failed"),
    ]
    run_ids = [command.row.run_id for command in commands]
    rows = [command.row for command in commands]
    rows[1] = structs.replace(rows[1], parent_run=run_ids[0])
    rows[2] = structs.replace(rows[2], continued_from=run_ids[1])
    journal = await stored(
        MemoryJournal(),
        *(replace(c, row=row) for c, row in zip(commands, rows, strict=True)),
    )
    return journal, run_ids
