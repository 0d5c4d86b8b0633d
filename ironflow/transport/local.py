"""Who may ask a server that asks for no keys: programs of this machine, not web pages.

A page of anybody's, open in a browser on this machine, can send requests to it too: plain
ones to its address (they have an `Origin`), and any to a name that its owner lets point here
(they have that name as `Host`).
"""

from typing import Final
from urllib.parse import urlsplit

from ironflow.transport.http.messages import Answer, Handler, HttpError, Request

_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def only_local(handler: Handler) -> Handler:
    """Return a handler that refuses what pages of other machines send."""

    async def answer(request: Request) -> Answer:
        origin = request.headers.get("origin")
        host = request.headers.get("host", "")
        # As mostly, without taking it apart.
        is_here = not host or host in _HERE or host.rpartition(":")[0] in _HERE
        if (origin is not None and not is_local(origin)) or not (
            is_here or is_local(f"http://{host}")
        ):
            raise HttpError(
                403,
                "permission_denied",
                "this server was started with --dev and asks for no keys, so it answers"
                " programs and pages of its own machine only",
            )
        return await handler(request)

    return answer


def is_local(url: str) -> bool:
    """Say whether the host of a URL is this machine, by a name that is never another's."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return host in _HERE or (host or "").endswith(".localhost")
