"""A node in a race: it emits, claims, appends, follows the log, and says what it saw.

    python -m tests.journal.postgres.race_node URL NODE NODES ROUNDS

A run of `job` writes three steps, waits for the event with its number, writes two
more and ends. Every record names the epoch it was written under, as its source.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio

from ironflow import codec, ids
from ironflow.errors import Conflict, LeaseLost
from ironflow.journal.base import (
    Appended,
    AppendRecords,
    Claim,
    EmitEvents,
    FunctionRow,
    Hint,
    InboxRow,
    Refused,
    RegisterFunctions,
    StoredEvent,
)
from ironflow.journal.postgres.link import Options
from ironflow.journal.postgres.store import PostgresJournal, open_postgres
from ironflow.policy.match import match_key
from ironflow.records import (
    Draft,
    EventData,
    Record,
    RunEnded,
    StepCompleted,
    WaitStarted,
)

LEASE_SECONDS = 0.4
NOW_US = 1_700_000_000_000_000
FUNCTION = FunctionRow("job", "v1", triggers=("go",))
FUNCTIONS = frozenset({"job"})


@dataclass
class Seen:
    """What a node reports in the end."""

    refused: int = 0
    gaps: list[int] = field(default_factory=list[int])
    events: int = 0


class Racer:
    """A node and its part of the work."""

    def __init__(self, journal: PostgresJournal, node: int, nodes: int, rounds: int):
        self.journal = journal
        self.numbers = range(node, rounds * nodes, nodes)
        self.total = rounds * nodes
        self.answered = range(node or nodes, rounds * nodes + 1, nodes)
        self.seen = Seen()
        self.ended = 0
        self.look = trio.Event()
        self._serial = node << 32

    def hear(self, hint: Hint) -> None:
        if hint.ready or hint.room or hint.everything:
            self.look.set()

    async def emit_all(self) -> None:
        """Start this node's runs."""
        for number in self.numbers:
            await self.emit("go", number)

    async def emit(self, name: str, number: int) -> None:
        self._serial += 1
        event = EventData(
            id=ids.event_id(ids.derived(NOW_US, "race", str(self._serial))),
            name=name,
            data=msgspec.Raw(msgspec.msgpack.encode({"number": number})),
        )
        await self.journal.commit([EmitEvents((event,), NOW_US)])

    async def follow(self) -> None:
        """Follow the event log: who has seen n has seen everything up to n.

        Whoever sees another node's start answers it, so a start that is skipped leaves
        a run that waits for ever.
        """
        while self.seen.events < 2 * self.total:
            after = self.seen.events
            for place, stored in enumerate(await self.journal.events(after=after), 1):
                if stored.position != after + place:
                    self.seen.gaps.append(stored.position)
                await self.answer(stored)
                self.seen.events = stored.position

    async def answer(self, stored: StoredEvent) -> None:
        """Answer the starts of the node before this one."""
        number = msgspec.msgpack.decode(bytes(stored.event.data))["number"]
        if stored.event.name == "go" and number + 1 in self.answered:
            await self.emit("answer", number)

    async def work(self) -> None:
        """Carry on whatever can be claimed, until it is stopped."""
        while True:
            self.look = trio.Event()
            claims = await self.journal.claim(FUNCTIONS, limit=7)
            async with trio.open_nursery() as nursery:
                for claim in claims:
                    nursery.start_soon(self.carry_on, claim)
            if not claims:
                with trio.move_on_after(0.5):
                    await self.look.wait()

    async def carry_on(self, claim: Claim) -> None:
        entries = list(await self.journal.history(claim.run_id))
        data = msgspec.msgpack.decode(bytes(entries[0].payload))["data"]
        history = [entry.record for entry in entries]
        digest, length, inbox = entries[-1].digest, len(entries), claim.inbox
        while True:
            drafts, park = self.following(history, inbox, data["number"])
            sealed: list[tuple[Any, bytes]] = []
            for draft in drafts:
                sourced = msgspec.structs.replace(draft.record, source=str(claim.epoch))
                entry, header = codec.seal(
                    Draft(sourced, draft.payload),
                    sequence=length + len(sealed) + 1,
                    recorded_at=NOW_US,
                    previous=digest,
                )
                digest = entry.digest
                sealed.append((entry, header))
            [answer] = await self.journal.commit(
                [
                    AppendRecords(
                        claim.run_id,
                        claim.epoch,
                        length,
                        tuple(entry for entry, _ in sealed),
                        tuple(header for _, header in sealed),
                        inbox_through=inbox[-1].number if inbox else 0,
                        park=park,
                    )
                ]
            )
            if isinstance(answer, Refused):
                assert isinstance(answer.error, LeaseLost | Conflict)
                self.seen.refused += 1
                return
            assert isinstance(answer, Appended)
            history += [entry.record for entry, _ in sealed]
            length, inbox = answer.length, answer.inbox
            if answer.parked or isinstance(history[-1], RunEnded):
                return

    def following(
        self, history: Sequence[Record], inbox: Sequence[InboxRow], number: int
    ) -> tuple[list[Draft], bool]:
        """What comes next in a run; whether it parks then."""
        if inbox:
            return [row.draft for row in inbox], False
        steps = sum(isinstance(record, StepCompleted) for record in history)
        waits = any(isinstance(record, WaitStarted) for record in history)
        if steps == 3 and not waits:
            return [Draft(_wait(number))], True
        if steps == 3 and len(history) == 5:
            return [], True
        if steps == 5:
            return [Draft(RunEnded(status="completed"))], False
        return [Draft(StepCompleted(id=f"step:{steps}", attempt=1))], False


def _wait(number: int) -> WaitStarted:
    return WaitStarted(
        id="answer:0",
        event="answer",
        path="data.number",
        match_key=match_key(number) or b"",
    )


async def main(url: str, node: int, nodes: int, rounds: int) -> None:
    options = Options(lease=LEASE_SECONDS, poll=0.5)
    journal = await open_postgres(url, options=options)
    racer = Racer(journal, node, nodes, rounds)
    journal.watch(racer.hear)
    await journal.commit([RegisterFunctions((FUNCTION,), NOW_US)])
    print("ready", flush=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(racer.work)
        nursery.start_soon(wait_for_word, nursery.cancel_scope)
        async with trio.open_nursery() as own:
            own.start_soon(racer.emit_all)
            own.start_soon(racer.follow)
        print("emitted", flush=True)
    await journal.close()
    print(json.dumps({"refused": racer.seen.refused, "gaps": racer.seen.gaps}))


async def wait_for_word(scope: trio.CancelScope) -> None:
    """Stop when the input ends."""
    await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
    scope.cancel()


if __name__ == "__main__":
    own, all_nodes, own_rounds = map(int, sys.argv[2:])
    trio.run(main, sys.argv[1], own, all_nodes, own_rounds)
