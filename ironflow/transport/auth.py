"""The guard that stands before all routes: who may do what."""

import logging
from typing import Final
from urllib.parse import parse_qs

from ironflow import limits
from ironflow.engine.log import SafeLogger
from ironflow.transport.context import Context, Guard
from ironflow.transport.http.messages import Answer, Handler, HttpError, Request
from ironflow.transport.keyring import Keyring
from ironflow.transport.rights import right_of
from ironflow.wire.keys import ApiKey, Right

log: Final = SafeLogger(logging.getLogger("ironflow.auth"))

_BEARER: Final = "bearer "


def guard(context: Context) -> Guard:
    """Return what lets only those pass who have a key with the right that they need."""
    known = context.operations.keys

    def guarded(handler: Handler) -> Handler:
        async def answer(request: Request) -> Answer:
            right = right_of(request.method, request.path)
            if right is not None:
                key = await check(known, request, right)
                request.actor = key.actor
            return await handler(request)

        return answer

    return guarded


async def check(known: Keyring, request: Request, right: Right) -> ApiKey:
    """Return the key of a request that may do this.

    Raises:
        HttpError: 401, it has none that is good; 403, it may not do this.
    """
    text = _presented(request)
    if not text:
        raise _unauthenticated(
            request, "", "no API key: send it as 'Authorization: Bearer ifkey_...'"
        )
    key = await known.find(text)
    if key is None:
        raise _unauthenticated(request, "", "this is no API key of this server")
    if key.is_expired(known.now()):
        raise _unauthenticated(request, key.id, "this API key has expired")
    if key.environment not in {"", known.environment}:
        raise _denied(request, key, f"is for environment {key.environment!r} only")
    if not key.may(right):
        roles = " and ".join(key.roles)
        raise _denied(request, key, f"({roles}) may not {right.value}")
    return key


def _presented(request: Request) -> str:
    """Return the key that a request brings; a WebSocket may have it in its query."""
    header = request.headers.get("authorization", "")
    if header[: len(_BEARER)].lower() == _BEARER:
        return header[len(_BEARER) :].strip()
    if request.headers.get("upgrade", "").lower() == "websocket":
        return _in_query(request.query)
    return ""


def _in_query(query: str) -> str:
    try:
        found = parse_qs(query, max_num_fields=limits.HTTP_QUERY_PARAMETERS_MAX)
    except ValueError:
        return ""
    return found.get("token", [""])[0]


def _unauthenticated(request: Request, key_id: str, why: str) -> HttpError:
    _refused(request, key_id, why)
    return HttpError(
        401, "unauthenticated", why, headers=[("www-authenticate", "Bearer")]
    )


def _denied(request: Request, key: ApiKey, why: str) -> HttpError:
    _refused(request, key.id, why)
    return HttpError(403, "permission_denied", f"the API key {key.shown}... {why}")


def _refused(request: Request, key_id: str, why: str) -> None:
    log.warning(
        "refused %s %s of %s (%s): %s",
        request.method,
        request.path,
        request.client or "a client in process",
        key_id or "no known key",
        why,
    )
