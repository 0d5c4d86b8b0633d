"""Calls as requests of httpx, made with as little as they need.

What httpx would merge into each request is the same for all of one client: the headers,
and of most the URL. To make it anew took a quarter of the time of a call.
"""

from collections.abc import Sequence
from http.cookiejar import CookieJar
from typing import Final, final
from urllib.parse import urlencode
from urllib.request import Request as CookieRequest

import httpx

from ironflow import limits
from ironflow.client.answers import Answer
from ironflow.client.calls import JSON, Call
from ironflow.client.tracing import trace_headers

_BODY: Final = ("content-type", JSON)
parsed_url: Final = httpx.URL


@final
class NoCookies(CookieJar):
    """Takes no cookies and sends none: a server of ironflow has none."""

    def extract_cookies(self, response: object, request: CookieRequest) -> None:
        """Look at no answer."""

    def add_cookie_header(self, request: CookieRequest) -> None:
        """Add nothing to a request."""


@final
class Requests:
    """Makes the requests to one server; `headers` are those of all of them."""

    def __init__(self, url: str, headers: Sequence[tuple[str, str]]) -> None:
        self._url = url
        self._headers = list(headers)
        self._urls: dict[str, httpx.URL] = {}

    def request(self, call: Call[Answer], *, timeout: float) -> httpx.Request:
        """Return the request of a call; the server may say nothing for `timeout` seconds."""
        path = call.path
        if call.query:
            path += "?" + urlencode(call.query, doseq=True)
        headers = [*self._headers, *trace_headers().items()]
        if call.body:
            headers.append(_BODY)
        waits = dict.fromkeys(("connect", "read", "write", "pool"), timeout)
        return httpx.Request(
            call.method,
            self._parsed(path),
            headers=headers,
            content=call.body or None,
            extensions={"timeout": waits},
        )

    def _parsed(self, path: str) -> httpx.URL:
        url = self._urls.get(path)
        if url is None:
            if len(self._urls) >= limits.CLIENT_URLS_KNOWN_MAX:
                self._urls.clear()
            url = self._urls[path] = parsed_url(self._url + path)
        return url
