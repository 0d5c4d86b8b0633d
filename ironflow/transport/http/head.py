"""The head of a response, as bytes for HTTP/1.1 and as a list for HTTP/2."""

import re
from http import HTTPStatus
from typing import Final

from ironflow.transport.http.messages import Response
from ironflow.transport.http.service import BadResponse

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n"
    for status in HTTPStatus
}
# Of the server alone: they say how the bytes are framed.
_FRAMING: Final = frozenset(
    ["connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"]
)
_BROKEN: Final = re.compile("[^\t\x20-\x7e\x80-\xff]")
BODYLESS: Final = frozenset([204, 304])
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def http1_head(
    response: Response, *, framing: str, date: str, closes: bool, is_old: bool
) -> bytes:
    r"""Return status line and headers, with those of the server.

    `framing` is the line that says where the body ends, with its `\r\n`, or empty.
    `is_old`: the client speaks HTTP/1.0.

    Raises:
        BadResponse: a header would end its line, or is not Latin-1.
    """
    status = response.status
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"]
    is_dated = False
    for name, value in response.headers:
        lowered = name.lower()
        if lowered not in _FRAMING:
            lines.append(f"{lowered}: {value}\r\n")
            is_dated = is_dated or lowered == "date"
    if not is_dated:
        lines.append(f"date: {date}\r\n")
    lines.append(framing)
    if closes:
        lines.append("connection: close\r\n")
    elif is_old:
        lines.append("connection: keep-alive\r\n")
    lines.append("\r\n")
    text = "".join(lines)
    # One end for each line, the framing's and the last, and no other.
    ends = len(lines) - (not framing)
    if text.count("\n") != ends or text.count("\r") != ends or "\0" in text:
        raise BadResponse("a header has a line break or NUL in it")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise BadResponse("a header is not Latin-1") from error


def http2_head(
    response: Response, *, length: int | None, date: str, is_head: bool
) -> list[tuple[bytes, bytes]]:
    """Return status and headers, with those of the server.

    `length` is that of the body, if it is there.

    Raises:
        BadResponse: a header has a line break in it, or is not Latin-1.
    """
    items = [(":status", str(response.status))]
    names: set[str] = set()
    for name, value in response.headers:
        lowered = name.lower()
        if lowered in _FRAMING:
            continue
        if _BROKEN.search(name) or _BROKEN.search(value):
            raise BadResponse(f"the header {lowered!r} has a character no header has")
        names.add(lowered)
        items.append((lowered, value))
    if "date" not in names:
        items.append(("date", date))
    if length is not None:
        framing = length_framing(response, length, is_head=is_head)
        if framing:
            items.append(("content-length", framing.split()[1]))
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in items]


def length_framing(response: Response, length: int, *, is_head: bool) -> str:
    """Return the line with the length of a body that is there, or would be."""
    if response.status in BODYLESS:
        return ""
    if is_head and not length:  # a handler may know the length without the body
        for name, value in response.headers:
            if name.lower() == "content-length":
                return f"content-length: {value}\r\n"
        if not isinstance(response.body, bytes):
            return ""
    return f"content-length: {length}\r\n"
