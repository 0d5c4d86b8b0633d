"""Sockets whose peers may vanish: what the kernel is asked to do, and what it knows.

A machine that loses its power or its cable says no goodbye, and TCP waits for a quarter of
an hour. So the kernel is told to ask a peer that says nothing (*keepalive*), and to end the
connection when it does not answer. It does not ask while something that was sent is not
acknowledged; that is what `is_unanswered` looks at.

Neither needs the program at the other end: its kernel answers, also for one that is stopped
or does not read. What stands between, such as a proxy, answers for itself.
"""

import socket
import struct
from typing import Final, Protocol

from ironflow import limits

_SECOND_US: Final = 1_000_000
_IDLE_S: Final = limits.SOCKET_IDLE_US_MAX // _SECOND_US
_SILENCE_MS: Final = limits.SOCKET_SILENCE_US_MAX // 1_000
_PROBES: Final = limits.SOCKET_SILENCE_US_MAX // _SECOND_US - _IDLE_S  # one a second
# What Linux calls TCP_KEEPIDLE has another name on macOS.
_KEEPIDLE: Final = getattr(socket, "TCP_KEEPIDLE", None) or getattr(
    socket, "TCP_KEEPALIVE", None
)

# Of Linux' `struct tcp_info`: tcpi_retransmits, tcpi_probes, tcpi_last_ack_recv (ms).
_INFO: Final = struct.Struct("=2x2B52xI")
_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)
_UNANSWERED_MIN: Final = 2

SocketOption = tuple[int, int, int]


def _keepalive() -> list[SocketOption]:
    options: list[SocketOption] = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    wanted = (
        (_KEEPIDLE, _IDLE_S),
        (getattr(socket, "TCP_KEEPINTVL", None), 1),
        (getattr(socket, "TCP_KEEPCNT", None), _PROBES),
    )
    options += [
        (socket.IPPROTO_TCP, name, value) for name, value in wanted if name is not None
    ]
    return options


# Options of a socket: level, name, value.
KEEPALIVE: Final = _keepalive()


class Told(Protocol):
    """A socket, or a stream of Trio around one, that can be given options."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Set an option."""
        ...


class Asked(Protocol):
    """A socket, or a stream of Trio around one, that can be asked about itself."""

    def getsockopt(self, level: int, option: int, buffersize: int, /) -> bytes:
        """Return what an option is."""
        ...


def keep_alive(connected: Told) -> None:
    """Have the kernel end a connection whose peer has vanished.

    Raises:
        OSError: it has ended already.
    """
    for level, option, value in KEEPALIVE:
        connected.setsockopt(level, option, value)


def is_unanswered(connected: Asked) -> bool:
    """Say whether nothing of what was sent was acknowledged for `SOCKET_SILENCE_US_MAX`.

    The kernel's own limit for this (TCP_USER_TIMEOUT) also ends the connection to a peer
    that is there and does not read. That one acknowledges what it is asked.

    Raises:
        OSError: the connection has ended already.
    """
    if _TCP_INFO is None:
        return False
    info = connected.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _INFO.size)
    if len(info) < _INFO.size:  # no TCP of Linux
        return False
    found: tuple[int, int, int] = _INFO.unpack(info)
    retransmits, probes, unheard_ms = found
    return retransmits + probes >= _UNANSWERED_MIN and unheard_ms >= _SILENCE_MS
