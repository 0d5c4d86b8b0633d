"""A bank in SQLite that writes down every call, and takes each effect once by its key."""

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

TABLES = """
    create table if not exists calls (
        place integer primary key, life integer, run text, step text, key text
    );
    create table if not exists effects (key text primary key, account text, cents integer);
"""


@dataclass(frozen=True)
class Call:
    """A step that was called: in which life of the process, for which run."""

    life: int
    run: str
    step: str


class Bank:
    """What was committed here survives the death of the process, like a real bank."""

    def __init__(self, path: Path, *, life: int) -> None:
        self._life = life
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            path, check_same_thread=False, isolation_level=None
        )
        self._connection.execute("pragma journal_mode=wal")
        # The machine goes on when the process is killed.
        self._connection.execute("pragma synchronous=off")
        self._connection.executescript(TABLES)

    def call(self, run: str, step: str, key: str, *, cents: int = 0) -> None:
        """Note a call; move money, unless this key has moved it before."""
        with self._lock:
            connection = self._connection
            connection.execute("begin immediate")
            connection.execute(
                "insert into calls (life, run, step, key) values (?, ?, ?, ?)",
                (self._life, run, step, key),
            )
            connection.execute(
                "insert or ignore into effects values (?, ?, ?)", (key, step, cents)
            )
            connection.execute("commit")

    def calls(self) -> list[Call]:
        """Return all calls in their order."""
        rows = self._connection.execute(
            "select life, run, step from calls order by place"
        )
        return [Call(*row) for row in rows]

    def balance(self) -> int:
        """Return what all movements come to; nothing is made of nothing."""
        [total] = self._connection.execute(
            "select total(cents) from effects"
        ).fetchone()
        return int(total)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
