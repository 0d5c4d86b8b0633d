"""Work on a damaged store in a process of its own, because it may end that process.

LMDB follows what a damaged page says, out of the map if need be, or round in circles.
Whoever asks for such work gets what it says, message by message, and learns if the
process has died. It has so much memory and no more, and dies if it falls silent.
"""

import os
import resource
import selectors
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Final

import msgspec

from ironflow import limits
from ironflow.errors import JournalDamaged

_PROGRAM: Final = (
    "import json, sys; from importlib import import_module;"
    " sys.path[:] = json.loads(sys.argv[1]);"
    " import_module('ironflow.journal.lmdb.apart').run(*sys.argv[2:])"
)
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode: Final = msgspec.json.Encoder().encode


def told_by(work: Callable[..., None], *args: str) -> Iterator[dict[str, Any]]:
    """Run a function of a module elsewhere; yield what it hands to `say`.

    Raises:
        JournalDamaged: the process died, by a signal or an error of its own; it wanted
            more than `APART_BYTES_MAX` of memory, or said nothing for
            `APART_SILENCE_S_MAX`.
    """
    path = _encode(sys.path).decode()
    command = [sys.executable, "-c", _PROGRAM, path, work.__module__, work.__name__]
    process = subprocess.Popen(  # noqa: S603 - our own program and function
        [*command, *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield from _messages(process)
            said = process.communicate()[1].decode(errors="replace").strip()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        last = said.rpartition("\n")[2] or f"status {process.returncode}"
        raise JournalDamaged(f"the process that read the store died ({last})")


def _messages(process: "subprocess.Popen[bytes]") -> Iterator[dict[str, Any]]:
    rest = b""
    for data in _told(process):
        *lines, rest = (rest + data).split(b"\n")  # a message that is cut was not said
        yield from map(_decode, lines)


def _told(process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.select(limits.APART_SILENCE_S_MAX):
                raise JournalDamaged(
                    "the process that read the store was ended: it said nothing for"
                    f" {limits.APART_SILENCE_S_MAX} s"
                )
            data = os.read(pipe, 65_536)
            if not data:
                return
            yield data


def run(module: str, name: str, *args: str) -> None:
    """Do the work: what the other process is started with."""
    most = limits.APART_BYTES_MAX
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))  # a map does not count
    getattr(import_module(module), name)(*args)


def say(message: dict[str, Any]) -> None:
    """Tell the process that asked; each message is whole. `{}` says: still at work."""
    os.write(1, _encode(message) + b"\n")
