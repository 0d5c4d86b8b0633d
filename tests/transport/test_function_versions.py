"""What a function was: its versions, over both surfaces, and back to one of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from ironflow import limits
from ironflow.errors import RevisionConflict
from ironflow.journal.base import JournalCommand, PutDocument, RegisterFunctions
from ironflow.journal.memory import MemoryJournal
from ironflow.journal.served import ServedJournal
from ironflow.journal.url import open_journal
from ironflow.testing.virtual_clock import VirtualClock
from ironflow.transport import auth
from ironflow.transport.function_book import FunctionBook
from ironflow.transport.registry import row_of
from ironflow.wire.functions import FunctionConfig
from ironflow.wire.proto import ironflow as calls
from ironflow.wire.proto.types import FunctionStatus
from tests.transport.calling import call, say
from tests.transport.conftest import Server, open_server

FAR = {
    "id": "far",
    "triggers": [{"event": "far.*"}],
    "metadata": {"__ironflow_code_hash": "0123456789abcdef"},
}


async def register(server: Server, **changes: Any) -> Any:
    return (await say(server, "RegisterFunction", **FAR | changes)).document


async def history(server: Server, **wanted: Any) -> Any:
    request = calls.ListFunctionHistoryRequest(function_id="far", **wanted)
    return await call(server, "ListFunctionHistory", request)


async def test_a_version_rises_with_what_changes_and_with_nothing_else(
    server: Server,
) -> None:
    first = await register(server)
    await server.harness.advance("1s")
    same = await register(server, change_reason="no reason")
    other = await register(server, timeout_ms=5000, changeReason="it is slow")
    code = await register(
        server, timeout_ms=5000, metadata={"__ironflow_code_hash": "f" * 16}
    )

    found = [each["function"]["version"] for each in (first, same, other, code)]
    assert found == [1, 1, 2, 3]
    assert same["function"] == first["function"]
    assert other["function"]["createdAt"] == first["function"]["createdAt"]
    assert other["function"]["updatedAt"] > first["function"]["updatedAt"]
    [each, two, one] = (await history(server)).entries
    assert each.function_snapshot.metadata == {"__ironflow_code_hash": "f" * 16}
    assert (two.entity_version, two.function_id, two.change_type) == (
        2,
        "far",
        "update",
    )
    assert two.change_reason == "it is slow"
    assert two.function_snapshot.timeout_ms == 5000
    assert one.function_snapshot.timeout_ms == 0
    assert one.recorded_at < two.recorded_at


async def test_the_hash_of_the_code_names_the_version_that_runs_have(
    server: Server,
) -> None:
    await register(server)
    before = await server.get("/api/v1/functions/far")
    await register(server, metadata={"__ironflow_code_hash": "f" * 16})
    after = await server.get("/api/v1/functions/far")

    assert (before["version"], before["revision"]) == ("0123456789abcdef", 1)
    assert (after["version"], after["revision"]) == ("f" * 16, 2)


async def test_a_status_and_a_deletion_are_versions(server: Server) -> None:
    await register(server)
    for status in ("paused", "paused", "active"):
        await say(server, "UpdateFunctionStatus", id="far", status=status)
    await say(server, "DeleteFunction", id="far")
    again = await register(server)

    found = (await history(server)).entries
    assert [(each.entity_version, each.change_type) for each in found] == [
        (5, "update"),
        (4, "delete"),
        (3, "status_change"),
        (2, "status_change"),
        (1, "update"),
    ]
    assert found[3].function_snapshot.status == FunctionStatus.FUNCTION_STATUS_PAUSED
    assert again["created"]
    assert again["function"]["version"] == 5


async def test_a_history_is_read_in_pages(server: Server) -> None:
    for number in range(5):
        await register(server, timeout_ms=number)

    first = await history(server, limit=2)
    second = await history(server, limit=2, from_version=4)
    third = await history(server, limit=2, from_version=2)

    def numbers(page: Any) -> list[int]:
        return [each.entity_version for each in page.entries]

    assert [numbers(each) for each in (first, second, third)] == [[5, 4], [3, 2], [1]]
    assert [each.has_more for each in (first, second, third)] == [True, True, False]


async def test_a_version_is_looked_at(server: Server) -> None:
    await register(server)
    await register(server, timeout_ms=1)

    request = calls.GetFunctionAtVersionRequest(function_id="far", version=1)
    found = (await call(server, "GetFunctionAtVersion", request)).entry

    assert found.function_snapshot.version == 1
    assert found.function_snapshot.timeout_ms == 0


async def test_a_function_goes_back_to_a_version(server: Server) -> None:
    first = await register(server)
    await register(server, triggers=[{"event": "near.*"}], timeout_ms=1)
    await say(server, "UpdateFunctionStatus", id="far", status="paused")
    await say(server, "UpdateFunctionStatus", id="far", status="active")

    request = calls.RollbackFunctionRequest(
        function_id="far", version=1, change_reason="it was better"
    )
    found = (await call(server, "RollbackFunction", request)).function
    same = await call(
        server,
        "RollbackFunction",
        calls.RollbackFunctionRequest(function_id="far", version=5),
    )

    assert (found.version, found.timeout_ms) == (5, 0)
    assert [each.event for each in found.triggers] == ["far.*"]
    assert found.metadata == first["function"]["metadata"]
    newest = (await history(server)).entries[0]
    assert (newest.entity_version, newest.change_type) == (5, "rollback")
    assert newest.change_reason == "it was better"
    assert same.function == found
    emitted = await say(server, "Emit", event="far.off")
    assert len(emitted.document["runIds"]) == 1


async def test_a_function_that_stands_still_goes_back_standing_still(
    server: Server,
) -> None:
    await register(server)
    await register(server, timeout_ms=1)
    await say(server, "UpdateFunctionStatus", id="far", status="paused")

    found = await say(server, "RollbackFunction", function_id="far", version=1)

    assert found.document["function"]["status"] == "FUNCTION_STATUS_PAUSED"
    assert (await say(server, "Emit", event="far.off")).document["runIds"] == []


@pytest.mark.parametrize(
    ("method", "plain", "code"),
    [
        ("ListFunctionHistory", {"function_id": "none"}, "not_found"),
        (
            "ListFunctionHistory",
            {"function_id": "far", "limit": -1},
            "invalid_argument",
        ),
        ("GetFunctionAtVersion", {"function_id": "none", "version": 1}, "not_found"),
        ("GetFunctionAtVersion", {"function_id": "far", "version": 9}, "not_found"),
        ("GetFunctionAtVersion", {"function_id": "ask", "version": 1}, "not_found"),
        ("RollbackFunction", {"function_id": "none", "version": 1}, "not_found"),
        ("RollbackFunction", {"function_id": "far", "version": 9}, "not_found"),
        (
            "RollbackFunction",
            {"function_id": "ask", "version": 1},
            "failed_precondition",
        ),
        (
            "RollbackFunction",
            {"function_id": "old", "version": 1},
            "failed_precondition",
        ),
    ],
)
async def test_a_version_that_is_not_there_is_not_gone_back_to(
    server: Server, method: str, plain: dict[str, Any], code: str
) -> None:
    await register(server)
    await register(server, id="old")
    await say(server, "DeleteFunction", id="old")

    assert (await say(server, method, **plain)).document["code"] == code


async def test_a_function_of_the_servers_own_app_has_no_versions(
    server: Server,
) -> None:
    found = await say(server, "ListFunctionHistory", function_id="ask")

    assert found.document == {"entries": [], "hasMore": False}
    assert await server.get("/api/v1/functions/ask/versions") == {
        "versions": [],
        "count": 0,
    }


async def test_versions_say_whose_key_made_them_over_rest_too() -> None:
    async with open_server(guard=auth.guard) as server:
        keyring = server.context.operations.keys
        key, text = await keyring.create(name="a key", roles=["developer"])
        headers = {"authorization": f"Bearer {text}"}
        for timeout_ms in (1, 2):
            await server.request(
                "POST",
                "/api/v1/functions",
                {**FAR, "timeout_ms": timeout_ms, "change_reason": "so"},
                headers,
            )
        path = "/api/v1/functions/far/versions"
        found = (await server.request("GET", path, headers=headers)).document

    assert found["count"] == 2
    newest = found["versions"][0]
    assert newest["actor"] == f"apikey:{key.id}"
    assert (newest["version"], newest["change"], newest["reason"]) == (
        2,
        "update",
        "so",
    )
    assert newest["function"]["timeout_ms"] == 2
    assert newest["at"].endswith("Z")


async def test_archived_functions_are_listed_when_they_are_asked_for(
    server: Server,
) -> None:
    await register(server)
    await register(server, id="near")
    await say(server, "DeleteFunction", id="far")
    await say(server, "UpdateFunctionStatus", id="near", status="paused")

    async def ids(query: str) -> set[str]:
        found = await server.get(f"/api/v1/functions{query}")
        return {each["id"] for each in found["functions"]}

    own = set(server.harness.engine.functions)
    assert await ids("") == own | {"near"}
    assert await ids("?status=archived") == {"far"}
    assert await ids("?status=paused") == {"near"}
    assert await ids("?status=active") == own
    refused = await server.request("GET", "/api/v1/functions?status=gone")
    assert refused.status == 400


# --- the book ------------------------------------------------------------------------------


def config(**changes: Any) -> FunctionConfig:
    return FunctionConfig(id="mail", **changes)


async def test_versions_survive_the_process(tmp_path: Path) -> None:
    url = f"lmdb://{tmp_path}/data"
    for timeout_ms in (1, 2):
        async with open_journal(url) as journal:
            book = FunctionBook(journal, VirtualClock())
            await book.register(config(timeout_ms=timeout_ms), actor=f"a{timeout_ms}")

    async with open_journal(url) as journal:
        book = FunctionBook(journal, VirtualClock())
        found = await book.versions("mail")

    assert [(each.number, each.actor) for each in found] == [(1, "a1"), (2, "a2")]


async def test_what_was_registered_before_there_were_versions_is_the_first() -> None:
    journal = MemoryJournal()
    before = config(timeout_ms=1, revision=3, created_at=5, updated_at=6)
    await journal.commit([RegisterFunctions((row_of(before),), 1)])
    book = FunctionBook(journal, VirtualClock())

    shown = await book.versions("mail")
    await book.register(config(timeout_ms=2))

    assert [each.config for each in shown] == [before]
    found = await book.versions("mail")
    assert [each.number for each in found] == [3, 4]
    assert found[0].config == before


class Racing:
    """A journal in which another server is always a little faster, so many times."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.rival: FunctionBook | None = None
        self._journal = MemoryJournal()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def commit(self, commands: Sequence[JournalCommand]) -> Any:
        rival = self.rival
        if self.times and rival and isinstance(commands[0], PutDocument):
            self.times -= 1
            self.rival = None
            await rival.register(config(timeout_ms=100 + self.times), actor="rival")
            self.rival = rival
        return await self._journal.commit(commands)


def rivals(times: int) -> tuple[FunctionBook, FunctionBook]:
    """Return the books of two servers of one journal; the second is faster so often."""
    journal = Racing(times)
    served = cast("ServedJournal", journal)
    mine, theirs = (FunctionBook(served, VirtualClock()) for _ in range(2))
    journal.rival = theirs
    return mine, theirs


async def test_of_two_servers_that_change_a_function_both_are_kept() -> None:
    mine, _ = rivals(2)

    found = await mine.register(config(timeout_ms=1), actor="me")

    versions = await mine.versions("mail")
    assert [(each.number, each.actor) for each in versions] == [
        (1, "rival"),
        (2, "rival"),
        (3, "me"),
    ]
    assert found.row == await mine.get("mail") == row_of(versions[-1].config)
    assert not found.is_new


async def test_a_server_that_is_never_fast_enough_says_so() -> None:
    mine, _ = rivals(1_000)

    with pytest.raises(RevisionConflict):
        await mine.register(config(timeout_ms=1))


async def test_clients_of_one_server_change_a_function_one_by_one() -> None:
    journal = MemoryJournal()
    book = FunctionBook(journal, VirtualClock())

    async def change(timeout_ms: int) -> None:
        await book.register(config(timeout_ms=timeout_ms))

    async with trio.open_nursery() as nursery:
        for timeout_ms in range(1, 21):
            nursery.start_soon(change, timeout_ms)

    found = await book.versions("mail")
    assert [each.number for each in found] == list(range(1, 21))


async def test_a_long_id_has_versions_too() -> None:
    book = FunctionBook(MemoryJournal(), VirtualClock())
    id_ = "ä" * limits.NAME_CHARS_MAX + "€" * 10
    await book.register(FunctionConfig(id=id_))
    await book.register(FunctionConfig(id=id_, timeout_ms=1))

    assert len(await book.versions(id_)) == 2
