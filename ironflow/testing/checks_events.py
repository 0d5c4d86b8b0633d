"""Checks of a journal: events are stored, found again, and start runs."""

from ironflow import ids
from ironflow.errors import EventConflict, FunctionNotFound
from ironflow.journal.base import EmitEvents, Emitted
from ironflow.records import Draft, Published, RunStarted
from ironflow.testing.checks_scene import (
    ALL,
    OpenJournal,
    Scene,
    encoded,
    expect,
    given,
    refused,
    require,
)


async def check_a_receipt_says_what_became_of_an_event(
    open_journal: OpenJournal,
) -> None:
    """Positions are consecutive, run ids in the order of function ids."""
    scene = Scene("receipt", open_journal)
    async with scene.open() as journal:
        await scene.register(scene.function("b", "go"), scene.function("a", "go"))
        first, second = scene.event("go", {"n": 1}), scene.event("idle")

        went, idled = await scene.emit(first, second)

        started = tuple(
            ids.triggered_run_id(first.id, scene.name(word)) for word in ("a", "b")
        )
        expect(went.event_id, first.id, what="the event of the first receipt")
        expect(went.run_ids, started, what="runs in the order of function ids")
        require(not went.duplicate, what="a new event is no duplicate")
        expect(idled.run_ids, (), what="runs of an event that no function takes")
        expect(idled.position, went.position + 1, what="the next event's position")
        stored = await journal.events(scene.name("*"), after=went.position - 1)
        expect(
            [row.position for row in stored],
            [went.position, idled.position],
            what="positions in the event log",
        )
        expect(stored[0].run_ids, started, what="the runs a stored event names")
        expect(stored[0].event.data, first.data, what="the data of a stored event")


async def check_an_event_may_start_one_function_only(
    open_journal: OpenJournal,
) -> None:
    """`only` names it, whatever its triggers and those of others."""
    scene = Scene("only", open_journal)
    async with scene.open():
        await scene.register(scene.function("other", "go"), scene.function("job"))
        event = scene.event("go", key="k")
        command = EmitEvents((event,), scene.now, only=scene.name("job"))
        emitted = given(await scene.commit(command), Emitted, what="an invoke")
        again = EmitEvents((scene.event("go", key="k"),), scene.now, scene.name("job"))
        repeated = given(await scene.commit(again), Emitted, what="a second invoke")
        unknown = EmitEvents((scene.event("go"),), scene.now, scene.name("nobody"))
        refused(await scene.commit(unknown), FunctionNotFound, what="one of nobody")
        held = await scene.claim("job"), await scene.claim("other")

    run_id = ids.triggered_run_id(event.id, scene.name("job"))
    [receipt], [second] = emitted.receipts, repeated.receipts
    expect((receipt.run_ids, receipt.duplicate), ((run_id,), False), what="its run")
    expect((second.run_ids, second.duplicate), ((run_id,), True), what="its run again")
    expect([len(claims) for claims in held], [1, 0], what="runs that were started")


async def check_a_run_begins_with_its_event(open_journal: OpenJournal) -> None:
    """Its first record is sealed, holds the event and names the code."""
    scene = Scene("begin", open_journal)
    async with scene.open() as journal:
        await scene.register(scene.function("job", "go", version="v7"))
        event = scene.event("go", {"order": 7})
        [receipt] = await scene.emit(event)

        [run_id] = receipt.run_ids
        [entry] = await journal.history(run_id)
        record = given(entry.record, RunStarted, what="the first record")
        expect(record.sequence, 1, what="the first record's sequence")
        expect(record.event_id, event.id, what="the event of the run")
        expect(record.version, "v7", what="the code version of the run")
        expect(record.recorded_at, scene.now, what="when the run started")
        summary = await scene.summary(run_id)
        expect(summary.status, "queued", what="the status of a new run")
        expect(
            summary.row.trigger_position,
            receipt.position,
            what="the place of the run's event",
        )


async def check_an_idempotency_key_is_answered_once(open_journal: OpenJournal) -> None:
    """Invariant 4: an event never starts a function twice, also after a restart."""
    scene = Scene("idempotency", open_journal)
    async with scene.open() as journal:
        await scene.register(scene.function("job", "go"))
        [first] = await scene.emit(scene.event("go", 1, key="k"))
        [again] = await scene.emit(scene.event("go", 2, key="k"))
        [other_key] = await scene.emit(scene.event("go", 3, key="l"))
        [other_name] = await scene.emit(scene.event("stop", 4, key="k"))

        require(again.duplicate, what="a key used before makes a duplicate")
        expect(
            (again.event_id, again.position, again.run_ids),
            (first.event_id, first.position, first.run_ids),
            what="the first receipt, whatever the payload",
        )
        require(not other_key.duplicate, what="another key is new")
        require(not other_name.duplicate, what="the key is new under another name")
        log = await journal.events(scene.name(">"), after=first.position - 1)
        expect(len(log), 3, what="events stored")
    async with scene.open() as journal:
        [late] = await scene.emit(scene.event("go", 5, key="k"))

        expect(late.event_id, first.event_id, what="a key used before the restart")
        expect(len(await scene.claim("job")), 2, what="runs started")


async def check_a_batch_is_whole_or_absent(open_journal: OpenJournal) -> None:
    """Invariant 6: a refused batch stores nothing and hurts no other command."""
    scene = Scene("batch", open_journal)
    async with scene.open() as journal:
        await scene.register(scene.function("job", "go"))
        good, once, twice = (scene.event("go", key=key) for key in ("", "k", "k"))
        other = scene.event("other")

        answers = await journal.commit(
            [
                EmitEvents((good, once, twice), scene.now),
                EmitEvents((other,), scene.now),
            ]
        )

        refused(answers[0], EventConflict, what="a key twice in one batch")
        [receipt] = given(answers[1], Emitted, what="the command after it").receipts
        stored = await journal.events(scene.name(">"))
        expect([row.event.id for row in stored], [other.id], what="events stored")
        expect(stored[0].position, receipt.position, what="the position it was given")
        expect(await scene.claim("job"), [], what="runs of a refused batch")
        [later] = await scene.emit(scene.event("go", key="k"))
        require(not later.duplicate, what="a key that only a refused batch used is new")


async def check_an_event_id_is_used_once(open_journal: OpenJournal) -> None:
    """Invariant 4: the same event id never starts a function twice."""
    scene = Scene("event_id", open_journal)
    async with scene.open():
        await scene.register(scene.function("job", "go"))
        event = scene.event("go")
        await scene.emit(event)

        again = await scene.commit(EmitEvents((event,), scene.now))
        fresh = scene.event("go")
        both = await scene.commit(EmitEvents((fresh, fresh), scene.now))

        refused(again, EventConflict, what="an event that was stored before")
        refused(both, EventConflict, what="an event twice in one batch")
        expect(len(await scene.claim("job")), 1, what="runs of the event")


async def check_triggers_are_patterns(open_journal: OpenJournal) -> None:
    """`*` is one segment, `>` the rest; a later registration counts from then on."""
    scene = Scene("trigger", open_journal)
    async with scene.open():
        await scene.register(
            scene.function("exact", "order.placed"),
            scene.function("one", "order.*"),
            scene.function("rest", "order.>", "order.placed"),
        )
        wanted = {
            "order.placed": ["exact", "one", "rest"],
            "order.paid": ["one", "rest"],
            "order.item.added": ["rest"],
            "order": [],
        }
        for word, functions in wanted.items():
            event = scene.event(word)
            [receipt] = await scene.emit(event)

            run_ids = tuple(
                ids.triggered_run_id(event.id, scene.name(function))
                for function in functions
            )
            expect(receipt.run_ids, run_ids, what=f"runs started by {word}")
        await scene.register(scene.function("exact", "order.gone", version="v2"))
        [receipt] = await scene.emit(scene.event("order.gone"))
        expect(len(receipt.run_ids), 3, what="runs after a new registration")


async def check_a_message_is_an_event_that_starts_nothing(
    open_journal: OpenJournal,
) -> None:
    """A published message is in the log under `topic:`, once, and has its own id."""
    scene = Scene("message", open_journal)
    async with scene.open() as journal:
        holder = await scene.start()
        await scene.register(scene.function("all", "news"))
        topic = scene.name("news")
        event_id = ids.event_id(ids.derived(scene.now, scene.word, "published"))
        published = Published(id="publish:news:0", topic=topic, event_id=event_id)

        await holder.append(Draft(published, encoded("hello")))

        [stored] = await journal.events(f"topic:{topic}")
        expect(stored.event.id, event_id, what="the message's id")
        expect(bytes(stored.event.data), encoded("hello"), what="the message's data")
        expect(stored.run_ids, (), what="runs started by a message")
        expect(await scene.claim("all"), [], what="runs started by a message")
        expect(await journal.events(topic), [], what="messages among plain events")


async def check_events_are_read_by_page(open_journal: OpenJournal) -> None:
    """Invariant 11: who has seen position n has seen all up to n."""
    scene = Scene("page", open_journal)
    async with scene.open() as journal:
        events = [scene.event("a" if n % 3 else "b", n) for n in range(10)]
        receipts = await scene.emit(*events[:4])
        before = receipts[0].position - 1
        for event in events[4:]:
            await scene.emit(event)

        everything = await journal.events(after=before, limit=ALL)
        expect(
            [row.event.id for row in everything],
            [event.id for event in events],
            what="the log in commit order",
        )
        expect(
            [row.position for row in everything],
            list(range(before + 1, before + 11)),
            what="positions without gaps",
        )
        seen: list[str] = []
        after = before
        while page := await journal.events(scene.name("a"), after=after, limit=2):
            seen += [row.event.id for row in page]
            after = page[-1].position
        expect(
            seen,
            [event.id for n, event in enumerate(events) if n % 3],
            what="pages of one name",
        )


async def check_an_event_has_the_time_it_was_stored(
    open_journal: OpenJournal,
) -> None:
    """A time that the event has already is kept."""
    scene = Scene("stamp", open_journal)
    async with scene.open() as journal:
        event = scene.event("go")
        scene.now += 5
        [receipt] = await scene.emit(event)

        [stored] = await journal.events(after=receipt.position - 1, limit=1)
        expect(stored.event.timestamp, scene.now, what="the event's time")


EVENT_CHECKS = (
    check_a_receipt_says_what_became_of_an_event,
    check_an_event_may_start_one_function_only,
    check_a_run_begins_with_its_event,
    check_an_idempotency_key_is_answered_once,
    check_a_batch_is_whole_or_absent,
    check_an_event_id_is_used_once,
    check_triggers_are_patterns,
    check_a_message_is_an_event_that_starts_nothing,
    check_events_are_read_by_page,
    check_an_event_has_the_time_it_was_stored,
)
