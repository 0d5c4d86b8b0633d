"""Runs over REST."""

from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import trio

import ironflow
from ironflow.engine.open import run_engine
from ironflow.journal.memory import MemoryJournal
from ironflow.transport.http.messages import Handler, Request, Response
from ironflow.transport.server import open_handler
from tests.engine.bench import HandClock, settle
from tests.transport.conftest import Server

RUNS = "/api/v1/runs"
NOBODY = "run_" + "0" * 32


async def test_runs_are_listed_newest_first(server: Server) -> None:
    first = await server.emit("order.placed", {"id": "o1"})
    await server.harness.advance("1s")
    second = await server.emit("approval.asked")

    found = await server.get(RUNS)

    assert [each["id"] for each in found["runs"]] == [second, first]
    assert [each["status"] for each in found["runs"]] == ["waiting", "completed"]
    assert found["count"] == 2
    assert found["has_next"] is False
    assert "next_cursor" not in found
    newest = found["runs"][0]
    assert newest["function_id"] == "ask"
    assert newest["event_name"] == "approval.asked"
    assert newest["created_at"] == newest["started_at"]
    assert newest["created_at"].endswith("Z")
    assert newest["ended_at"] is None


@pytest.mark.parametrize(
    ("query", "functions"),
    [
        ("status=completed", ["process-order"]),
        ("status=FAILED", ["fail"]),
        ("status=RUN_STATUS_FAILED,completed", ["fail", "process-order"]),
        ("status=", ["fail", "ask", "process-order"]),
        ("function_id=ask", ["ask"]),
        ("functionId=ask", ["ask"]),
        ("function=ask&status=failed", []),
        (f"parent_run={NOBODY}", []),
        ("until=2001-01-01T00:00:00Z", []),
        ("since=2001-01-01T00:00:00Z&limit=1", ["fail"]),
    ],
)
async def test_runs_are_found_by_what_they_are(
    server: Server, query: str, functions: list[str]
) -> None:
    for event, data in (
        ("order.placed", {"id": "o1"}),
        ("approval.asked", None),
        ("order.lost", None),
    ):
        await server.emit(event, data)
        await server.harness.advance("1s")

    found = await server.get(f"{RUNS}?{query}")

    assert [each["function_id"] for each in found["runs"]] == functions


async def emit_with(server: Server, data: object, **attributes: Any) -> str:
    body = {"name": "order.placed", "data": data, "attributes": attributes}
    answered = await server.request("POST", "/api/v1/events", body)
    assert answered.status == 200, answered.body
    await server.harness.advance("1s")
    run_id: str = answered.document["run_ids"][0]
    return run_id


async def test_runs_are_found_by_their_attributes(server: Server) -> None:
    order = {"id": "o1"}
    first = await emit_with(server, order, customer="c1", total=99.5, vip=True)
    at = {"time": "2026-03-01T13:00:00+01:00"}
    second = await emit_with(server, order, customer="c1", total=100, at=at, note=None)

    async def found(*filters: str) -> list[str]:
        query = "&".join(f"attribute={quote(each)}" for each in filters)
        return [each["id"] for each in (await server.get(f"{RUNS}?{query}"))["runs"]]

    assert await found("customer=c1") == [second, first]
    assert await found("customer=c1", "total>=100") == [second]
    assert await found("vip=true") == [first]
    assert await found("at<2026-03-02") == [second]
    assert await found("customer=c2") == []
    shown = (await server.get(f"{RUNS}/{second}"))["attributes"]
    assert shown == {"customer": "c1", "total": 100, "at": "2026-03-01T12:00:00Z"}


async def test_an_invoke_and_a_batch_take_attributes(server: Server) -> None:
    body = {"data": {"id": "o1"}, "attributes": {"customer": "c1"}}
    await server.request("POST", "/api/v1/functions/process-order/invoke", body)
    events = [
        {"name": "order.placed", "data": {"id": "o1"}, "attributes": {"customer": each}}
        for each in ("c1", "c2")
    ]
    await server.request("POST", "/api/v1/events/batch", {"events": events})

    found = await server.get(f"{RUNS}?attribute=customer=c1")

    assert found["count"] == 2


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"customer": ["c1"]}, "attributes"),
        ({"a-b": 1}, "no name of an attribute"),
        ({"a": "x" * 300}, "300 bytes"),
        ({"a": {"time": "2026-03-01T13:00:00"}}, "no time zone"),
        ({"a": {"time": "noon"}}, "time"),
        ({"a": 1e999}, "JSON"),
    ],
)
async def test_what_is_no_attribute_is_refused(
    server: Server, attributes: object, sentence: str
) -> None:
    body = msgspec.json.encode({"name": "order.placed", "attributes": attributes})
    if b"null" in body:  # JSON has no infinity, and this is how it may be written
        body = body.replace(b"null", b"1e999")

    answered = await server.request("POST", "/api/v1/events", body)

    assert answered.status == 400
    assert sentence in answered.document["message"]
    assert (await server.get(RUNS))["runs"] == []


async def test_what_is_no_filter_is_refused(server: Server) -> None:
    answered = await server.request("GET", f"{RUNS}?attribute=customer")
    many = "&".join(["attribute=a=1"] * 11)
    too_many = await server.request("GET", f"{RUNS}?{many}")

    assert answered.status == too_many.status == 400
    assert "is no filter" in answered.document["message"]
    assert "11 filters" in too_many.document["message"]


@pytest.mark.parametrize("status", ["", "&status=waiting,completed"])
async def test_pages_follow_each_other(server: Server, status: str) -> None:
    made = []
    for _ in range(5):
        made.append(await server.emit("approval.asked"))
        await server.harness.advance("1s")

    seen: list[str] = []
    cursor = ""
    for _ in range(3):
        found = await server.get(f"{RUNS}?limit=2{status}&cursor={cursor}")
        seen += [each["id"] for each in found["runs"]]
        cursor = found.get("next_cursor", "")

    assert seen == made[::-1]
    assert cursor == ""


async def test_a_run_shows_what_came_of_it(server: Server) -> None:
    run_id = await server.emit("order.placed", {"id": "o1", "total": 3})

    found = await server.get(f"{RUNS}/{run_id}")

    assert found["status"] == "completed"
    assert found["event"]["name"] == "order.placed"
    assert found["event"]["data"] == {"id": "o1", "total": 3}
    assert found["output"] == {"order": "o1", "receipt": "charged 3"}
    assert found["error"] is None


async def test_a_failed_run_shows_its_error(server: Server) -> None:
    run_id = await server.emit("order.lost", "o1")

    found = await server.get(f"{RUNS}/{run_id}")

    assert found["status"] == "failed"
    assert found["output"] is None
    assert found["error"]["message"] == "lost: o1"
    assert found["error"]["code"] == "NON_RETRYABLE"


async def test_a_paused_run_shows_why_and_goes_on_when_resumed(server: Server) -> None:
    run_id = await server.emit("order.odd")
    server.harness.bugs.clear()

    paused = await server.get(f"{RUNS}/{run_id}")
    resumed = await server.post(f"{RUNS}/{run_id}/resume")

    assert paused["status"] == "paused"
    assert paused["pause"]["reason"] == "code"
    assert paused["error"]["code"] == "PAUSED"
    assert resumed["status"] in {"queued", "running"}


async def test_a_run_is_resumed_by_its_published_form(server: Server) -> None:
    run_id = await server.emit("order.odd")
    server.harness.bugs.clear()

    found = await server.post(f"{RUNS}/resume", {"runId": run_id, "from_step": ""})

    assert found["id"] == run_id
    assert found["pause"] is None


@pytest.mark.parametrize("path", ["{id}/retry", "{id}/resume"])
async def test_a_failed_run_is_tried_again(server: Server, path: str) -> None:
    run_id = await server.emit("payment.asked")
    await server.harness.advance("1d")
    failed = await server.get(f"{RUNS}/{run_id}")
    server.harness.replace_step("charge", lambda _: "paid")

    await server.post(f"{RUNS}/{path.format(id=run_id)}", {"reason": "they have money"})
    await server.harness.settle()

    found = await server.get(f"{RUNS}/{run_id}")
    assert (failed["status"], failed["attempt"]) == ("failed", 1)
    assert (found["status"], found["attempt"]) == ("completed", 2)
    assert found["output"] == [10, "paid"]


@pytest.mark.parametrize(
    ("body", "output", "calls"),
    [
        ({"from_step": "limit"}, [20, "paid"], 1),
        ({"from_step": "limit", "output": 5, "reason": "few"}, [5, "paid"], 0),
        ({"from_step": "limit", "output_is_null": True}, [None, "paid"], 0),
    ],
)
async def test_a_run_goes_on_from_a_step(
    server: Server, body: dict[str, object], output: list[object], calls: int
) -> None:
    """It is performed again; a result that is given, also null, spares that."""
    called: list[int] = []

    def limit() -> int:
        called.append(1)
        return 20

    run_id = await server.emit("payment.asked")
    await server.harness.advance("1d")
    server.harness.replace_step("charge", lambda _: "paid")
    server.harness.replace_step("limit", limit)

    answer = await server.post(f"{RUNS}/resume", {"run_id": run_id, **body})
    await server.harness.advance("1d")

    found = await server.get(f"{RUNS}/{run_id}")
    assert (answer["id"], answer["ended_at"]) == (run_id, None)
    assert (found["status"], found["output"]) == ("completed", output)
    assert len(called) == calls


async def test_a_run_stands_still_when_it_is_asked_to(server: Server) -> None:
    run_id = await server.emit("payment.asked")

    await server.post(f"{RUNS}/{run_id}/pause", {"reason": "look at it"})
    await server.harness.advance("2d")
    paused = await server.get(f"{RUNS}/{run_id}")
    await server.post(f"{RUNS}/{run_id}/resume")
    await server.harness.settle()
    resumed = await server.get(f"{RUNS}/{run_id}")

    assert paused["status"] == "paused"
    assert "look at it" in paused["pause"]["message"]
    assert resumed["status"] == "failed"


async def test_a_run_that_goes_on_is_not_resumed(server: Server) -> None:
    run_id = await server.emit("approval.asked")

    found = await server.request("POST", f"{RUNS}/{run_id}/resume")

    assert found.status == 400
    assert found.document["code"] == "failed_precondition"
    assert (
        "is waiting; only a run that is paused or has failed" in found.document["error"]
    )


@pytest.mark.parametrize("in_step_id", [True, False])
async def test_the_result_of_a_step_is_replaced(
    server: Server, *, in_step_id: bool
) -> None:
    run_id = await server.emit("payment.asked")
    server.harness.replace_step("charge", lambda _: "paid")
    body = {"step_id": "limit:0", "run_id": run_id}
    if in_step_id:
        body = {"step_id": f"{run_id}:limit:0"}

    patched = await server.post(
        "/api/v1/steps/patch", {**body, "output": {"eur": 7}, "reason": "by hand"}
    )
    await server.harness.advance("1d")

    assert (patched["run_id"], patched["step_id"]) == (run_id, "limit:0")
    found = await server.get(f"{RUNS}/{run_id}")
    assert found["output"] == [{"eur": 7}, "paid"]


async def test_a_run_that_has_ended_is_forgotten(server: Server) -> None:
    run_id = await server.emit("order.lost")

    deleted = await server.request("DELETE", f"{RUNS}/{run_id}")

    assert (deleted.status, deleted.body) == (204, b"")
    assert (await server.request("GET", f"{RUNS}/{run_id}")).status == 404


async def test_a_run_that_goes_on_is_not_forgotten(server: Server) -> None:
    run_id = await server.emit("approval.asked")

    found = await server.request("DELETE", f"{RUNS}/{run_id}")

    assert found.status == 400
    assert "cancel it first" in found.document["message"]


async def test_a_run_is_waited_for(server: Server) -> None:
    run_id = await server.emit("payment.asked")
    found: list[Any] = []

    async def wait() -> None:
        found.append(await server.get(f"{RUNS}/{run_id}?wait=60"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await server.harness.settle()
        await server.post(f"{RUNS}/{run_id}/cancel")
        await server.harness.settle()

    assert found[0]["status"] == "cancelled"


async def test_steps_are_what_the_run_did(server: Server) -> None:
    run_id = await server.emit("order.placed", {"id": "o1", "total": 3})

    found = await server.get(f"{RUNS}/{run_id}/steps")

    [step] = found["steps"]
    assert step["id"] == "charge:0"
    assert (step["kind"], step["name"], step["state"]) == (
        "step",
        "charge",
        "completed",
    )
    assert step["value"] == "charged 3"
    assert [each["number"] for each in step["attempts"]] == [1]
    assert "child_run" not in step


async def test_steps_say_what_a_run_waits_for(server: Server) -> None:
    run_id = await server.emit("approval.asked")

    found = await server.get(f"{RUNS}/{run_id}/steps")

    [wait] = found["steps"]
    assert (wait["kind"], wait["state"], wait["event"]) == (
        "wait",
        "waiting",
        "approval.given",
    )
    assert wait["timeout_at"].endswith("Z")
    assert wait["value"] is None


async def test_a_run_is_cancelled(server: Server) -> None:
    run_id = await server.emit("approval.asked")

    await server.post(f"{RUNS}/{run_id}/cancel", {"reason": "not needed"})
    await server.harness.settle()

    found = await server.get(f"{RUNS}/{run_id}")
    assert found["status"] == "cancelled"


async def test_a_long_history_is_read_whole(server: Server, monkeypatch: Any) -> None:
    monkeypatch.setattr("ironflow.transport.run_reads._PAGE", 1)
    run_id = await server.emit("order.placed", {"id": "o1"})

    found = await server.get(f"{RUNS}/{run_id}/steps")

    assert [each["id"] for each in found["steps"]] == ["charge:0"]


async def test_a_history_that_is_too_long_is_not_shown_at_once(
    server: Server, monkeypatch: Any
) -> None:
    monkeypatch.setattr("ironflow.limits.FOLDED_RECORDS_MAX", 2)
    run_id = await server.emit("order.placed", {"id": "o1"})

    found = await server.request("GET", f"{RUNS}/{run_id}/steps")

    assert found.status == 400
    assert "has 3 records" in found.document["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{RUNS}/{NOBODY}"),
        ("GET", f"{RUNS}/{NOBODY}/steps"),
        ("POST", f"{RUNS}/{NOBODY}/cancel"),
        ("POST", f"{RUNS}/{NOBODY}/pause"),
        ("POST", f"{RUNS}/{NOBODY}/resume"),
    ],
)
async def test_a_run_that_is_not_there_is_not_found(
    server: Server, method: str, path: str
) -> None:
    found = await server.request(method, path)

    assert found.status == 404
    assert found.document["code"] == "not_found"
    assert NOBODY in found.document["message"]


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (("POST", f"{RUNS}/resume", {}), "not a run id"),
        (("POST", "/api/v1/steps/patch", {}), "required field `step_id`"),
        (("GET", f"{RUNS}/{NOBODY}?wait=x", None), "not a duration"),
        (("POST", f"{RUNS}/resume", {"run_id": NOBODY, "force": True}), "from_step"),
        (("POST", f"{RUNS}/{NOBODY}/resume", {"output": 1}), "from_step"),
        (("GET", f"{RUNS}?limit=0", None), "must be 1 or more"),
        (("GET", f"{RUNS}?limit=x", None), "Expected `int`"),
        (("GET", f"{RUNS}?status=done", None), "no status of a run"),
        (("GET", f"{RUNS}?cursor=1", None), "not a run id"),
        (("GET", f"{RUNS}?since=yesterday", None), "not a time"),
        (("GET", f"{RUNS}?function_id=%00", None), "cannot be shown"),
        (("POST", f"{RUNS}/{NOBODY}/cancel", {"reason": 1}), "Expected `str`"),
    ],
)
async def test_what_is_wrong_is_said(
    server: Server, request_: tuple[str, str, Any], says: str
) -> None:
    found = await server.request(*request_)

    assert found.status == 400
    assert says in found.document["message"]


async def test_a_limit_that_is_too_high_is_the_highest(server: Server) -> None:
    run_id = await server.emit("approval.asked")

    found = await server.get(f"{RUNS}?limit=99999999999999999999")

    assert [each["id"] for each in found["runs"]] == [run_id]


async def test_a_run_says_who_is_at_it() -> None:
    gate = trio.Event()

    async def passed() -> None:
        await gate.wait()

    @ironflow.function(id="slow", triggers=["go"])
    async def slow(ctx: ironflow.Context[Any]) -> None:
        await ctx.step.run("gate", passed)

    clock, journal = HandClock(), MemoryJournal()
    async with (
        run_engine(ironflow.App(functions=[slow]), journal, clock=clock) as engine,
        open_handler(engine, journal, clock) as (handler, _),
    ):
        [run_id] = (await engine.emit("go")).run_ids
        await settle()
        running = await document(handler, f"{RUNS}/{run_id}")
        gate.set()
        await engine.result(run_id)
        ended = await document(handler, f"{RUNS}/{run_id}")

    assert running["carried_by"] == "the server itself"
    assert ended["status"] == "completed"
    assert "carried_by" not in ended


async def document(handler: Handler, path: str) -> Any:
    """Return what is at a path."""
    answer = await handler(Request("GET", path))
    assert isinstance(answer, Response)
    assert isinstance(answer.body, bytes)
    return msgspec.json.decode(answer.body)
