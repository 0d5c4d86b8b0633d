"""The frames of protocol 2 in signed POST bodies, for endpoints of ours.

A run is a conversation: each POST has what the server says about it, and the answer what
the endpoint says, in the frames that a worker's connection has. `docs/protocol-2.md` has
the rules.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from ironflow import limits
from ironflow.errors import ProtocolError
from ironflow.wire.frames import Frame, ServerFrame, WorkerFrame, encode
from ironflow.wire.frames import server_frame as _server_frame
from ironflow.wire.frames import worker_frame as _worker_frame

SIGNATURE: Final = "Ironflow-Signature"
CONTENT_TYPE: Final = "application/vnd.ironflow.2+msgpack"
SIGNATURE_S_MAX: Final = limits.PUSH_SIGNATURE_US_MAX // 1_000_000

State = Literal["open", "over", "unknown"]
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Post(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What the server says about one run, which it holds under `epoch`.

    `process` is that which the run was given to, empty at first. `now` is the server's
    clock in microseconds. `nonce` is random, of this one sending; its answer repeats it.
    """

    environment: str
    now: int
    run_id: str
    epoch: int
    process: str = ""
    frames: tuple[msgspec.Raw, ...] = ()
    nonce: str = ""


class Describe(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Ask an endpoint for its functions; answered by `Described`."""

    now: int
    nonce: str = ""


class Reply(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What the process of an endpoint says about a run.

    `open`: it goes on with it; without frames there is no news yet, ask again. `over`: it
    does not hold the run any more. `unknown`: this process has not got the run. `answers`
    is the nonce of the POST.
    """

    process: str
    state: State
    frames: tuple[msgspec.Raw, ...] = ()
    answers: str = ""


class Described(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The functions of an endpoint: rows of the registry."""

    sdk: str
    functions: tuple[msgspec.Raw, ...]
    answers: str = ""


_post: Final[Callable[[bytes], Post | Describe]] = msgspec.msgpack.Decoder(
    Post | Describe
).decode
_reply: Final[Callable[[bytes], Reply | Described]] = msgspec.msgpack.Decoder(
    Reply | Described
).decode


def packed(frames: Sequence[Frame]) -> tuple[msgspec.Raw, ...]:
    """Return frames as they lie in a body."""
    return tuple(msgspec.Raw(encode(frame)) for frame in frames)


def read_post(body: bytes) -> Post | Describe:
    """Return what a server has sent.

    Raises:
        ProtocolError: it is nothing of this protocol.
    """
    try:
        return _post(body)
    except _UNREADABLE as error:
        raise ProtocolError(
            f"a body of {len(body)} bytes is no post: {error}"
        ) from error


def read_reply(body: bytes) -> Reply | Described:
    """Return what an endpoint has answered.

    Raises:
        ProtocolError: it is nothing of this protocol.
    """
    try:
        return _reply(body)
    except _UNREADABLE as error:
        raise ProtocolError(
            f"a body of {len(body)} bytes is no reply: {error}"
        ) from error


def server_frames(post: Post) -> list[ServerFrame]:
    """Return the frames of a server.

    Raises:
        ProtocolError: one is none.
    """
    return [_server_frame(bytes(frame)) for frame in post.frames]


def worker_frames(reply: Reply) -> list[WorkerFrame]:
    """Return the frames of an endpoint.

    Raises:
        ProtocolError: one is none.
    """
    return [_worker_frame(bytes(frame)) for frame in reply.frames]


def signed(key: str, body: bytes, *, now_s: int) -> str:
    """Return the value of the header `Ironflow-Signature`; `now_s` is in seconds."""
    return f"t={now_s},v1={_digest(key, body, now_s)}"


def check_signature(key: str, header: str, body: bytes, *, now_s: int) -> None:
    """Let a body pass that was signed with this key, not long ago.

    Raises:
        ProtocolError: it was not; the message does not say what would be right.
    """
    parts: dict[str, str] = {}
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        parts[name] = value
    time, given = parts.get("t", ""), parts.get("v1", "")
    if not (time.isascii() and time.isdecimal() and len(time) <= _DIGITS_MAX and given):
        raise ProtocolError(f"the header {SIGNATURE} is not t=<seconds>,v1=<digest>")
    expected = _digest(key, body, int(time))
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise ProtocolError("the signature is not of this body with this key")
    if abs(now_s - int(time)) > SIGNATURE_S_MAX:
        raise ProtocolError(
            f"the signature is {abs(now_s - int(time))} s from now, and"
            f" {SIGNATURE_S_MAX} are allowed; compare the clocks"
        )


_DIGITS_MAX: Final = 15


def _digest(key: str, body: bytes, now_s: int) -> str:
    text = b"%d.%b" % (now_s, body)
    return hmac.new(key.encode(), text, hashlib.sha256).hexdigest()
