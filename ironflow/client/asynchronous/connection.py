"""Sends calls to one server, again where that is safe."""

import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar, cast, final

import httpx
import msgspec

from ironflow import limits
from ironflow.client.answers import Answer
from ironflow.client.calls import Call, read
from ironflow.client.pausing import async_sleep
from ironflow.client.refusals import foreign, lost, refused, too_large, unreachable
from ironflow.client.requests import NoCookies, Requests
from ironflow.client.retrying import Answered, Lost, delay_us, is_success
from ironflow.client.settings import Settings, has_proxies
from ironflow.client.trust import trusted
from ironflow.errors import IronflowError
from ironflow.policy.retry import Retry
from ironflow.sockets import KEEPALIVE

AnswerT = TypeVar("AnswerT", bound=Answer)

# Nothing was sent: no connection, or none in time.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.ProxyError,
)


@final
class AsyncConnection:
    """Connections to one server, kept for the next call. `timeout` is in seconds."""

    def __init__(
        self,
        settings: Settings,
        *,
        timeout: float,
        retry: Retry,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self.url = settings.url
        self._timeout = timeout
        self._retry = retry
        self._random = random.Random()
        verify = trusted(settings.ca_file) if settings.ca_file else True
        if transport is None and not has_proxies():  # which only httpx' own knows
            transport = httpx.AsyncHTTPTransport(
                verify=verify, socket_options=KEEPALIVE
            )
        self._http = httpx.AsyncClient(
            headers=settings.headers,
            timeout=timeout,
            transport=transport,
            cookies=NoCookies(),
            verify=verify,
        )
        self._requests = Requests(settings.url, self._http.headers.multi_items())

    async def send(self, call: Call[AnswerT]) -> AnswerT:
        """Send a call and return what it gives.

        Raises:
            ServerUnavailable: nobody answered; the message says what to do.
            ServerError: the answer is none of ours.
            IronflowError: the server refused it.
        """
        body = await self.answered(call)
        try:
            return read(call, body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise foreign(self.url, call) from error

    async def answered(self, call: Call[Answer]) -> bytes:
        """Send a call and return what it gives as it came.

        Raises:
            ServerUnavailable: nobody answered; the message says what to do.
            IronflowError: the server refused it.
        """
        attempt = 1
        while True:
            found = await self._sent(call)
            if isinstance(found, Answered) and is_success(call, found, attempt=attempt):
                return found.body
            delay = delay_us(
                call,
                found,
                policy=self._retry,
                attempt=attempt,
                draw=self._random.random(),
            )
            if delay is None:
                raise self._error(call, found)
            await async_sleep(delay / 1_000_000)
            attempt += 1

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        await self._http.aclose()

    async def _sent(self, call: Call[Answer]) -> Answered | Lost:
        request = self._requests.request(call, timeout=self._timeout + call.wait)
        try:
            answer = await self._http.send(request, stream=True)
            try:
                body = await self._body(answer)
            finally:
                await answer.aclose()
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
            return Lost(why, is_sent=not isinstance(error, _NOT_SENT))
        except (httpx.DecodingError, httpx.TooManyRedirects) as error:
            return Lost(str(error), is_sent=True)
        return Answered(answer.status_code, answer.headers, body)

    async def _body(self, answer: httpx.Response) -> bytes:
        found: list[bytes] = []
        size = 0
        # One that is left in the middle would be closed by whoever collects garbage.
        body = cast("AsyncGenerator[bytes, None]", answer.aiter_bytes())
        async with aclosing(body) as pieces:
            async for piece in pieces:
                size += len(piece)
                if size > limits.CLIENT_ANSWER_BYTES_MAX:
                    raise too_large(self.url)
                found.append(piece)
        return b"".join(found)

    def _error(self, call: Call[Answer], found: Answered | Lost) -> IronflowError:
        match found:
            case Answered(status=status, body=body):
                return refused(self.url, status, body)
            case Lost(why=why, is_sent=True):
                return lost(self.url, call, why)
            case Lost(why=why):
                return unreachable(self.url, why)
