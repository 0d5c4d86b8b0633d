"""Lists of runs by text, event and offset, how many there are in all, and pages of them."""

from typing import Any

import pytest

from ironflow import limits
from ironflow.testing.harness import Harness
from ironflow.transport.run_reads import RunFilter, RunReads
from ironflow.wire.proto import ironflow as calls
from tests.transport.calling import call, say, start
from tests.transport.conftest import Server

RUNS = "/api/v1/runs"


async def listed(server: Server, **wanted: Any) -> Any:
    return await call(server, "ListRuns", calls.ListRunsRequest(**wanted))


async def ids(server: Server, **wanted: Any) -> list[str]:
    return [each.id for each in (await listed(server, **wanted)).runs]


async def made(server: Server, *events: str) -> list[str]:
    """Start a run by each event, a second apart; return their ids, newest first."""
    found: list[str] = []
    for event in events:
        found.insert(0, await start(server, event, {"id": "o"}))
        await server.harness.advance("1s")
    return found


async def test_runs_are_found_by_a_text(server: Server) -> None:
    ask, fail, order = await made(
        server, "order.placed", "order.lost", "approval.asked"
    )
    event_id = (await call(server, "GetRun", calls.GetRunRequest(id=ask))).event_id

    assert await ids(server, search="ORDER") == [fail, order]
    assert await ids(server, search=" approval ") == [ask]
    assert await ids(server, search="process-") == [order]
    assert await ids(server, search=fail) == [fail]
    assert await ids(server, search=fail[:-4]) == [fail]
    assert await ids(server, search=event_id) == [ask]
    assert await ids(server, search="order", statuses=(4,)) == [fail]
    assert await ids(server, search=fail, function_id="ask") == []
    assert await ids(server, search="nothing") == []
    found = await server.get(f"{RUNS}?search=order&limit=1")
    assert [each["id"] for each in found["runs"]] == [fail]
    assert found["has_next"]


async def test_a_run_of_another_time_is_not_found_by_its_id(server: Server) -> None:
    second, first = await made(server, "approval.asked", "approval.asked")
    then = (await call(server, "GetRun", calls.GetRunRequest(id=second))).created_at

    assert await ids(server, search=first, since=then) == []
    assert await ids(server, search=second, since=then) == [second]
    assert await ids(server, search=second, until=then) == []
    assert await ids(server, search=second, cursor=first) == []


async def test_runs_are_found_by_their_event_over_rest_too(server: Server) -> None:
    run_id, _ = await made(server, "order.placed", "order.lost")
    run = await server.get(f"{RUNS}/{run_id}")
    path = f"{RUNS}?event_id={run['event_id']}"

    found = (await server.get(path))["runs"]
    failed = (await server.get(f"{path}&status=completed"))["runs"]
    wrong = await server.request("GET", f"{RUNS}?event_id=x")

    assert [each["id"] for each in found] == [run_id]
    assert failed == []
    assert wrong.status == 400


async def test_runs_of_an_event_that_is_gone_are_found(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events have a shorter retention than runs: the ids of runs follow from theirs."""
    [run_id] = await made(server, "order.placed")
    event_id = (await server.get(f"{RUNS}/{run_id}"))["event_id"]

    async def none(_: str) -> None:
        return None

    monkeypatch.setattr(type(server.harness.journal), "event", lambda _, id_: none(id_))

    assert await ids(server, event_id=event_id) == [run_id]


async def test_an_offset_leaves_out_the_newest(server: Server) -> None:
    made_ids = await made(server, *["approval.asked"] * 5)

    assert await ids(server, offset=2, limit=2) == made_ids[2:4]
    assert await ids(server, offset=2, limit=2, search="approval") == made_ids[2:4]
    assert await ids(server, offset=9) == []
    found = await server.get(f"{RUNS}?offset=4&limit=3")
    assert [each["id"] for each in found["runs"]] == made_ids[4:]


async def test_a_large_offset_is_walked_in_pages(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_ids = await made(server, *["approval.asked"] * 6)
    monkeypatch.setattr(limits, "PAGE_RUNS_MAX", 2)

    assert await ids(server, offset=3, limit=2) == made_ids[3:5]
    page = await listed(server, offset=1, limit=2)
    assert await ids(server, cursor=page.next_cursor, limit=2) == made_ids[3:5]


async def test_a_search_ends_and_says_where_to_go_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, *_ = await made(server, "order.placed")
    asked = await made(server, *["approval.asked"] * 6)
    monkeypatch.setattr(limits, "PAGE_RUNS_MAX", 2)
    monkeypatch.setattr(limits, "RUNS_SEARCHED_MAX", 4)

    first = await listed(server, search="order")
    second = await listed(server, search="order", cursor=first.next_cursor)

    assert (first.runs, first.next_cursor) == ((), asked[3])
    assert [each.id for each in second.runs] == [order]
    assert second.next_cursor == ""


# --- how many ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({}, 6),
        ({"limit": 1}, 6),
        ({"limit": 2, "offset": 3}, 6),
        ({"function_id": "ask"}, 3),
        ({"function_id": "nobody"}, 0),
        ({"statuses": (3, 4)}, 3),
        ({"status": 8, "function_id": "ask"}, 3),
        ({"search": "order"}, 3),
        ({"search": "order", "limit": 1}, 3),
        ({"since": 1}, 6),
        ({"until": 1}, 0),
    ],
)
async def test_all_that_match_are_counted(
    server: Server, wanted: dict[str, Any], count: int
) -> None:
    await made(server, *["approval.asked"] * 3, *["order.placed"] * 2, "order.lost")

    assert (await listed(server, **wanted)).total_count == count


async def test_the_count_of_a_page_is_that_of_all_pages(server: Server) -> None:
    await made(server, *["approval.asked"] * 3)

    first = await listed(server, limit=2)
    second = await listed(server, limit=2, cursor=first.next_cursor)

    assert (first.total_count, second.total_count) == (3, 3)


async def test_no_more_are_sought_than_so_many(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(server, *["approval.asked"] * 5)
    monkeypatch.setattr(limits, "PAGE_RUNS_MAX", 2)
    monkeypatch.setattr(limits, "RUNS_SEARCHED_MAX", 4)

    assert (await listed(server, since=1)).total_count == 4
    assert (await listed(server)).total_count == 5


async def test_counting_by_status_looks_at_no_run(server: Server) -> None:
    class Counted:
        """A journal that can count, and find nothing."""

        def __init__(self, harness: Harness) -> None:
            self.counts = harness.journal.counts

    await made(server, "approval.asked", "order.placed")
    reads = RunReads(Counted(server.harness))  # type: ignore[arg-type]  # as far as asked

    assert await reads.count(RunFilter()) == 2
    assert await reads.count(RunFilter(statuses=("waiting",), limit=1)) == 1


async def test_a_refused_list_says_why(server: Server) -> None:
    found = await say(server, "ListRuns", offset=limits.RUNS_SEARCHED_MAX)

    assert "go on by the cursor" in found.document["message"]
