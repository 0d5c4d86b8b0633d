"""An endpoint of ours on a small ASGI server: `python -m tests.e2e.own_endpoint PORT`."""

import asyncio
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

import ironflow
from tests.e2e.cluster import SIGNING_KEY
from tests.e2e.counted import APP

APPLICATION = ironflow.serve(APP, signing_key=SIGNING_KEY)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve a connection for as long as the peer keeps it."""
    with suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            headers = [
                (name.lower(), value.strip())
                for name, _, value in (
                    line.partition(b":") for line in head.split(b"\r\n")[1:] if line
                )
            ]
            body = await reader.readexactly(int(dict(headers)[b"content-length"]))
            scope = {"type": "http", "method": "POST", "headers": headers}
            writer.write(await answered(scope, body))
            await writer.drain()
    writer.close()


async def answered(scope: MutableMapping[str, Any], body: bytes) -> bytes:
    """Return the answer of the application, as it is sent."""
    said: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message)

    await APPLICATION(scope, receive, send)
    start, end = said
    size = [(b"content-length", str(len(end["body"])).encode())]
    lines = [b"%s: %s\r\n" % line for line in [*start["headers"], *size]]
    first = b"HTTP/1.1 %d -\r\n" % start["status"]
    return b"".join([first, *lines, b"\r\n", end["body"]])


async def main(port: int) -> None:
    """Serve until killed; say the URL."""
    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=1_000)
    found = server.sockets[0].getsockname()[1]
    sys.stdout.write(f"http://127.0.0.1:{found}/ironflow\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
