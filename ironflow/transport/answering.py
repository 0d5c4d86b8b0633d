"""The outermost handler: every request gets an answer, and every error the same shape.

`{"error", "code", "message", "retryable"}` is what both published forms are read from. An
error that nobody expected is logged with its traceback, and the client is told nothing of
it.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from msgspec import UNSET

from ironflow.engine.log import SafeLogger
from ironflow.errors import IronflowError
from ironflow.transport.handlers.endpoint import reply
from ironflow.transport.http.messages import (
    Answer,
    Handler,
    HttpError,
    Request,
    Response,
)
from ironflow.wire.answers import FailureDocument
from ironflow.wire.failures import Failure, failure_of, is_passing

log: Final = SafeLogger(logging.getLogger("ironflow.http"))

ENVIRONMENT: Final = frozenset({"x-ironflow-environment", "x-ironflow-environment-id"})
PUBLIC: Final = frozenset({"/health", "/ready", "/metrics", "/api/v1/capabilities"})
_SERVER_FAULT: Final = 500
_SWITCHING: Final = 101
_TOO_LARGE: Final = frozenset({413, 414, 431})  # and will be, however often it is sent
_RETRY_AFTER_S: Final = "1"


Observe = Callable[[Request, int, float], None]
"""Told of each answer: its request, status and the seconds that it took."""


def answering(
    handler: Handler, *, environment: str, observe: Observe | None = None
) -> Handler:
    """Return a handler that answers whatever the given one raises.

    Requests for another environment than the server's are refused. Each request is
    logged, at the level of debugging.
    """

    async def answer(request: Request) -> Answer:
        started = time.perf_counter()
        found = await _answered(handler, request, environment)
        status = found.status if isinstance(found, Response) else _SWITCHING
        seconds = time.perf_counter() - started
        if observe is not None:
            observe(request, status, seconds)
        if log.isEnabledFor(logging.DEBUG):
            log.debug(
                "%s %s %s in %.3f ms",
                request.method,
                request.path,
                status,
                seconds * 1_000,
            )
        return found

    return answer


async def _answered(handler: Handler, request: Request, environment: str) -> Answer:
    try:
        _check_environment(request, environment)
        return await handler(request)
    except HttpError as error:
        return refusal(
            error.status, error.code, error.message, headers=list(error.headers)
        )
    except IronflowError as error:
        failure = failure_of(error)
        if failure.status >= _SERVER_FAULT:
            log.warning("%s: %s", _named(request), error)
        return _failed(failure)
    except Exception as error:
        log.exception(
            "%s raised what nobody expected; please report it", _named(request)
        )
        return _failed(failure_of(error))


def _named(request: Request) -> str:
    """Return a request as a log has it, with the key that it came with."""
    of = f" of {request.actor}" if request.actor else ""
    return f"{request.method} {request.path}{of}"


def refusal(
    status: int,
    code: str,
    message: str,
    *,
    headers: list[tuple[str, str]] | None = None,
) -> Response:
    """Return an answer for a request that is not met."""
    document = FailureDocument(
        error=message,
        code=code,
        message=message,
        retryable=is_passing(code) and status not in _TOO_LARGE,
    )
    response = reply(document, status)
    response.headers.extend(headers or ())
    return response


def _failed(failure: Failure) -> Response:
    document = FailureDocument(
        error=failure.message,
        code=failure.code,
        message=failure.message,
        retryable=failure.retryable,
        reason=failure.reason or UNSET,
    )
    response = reply(document, failure.status)
    if failure.code == "unavailable":
        response.headers.append(("retry-after", _RETRY_AFTER_S))
    return response


def _check_environment(request: Request, environment: str) -> None:
    """Refuse a request that names another environment, by name or id."""
    for header, wanted in request.headers.items():
        if (
            header in ENVIRONMENT
            and wanted not in {"", environment}
            and request.path not in PUBLIC
        ):
            raise HttpError(
                404,
                "not_found",
                f"there is no environment {wanted[:80]!r} here; this server has"
                f" {environment!r}",
            )
