"""How the server stands, over REST."""

import ironflow
from ironflow.transport.http.messages import Answer, Handler, Request
from ironflow.transport.workers import WorkerInfo
from tests.transport.conftest import Server, open_server


async def test_health_gives_version_and_time(server: Server) -> None:
    found = await server.get("/health")

    assert found["status"] == "ok"
    assert found["version"] == ironflow.__version__
    assert found["timestamp"].endswith("Z")


async def test_a_server_is_ready_until_something_is_in_its_way(server: Server) -> None:
    assert (await server.get("/ready")) == {"status": "ready"}

    server.context.operations.issues.add("the server is stopping")
    found = await server.request("GET", "/ready")

    assert found.status == 503
    assert found.document == {
        "status": "not_ready",
        "issues": ["the server is stopping"],
    }


async def test_capabilities_say_what_there_is(server: Server) -> None:
    found = await server.get("/api/v1/capabilities")

    assert "rest" in found["transports"]
    assert found["version"] == ironflow.__version__
    assert found["auth_required"] is False


async def test_a_guard_stands_before_every_route() -> None:
    seen: list[str] = []

    def guard(handler: Handler) -> Handler:
        async def guarded(request: Request) -> Answer:
            seen.append(request.path)
            return await handler(request)

        return guarded

    async with open_server(guard=lambda _: guard) as server:
        found = await server.get("/api/v1/capabilities")
        await server.request("GET", "/nothing")

    assert found["auth_required"] is True
    assert seen == ["/api/v1/capabilities", "/nothing"]


async def test_workers_are_listed_while_they_are_there(server: Server) -> None:
    worker = WorkerInfo(
        id="w1",
        transport="stream",
        function_ids=("ask",),
        registered_at=1_700_000_000_000_000,
        last_heartbeat=1_700_000_001_000_000,
        max_concurrent=10,
        labels={"zone": "a"},
    )
    remove = server.context.operations.workers.add("w1", lambda: worker)

    there = await server.get("/api/v1/workers")
    remove()
    gone = await server.get("/api/v1/workers")

    assert there["count"] == 1
    [found] = there["workers"]
    assert found["function_ids"] == ["ask"]
    assert found["registered_at"] == "2023-11-14T22:13:20Z"
    assert found["version"] == {"runtime": "", "sdk": ""}
    assert gone == {"workers": [], "count": 0}


async def test_a_worker_that_came_back_is_not_taken_away(server: Server) -> None:
    workers = server.context.operations.workers
    old = WorkerInfo(
        id="w1", transport="stream", function_ids=(), registered_at=1, last_heartbeat=1
    )
    remove_old = workers.add("w1", lambda: old)
    workers.add("w1", lambda: old)

    remove_old()

    assert len(workers) == 1
