"""Work on a damaged store in a process of its own, because it may end that process.

LMDB follows what a damaged page says, out of the map if need be. Whoever asks for such
work gets what it says, message by message, and learns if the process has died.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from ironflow.errors import JournalDamaged

_PROGRAM: Final = (
    "import json, sys; from importlib import import_module;"
    " sys.path[:] = json.loads(sys.argv[1]);"
    " getattr(import_module(sys.argv[2]), sys.argv[3])(*sys.argv[4:])"
)
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode: Final = msgspec.json.Encoder().encode


def told_by(work: Callable[..., None], *args: str) -> Iterator[dict[str, Any]]:
    """Run a function of a module elsewhere; yield what it hands to `say`.

    Raises:
        JournalDamaged: the process died, by a signal or an error of its own.
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
    assert process.stdout is not None
    for line in process.stdout:
        if line.endswith(b"\n"):  # one that died in a message has not said it
            yield _decode(line)


def say(message: dict[str, Any]) -> None:
    """Tell the process that asked; each message is whole."""
    os.write(1, _encode(message) + b"\n")
