"""An endpoint: the functions of an app behind signed POSTs, in any ASGI server.

A server calls it with a run and its history; the engine here carries the run on, and the
answers carry what it records. The engine runs on Trio in a thread of its own, like that of
`ironflow.start`, and asyncio steps run on the loop of the caller.
"""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, final

import msgspec
import trio

from ironflow import __version__, limits
from ironflow.authoring.app import App
from ironflow.engine.asyncio_loop import AsyncioLoop
from ironflow.engine.clock import Clock, SystemClock
from ironflow.engine.open import run_engine
from ironflow.errors import ConfigurationError, ProtocolError
from ironflow.policy.duration import Duration
from ironflow.wire.frames import (
    Answers,
    Claims,
    HistoryPage,
    News,
    NotStored,
    ServerFrame,
)
from ironflow.wire.posts import (
    Describe,
    Described,
    Post,
    Reply,
    check_signature,
    packed,
    read_post,
    server_frames,
    signed,
)
from ironflow.worker.server_clock import ServerClock
from ironflow.worker.talks import Talk, TalkJournal
from ironflow.worker.translating import claim_of, reply_of

_POLL_S: Final = limits.PUSH_POLL_US_DEFAULT / 1_000_000
_SECOND_US: Final = 1_000_000
_SHUTDOWN: Final = limits.SHUTDOWN_US_DEFAULT / 1_000_000


@asynccontextmanager
async def open_endpoint(
    app: App,
    *,
    signing_key: str,
    clock: Clock | None = None,
    shutdown: Duration = _SHUTDOWN,
    asyncio_loop: AsyncioLoop | None = None,
) -> AsyncGenerator["Endpoint"]:
    """Run the functions of an app for servers that know the key, on Trio.

    Raises:
        ConfigurationError: the key is empty.
    """
    if not signing_key:
        raise ConfigurationError(
            "an endpoint without a signing_key would run for anybody; give the key that"
            " the server signs with"
        )
    wall = clock or SystemClock()
    server_clock = ServerClock(wall)
    journal = TalkJournal()
    async with (
        run_engine(
            app,
            journal,
            clock=server_clock,
            shutdown=shutdown,
            asyncio_loop=asyncio_loop,
            apart=True,
            keeps_house=False,
        ),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(journal.sweep)
        yield Endpoint(journal, server_clock, wall, signing_key)
        await journal.close()
        nursery.cancel_scope.cancel()


@final
class Endpoint:
    """Answers the POSTs of a server: `answer` is the whole of it."""

    def __init__(
        self, journal: TalkJournal, clock: ServerClock, wall: Clock, key: str
    ) -> None:
        self._journal: Final = journal
        self._clock: Final = clock
        self._wall: Final = wall
        self._key: Final = key
        self.process: Final = secrets.token_hex(8)

    async def answer(self, signature: str, body: bytes) -> tuple[bytes, str]:
        """Return the answer to a body, and its signature.

        Raises:
            ProtocolError: the body is not signed, or says nothing that is known.
        """
        now_s = self._wall.now() // _SECOND_US
        check_signature(self._key, signature, body, now_s=now_s)
        post = read_post(body)
        self._clock.told(post.now)
        if isinstance(post, Describe):
            rows = await self._journal.functions()
            packed_rows = tuple(
                msgspec.Raw(msgspec.msgpack.encode(row)) for row in rows
            )
            reply: Reply | Described = Described(
                f"ironflow-python {__version__}", packed_rows, post.nonce
            )
        else:
            reply = await self._converse(post)
        data = msgspec.msgpack.encode(reply)
        return data, signed(self._key, data, now_s=self._wall.now() // _SECOND_US)

    async def _converse(self, post: Post) -> Reply:
        journal = self._journal
        if journal.environment not in {"", post.environment}:
            raise ProtocolError(
                f"this endpoint began with environment {journal.environment!r}; a server"
                f" of {post.environment!r} needs one of its own"
            )
        journal.environment = post.environment
        frames = server_frames(post)
        talk = journal.talks.get(post.run_id)
        if talk is None or talk.epoch != post.epoch:
            claims = [each for each in frames if isinstance(each, Claims)]
            if not claims:
                return Reply(self.process, "unknown", answers=post.nonce)
            talk = journal.offer(claim_of(claims[0].claims[0]))
        talk.heard = trio.current_time()
        for frame in frames:
            self._hear(frame, talk)
        return await self._said(talk, post.nonce)

    def _hear(self, frame: ServerFrame, talk: Talk) -> None:
        match frame:
            case Answers() | NotStored() | HistoryPage():
                talk.replied(frame.number, reply_of(frame))
            case News():
                self._journal.news(frame.run_ids)
            case Claims():
                pass  # it is known
            case _:
                raise ProtocolError(f"{type(frame).__name__} is not for an endpoint")

    async def _said(self, talk: Talk, nonce: str) -> Reply:
        """Wait until the run has something to say, and return that."""
        talk.listeners += 1
        try:
            with trio.move_on_after(_POLL_S):
                await talk.wait()
        finally:
            talk.listeners -= 1
            talk.heard = trio.current_time()
        frames = packed(talk.frames())
        if talk.is_over and not frames:
            self._journal.forget(talk)
            return Reply(self.process, "over", answers=nonce)
        return Reply(self.process, "open", frames, nonce)
