"""Connections to endpoints: only to addresses that may be called, and through no proxy.

A name is looked up here, and the address that was looked at is the one that is connected to,
so a name that stands for another address a moment later gains nothing.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from functools import cache
from typing import Final, cast, final

import httpcore
import httpx
import trio

from ironflow import limits
from ironflow.policy.reach import Reach
from ironflow.sockets import KEEPALIVE

NewClient = Callable[[], httpx.AsyncClient]
Resolve = Callable[[str, int], Awaitable[list[str]]]
Certificates = Callable[[], ssl.SSLContext]

_CONNECT_S: Final = 5.0
_ERRORS: Final = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    httpcore.ConnectionNotAvailable,
)


class NotAllowed(Exception):
    """No address of a host may be called; the text says why, as half a sentence."""


@final
class Dialing:
    """Makes clients for endpoints within `reach`.

    They share the certificates: reading them holds the loop up for the time of many calls.
    """

    def __init__(
        self,
        reach: Reach,
        *,
        certificates: Certificates = httpx.create_ssl_context,
        resolve: Resolve | None = None,
    ) -> None:
        self._certificates: Final = cache(certificates)
        self._dialer: Final = _Dialer(reach, resolve or _addresses)

    def once(self) -> httpx.AsyncClient:
        """Return a client that makes a connection for each call and keeps none.

        How many calls are under way is bounded by whoever calls, and so is their time.
        """
        return self._client(_UNTIMED, kept=0)

    def kept(self, *, silence_s: float) -> httpx.AsyncClient:
        """Return a client that keeps to one connection, and so to one process.

        Nothing may come for `silence_s`.
        """
        return self._client(httpx.Timeout(silence_s, connect=_CONNECT_S), kept=1)

    def _client(self, timeout: httpx.Timeout, *, kept: int) -> httpx.AsyncClient:
        pool = httpcore.AsyncConnectionPool(
            ssl_context=self._certificates(),
            max_connections=kept or None,
            max_keepalive_connections=kept,
            network_backend=self._dialer,
        )
        return httpx.AsyncClient(
            transport=_Transport(pool), timeout=timeout, trust_env=False
        )


_UNTIMED: Final = httpx.Timeout(limits.DURATION_US_MAX / 1_000_000, connect=_CONNECT_S)


@final
class _Dialer(httpcore.AsyncNetworkBackend):
    def __init__(self, reach: Reach, resolve: Resolve) -> None:
        self._reach: Final = reach
        self._resolve: Final = resolve
        # Without Trio it is a class that only complains, which type checkers see, too.
        self._sockets: Final = cast(
            "httpcore.AsyncNetworkBackend", httpcore.TrioBackend()
        )

    async def connect_tcp(  # noqa: PLR0917  the signature is httpcore's
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of a host that may be called and answers."""
        found = await self._found(host, port, timeout)
        refusals = {address: self._reach.refusal(host, address) for address in found}
        allowed = [address for address in found if not refusals[address]]
        if not allowed:
            raise NotAllowed(refusals[found[0]])
        for address in allowed[:-1]:
            try:
                return await self._connected(address, port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._connected(allowed[-1], port, timeout)

    async def _connected(
        self, address: str, port: int, timeout: float | None
    ) -> httpcore.AsyncNetworkStream:
        return await self._sockets.connect_tcp(
            address, port, timeout, socket_options=KEEPALIVE
        )

    async def _found(self, host: str, port: int, timeout: float | None) -> list[str]:
        seconds = _CONNECT_S if timeout is None else timeout
        try:
            with trio.fail_after(seconds):
                found = await self._resolve(host, port)
        except trio.TooSlowError as error:
            raise httpcore.ConnectTimeout(f"{host} is still looked up") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host}: {error}") from error
        if not found:
            raise httpcore.ConnectError(f"{host} has no address")
        return found[: limits.ENDPOINT_ADDRESSES_MAX]


async def _addresses(host: str, port: int) -> list[str]:
    found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@final
class _Transport(httpx.AsyncBaseTransport):
    """A transport of httpx over a pool of our own: httpx' has no place for a dialer."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self._pool: Final = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the answer, whose body is still to be read."""
        url = request.url
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        sent = httpcore.Request(
            request.method,
            target,
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx():
            answer = await self._pool.handle_async_request(sent)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        with _as_httpx():
            await self._pool.aclose()


@final
class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer: Final = answer
        self._pieces: Final = answer.aiter_stream()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        with _as_httpx():
            return await anext(self._pieces)

    async def aclose(self) -> None:
        with _as_httpx():
            await self._answer.aclose()


@contextmanager
def _as_httpx() -> Generator[None]:
    """Raise what httpx raises: the classes have the same names."""
    try:
        yield
    except _ERRORS as error:
        kind = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise kind(str(error)) from error
