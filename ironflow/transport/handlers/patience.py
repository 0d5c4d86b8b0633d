"""Waiting on behalf of a client, for as long as it is there."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from ironflow.transport.http.messages import ClientGone, Request

_T = TypeVar("_T")


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
