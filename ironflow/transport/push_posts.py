"""POSTs of protocol 2 to endpoints of ours: signed, sent once, and known by their answers.

It knows how one POST ends, and nothing of runs.
"""

import secrets
from collections.abc import Callable
from typing import Final, final

import httpx
import msgspec
from msgspec.structs import replace

from ironflow import limits
from ironflow.errors import ProtocolError
from ironflow.transport.push_client import Answered, CallFailed, Patience, exchange
from ironflow.transport.push_dial import NewClient
from ironflow.wire.posts import (
    CONTENT_TYPE,
    SIGNATURE,
    Describe,
    Described,
    Post,
    Reply,
    check_signature,
    read_reply,
    signed,
)

_SECOND_US: Final = 1_000_000
_PATIENCE: Final = Patience(
    seconds=limits.PUSH_EXCHANGE_US_MAX / _SECOND_US,
    answer_bytes_max=limits.WIRE_MESSAGE_BYTES_MAX,
)
_NONCE_BYTES: Final = 12
_OK: Final = 200


class EndpointFailed(Exception):
    """A POST came to nothing, or what was answered cannot be gone on with."""


class NotSent(EndpointFailed):
    """There was no connection: nobody has read the POST."""


class NoAnswer(EndpointFailed):
    """It was sent, and nobody knows whether it was read."""


class WrongAnswer(EndpointFailed):
    """Something came that is no answer of an endpoint of ours."""


class ForeignAnswer(WrongAnswer):
    """What came is not the answer to this POST: the connection is not to be used again."""


@final
class Posts:
    """Signs and sends the POSTs of a server, over connections that `client` makes.

    `environment` is what its runs are in, `now` its time in microseconds.
    """

    def __init__(
        self,
        environment: str,
        now: Callable[[], int],
        key: str,
        client: NewClient,
    ) -> None:
        self.environment: Final = environment
        self.now: Final = now
        self.client: Final = client
        self._key: Final = key

    async def send(
        self, client: httpx.AsyncClient, url: str, said: Post | Describe
    ) -> Reply | Described:
        """Send a POST, under a nonce of its own, and return what is the answer to it.

        Raises:
            EndpointFailed: it failed; it may be tried again.
        """
        nonce = secrets.token_hex(_NONCE_BYTES)
        body = msgspec.msgpack.encode(replace(said, nonce=nonce))
        headers = {
            SIGNATURE: signed(self._key, body, now_s=self._now_s()),
            "content-type": CONTENT_TYPE,
        }
        try:
            answer = await exchange(client, url, body, headers, patience=_PATIENCE)
        except CallFailed as error:
            raise _failed(url, error) from error
        if answer.status != _OK:
            text = answer.body.decode(errors="replace")[: limits.REASON_CHARS_MAX]
            raise WrongAnswer(f"{url} answers {answer.status}: {text}")
        return self._reply(url, answer, nonce)

    def _reply(self, url: str, answer: Answered, nonce: str) -> Reply | Described:
        try:
            signature = answer.headers.get(SIGNATURE, "")
            check_signature(self._key, signature, answer.body, now_s=self._now_s())
            reply = read_reply(answer.body)
        except ProtocolError as error:
            raise ForeignAnswer(f"{url}: {error}") from error
        if not reply.answers:
            raise WrongAnswer(
                f"{url} does not say which POST it answers, as older versions of ironflow"
                " do not; upgrade ironflow there"
            )
        if reply.answers != nonce:
            raise ForeignAnswer(f"{url}: what came is the answer to another POST")
        return reply

    def _now_s(self) -> int:
        return self.now() // _SECOND_US


def _failed(url: str, error: CallFailed) -> EndpointFailed:
    what = f"{url}: {error}"
    if not error.is_sent:
        return NotSent(what)
    return WrongAnswer(what) if error.code == "ENDPOINT_ERROR" else NoAnswer(what)
