"""What is wrong with a data directory, what is intact, and what to do.

It looks from the outside to the inside: the directory, its owner, the files, the log and
the head, the pages, the rows. Rows are read by a process of its own (`apart.py`), so
that no damage ends this one. It writes nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ironflow.errors import IronflowError, JournalDamaged
from ironflow.journal.lmdb import apart, keys, opening, owner, segments, verify, wal
from ironflow.journal.lmdb._lmdb import MAP_BYTES_MAX, check_pages
from ironflow.journal.lmdb.head import read_head

Look = Callable[[str, int, int], object]
"""Told what is looked at, and how many rows of how many."""

FOLDERS: Final = (opening.INDEX, segments.FOLDER)
FILES: Final = (opening.DATA, wal.NAME, "head", "lock.mdb", "owner", *FOLDERS)
FINDINGS_KEPT_MAX: Final = 1_000


@dataclass(slots=True)
class Diagnosis:
    """What was found. `owner` is a process id, None if nobody owns the directory.

    `damaged` are runs of which something is not as it was written; `runs` is how many
    rows of runs there are, -1 if they cannot be read.
    """

    directory: Path
    owner: int | None = None
    files: dict[str, int] = field(default_factory=dict[str, int])
    wrong: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    damaged: set[str] = field(default_factory=set[str])
    runs: int = -1
    events: int = -1
    events_damaged: int = 0
    has_wrong_documents: bool = False

    @property
    def is_healthy(self) -> bool:
        """Say whether nothing is wrong."""
        return not self.wrong

    @property
    def intact(self) -> list[str]:
        """What can be relied on, in sentences."""
        if self.runs < 0:
            return []
        whole = max(0, self.runs - len(self.damaged))
        events = max(0, self.events - self.events_damaged)
        return [
            f"{whole} of {self.runs} runs are intact",
            f"{events} of {self.events} events are intact",
        ]

    @property
    def advice(self) -> list[str]:
        """What to do next, in sentences."""
        if self.is_healthy:
            return ["nothing has to be done"]
        found = ["take a copy of the whole directory before anything else"]
        if self.owner is not None:
            found.insert(0, f"stop process {self.owner}, which works on it")
        found.append("if there is a backup, 'ironflow restore FILE DIRECTORY'")
        if self.has_wrong_documents:
            found.append(
                "look at documents (API keys by 'ironflow keys list'): revoke keys that"
                " should be gone, make those that are missing anew"
            )
        if self.runs > 0 or self.has_wrong_documents:
            found.append(
                "or 'ironflow doctor --salvage NEWDIR' writes what is intact into a"
                " new journal; runs that have not ended are paused there"
            )
        return found


def diagnose(directory: Path, look: Look) -> Diagnosis:
    """Look at everything that there is of a data directory."""
    found = Diagnosis(directory)
    try:
        opening.check_directory(directory)
    except IronflowError as error:
        found.wrong.append(str(error))
        return found
    found.owner = owner.read_owner(directory)
    _look_at_files(found)
    if _look_at_store(found):
        _look_at_log(found)
        _look_at_rows(found, look)
    return found


def _look_at_files(found: Diagnosis) -> None:
    for name in FILES:
        path = found.directory / name
        if path.is_dir():
            found.files[name] = sum(map(_size, path.iterdir()))
        elif path.exists():
            found.files[name] = path.stat().st_size
    if "head" not in found.files:
        found.notes.append(
            "the file 'head' is missing: whether the newest commits are gone cannot be"
            " told; the next owner writes it again"
        )
    elif read_head(found.directory) is None:
        found.notes.append(
            "the file 'head' says nothing, as after a power loss: whether the newest"
            " commits are gone cannot be told; the next owner writes it again"
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # its owner has deleted it meanwhile


def _look_at_store(found: Diagnosis) -> bool:
    """Look at the store's file as bytes; say whether its rows can be tried."""
    try:
        opening.check_file(found.directory, is_still=False)
    except JournalDamaged as error:
        found.wrong.append(str(error))
    except IronflowError as error:
        found.wrong.append(str(error))
        return False
    if found.owner is not None:
        found.notes.append(
            f"process {found.owner} owns the directory; pages are not looked at while"
            " it writes them"
        )
        return True
    try:
        pages = check_pages(found.directory / opening.DATA)
    except IronflowError as error:
        found.wrong.append(str(error))
        return False
    if pages:
        found.wrong.append(
            f"{len(pages)} places of data.mdb are not what LMDB wrote; the first is:"
            f" {pages[0]}"
        )
    return True


def _look_at_log(found: Diagnosis) -> None:
    path = found.directory / wal.NAME
    try:
        wal.WalFile(path).close()
    except FileNotFoundError:
        found.notes.append(
            "the file 'wal' is missing: after an end in order everything is in"
            " data.mdb, after a crash the newest commits were in it; the next owner"
            " makes it again"
        )
    except IronflowError as error:
        found.wrong.append(str(error))


def _look_at_rows(found: Diagnosis, look: Look) -> None:
    try:
        for message in apart.told_by(examine, str(found.directory)):
            if "rows" in message:
                look(message["rows"], message["done"], message["total"])
            else:
                _note(found, message)
    except JournalDamaged as error:
        found.wrong.append(str(error))


def _note(found: Diagnosis, message: dict[str, Any]) -> None:
    if "runs" in message:
        found.runs, found.events = message["runs"], message["events"]
        return
    text, run_id = message["finding"], message["run"]
    if run_id:
        found.damaged.add(run_id)
        text = f"{run_id}, record {message['record']}: {text}"
    elif text.startswith("event "):
        found.events_damaged += 1
    elif text.startswith("documents "):
        found.has_wrong_documents = True
    if text not in found.wrong and len(found.wrong) < FINDINGS_KEPT_MAX:
        found.wrong.append(text)


# --- in a process of its own ------------------------------------------------------


def examine(directory: str) -> None:
    """Say what the rows of a store are like; it may end the process."""
    try:
        for message in _examined(Path(directory)):
            apart.say(message)
    except IronflowError as error:
        apart.say({"finding": str(error), "run": "", "record": 0})


def _examined(directory: Path) -> Iterator[dict[str, Any]]:
    store = opening.open_store(directory, readonly=True, map_bytes=MAP_BYTES_MAX)
    try:
        with store.snapshot() as snapshot:
            runs, events = snapshot.entries(keys.RUNS), snapshot.entries(keys.EVENTS)
        yield {"runs": runs, "events": events}
    finally:
        store.close()
    for found in verify.verify_rows(directory):
        if isinstance(found, verify.Progress):
            yield {"rows": found.part, "done": found.done, "total": found.total}
        else:
            yield {
                "finding": found.message,
                "run": found.run_id,
                "record": found.record,
            }
