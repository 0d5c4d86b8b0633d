"""The client against a server in memory: what an engine gives, over HTTP."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

import ironflow
from ironflow import codec, limits, values
from ironflow.handles import Run
from ironflow.records import Entry
from tests.transport.conftest import Server

NOBODY = "run_" + "0" * 32
Client = ironflow.AsyncClient


@dataclass
class Parcel:
    id: str
    total: int
    at: datetime


async def facts(run: Run) -> tuple[Any, ...]:
    return (
        run.id,
        run.function_id,
        run.status,
        run.output,
        run.error,
        run.attempt,
        run.started_at,
        run.ended_at,
        run.continued_from,
        run.continued_to,
        run.attributes,
    )


async def test_an_event_starts_runs(client: Client, server: Server) -> None:
    receipt = await client.emit("order.placed", {"id": "o1", "total": 3})

    [run_id] = receipt.run_ids
    run = await client.result(run_id)
    assert run.unwrap() == {"order": "o1", "receipt": "charged 3"}
    assert not receipt.duplicate


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("order.placed", {"id": "o1"}),
        ("approval.asked", None),
        ("order.lost", "gone"),
        ("order.odd", None),
    ],
)
async def test_a_run_is_what_the_engine_says_it_is(
    client: Client, server: Server, event: str, data: object
) -> None:
    """Completed, waiting, failed and paused."""
    run_id = await server.emit(event, data)

    found = await client.get_run(run_id)
    [listed] = await client.list_runs()

    assert await facts(found) == await facts(
        await server.harness.engine.get_run(run_id)
    )
    assert listed == found


async def test_a_run_that_is_held_can_be_waited_for(
    client: Client, server: Server
) -> None:
    run = await client.get_run(await server.emit("approval.asked"))

    await client.emit("approval.given", "yes")

    assert (await run.result("1m")).unwrap() == "yes"


async def stored(server: Server) -> list[Any]:
    """The events that there are, with their data decoded."""
    events = await server.harness.engine.list_events()
    return [(each.event, values.decode(each.event.data)) for each in events]


async def test_a_value_is_sent_as_an_engine_would_store_it(
    client: Client, server: Server
) -> None:
    at = datetime(2030, 5, 1, 12, tzinfo=UTC)

    await client.emit("parcel.sent", Parcel("p1", 2**60, at))

    [(_, data)] = await stored(server)
    assert data == {"id": "p1", "total": 2**60, "at": "2030-05-01T12:00:00Z"}


async def test_an_event_keeps_what_it_was_sent_with(
    client: Client, server: Server
) -> None:
    await client.emit(
        "order.seen",
        1,
        metadata={"a": "b"},
        version=3,
        source="shop",
        idempotency_key="k",
    )

    [(event, data)] = await stored(server)
    assert (event.metadata, event.version, event.source) == ({"a": "b"}, 3, "shop")
    assert (event.idempotency_key, data) == ("k", 1)


async def test_a_key_that_was_used_gives_the_first_receipt(client: Client) -> None:
    first = await client.emit("order.placed", {"id": "o1"}, idempotency_key="k")
    second = await client.emit("order.placed", {"id": "o1"}, idempotency_key="k")

    assert second.run_ids == first.run_ids
    assert (first.duplicate, second.duplicate) == (False, True)


async def test_events_without_a_key_are_events_of_their_own(client: Client) -> None:
    first = await client.emit("order.placed", {"id": "o1"})
    second = await client.emit("order.placed", {"id": "o1"})

    assert second.event_id != first.event_id


async def test_a_batch_is_stored_whole(client: Client, server: Server) -> None:
    receipts = await client.emit_batch(
        [
            ironflow.Emission("order.placed", {"id": "o1"}, idempotency_key="k"),
            ironflow.Emission("nobody.cares", metadata={"a": "b"}, version=2),
        ]
    )

    names = [event.name for event, _ in await stored(server)]
    assert names == ["order.placed", "nobody.cares"]
    assert [len(each.run_ids) for each in receipts] == [1, 0]
    assert await client.emit_batch([]) == []


async def test_a_batch_with_a_wrong_event_stores_nothing(
    client: Client, server: Server
) -> None:
    twice = ironflow.Emission("order.placed", {"id": "o1"}, idempotency_key="k")

    with pytest.raises(ironflow.EventConflict):
        await client.emit_batch([twice, twice])

    assert await stored(server) == []


async def test_emit_sync_returns_the_runs_that_ended(client: Client) -> None:
    [done] = await client.emit_sync("order.placed", {"id": "o1"})
    [failed] = await client.emit_sync("order.lost", "gone")

    assert done.unwrap() == {"order": "o1", "receipt": "charged 0"}
    with pytest.raises(ironflow.RunUnsuccessful, match="NonRetryableError: lost: gone"):
        failed.unwrap()


async def test_emit_sync_returns_runs_that_take_longer_as_they_are(
    client: Client,
) -> None:
    [run] = await client.emit_sync("approval.asked", timeout=0)

    assert run.status in {"queued", "running", "waiting"}


async def test_emit_sync_of_an_event_that_nobody_takes_says_so(
    client: Client, server: Server
) -> None:
    with pytest.raises(ironflow.NoRunCreated) as caught:
        await client.emit_sync("nobody.cares")

    [(event, _)] = await stored(server)
    assert event.id == caught.value.event_id


async def test_events_are_read_in_the_order_in_which_they_came(client: Client) -> None:
    for name in ("order.seen", "mail.sent", "order.lost", "order.gone"):
        await client.emit(name, {"of": name})

    first = await client.list_events("order.*", limit=2)
    second = await client.list_events("order.*", after=first[-1].position)

    assert [each.name for each in first + second] == [
        "order.seen",
        "order.lost",
        "order.gone",
    ]
    assert first[1].data == {"of": "order.lost"}
    assert len(first[1].run_ids) == 1


async def test_an_event_is_found_by_its_id(client: Client) -> None:
    receipt = await client.emit("order.seen", 1, metadata={"a": "b"})

    event = await client.get_event(receipt.event_id)

    assert (event.id, event.name, event.data) == (receipt.event_id, "order.seen", 1)
    assert event.metadata == {"a": "b"}
    assert event.timestamp is not None


async def test_names_of_events_are_counted(client: Client) -> None:
    for name in ("b", "a", "b"):
        await client.emit(name)

    found = await client.event_names()

    assert [(each.name, each.count) for each in found] == [("a", 1), ("b", 2)]


async def test_a_function_is_invoked(client: Client) -> None:
    receipt = await client.invoke("process-order", {"id": "o1"}, idempotency_key="k")
    run = await client.invoke_sync("process-order", {"id": "o1"}, idempotency_key="k")

    assert receipt.run_ids == (run.id,)
    assert run.unwrap()["order"] == "o1"


async def test_runs_are_listed_by_status_and_function_and_page(
    client: Client, server: Server
) -> None:
    for _ in range(3):
        await server.emit("approval.asked")
        await server.harness.advance("1s")
    await server.emit("order.lost")

    first = await client.list_runs(function_id="ask", limit=2)
    second = await client.list_runs(function_id="ask", limit=2, cursor=first[-1].id)
    failed = await client.list_runs(status="failed")

    assert len({run.id for run in first + second}) == 3
    assert [run.function_id for run in failed] == ["fail"]
    assert failed[0].error is not None


def stored_bytes(entries: Iterable[Entry]) -> list[bytes]:
    return [codec.encode_whole(each)[0] for each in entries]


async def test_a_list_with_large_values_comes_in_pieces(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await server.emit("order.placed", {"id": f"o{number}"})
        await server.harness.advance("1s")
    monkeypatch.setattr(limits, "ANSWER_BYTES_MAX", 1)

    page = await server.get("/api/v1/runs?details=true")
    runs = await client.list_runs()

    assert (page["count"], page["has_next"]) == (1, True)
    assert [run.output["order"] for run in runs] == ["o2", "o1", "o0"]
    assert len(await client.list_runs(limit=2)) == 2


async def test_a_history_is_the_engine_s(client: Client, server: Server) -> None:
    run_id = await server.emit("order.placed", {"id": "o1"})

    found = await client.history(run_id)

    assert stored_bytes(found) == stored_bytes(
        await server.harness.engine.history(run_id)
    )
    assert await client.history(run_id, after=1, limit=1) == [found[1]]


async def test_a_history_comes_in_pieces_that_are_not_too_large(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await server.emit("order.placed", {"id": "o1"})
    monkeypatch.setattr(limits, "ANSWER_BYTES_MAX", 1)

    page = await server.get(f"/api/v1/runs/{run_id}/records?after=1")
    found = await client.history(run_id)

    assert [each["sequence"] for each in page["records"]] == [2]
    assert page["has_next"]
    assert [each.record.sequence for each in found] == [1, 2, 3]


async def test_steps_say_what_was_done(client: Client, server: Server) -> None:
    run_id = await server.emit("order.placed", {"id": "o1", "total": 3})

    [step] = await client.steps(run_id)

    assert (step.id, step.kind, step.state) == ("charge:0", "step", "completed")
    assert step.value == "charged 3"
    assert step.settled_at is not None


async def test_a_run_is_cancelled(client: Client, server: Server) -> None:
    run_id = await server.emit("approval.asked")

    await client.cancel_run(run_id, reason="too late")

    assert (await client.result(run_id)).status == "cancelled"


async def test_a_failed_run_is_tried_again(client: Client, server: Server) -> None:
    run_id = await server.emit("payment.asked")
    await server.harness.advance("1d")

    run = await client.retry_run(run_id)

    assert run.status != "failed"
    assert (await client.result(run_id)).attempt == 2


async def test_a_paused_run_is_resumed(client: Client, server: Server) -> None:
    run_id = await server.emit("order.odd")

    run = await client.resume_run(run_id)

    assert run.status != "paused"


async def test_a_run_goes_on_from_a_step(client: Client, server: Server) -> None:
    """With the result that is given; a place that makes no sense is refused."""
    run_id = await server.emit("payment.asked")
    await server.harness.advance("1d")

    with pytest.raises(ironflow.MisusedOperation, match="no step 'x'"):
        await client.resume_run(run_id, from_step="x", force=True)
    run = await client.resume_run(
        run_id, from_step="charge", output="by hand", reason="paid in cash"
    )

    assert run.status != "failed"
    assert (await client.result(run_id)).unwrap() == [10, "by hand"]


async def test_a_step_may_give_nothing(client: Client, server: Server) -> None:
    run_id = await server.emit("payment.asked")
    await server.harness.advance("1d")
    before = (await client.steps(run_id))[0].value

    await client.resume_run(run_id, from_step="limit", output=None)

    assert (before, (await client.steps(run_id))[0].value) == (10, None)


async def test_a_run_is_paused_and_goes_on(client: Client, server: Server) -> None:
    run_id = await server.emit("approval.asked")

    paused = await client.pause_run(run_id, reason="look")
    await client.emit("approval.given", "yes")
    assert (await client.result(run_id, timeout=0)).status == "paused"
    await client.resume_run(run_id)

    assert paused.status == "paused"
    assert (await client.result(run_id)).unwrap() == "yes"


async def test_a_step_is_patched(client: Client, server: Server) -> None:
    run_id = await server.emit("payment.asked")

    run = await client.patch_step(run_id, "limit:0", 99, reason="agreed")

    assert run.id == run_id
    assert (await client.steps(run_id))[0].value == 99


async def test_a_run_that_has_ended_is_forgotten(
    client: Client, server: Server
) -> None:
    run_id = await server.emit("order.lost")

    await client.delete_run(run_id)

    with pytest.raises(ironflow.RunNotFound):
        await client.get_run(run_id)


async def test_runs_are_counted(client: Client, server: Server) -> None:
    await server.emit("order.lost")
    await server.emit("approval.asked")

    found = await client.count_runs()

    assert [(each.function_id, each.status, each.runs) for each in found] == [
        ("ask", "waiting", 1),
        ("fail", "failed", 1),
    ]


async def test_functions_are_listed_and_registered(client: Client) -> None:
    registered = await client.register_function(
        "mail",
        triggers=["mail.*"],
        endpoint_url="https://example.com/f",
        concurrency={"limit": 2},
    )

    found = await client.get_function("mail")
    assert found == registered
    assert (found.host, found.endpoint_url) == ("push", "https://example.com/f")
    assert [each.event for each in found.triggers] == ["mail.*"]
    assert found.concurrency.limit == 2
    assert "mail" in [each.id for each in await client.list_functions()]
    [version] = await client.function_versions("mail")
    assert (version.version, version.change, version.function) == (1, "update", found)


async def test_a_server_says_how_it_stands(client: Client, server: Server) -> None:
    assert (await client.health()).version == ironflow.__version__
    assert (await client.ready()).is_ready
    assert "rest" in (await client.capabilities()).transports
    assert await client.workers() == []

    server.context.operations.issues.add("it is stopping")

    assert (await client.ready()).issues == ("it is stopping",)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda client: client.get_run(NOBODY), ironflow.RunNotFound),
        (lambda client: client.result(NOBODY), ironflow.RunNotFound),
        (lambda client: client.steps(NOBODY), ironflow.RunNotFound),
        (lambda client: client.history(NOBODY), ironflow.RunNotFound),
        (lambda client: client.get_run("r1"), ironflow.RunNotFound),
        (lambda client: client.list_runs(limit=0), ironflow.ConfigurationError),
        (lambda client: client.get_function("nobody"), ironflow.FunctionNotFound),
        (lambda client: client.invoke("nobody"), ironflow.FunctionNotFound),
        (lambda client: client.get_event("evt_" + "0" * 32), ironflow.EventNotFound),
        (lambda client: client.get_event("e1"), ironflow.EventNotFound),
        (lambda client: client.list_events("a..b"), ironflow.ConfigurationError),
        (lambda client: client.list_events(after=-1), ironflow.ConfigurationError),
        (lambda client: client.list_events(limit=0), ironflow.ConfigurationError),
        (lambda client: client.emit("two words"), ironflow.ConfigurationError),
        (lambda client: client.emit("a", object()), ironflow.ValueRejected),
        (
            lambda client: client.register_function("ask"),
            ironflow.ConfigurationError,
        ),
    ],
)
async def test_errors_are_those_of_an_engine(
    client: Client,
    call: Callable[[Client], Awaitable[Any]],
    error: type[ironflow.IronflowError],
) -> None:
    with pytest.raises(error):
        await call(client)


async def test_what_a_run_does_not_allow_is_refused(
    client: Client, server: Server
) -> None:
    run_id = await server.emit("approval.asked")

    with pytest.raises(ironflow.MisusedOperation):
        await client.delete_run(run_id)
    with pytest.raises(ironflow.MisusedOperation):
        await client.resume_run(run_id)
