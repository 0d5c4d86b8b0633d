"""A PostgreSQL server of our own for tests: made once, in a directory that goes."""

import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

SUPERUSER = "ironflow"
# A server that is killed loses nothing that it has written, flushed to the disk or not:
# only a machine that loses its power does, which no test here can show. So most tests
# flush nothing, and do not wait for each other's disk.
_SETTINGS = """
listen_addresses = ''
checkpoint_timeout = 1h
max_wal_size = 4GB
max_connections = 100
shared_buffers = 32MB
"""


class NoServer(Exception):
    """No PostgreSQL is installed here."""


def programs() -> Path:
    """Return the directory of initdb and pg_ctl.

    Raises:
        NoServer: there is none.
    """
    for folder in _folders():
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    raise NoServer("neither initdb nor pg_ctl of a PostgreSQL server was found")


def _folders() -> Iterator[Path]:
    config = shutil.which("pg_config")
    if config:
        found = subprocess.run(
            [config, "--bindir"], capture_output=True, text=True, check=False
        )
        yield Path(found.stdout.strip())
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    yield from (Path(folder) for folder in os.environ.get("PATH", "").split(":"))


class Server:
    """A server on a socket in a directory of its own; `fsync`: it flushes what it writes."""

    def __init__(self, *, fsync: bool = False) -> None:
        self._programs = programs()
        # A path that fits into the address of a socket, open to the server's user.
        self.directory = Path(tempfile.mkdtemp(prefix="ironflow-pg-", dir="/tmp"))
        self._user = _other_user()
        if self._user:
            shutil.chown(self.directory, self._user)
        self.directory.chmod(0o755)
        self._data = self.directory / "data"
        self._run(
            "initdb",
            *("-D", str(self._data), "-U", SUPERUSER, "-A", "trust"),
            *("-E", "UTF8", "--locale=C", "--no-sync"),
        )
        own = (
            f"unix_socket_directories = '{self.directory}'\n"
            f"fsync = {'on' if fsync else 'off'}\n"
        )
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS + own)
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers."""
        log = str(self.directory / "log")
        self._run(
            "pg_ctl", "-D", str(self._data), "-w", "-t", "240", "-l", log, "start"
        )
        self.is_running = True

    def stop(self) -> None:
        """Stop as a crash would, and wait for the end."""
        self.is_running = False
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", "immediate", "stop")

    def kill(self) -> None:
        """Kill every process of the server at once, and wait until they are gone."""
        self.is_running = False
        lock = self._data / "postmaster.pid"
        postmaster = int(lock.read_text().splitlines()[0])
        # Stopped first, it makes no more children and does not clean up after them.
        os.kill(postmaster, signal.SIGSTOP)
        for pid in (*_children(postmaster), postmaster):
            with suppress(ProcessLookupError):
                _kill(pid)
        # Whoever does not collect the dead would make it look as if they lived.
        lock.unlink()
        (self.directory / ".s.PGSQL.5432.lock").unlink()

    def remove(self) -> None:
        """Stop, and delete everything."""
        if self.is_running:
            self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def url(self, schema: str = "", *, database: str = "postgres") -> str:
        """Return the URL of a journal in a schema."""
        place = f"host={self.directory}&user={SUPERUSER}"
        return f"postgresql:///{database}?{place}" + (schema and f"&schema={schema}")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        if self._user:
            group = pwd.getpwnam(self._user).pw_gid
            identity = [f"--reuid={self._user}", f"--regid={group}", "--clear-groups"]
            command = ["setpriv", *identity, *command]
        # A file, not a pipe: the server that pg_ctl starts would keep it open.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                timeout=300,
                check=False,
            )
            output.seek(0)
            assert done.returncode == 0, output.read()


def _children(parent: int) -> list[int]:
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]


def _kill(pid: int) -> None:
    """Kill a process, and wait until it is gone."""
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [], 10)
    finally:
        os.close(process)


def _other_user() -> str:
    """The server refuses to run as root: then it is somebody else's."""
    if os.geteuid() != 0:
        return ""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
