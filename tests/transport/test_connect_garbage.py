"""Whatever is sent to the RPC surface, nobody is told that it is the server's fault."""

import math
import random
from typing import Any

import msgspec
import pytest
import trio

from ironflow.transport.http.messages import Headers, Request, Response
from ironflow.transport.rpc.routes import SERVED
from ironflow.wire.message import Kind, Message, Slot, layout
from ironflow.wire.protobuf_encode import encode
from ironflow.wire.protojson import encode as encode_json
from tests.transport.calling import PACKAGE, start
from tests.transport.conftest import Server

METHODS = [
    (name, method)
    for name, (service, procedures) in SERVED.items()
    for method in service
    if method in procedures
]
BODIES = 40
TEXTS = ["", "x", "order.placed", "a..b", "\x00", "ä" * 300, "run_" + "0" * 32, "evt_x"]
VALUES: dict[Kind, list[Any]] = {
    Kind.BYTES: [b"", b"{}", b'"x"', b"\xff"],
    Kind.BOOL: [False, True],
    Kind.STRUCT: [{}, {"id": "o", "deep": [[[{}]]]}, {"": math.nan}],
    Kind.VALUE: [None, 1, "x", [], {"id": "o"}, math.inf],
    Kind.DOUBLE: [0.0, -1.5, math.nan],
    Kind.UINT32: [0, 1, 2**32 - 1],
    Kind.UINT64: [0, 1, 2**64 - 1],
    Kind.TIMESTAMP: [0, -1, 10**15],
    Kind.DURATION: [0, -1, 10**15],
}


def value_of(slot: Slot, rng: random.Random, known: list[str]) -> Any:
    """A value that the field may have, as clients confuse them."""
    field = slot.field
    if field.keyed:
        return {}
    if field.many:
        return tuple(one(slot, rng, known) for _ in range(rng.randrange(3)))
    return one(slot, rng, known)


def one(slot: Slot, rng: random.Random, known: list[str]) -> Any:
    if slot.field.of is not None and slot.field.kind is Kind.MESSAGE:
        return message_of(slot.field.of, rng, known)
    if slot.field.kind is Kind.STRING:
        return rng.choice([*TEXTS, *known])
    return rng.choice(VALUES.get(slot.field.kind, [0, 1, 2, 99, -1, -(2**31)]))


def message_of(message: type[Message], rng: random.Random, known: list[str]) -> Message:
    if not message.__struct_fields__:
        return message()
    slots = [slot for slot in layout(message).slots if rng.random() < 0.7]
    return message(**{slot.name: value_of(slot, rng, known) for slot in slots})


def damaged(raw: bytes, rng: random.Random) -> bytes:
    """The bytes as they are, cut off, changed or with others in them."""
    place = rng.randrange(len(raw) + 1)
    match rng.randrange(4):
        case 0:
            return raw[:place]
        case 1:
            return raw[:place] + rng.randbytes(3) + raw[place:]
        case _:
            return raw


async def answered(server: Server, path: str, form: str, body: bytes) -> Response:
    headers = Headers([("content-type", form), ("connect-timeout-ms", "1000")])
    found = await server.handler(Request("POST", path, headers=headers, body=body))
    assert isinstance(found, Response)
    return found


@pytest.mark.parametrize(("service", "method"), METHODS)
async def test_any_request_is_answered_without_a_fault(
    server: Server,
    autojump_clock: trio.testing.MockClock,
    service: str,
    method: str,
) -> None:
    rng = random.Random(f"{service}/{method}")
    known = ["ask", "pay", await start(server, "approval.asked", None)]
    known.append(f"{await start(server, 'payment.asked', {'id': 'o'})}:limit:0")
    request = SERVED[service][0][method].request
    path = f"{PACKAGE}{service}/{method}"

    for number in range(BODIES):
        message = message_of(request, rng, known)
        is_json = number % 2 == 0
        raw = encode_json(message) if is_json else encode(message)
        form = "application/json" if is_json else "application/proto"
        found = await answered(server, path, form, damaged(raw, rng))

        assert isinstance(found.body, bytes)
        if found.status != 200:
            code = msgspec.json.decode(found.body)["code"]
            assert code not in {"internal", "unknown", "data_loss"}, (
                message,
                found.body,
            )
