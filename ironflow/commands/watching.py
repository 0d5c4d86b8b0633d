"""Which source files belong to an app, and which of them have changed: by looking."""

import os
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final, final

from ironflow import limits

_SUFFIXES: Final = (".py", ".pyi", ".toml")
_SKIPPED: Final = frozenset({"__pycache__", "node_modules"})
_OF_ENVIRONMENT: Final = "pyvenv.cfg"

# Of each file its time, size and number: what an editor writes is often another file.
Snapshot = Mapping[Path, tuple[int, int, int]]


def place_of(target: str, *, current: Path, path: list[str]) -> Path:
    """Return the directory whose source files an app is made of.

    That of its file; of a module in the current directory this, since it imports the
    others there; of one that is installed its package. `path` is where modules are found.
    """
    place, _, _ = target.rpartition(":")
    if place.endswith(".py"):
        return (current / place).parent.absolute()
    found = PathFinder.find_spec(place.partition(".")[0], [str(current), *path])
    if found is None or found.origin is None:
        return current
    origin = Path(found.origin).absolute()
    inside = origin.is_relative_to(current) and not _is_skipped(
        origin.relative_to(current)
    )
    return current if inside else origin.parent


def _is_skipped(path: Path) -> bool:
    return any(part.startswith(".") or part in _SKIPPED for part in path.parts[:-1])


@final
class Watched:
    """The source files below a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def look(self) -> Snapshot:
        """Return the files as they are; at most `limits.DEV_FILES_MAX` of them."""
        found: dict[Path, tuple[int, int, int]] = {}
        for path in _files(self.directory):
            try:
                status = path.stat()
            except OSError:  # it went away meanwhile
                continue
            found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
            if len(found) >= limits.DEV_FILES_MAX:
                break
        return found

    def changes(self, before: Snapshot, after: Snapshot) -> list[str]:
        """Return the files that were added, changed or taken away, by name."""
        paths = {
            path
            for path in before.keys() | after.keys()
            if before.get(path) != after.get(path)
        }
        return sorted(str(path.relative_to(self.directory)) for path in paths)


def _files(directory: Path) -> Iterator[Path]:
    for place, directories, names in os.walk(directory):
        if _OF_ENVIRONMENT in names and Path(place) != directory:
            directories.clear()  # packages that are installed there
            continue
        directories[:] = sorted(
            each
            for each in directories
            if not each.startswith(".") and each not in _SKIPPED
        )
        for name in sorted(names):
            if name.endswith(_SUFFIXES):
                yield Path(place, name)
