"""An engine for programs that do not run on Trio: it lives in a thread of its own.

`with ironflow.start(app, url) as engine` gives blocking methods, `async with` gives
awaitable ones on asyncio. Neither is written by hand: each method is the engine's own,
carried over by a descriptor that knows how to wait.
"""

import asyncio  # noqa: TID251  the caller's loop is asyncio's
import functools
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar, cast, final

from ironflow.authoring.app import App
from ironflow.engine.asyncio_loop import AsyncioLoop
from ironflow.engine.engine import Engine
from ironflow.engine.handles import Run
from ironflow.engine.open import open_engine
from ironflow.engine.portal import Portal
from ironflow.errors import EngineError

P = ParamSpec("P")
T = TypeVar("T")


@final
class _Blocking(Generic[P, T]):
    """A method of the engine that blocks the calling thread until it is done."""

    def __init__(
        self, method: Callable[Concatenate[Engine, P], Coroutine[Any, Any, T]]
    ) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(self, blocking: "BlockingEngine", owner: object) -> Callable[P, T]:
        @functools.wraps(self._method)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            return blocking.wait(lambda own: self._method(own, *args, **kwargs))

        return cast("Callable[P, T]", call)


@final
class _OnAsyncio(Generic[P, T]):
    """A method of the engine that is awaited on asyncio."""

    def __init__(
        self, method: Callable[Concatenate[Engine, P], Coroutine[Any, Any, T]]
    ) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(
        self, engine: "AsyncioEngine", owner: object
    ) -> Callable[P, Awaitable[T]]:
        @functools.wraps(self._method)
        def call(*args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
            return engine.wait(lambda own: self._method(own, *args, **kwargs))

        return cast("Callable[P, Awaitable[T]]", call)


@final
class BlockingEngine:
    """An engine whose methods block: for plain programs, from any of their threads.

    To wait for a run that you hold, call `engine.result(run.id)`.
    """

    def __init__(self, portal: Portal[Engine], engine: Engine) -> None:
        self._portal = portal
        self._engine = engine

    def wait(self, method: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        """Call a method of the engine and block until it is done."""
        if threading.current_thread() is self._portal.thread:
            raise EngineError(
                "this thread runs the engine, and waiting for it here would never end:"
                " call the engine from a plain step function, which has its own thread"
            )
        return self._portal.call(lambda: method(self._engine)).result()

    emit = _Blocking(Engine.emit)
    emit_batch = _Blocking(Engine.emit_batch)
    emit_sync = _Blocking(Engine.emit_sync)
    invoke = _Blocking(Engine.invoke)
    get_run = _Blocking(Engine.get_run)
    result = _Blocking(Engine.result)
    list_runs = _Blocking(Engine.list_runs)
    list_events = _Blocking(Engine.list_events)
    history = _Blocking(Engine.history)
    cancel = _Blocking(Engine.cancel)
    pause = _Blocking(Engine.pause)
    resume = _Blocking(Engine.resume)
    retry = _Blocking(Engine.retry)
    patch_step = _Blocking(Engine.patch_step)
    delete = _Blocking(Engine.delete)


@final
class AsyncioEngine:
    """An engine whose methods are awaited on asyncio."""

    def __init__(self, portal: Portal[Engine], engine: Engine) -> None:
        self._portal = portal
        self._engine = engine

    async def wait(self, method: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        """Call a method of the engine; a cancel of the caller's task reaches it."""
        call = self._portal.call(lambda: method(self._engine))
        return self._carried(await asyncio.wrap_future(call))

    def _carried(self, answer: T) -> T:
        """Let runs in an answer be waited for on asyncio too."""
        if isinstance(answer, Run):
            return cast("T", replace(answer, _follow=self.result))
        if isinstance(answer, list):
            answers = cast("list[object]", answer)
            return cast("T", [self._carried(each) for each in answers])
        return answer

    emit = _OnAsyncio(Engine.emit)
    emit_batch = _OnAsyncio(Engine.emit_batch)
    emit_sync = _OnAsyncio(Engine.emit_sync)
    invoke = _OnAsyncio(Engine.invoke)
    get_run = _OnAsyncio(Engine.get_run)
    result = _OnAsyncio(Engine.result)
    list_runs = _OnAsyncio(Engine.list_runs)
    list_events = _OnAsyncio(Engine.list_events)
    history = _OnAsyncio(Engine.history)
    cancel = _OnAsyncio(Engine.cancel)
    pause = _OnAsyncio(Engine.pause)
    resume = _OnAsyncio(Engine.resume)
    retry = _OnAsyncio(Engine.retry)
    patch_step = _OnAsyncio(Engine.patch_step)
    delete = _OnAsyncio(Engine.delete)


@final
class start:  # noqa: N801  it is called like a function: `with ironflow.start(...)`
    """Start an engine in a thread: `with` for blocking methods, `async with` on asyncio.

    Takes what `ironflow.open_engine` takes. Under asyncio, steps marked with
    `ironflow.asyncio_step` run on the caller's loop, where its pools live; otherwise on
    one loop in a thread of ours.

    Raises, on entering:
        JournalOwned, JournalForeign, JournalNewer, JournalDamaged: see the message.
    """

    def __init__(self, app: App, url: str, **options: Any) -> None:
        self._app = app
        self._url = url
        self._options: Final = options
        self._portal: Portal[Engine] | None = None

    def __enter__(self) -> BlockingEngine:
        portal = self._open(None)
        try:
            return BlockingEngine(portal, portal.start().result())
        except BaseException:
            portal.stop()
            raise

    def __exit__(self, *_: object) -> None:
        assert self._portal is not None
        self._portal.stop().result()

    async def __aenter__(self) -> AsyncioEngine:
        portal = self._open(asyncio.get_running_loop())
        try:
            return AsyncioEngine(portal, await asyncio.wrap_future(portal.start()))
        except asyncio.CancelledError:
            await self.__aexit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        assert self._portal is not None
        ended = asyncio.wrap_future(self._portal.stop())
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            await asyncio.shield(ended)  # it takes no longer than `shutdown`
            raise

    def _open(self, loop: asyncio.AbstractEventLoop | None) -> Portal[Engine]:
        options = dict(self._options)
        if loop is not None:
            options["asyncio_loop"] = AsyncioLoop(loop)
        self._portal = Portal(lambda: open_engine(self._app, self._url, **options))
        return self._portal
