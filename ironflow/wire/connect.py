"""The framing of Connect: content types, envelopes, error answers, deadlines.

https://connectrpc.com/docs/protocol says what is done here. What a message means is left to
its codec (`protobuf_decode`, `protojson`), and what a method does to `transport`.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, final

import msgspec

from ironflow import limits
from ironflow.wire.errors import ConnectError, malformed

Codec = Literal["json", "proto"]

COMPRESSED: Final = 0x01  # flags of an envelope
END_STREAM: Final = 0x02
_HEAD_BYTES: Final = 5  # flags and length
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_TIMEOUT_DIGITS_MAX: Final = 10
_IDENTITY: Final = frozenset({"", "identity"})


@final
@dataclass(frozen=True, slots=True)
class ContentType:
    """What a request says of itself: how its messages are written, and whether many."""

    codec: Codec
    streaming: bool

    def __str__(self) -> str:
        return f"application/{'connect+' if self.streaming else ''}{self.codec}"


_CONTENT_TYPES: Final = {
    str(each): each
    for each in (
        ContentType("json", streaming=False),
        ContentType("proto", streaming=False),
        ContentType("json", streaming=True),
        ContentType("proto", streaming=True),
    )
}
ACCEPTED: Final = ", ".join(_CONTENT_TYPES)


def content_type(header: str) -> ContentType | None:
    """Return what a content type means; None for one that Connect does not have.

    Parameters, as in `application/json; charset=utf-8`, are no part of it.
    """
    return _CONTENT_TYPES.get(header.partition(";")[0].strip().lower())


def timeout_ms(header: str) -> int:
    """Return what `Connect-Timeout-Ms` says.

    Raises:
        ConnectError: it is no whole number of at most ten digits.
    """
    if header.isascii() and header.isdecimal() and len(header) <= _TIMEOUT_DIGITS_MAX:
        return int(header)
    raise malformed(f"connect-timeout-ms is {header!r}, no number of ten digits")


def error_document(error: ConnectError) -> dict[str, Any]:
    """Return an error as both a unary answer and the end of a stream show it."""
    return {"code": error.code, "message": error.message}


def error_body(error: ConnectError) -> bytes:
    """Return the body of a unary answer that is an error."""
    return msgspec.json.encode(error_document(error))


def envelope(payload: bytes, *, flags: int = 0) -> bytes:
    """Return a message of a stream with its flags and length before it."""
    return bytes((flags,)) + len(payload).to_bytes(4, "big") + payload


def end_of_stream(
    error: ConnectError | None = None, metadata: Mapping[str, list[str]] | None = None
) -> bytes:
    """Return the envelope that ends every stream of answers."""
    document: dict[str, Any] = {"metadata": dict(metadata)} if metadata else {}
    if error is not None:
        document["error"] = error_document(error)
    return envelope(msgspec.json.encode(document), flags=END_STREAM)


@final
class EnvelopeReader:
    """Bytes as they come in, messages as they are whole.

    `encoding` is what the header `connect-content-encoding` says. A message has at most
    `bytes_max` bytes, as sent and without its compression.
    """

    def __init__(
        self, *, encoding: str = "", bytes_max: int = limits.CONNECT_MESSAGE_BYTES_MAX
    ) -> None:
        self._encoding = encoding.strip().lower()
        self._bytes_max = bytes_max
        self._buffer = bytearray()
        if self._encoding not in _IDENTITY | {"gzip"}:
            raise ConnectError(
                "unimplemented",
                f"connect-content-encoding is {encoding!r}; gzip and identity are known",
            )

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the messages that are whole with these bytes; iterate to the end.

        Raises:
            ConnectError: these are no envelopes, or one is too large.
        """
        self._buffer += data
        at = 0
        try:
            while len(self._buffer) - at >= _HEAD_BYTES:
                size = self._size(at)
                end = at + _HEAD_BYTES + size
                if end > len(self._buffer):
                    return
                flags, payload = self._buffer[at], self._buffer[at + _HEAD_BYTES : end]
                at = end
                yield self._message(flags, bytes(payload))
        finally:
            del self._buffer[:at]

    def finish(self) -> None:
        """Take note that no more bytes come.

        Raises:
            ConnectError: a message is cut off.
        """
        if self._buffer:
            raise malformed("the stream ends inside a message")

    def _size(self, at: int) -> int:
        size = int.from_bytes(self._buffer[at + 1 : at + _HEAD_BYTES], "big")
        if size > self._bytes_max:
            raise too_large(self._bytes_max)
        return size

    def _message(self, flags: int, payload: bytes) -> bytes:
        if flags & ~COMPRESSED:
            raise malformed(f"an envelope of a request has the flags {flags:#04x}")
        if not flags:
            return payload
        if self._encoding in _IDENTITY:
            raise malformed("a message is compressed, but no encoding was announced")
        return gunzip(payload, bytes_max=self._bytes_max)


def gunzip(data: bytes, *, bytes_max: int) -> bytes:
    """Return what gzip holds, without ever holding more than that of it.

    Raises:
        ConnectError: it is no gzip, or holds more than `bytes_max`.
    """
    member = zlib.decompressobj(_GZIP_WINDOW)
    try:
        plain = member.decompress(data, bytes_max + 1)
    except zlib.error as error:
        raise malformed(f"a message is no gzip: {error}") from error
    if len(plain) > bytes_max:
        raise too_large(bytes_max)
    if data and (not member.eof or member.unused_data):
        raise malformed("the gzip of a message is cut off, or followed by bytes")
    return plain


def too_large(bytes_max: int) -> ConnectError:
    """Return the error for a message that has more bytes than are taken."""
    return ConnectError(
        "resource_exhausted", f"the message is larger than {bytes_max} bytes"
    )
