"""A far machine, and the line to it that can be cut: no side is told."""

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, TypeVar, final

_T = TypeVar("_T")

NEAR: Final = "10.203.0.1"
_CLONE_NEWNET: Final = 0x40000000


class NotPossible(Exception):
    """This machine cannot have networks of its own; the text says why."""


@final
class Line:
    """Two machines, *near* and *far*, and a router between them."""

    def __init__(self, name: str) -> None:
        self._name = name

    def near(self, act: Callable[[], _T]) -> _T:
        """Do something as the near machine: a socket stays what it was made as."""
        return self._within("near", act)

    def far(self, act: Callable[[], _T]) -> _T:
        """Do something as the far machine."""
        return self._within("far", act)

    def cut(self) -> None:
        """Let the router drop whatever comes, without a word."""
        self._forward(0)

    def mend(self) -> None:
        """Let it pass packets on again."""
        self._forward(1)

    def _forward(self, value: int) -> None:
        path = Path("/proc/sys/net/ipv4/ip_forward")
        self._within("router", lambda: path.write_text(str(value)))

    def _within(self, machine: str, act: Callable[[], _T]) -> _T:
        """Do something in a thread that has gone to a network, and ends with it."""
        found: list[_T] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                _enter(f"{self._name}-{machine}")
                found.append(act())
            except BaseException as error:  # noqa: BLE001  it is raised below
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return found[0]


@contextmanager
def open_line() -> Generator[Line]:
    """Make two machines and a line between them.

    Raises:
        NotPossible: it takes the rights of root, Linux, and `ip`.
    """
    name = f"ironflow-{os.getpid()}"
    with ExitStack() as made:
        for machine in ("near", "router", "far"):
            _ip("netns", "add", f"{name}-{machine}")
            made.callback(_ip, "netns", "del", f"{name}-{machine}")
            _ip("-n", f"{name}-{machine}", "link", "set", "lo", "up")
        for machine, net in (("near", "10.203.0"), ("far", "10.203.1")):
            _connect(f"{name}-{machine}", f"{name}-router", machine, net)
        line = Line(name)
        line.mend()
        yield line


def listener(address: str) -> socket.socket:
    """Return a socket that listens."""
    found = socket.socket()
    found.bind((address, 0))
    found.listen()
    found.settimeout(0)
    return found


def _connect(machine: str, router: str, end: str, net: str) -> None:
    _ip("-n", machine, "link", "add", "eth0", "type", "veth", "peer", "name", end)
    _ip("-n", machine, "link", "set", end, "netns", router)
    for where, device, host in ((machine, "eth0", 1), (router, end, 2)):
        _ip("-n", where, "addr", "add", f"{net}.{host}/24", "dev", device)
        _ip("-n", where, "link", "set", device, "up")
    _ip("-n", machine, "route", "add", "default", "via", f"{net}.2")


def _ip(*arguments: str) -> None:
    try:
        subprocess.run(
            ["ip", *arguments], check=True, capture_output=True, text=True, timeout=10
        )
    except FileNotFoundError as error:
        raise NotPossible("there is no command 'ip' (iproute2)") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip()
        raise NotPossible(f"'ip {' '.join(arguments)}' says: {said}") from error


def _enter(namespace: str) -> None:
    """Let this thread, and the sockets that it makes, be in a network."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/run/netns", namespace).open() as file:
        if libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
