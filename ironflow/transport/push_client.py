"""One POST to an endpoint, whatever it speaks: sent, and its whole answer read.

An endpoint may be broken or hostile. What it answers is bounded in bytes while it is read, as
sent and without its gzip, and the time for all of it is bounded, also if a byte comes now and
then. Nothing follows a redirect.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Literal, cast, final

import httpx
import trio

from ironflow import limits
from ironflow.errors import ConfigurationError
from ironflow.policy.reach import check_endpoint_url
from ironflow.transport.http.messages import Gunzip, HttpError
from ironflow.transport.push_dial import NotAllowed

Code = Literal["TIMEOUT", "CONNECTION_LOST", "ENDPOINT_ERROR", "NOT_ALLOWED"]

_LOGGER: Final = logging.getLogger("ironflow.push")
_NOT_CONNECTED: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
_OK: Final = 200
_PLAIN: Final = frozenset({"", "identity"})
_GZIP: Final = frozenset({"gzip", "x-gzip"})


class CallFailed(Exception):
    """A POST came to nothing: `code` says how, the text what happened, as half a sentence.

    Nobody has read what is not `is_sent`: there was no connection.
    """

    def __init__(self, code: Code, what: str, *, is_sent: bool = True) -> None:
        super().__init__(what)
        self.code: Final = code
        self.is_sent: Final = is_sent


@final
@dataclass(frozen=True, slots=True)
class Answered:
    """What an endpoint has answered; one that is not 200 may be cut off."""

    status: int
    headers: httpx.Headers
    body: bytes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a POST may take, to the end of its answer, and how many bytes that may have.

    They are counted as they are sent, and again without their gzip.
    """

    seconds: float
    answer_bytes_max: int


async def exchange(
    client: httpx.AsyncClient,
    url: str,
    body: bytes,
    headers: dict[str, str],
    *,
    patience: Patience,
) -> Answered:
    """Send a POST and return the whole answer.

    Raises:
        CallFailed: none came, or not in time, or it cannot be read.
    """
    asked = {"accept-encoding": "identity", **headers}
    try:
        check_endpoint_url(url)
        with trio.fail_after(patience.seconds):
            async with client.stream(
                "POST", url, content=body, headers=asked, follow_redirects=False
            ) as answer:
                found = await _whole(answer, patience.answer_bytes_max)
    except trio.TooSlowError as error:
        raise CallFailed(
            "TIMEOUT", f"it did not answer within {patience.seconds:g} s"
        ) from error
    except (ConfigurationError, NotAllowed) as error:
        what = f"it may not be called: {error}"
        raise CallFailed("NOT_ALLOWED", what, is_sent=False) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        what = f"it could not be called: {type(error).__name__}: {error}"
        is_sent = not isinstance(error, _NOT_CONNECTED)
        raise CallFailed("CONNECTION_LOST", what, is_sent=is_sent) from error
    _LOGGER.debug("POST %s %d, %d bytes", url, found.status, len(found.body))
    return found


async def _whole(answer: httpx.Response, bytes_max: int) -> Answered:
    encoding = answer.headers.get("content-encoding", "").strip().lower()
    if answer.status_code != _OK:
        said = await _beginning(answer) if encoding in _PLAIN else b""
        return Answered(answer.status_code, answer.headers, said)
    try:
        if encoding in _PLAIN:
            said = await _plain(answer, bytes_max)
        elif encoding in _GZIP:
            said = await _gunzipped(answer, bytes_max)
        else:
            raise CallFailed(
                "ENDPOINT_ERROR",
                f"its answer has the content encoding {encoding[:40]!r}, which it was not"
                " asked for",
            )
    except HttpError as error:
        raise CallFailed(
            "ENDPOINT_ERROR", f"its answer cannot be read: {error}"
        ) from error
    return Answered(_OK, answer.headers, said)


async def _beginning(answer: httpx.Response) -> bytes:
    """Return what an answer that is an error says, as far as anybody reads it."""
    pieces: list[bytes] = []
    size = 0
    async with _left(answer.aiter_bytes()) as found:
        async for piece in found:
            pieces.append(piece)
            size += len(piece)
            if size >= limits.PUSH_ERROR_BYTES_MAX:
                break
    return b"".join(pieces)[: limits.PUSH_ERROR_BYTES_MAX]


async def _plain(answer: httpx.Response, bytes_max: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async with _left(answer.aiter_bytes()) as found:
        async for piece in found:
            size += len(piece)
            if size > bytes_max:
                raise _too_large(bytes_max)
            pieces.append(piece)
    return b"".join(pieces)


async def _gunzipped(answer: httpx.Response, bytes_max: int) -> bytes:
    gunzip = Gunzip(bytes_max)
    size = 0
    async with _left(answer.aiter_raw()) as found:
        async for piece in found:
            size += len(piece)
            if size > bytes_max:
                raise _too_large(bytes_max)
            gunzip.feed(piece)
    return gunzip.finish()


def _left(pieces: AsyncIterator[bytes]) -> aclosing[AsyncGenerator[bytes, None]]:
    # A generator that is left in the middle would be closed by whoever collects garbage.
    return aclosing(cast("AsyncGenerator[bytes, None]", pieces))


def _too_large(bytes_max: int) -> CallFailed:
    return CallFailed("ENDPOINT_ERROR", f"its answer has more than {bytes_max} bytes")
