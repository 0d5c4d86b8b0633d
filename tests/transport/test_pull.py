"""What a server makes of workers that send what they should not."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import trio

from ironflow import codec, limits
from ironflow.errors import JournalFailed
from ironflow.interpreter import failures
from ironflow.journal.base import EmitEvents, FunctionRow
from ironflow.journal.memory import MemoryJournal
from ironflow.records import (
    AttributesSet,
    CancelRequested,
    ChildStarted,
    Draft,
    ErrorInfo,
    Payload,
    Published,
    Record,
    RunContinued,
    RunEnded,
    RunRetried,
    RunStarted,
    SleepStarted,
    StepCompleted,
    StepFailed,
    WaitStarted,
)
from ironflow.testing.checks_scene import Scene
from ironflow.transport.pull import PullHost
from ironflow.wire import frames
from ironflow.wire.link import LinkClosed
from tests.engine.bench import settle
from tests.worker.links import MemoryLink, pair

NOW = 1_700_000_000_000_000
NIL = msgspec.msgpack.encode(None)


def of_function(**fields: Any) -> msgspec.Raw:
    return msgspec.Raw(encode(FunctionRow("f", "v", **fields)))


ROW = msgspec.msgpack.encode(FunctionRow("f", "v1", ("go",)))
encode = msgspec.msgpack.encode


def hello(**changes: Any) -> frames.Hello:
    plain = frames.Hello((2,), "w", "p", "h", "s", (msgspec.Raw(ROW),), 10)
    return msgspec.structs.replace(plain, **changes)


@dataclass
class Talk:
    """A worker by hand: it has one run, of one record."""

    link: MemoryLink
    journal: MemoryJournal
    claim: frames.Claimed | None = None

    async def say(self, frame: frames.Frame) -> None:
        await self.link.send(frames.encode(frame))

    async def hear(self) -> frames.ServerFrame:
        """Return the next frame that is not a ping."""
        with trio.fail_after(5):
            while True:
                frame = frames.server_frame(await self.link.receive())
                if not isinstance(frame, frames.Ping):
                    return frame

    async def append(
        self, *records: tuple[Record, Payload], **more: Any
    ) -> frames.ServerFrame:
        """Append records as they are given; return what the server says."""
        assert self.claim is not None
        sent = [
            frames.sent(encode(record), payload or NIL) for record, payload in records
        ]
        fields: dict[str, Any] = {"length": 1, **more}
        run_id, epoch = self.claim.run_id, self.claim.epoch
        append = frames.Append(run_id, epoch, records=tuple(sent), **fields)
        await self.say(frames.Commit(1, (append,)))
        return await self.hear()

    def kinds(self) -> list[str]:
        assert self.claim is not None
        found = self.journal.history_now(self.claim.run_id)
        return [type(entry.record).__name__ for entry in found]


@asynccontextmanager
async def talking(
    first: frames.Frame | None = None,
) -> AsyncGenerator[Talk]:
    journal = MemoryJournal()
    host = PullHost(journal, lambda: NOW)
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        ours, theirs = pair()
        talk = Talk(theirs, journal)
        nursery.start_soon(host.serve, ours)
        await talk.say(first or hello())
        yield talk
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def holding() -> AsyncGenerator[Talk]:
    async with talking() as talk:
        assert isinstance(await talk.hear(), frames.Welcome)
        event = Scene("x", lambda: pytest.fail("unused")).event("go")
        event = msgspec.structs.replace(event, name="go")
        talk.journal.commit_now([EmitEvents((event,), NOW)])
        claims = await talk.hear()
        assert isinstance(claims, frames.Claims)
        [talk.claim] = claims.claims
        yield talk


def at(record: Record, payload: bytes = b"", **more: Any) -> tuple[Record, bytes]:
    """Return a record as the second of its history."""
    fields: dict[str, Any] = {"sequence": 2, "recorded_at": NOW}
    if payload:
        fields |= {"payload_digest": codec.digest_of(payload), "codec": 1}
    return msgspec.structs.replace(record, **{**fields, **more}), payload


ONE = encode(1)
ERROR = failures.encode(ErrorInfo("E", "no"))


async def test_an_append_is_stored_as_it_was_sealed() -> None:
    async with holding() as talk:
        assert talk.claim is not None
        [first] = codec.decode_page(bytes(talk.claim.history))
        draft = Draft(StepCompleted(id="a:0", attempt=1), ONE)
        entry, header = codec.seal(
            draft, sequence=2, recorded_at=NOW, previous=first.digest
        )
        answer = await talk.append((entry.record, ONE), digest=entry.digest)
        stored = talk.journal.history_now(talk.claim.run_id)

        assert answer == frames.Answers(1, (frames.Stored(2, (), parked=False),))
        assert stored[0].digest == first.digest
        assert stored[1] == entry
        assert encode(stored[1].record) == header


@pytest.mark.parametrize(
    ("record", "payload"),
    [
        at(StepCompleted(id="a:0"), sequence=3),
        at(StepCompleted(id="a:0"), recorded_at=-1),
        at(StepCompleted(id="a:0"), recorded_at=2**60),
        at(StepCompleted(id="x" * (limits.WIRE_TEXT_CHARS_MAX + 1))),
        at(StepCompleted(id="a:0"), ONE, payload_digest=b"x" * 16),
        at(StepCompleted(id="a:0"), ONE, codec=0),
        at(StepCompleted(id="a:0"), ONE, codec=7),
        at(StepFailed(id="a:0", final=True), ONE),
        at(RunStarted(function_id="f", event_id="e")),
        at(RunRetried()),
        at(RunEnded(status="continued")),
        at(RunEnded(status="failed"), ONE),
        at(ChildStarted(function_id="f", child_run="run_1")),
        at(ChildStarted(function_id="f", child_run="x", asked_at=2**60)),
        at(RunContinued(new_run="run_1"), ONE),
        at(Published(topic="t", event_id="evt_1"), ONE),
        at(WaitStarted(event="not a name")),
        at(WaitStarted(event="a.b", path="..")),
        at(WaitStarted(event="a.b", match_key=b"short")),
        at(SleepStarted(until=2**60)),
        at(AttributesSet(), ONE),
        at(AttributesSet(), encode({"a": [1]})),
        at(AttributesSet(), encode({"a-b": 1})),
        at(AttributesSet(), encode({f"a{number}": 1 for number in range(33)})),
    ],
)
async def test_a_record_that_may_not_come_ends_the_connection(
    record: Record, payload: bytes
) -> None:
    async with holding() as talk:
        answer = await talk.append((record, payload))

        assert isinstance(answer, frames.Failure)
        assert answer.code == "PROTOCOL_ERROR"
        assert talk.kinds() == ["RunStarted"]
        with pytest.raises(LinkClosed):
            await talk.hear()


async def test_nothing_follows_the_end_of_a_run() -> None:
    async with holding() as talk:
        answer = await talk.append(
            at(RunEnded(status="completed"), ONE),
            at(StepCompleted(id="a:0"), sequence=3),
        )

        assert isinstance(answer, frames.Failure)
        assert "nothing follows the end of a run" in answer.message


async def test_a_chain_that_differs_ends_the_connection() -> None:
    async with holding() as talk:
        answer = await talk.append(at(StepCompleted(id="a:0"), ONE), digest=b"x" * 16)

        assert isinstance(answer, frames.Failure)
        assert "another digest" in answer.message
        assert talk.kinds() == ["RunStarted"]


@pytest.mark.parametrize(
    "more",
    [{"inbox_through": -1}, {"awaited": (msgspec.Raw(encode(CancelRequested())),)}],
)
async def test_what_stands_beside_records_is_looked_at(more: Any) -> None:
    async with holding() as talk:
        answer = await talk.append(**more)

        assert isinstance(answer, frames.Failure)


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"length": 7}, "CONFLICT"), ({"epoch": 1}, "LEASE_LOST")],
)
async def test_an_append_that_comes_too_late_is_refused(
    changes: dict[str, Any], code: str
) -> None:
    """The worker gives the run back; the connection goes on."""
    async with holding() as talk:
        assert talk.claim is not None
        good = frames.Append(talk.claim.run_id, talk.claim.epoch, 1, ())
        late = msgspec.structs.replace(good, **changes)
        await talk.say(frames.Commit(4, (late, good)))
        answer = await talk.hear()
        assert isinstance(answer, frames.Answers)
        refusal, stored = answer.outcomes

        assert isinstance(refusal, frames.Refusal)
        assert refusal.code == code
        assert isinstance(stored, frames.Stored)


async def test_only_a_child_of_a_held_run_is_cancelled() -> None:
    async with holding() as talk:
        assert talk.claim is not None
        own = talk.claim.run_id
        await talk.say(frames.Commit(1, (frames.CancelChild(own, own, "no"),)))
        answer = await talk.hear()

        assert isinstance(answer, frames.Answers)
        assert isinstance(answer.outcomes[0], frames.Refusal)
        standing = talk.journal.standing_now(own)
        assert standing is not None
        assert standing.inbox == ()


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("poison", ()), ("code", (b"\xc0",)), ("code", (encode([encode(1)]),))],
)
async def test_a_pause_is_looked_at(reason: str, kept: Sequence[bytes]) -> None:
    async with holding() as talk:
        assert talk.claim is not None
        drafts = tuple(msgspec.Raw(data) for data in kept)
        run_id, epoch = talk.claim.run_id, talk.claim.epoch
        pause = frames.PauseHeld(run_id, epoch, reason, "no", "v", 0, drafts)
        await talk.say(frames.Commit(1, (pause,)))

        assert isinstance(await talk.hear(), frames.Failure)


@pytest.mark.parametrize(
    "first",
    [
        hello(versions=(1, 3)),
        hello(worker=""),
        hello(hostname="x" * 300),
        hello(credit=-1),
        hello(credit=10_000),
        hello(functions=()),
        hello(functions=(msgspec.Raw(b"\x90"),)),
        hello(functions=(msgspec.Raw(encode(FunctionRow("no id", "v"))),)),
        hello(functions=(msgspec.Raw(encode(FunctionRow("f", "v", ("a..b",)))),)),
        hello(functions=(msgspec.Raw(encode(FunctionRow("f", "v" * 300))),)),
        hello(functions=(msgspec.Raw(encode(FunctionRow("f", "v", concurrency=-1))),)),
        hello(functions=(msgspec.Raw(encode(FunctionRow("f", "v", rules="mine"))),)),
        hello(functions=(of_function(attributes=(("a-b", "id"),)),)),
        hello(functions=(of_function(attributes=(("a", ".."),)),)),
        frames.Pong(),
    ],
)
async def test_a_worker_that_does_not_fit_is_refused(first: frames.Frame) -> None:
    async with talking(first) as talk:
        answer = await talk.hear()

        assert isinstance(answer, frames.Failure)
        assert talk.journal._durable.functions == {}


async def test_bytes_that_are_no_frame_end_one_connection_only() -> None:
    async with holding() as talk:
        await talk.link.send(b"\xc1")
        answer = await talk.hear()
        await settle()
        [run] = talk.journal._durable.runs.values()

        assert isinstance(answer, frames.Failure)
        assert run.row.run_id in talk.journal._durable.ready
        assert talk.journal._view.queue.holds == {}


async def test_what_cannot_be_decided_ends_one_connection_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake that no check has found yet."""
    async with holding() as talk:
        assert talk.claim is not None

        def broken(*_: object) -> None:
            raise AssertionError("no such thing")

        monkeypatch.setattr(talk.journal, "commit_now", broken)
        answer = await talk.append(at(StepCompleted(id="a:0"), ONE))
        monkeypatch.undo()
        await settle()

        assert isinstance(answer, frames.Failure)
        assert "no such thing" not in answer.message
        assert "no such thing" in caplog.text
        assert talk.kinds() == ["RunStarted"]
        assert talk.journal._view.queue.holds == {}


async def test_a_journal_that_fails_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with holding() as talk:

        def failed(*_: object) -> None:
            raise JournalFailed("the disk is gone")

        monkeypatch.setattr(talk.journal, "commit_now", failed)
        assert isinstance(await talk.append(), frames.Bye)
