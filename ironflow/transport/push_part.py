"""Endpoints of ours as a part of a server: they are registered by URL, and called.

    POST /api/v2/endpoints {"url": ...}   ask an endpoint for its functions, register them;
                                          "circuit_breaker" says when to leave it alone
    GET  /api/v2/endpoints                which there are, and whether they are called

Without a signing key they are refused: an endpoint runs what is signed, and nothing else.
"""

from typing import Final, final

import msgspec

from ironflow import limits
from ironflow.policy.reach import Reach, check_endpoint_url
from ironflow.transport.context import Context
from ironflow.transport.handlers.endpoint import body_of
from ironflow.transport.http.messages import HttpError, Request, Response
from ironflow.transport.http.router import Parameters, Router
from ironflow.transport.push import SILENCE_S, PushHost
from ironflow.transport.push_dial import Dialing, NewClient
from ironflow.transport.push_posts import EndpointFailed
from ironflow.wire import documents
from ironflow.wire.functions import BreakerConfig, breaker_config

PATH: Final = "/api/v2/endpoints"

_JSON: Final = ("content-type", "application/json")
_DOCUMENT_BYTES_MAX: Final = 2 * limits.ENDPOINT_URL_CHARS_MAX


@final
class Pushes:
    """The part; `client` makes what endpoints are sent with."""

    def __init__(self, *, client: NewClient | None = None) -> None:
        self._client: Final = client

    def routes(self, router: Router, context: Context) -> None:
        """Add the routes of endpoints, and carry on what is ready for them."""
        if not context.signing_key:
            router.add("POST", PATH, _refuse)
            router.add("GET", PATH, _refuse)
            return
        hosting = context.engine.hosting
        host = PushHost(
            hosting.journal,
            hosting.now,
            signing_key=context.signing_key,
            client=self._client or _connections(context.reach),
            circuits=context.operations.circuits,
        )
        context.operations.workers.add_carriers(host.holder_of)
        handlers = _Handlers(host)
        router.add("POST", PATH, handlers.register)
        router.add("GET", PATH, handlers.list)
        context.operations.capabilities.transports.add("push-2")
        context.nursery.start_soon(host.run)


def _connections(reach: Reach) -> NewClient:
    dialing = Dialing(reach)
    return lambda: dialing.kept(silence_s=SILENCE_S)


async def _refuse(request: Request, parameters: Parameters) -> Response:
    del request, parameters
    raise HttpError(
        400,
        "failed_precondition",
        "this server has no key to sign requests to endpoints with; start it with"
        " --signing-key, or IRONFLOW_SIGNING_KEY, and give ironflow.serve the same",
    )


@final
class _Handlers:
    def __init__(self, host: PushHost) -> None:
        self._host: Final = host

    async def register(self, request: Request, parameters: Parameters) -> Response:
        del parameters
        url, breaker = _endpoint(await request.read(_DOCUMENT_BYTES_MAX))
        try:
            functions = await self._host.register(url, breaker)
        except EndpointFailed as error:
            raise HttpError(502, "unavailable", str(error)) from error
        return _answer({"url": url, "functions": functions})

    async def list(self, request: Request, parameters: Parameters) -> Response:
        del request, parameters
        now = self._host.now()
        found = [
            {
                "url": each.endpoint,
                "state": each.state(now),
                "failures": each.failures,
                "open_until": each.circuit.open_until,
            }
            for each in map(self._host.circuits.get, self._host.urls())
            if each is not None
        ]
        return _answer({"endpoints": found})


def _endpoint(body: bytes) -> tuple[str, BreakerConfig]:
    """Return what is asked for: a URL, and when to leave it alone."""
    source = documents.document(body_of(body), what="the request")
    url = documents.text(source, "url")
    check_endpoint_url(url)
    breaker = breaker_config(documents.inner(source, "circuit_breaker"))
    _ = breaker.policy  # says what is wrong with it
    return url, breaker


def _answer(document: object) -> Response:
    return Response(200, [_JSON], msgspec.json.encode(document))
