"""Waiting on behalf of a client, for as long as it is there."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec
import trio

from ironflow.policy.duration import Duration
from ironflow.transport.handlers.endpoint import Call
from ironflow.transport.http.messages import ClientGone, Request
from ironflow.transport.run_reads import RunDetails

_T = TypeVar("_T")


class WaitQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`wait`: seconds, or "30s", for which the result of runs is waited for."""

    wait: str = ""


async def results(
    call: Call[Any, Any], run_ids: Sequence[str], wait: str
) -> list[RunDetails]:
    """Return runs when all have ended or are paused, or when the client's time is up.

    Raises:
        ConfigurationError: the time is none, or too long.
        ClientGone: the client went away before.
    """

    async def look() -> list[RunDetails]:
        return await call.operations.results(run_ids, _seconds(wait))

    return await while_there(call.request, look)


def _seconds(text: str) -> Duration:
    """Return a duration as clients write it: a bare number is seconds."""
    return f"{text}s" if text.replace(".", "", 1).isdecimal() else text


async def while_there(request: Request, work: Callable[[], Awaitable[_T]]) -> _T:
    """Return what the work returns; stop it when the client goes away.

    The body of the request must have been read.

    Raises:
        ClientGone: it went away before.
    """
    found: list[_T] = []

    async def watch() -> None:
        await request.wait_gone()
        nursery.cancel_scope.cancel()

    error: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        try:
            found.append(await work())
        except Exception as raised:  # noqa: BLE001  it leaves as it is, not in a group
            error = raised
        nursery.cancel_scope.cancel()
    if error is not None:
        raise error
    if not found:
        raise ClientGone
    return found[0]
