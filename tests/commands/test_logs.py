"""Log lines of a server: which there are."""

import logging
from collections.abc import Iterator

import httpx
import pytest

from ironflow.commands import logs
from ironflow.transport.push_client import Patience, exchange

NAMES = ("", "httpx", "httpcore", "h11", "h2", "hpack", "websockets")


@pytest.fixture
def levels() -> Iterator[None]:
    """Put back what is the whole process's."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    before = {name: logging.getLogger(name).level for name in NAMES}
    yield
    root.handlers[:] = handlers
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize(
    ("level", "lines"),
    [("info", 0), ("debug", 1)],
)
async def test_a_request_to_an_endpoint_has_one_line_at_debug(
    level: str, lines: int, levels: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(form="text", level=level)
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=b"hi"))
    async with httpx.AsyncClient(transport=transport) as client:
        patience = Patience(seconds=5, answer_bytes_max=10)
        await exchange(client, "http://app.test/x", b"", {}, patience=patience)
    said = [line for line in capsys.readouterr().err.splitlines() if "POST" in line]

    assert len(said) == lines
    assert all("POST http://app.test/x 200, 2 bytes" in line for line in said)
