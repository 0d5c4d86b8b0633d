"""Keys and the guard: who is let in, to what, and how the others are told."""

import logging
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest

from ironflow import limits
from ironflow.transport import auth
from ironflow.transport.http.messages import (
    Headers,
    HttpError,
    Request,
)
from ironflow.transport.http.router import RoutedHandler, Router
from ironflow.transport.keyring import Keyring
from ironflow.transport.rights import PUBLIC, TABLE, right_of
from ironflow.transport.server import all_parts
from ironflow.wire import keys
from ironflow.wire.keys import Right
from tests.transport.conftest import Answered, Server, open_server

RUNS = "/api/v1/runs"
GET_RUN = "/ironflow.v1.IronflowService/GetRun"


@pytest.fixture
async def guarded() -> AsyncGenerator[Server]:
    async with open_server(guard=auth.guard) as server:
        yield server


async def key_of(server: Server, *roles: str, **options: Any) -> str:
    keyring = server.context.operations.keys
    _, text = await keyring.create(name="a key", roles=roles, **options)
    return text


async def ask(
    server: Server, path: str = RUNS, *, key: str = "", method: str = "GET", **more: str
) -> Answered:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return await server.request(method, path, None, headers | more)


# --- who -----------------------------------------------------------------------------------


async def test_without_a_key_nothing_is_told(guarded: Server) -> None:
    found = await ask(guarded)

    assert (found.status, found.document["code"]) == (401, "unauthenticated")
    assert found.headers.get("www-authenticate") == "Bearer"


@pytest.mark.parametrize("path", sorted(path for _, path in PUBLIC))
async def test_some_routes_need_no_key(guarded: Server, path: str) -> None:
    assert (await ask(guarded, path)).status == 200
    assert (await ask(guarded, path, method="HEAD")).status == 200


async def test_a_good_key_lets_in(guarded: Server) -> None:
    key = await key_of(guarded, "viewer")

    assert (await ask(guarded, key=key)).status == 200
    bearer = await ask(guarded, authorization=f"bearer  {key} ")
    assert bearer.status == 200


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic aWY6", "Bearer ifkey_" + "0" * 32]
)
async def test_a_header_without_a_key_of_this_server_does_not(
    guarded: Server, header: str
) -> None:
    assert (await ask(guarded, authorization=header)).status == 401


async def test_an_expired_key_does_not(guarded: Server) -> None:
    key = await key_of(guarded, "admin", lasts_us=10**6)

    before = await ask(guarded, key=key)
    await guarded.harness.advance("1s")
    after = await ask(guarded, key=key)

    assert (before.status, after.status) == (200, 401)
    assert "expired" in after.document["message"]


async def test_a_key_of_another_environment_does_not(guarded: Server) -> None:
    key = await key_of(guarded, "admin", environment="production")

    found = await ask(guarded, key=key)

    assert (found.status, found.document["code"]) == (403, "permission_denied")
    assert "production" in found.document["message"]


async def test_a_revoked_key_is_worth_nothing_at_once(guarded: Server) -> None:
    key = await key_of(guarded, "viewer")
    assert (await ask(guarded, key=key)).status == 200
    [stored] = await guarded.context.operations.keys.all()

    assert await guarded.context.operations.keys.revoke(stored.id)

    assert (await ask(guarded, key=key)).status == 401
    assert not await guarded.context.operations.keys.revoke(stored.id)


async def test_what_another_process_has_changed_is_seen_soon(guarded: Server) -> None:
    key = await key_of(guarded, "viewer")
    assert (await ask(guarded, key=key)).status == 200
    other = Keyring(guarded.context.journal, guarded.harness.clock)
    [stored] = await other.all()
    await other.revoke(stored.id)

    known = await ask(guarded, key=key)
    await guarded.harness.advance(f"{limits.KEYS_KNOWN_US_MAX // 10**6}s")
    seen = await ask(guarded, key=key)

    assert (known.status, seen.status) == (200, 401)


async def test_a_rotated_key_has_another_text(guarded: Server) -> None:
    first = await key_of(guarded, "viewer")
    [stored] = await guarded.context.operations.keys.all()

    found = await guarded.context.operations.keys.rotate(stored.id)

    assert found is not None
    assert (await ask(guarded, key=first)).status == 401
    assert (await ask(guarded, key=found[1])).status == 200
    assert await guarded.context.operations.keys.rotate("key_" + "0" * 12) is None


async def test_a_websocket_may_bring_its_key_in_the_query(guarded: Server) -> None:
    key = await key_of(guarded, "worker")
    keyring = guarded.context.operations.keys

    async def checked(query: str, **headers: str) -> str:
        request = Request("GET", "/ws", query=query, headers=Headers(headers.items()))
        return (await auth.check(keyring, request, Right.WORK)).id

    assert await checked(f"env=default&token={key}", upgrade="WebSocket")
    with pytest.raises(HttpError, match="no API key"):
        await checked(f"token={key}")
    with pytest.raises(HttpError, match="no API key"):
        await checked("a=1&" * 60 + f"token={key}", upgrade="websocket")


async def test_a_refusal_is_logged_by_the_id_of_the_key(
    guarded: Server, caplog: pytest.LogCaptureFixture
) -> None:
    key = await key_of(guarded, "viewer")
    [stored] = await guarded.context.operations.keys.all()
    stranger = keys.text_of(bytes(16))

    with caplog.at_level(logging.WARNING, "ironflow.auth"):
        await ask(guarded, f"{RUNS}/x/cancel", key=key, method="POST")
        await ask(guarded, key=stranger)

    first, second = [record.getMessage() for record in caplog.records]
    assert stored.id in first
    assert "POST /api/v1/runs/x/cancel" in first
    assert "no known key" in second
    assert key not in caplog.text
    assert stranger not in caplog.text


# --- what ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("viewer", {"GET /api/v1/runs"}),
        ("worker", {"POST /api/v1/events"}),
        (
            "developer",
            {"GET /api/v1/runs", "POST /api/v1/events", "POST /api/v1/runs/x/cancel"},
        ),
        (
            "admin",
            {
                "GET /api/v1/runs",
                "POST /api/v1/events",
                "POST /api/v1/runs/x/cancel",
                "GET /api/v1/apikeys",
            },
        ),
    ],
)
async def test_a_role_is_let_to_its_routes(
    guarded: Server, role: str, allowed: set[str]
) -> None:
    key = await key_of(guarded, role)
    routes = [
        "GET /api/v1/runs",
        "POST /api/v1/events",
        "POST /api/v1/runs/x/cancel",
        "GET /api/v1/apikeys",
    ]

    answers = {
        route: (
            await ask(guarded, route.split()[1], key=key, method=route.split()[0])
        ).status
        for route in routes
    }

    assert {route for route, status in answers.items() if status != 403} == allowed


async def test_a_call_is_refused_as_connect_does_it(guarded: Server) -> None:
    key = await key_of(guarded, "worker")

    nobody = await ask(guarded, GET_RUN, method="POST")
    worker = await ask(guarded, GET_RUN, method="POST", key=key)
    absent = await ask(
        guarded,
        "/ironflow.v1.ProjectionService/RegisterProjection",
        method="POST",
        key=key,
    )

    assert (nobody.status, nobody.document["code"]) == (401, "unauthenticated")
    assert (worker.status, worker.document["code"]) == (403, "permission_denied")
    assert (absent.status, absent.document["code"]) == (501, "unimplemented")


class Recorder:
    """Notes which routes parts add, in place of a router."""

    def __init__(self) -> None:
        self.routes: list[tuple[str, str]] = []

    def add(self, method: str, path: str, _: RoutedHandler) -> None:
        self.routes.append((method, path))


async def test_every_route_says_which_right_it_asks_for() -> None:
    recorder = Recorder()
    async with open_server(parts=()) as server:
        for part in all_parts():
            part(cast("Router", recorder), server.context)

    assert recorder.routes
    assert not set(recorder.routes) - TABLE.keys() - PUBLIC


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("GET", "/health", None),
        ("HEAD", "/health", None),
        ("POST", "/health", Right.KEYS),
        ("GET", "/api/v1/runs/run_1/steps", Right.READ),
        ("HEAD", "/api/v1/runs/run_1", Right.READ),
        ("DELETE", "/api/v1/runs/run_1", Right.STEER),
        ("PUT", "/api/v1/workers/w/jobs/j/ack", Right.WORK),
        ("POST", "/ironflow.v1.IronflowService/GetRun", Right.READ),
        ("POST", "/ironflow.v1.IronflowService/DeleteRun", Right.STEER),
        ("POST", "/ironflow.v1.IronflowService/Nothing", Right.NOTHING),
        ("POST", "/ironflow.v1.WorkerService/Connect", Right.WORK),
        ("POST", "/ironflow.v1.PubSubService/Publish", Right.EMIT),
        ("GET", "/nothing", Right.KEYS),
    ],
)
def test_a_request_asks_for_a_right(
    method: str, path: str, right: Right | None
) -> None:
    assert right_of(method, path) == right


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/ironflow.v1.IronflowService/Delete%52un", Right.STEER),
        ("/%61pi/v1/apikeys", Right.KEYS),
        ("/api/v1/runs%2Fx%2Fcancel", Right.KEYS),
        ("/api/v1/runs/%ff/cancel", Right.KEYS),
    ],
)
def test_an_encoded_path_is_read_as_the_router_reads_it(
    path: str, right: Right
) -> None:
    assert right_of("POST", path) == right


# --- keys over REST ------------------------------------------------------------------------


async def test_keys_are_managed_over_rest(server: Server) -> None:
    path = "/api/v1/apikeys"
    made = await server.post(
        path, {"name": "ci", "role_ids": ["developer"], "expires_in": "1d"}
    )
    [listed] = await server.get(path)
    shown = await server.get(f"{path}/{made['id']}")
    rotated = await server.post(f"{path}/{made['id']}/rotate")
    gone = await server.request("DELETE", f"{path}/{made['id']}")

    assert keys.is_text(made.pop("key"))
    assert listed == shown == made
    assert made["role_ids"] == ["developer"]
    assert made["expires_at"] is not None
    assert keys.is_text(rotated["key"])
    assert (gone.status, gone.body) == (204, b"")
    assert await server.get(path) == []
    for method, rest in [("GET", ""), ("DELETE", ""), ("POST", "/rotate")]:
        found = await server.request(method, f"{path}/{made['id']}{rest}")
        assert (found.status, found.document["code"]) == (404, "not_found")


async def test_a_key_is_given_other_roles(guarded: Server) -> None:
    admin = {"authorization": f"Bearer {await key_of(guarded, 'admin')}"}
    text = await key_of(guarded, "worker")
    [key] = [
        each
        for each in await guarded.context.operations.keys.all()
        if each.roles == ("worker",)
    ]
    path = f"/api/v1/apikeys/{key.id}/roles"

    async def put(path: str, roles: list[str]) -> Answered:
        return await guarded.request("PUT", path, {"role_ids": roles}, admin)

    before = await ask(guarded, key=text)
    changed = await put(path, ["viewer"])
    after = await ask(guarded, key=text)
    wrong = [await put(path, roles) for roles in ([], ["owner"])]
    unknown = await put(f"/api/v1/apikeys/key_{'0' * 12}/roles", ["viewer"])

    assert (before.status, after.status) == (403, 200)
    assert changed.document["role_ids"] == ["viewer"]
    assert [each.status for each in wrong] == [400, 400]
    assert unknown.status == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x", "role_ids": ["owner"]},
        {"name": "x", "role_ids": []},
        {"name": "x", "expires_in": "0s"},
        {"name": "x", "expires_in": "soon"},
        {"name": "x", "env_id": "a b"},
    ],
)
async def test_a_key_that_cannot_be_made_is_refused(
    server: Server, body: dict[str, Any]
) -> None:
    found = await server.request("POST", "/api/v1/apikeys", body)

    assert (found.status, found.document["code"]) == (400, "invalid_argument")


async def test_there_are_only_so_many_keys(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "KEYS_MAX", 1)
    await key_of(server, "viewer")

    found = await server.request("POST", "/api/v1/apikeys", {"name": "x"})

    assert "revoke some" in found.document["message"]


async def test_more_keys_than_a_page_has_are_all_known(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PAGE_DOCUMENTS_MAX", 2)
    texts = [await key_of(server, "viewer") for _ in range(5)]

    found = [await server.context.operations.keys.find(text) for text in texts]

    assert None not in found


async def test_the_first_key_is_made_once(server: Server) -> None:
    keyring = server.context.operations.keys

    first = await keyring.first()
    second = await keyring.first()

    assert first is not None
    assert second is None
    found = await keyring.find(first)
    assert found is not None
    assert found.roles == ("admin",)
