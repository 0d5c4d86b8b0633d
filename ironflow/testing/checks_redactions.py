"""Checks of a journal: a payload that is taken away is gone, and everything else stays."""

import msgspec
from msgspec.structs import replace

from ironflow import codec, ids, limits
from ironflow.errors import (
    Conflict,
    EventNotFound,
    JournalDamaged,
    MisusedOperation,
    RunNotFound,
)
from ironflow.journal.base import (
    Answer,
    DeleteRuns,
    DeliverEvents,
    EmitEvents,
    Emitted,
    ImportRun,
    RedactEvent,
    RedactRecords,
    StoredEvent,
)
from ironflow.journal.redactions import Replacement
from ironflow.records import Draft, Entry, EventReceived, RunRetried
from ironflow.testing.checks_asks import completed, ended, failed, wait
from ironflow.testing.checks_scene import (
    Holder,
    OpenJournal,
    Scene,
    encoded,
    expect,
    given,
    refused,
    require,
)

_LARGE = "x" * 2 * limits.BLOB_BYTES_MIN
_MARK = encoded({"$redacted": True})
_WHAT = "a redaction"


async def _history(scene: Scene, run_id: str) -> list[Entry]:
    return [*await scene.journal.history(run_id)]


async def _command(scene: Scene, run_id: str, *sequences: int) -> RedactRecords:
    history = await _history(scene, run_id)
    replacements = [
        Replacement(each, history[each - 1].record.payload_digest, _MARK)
        for each in sequences
    ]
    return RedactRecords(
        run_id, len(history), tuple(replacements), scene.now, "ann", "a wish"
    )


async def _redact(scene: Scene, run_id: str, *sequences: int) -> bool:
    command = await _command(scene, run_id, *sequences)
    return await scene.done(command, what=_WHAT)


def _values(history: list[Entry]) -> list[object]:
    """Return the payloads behind the first record's."""
    return [msgspec.msgpack.decode(each.payload) for each in history[1:]]


def _prove(scene: Scene, run_id: str, history: list[Entry]) -> None:
    """Fail unless the chain holds and each payload is what it says."""
    stored = [(codec.encode_whole(each)[0], each) for each in history]
    start = codec.chain_start(scene.journal.environment, run_id)
    checked = list(codec.verify_chain(stored, start=start))
    expect(len(checked), len(history), what="records that are intact")


async def check_a_payload_is_replaced(open_journal: OpenJournal) -> None:
    """The chain holds, the others are as they were, and it is done once."""
    scene = Scene("redacted", open_journal)
    async with scene.open():
        holder = await scene.start()
        await holder.append(completed("a:0", "secret"), completed("b:0", "kept"))
        await holder.append(ended("completed", "out"))
        before = await _history(scene, holder.run_id)

        require(await _redact(scene, holder.run_id, 2), what="it is redacted")
        require(not await _redact(scene, holder.run_id, 2), what="it is so once")
        at = scene.now
    async with scene.open():
        after = await _history(scene, holder.run_id)
        row = (await scene.summary(holder.run_id)).row
    expect(_values(after), [{"$redacted": True}, "kept", "out"], what="payloads")
    expect(
        [each.record for each in after],
        [each.record for each in before],
        what="headers",
    )
    fact = after[1].redaction
    require(
        fact is not None
        and (fact.at, fact.actor, fact.reason) == (at, "ann", "a wish"),
        what=f"when, who and why is kept: {fact!r}",
    )
    expect(row.redacted_at, at, what="when the run was redacted")
    async with scene.open():
        _prove(scene, holder.run_id, after)


async def check_many_records_are_redacted(open_journal: OpenJournal) -> None:
    """Wherever they lie: a restart comes between, and some come behind it."""
    scene = Scene("many", open_journal)
    count = 40
    async with scene.open():
        holder = await scene.start()
        for number in range(0, count, 4):
            some = [completed(f"s:{number + each}", [number]) for each in range(4)]
            await holder.append(*some)
        run_id = holder.run_id
    async with scene.open():
        holder = await scene.hold("job")
        for number in range(count, 2 * count):
            await holder.append(completed(f"s:{number}", [number]))
        await holder.append(ended())
        odd = range(3, 2 * count + 2, 2)

        await _redact(scene, run_id, *odd)
        await _redact(scene, run_id, *range(2, 2 * count + 3))

        history = await _history(scene, run_id)
        values = _values(history)
        expect(values, [{"$redacted": True}] * len(values), what="payloads")
        _prove(scene, run_id, history)


async def check_what_goes_on_is_not_redacted(open_journal: OpenJournal) -> None:
    """Nor what is not there, or is not as it was."""
    scene = Scene("ongoing", open_journal)
    async with scene.open():
        holder = await scene.start()
        await holder.append(completed("a:0", "secret"))
        run_id = holder.run_id
        early = await _command(scene, run_id, 2)
        refused(await scene.commit(early), MisusedOperation, what="an open run")
        await holder.append(ended())

        refused(await scene.commit(early), Conflict, what="a run that went on")
        command = await _command(scene, run_id, 2)
        [wanted] = command.replacements
        for wrong in (
            wanted._replace(sequence=3),
            wanted._replace(sequence=0),
            wanted._replace(sequence=9),
            wanted._replace(was=b"x" * 16),
        ):
            other = replace_in(command, wrong)
            refused(await scene.commit(other), Conflict, what=f"{wrong!r}")
        nobody = ids.run_id(ids.derived(scene.now, "nobody"))
        lost = RedactRecords(nobody, 1, (), scene.now)
        refused(await scene.commit(lost), RunNotFound, what="no such run")
        history = await _history(scene, run_id)
        expect(history[1].redaction, None, what="a redaction")


def replace_in(command: RedactRecords, *wanted: Replacement) -> RedactRecords:
    """Return a command with other replacements."""
    return RedactRecords(command.run_id, command.length, wanted, command.now)


async def check_a_redacted_run_does_not_go_on(open_journal: OpenJournal) -> None:
    """Its code would be given something that it never returned."""
    scene = Scene("still", open_journal)
    async with scene.open():
        holder = await scene.start()
        await holder.append(completed("a:0", 1), failed("b:0", attempt=1))
        await holder.append(ended("failed", {"type": "Error", "message": "no"}))
        await _redact(scene, holder.run_id, 2)

        answer = await _amend(scene, holder, Draft(RunRetried(attempt=2)))

        refused(answer, MisusedOperation, what="a retry")


async def _amend(scene: Scene, holder: Holder, draft: Draft) -> Answer:
    holder.length = (await scene.summary(holder.run_id)).length
    command = replace(holder.command(draft), epoch=0, inbox_through=0, abandoned=())
    return await scene.commit(command)


async def check_a_shared_payload_goes_with_the_last(open_journal: OpenJournal) -> None:
    """A run that has it keeps it while another's is taken away."""
    scene = Scene("shared", open_journal)
    async with scene.open():
        first, second = await scene.start("one"), await scene.start("two")
        for holder in (first, second):
            await holder.append(completed("a:0", _LARGE), completed("b:0", _LARGE))
            await holder.append(ended())

        await _redact(scene, first.run_id, 2, 3)

        kept = _values(await _history(scene, second.run_id))
        expect(kept, [_LARGE, _LARGE, None], what="what the other run has")
        await _redact(scene, second.run_id, 2, 3)
    async with scene.open():
        for holder in (first, second):
            history = await _history(scene, holder.run_id)
            marks = [{"$redacted": True}] * 2
            expect(_values(history), [*marks, None], what="payloads")
            _prove(scene, holder.run_id, history)
            command = DeleteRuns((holder.run_id,), scene.now, asked=True)
            require(await scene.done(command, what="a deletion"), what="it goes")


# --- events ---------------------------------------------------------------------------


async def _delivered(scene: Scene) -> None:
    """Let no event of another check be under way to its waits."""
    while await scene.done(DeliverEvents(scene.now), what="events delivered"):
        pass


async def _stored(scene: Scene, position: int) -> StoredEvent:
    [stored] = await scene.journal.events(">", after=position - 1, limit=1)
    return stored


async def check_an_event_is_redacted(open_journal: OpenJournal) -> None:
    """Data and metadata are gone; name, time, key and place are not."""
    scene = Scene("log", open_journal)
    async with scene.open():
        await _delivered(scene)
        event = scene.event("said", {"name": "Ann"}, key="k")
        event = replace(event, metadata={"who": "Ann"}, timestamp=scene.now)
        [receipt] = await scene.emit(event)
        [other] = await scene.emit(scene.event("said", {"name": "Bob"}))
        command = RedactEvent(receipt.position, event.id, scene.now, "ann", "a wish")
        require(await scene.done(command, what=_WHAT), what="it is redacted")
        require(not await scene.done(command, what=_WHAT), what="it is so once")
    async with scene.open():
        stored = await _stored(scene, receipt.position)
        expect(
            replace(stored.event, data=event.data, metadata=event.metadata),
            event,
            what="everything but data and metadata",
        )
        mark = msgspec.msgpack.decode(stored.event.data)
        require(mark["$redacted"], what="the data")
        require("Ann" not in str(stored.event), what="nothing of it is left")
        fact = stored.redaction
        require(
            fact is not None and (fact.actor, fact.reason) == ("ann", "a wish"),
            what=f"who and why is kept: {fact!r}",
        )
        [again] = await scene.emit(scene.event("said", {"name": "Ann"}, key="k"))
        require(again.duplicate, what="its key is still known")
        kept = await _stored(scene, other.position)
        data = msgspec.msgpack.decode(kept.event.data)
        expect((data, kept.redaction), ({"name": "Bob"}, None), what="the next event")


async def check_an_event_in_use_is_not_redacted(open_journal: OpenJournal) -> None:
    """Nor one that is not there."""
    scene = Scene("used", open_journal)
    async with scene.open():
        await _delivered(scene)
        await scene.register(scene.function("job", "go"))
        event = scene.event("go", {"name": "Ann"})
        [receipt] = await scene.emit(event)
        command = RedactEvent(receipt.position, event.id, scene.now)
        refused(await scene.commit(command), MisusedOperation, what="an open run")
        far = RedactEvent(receipt.position + 1_000, event.id, scene.now)
        refused(await scene.commit(far), EventNotFound, what="no such place")
        wrong = RedactEvent(receipt.position, "evt_1", scene.now)
        refused(await scene.commit(wrong), EventNotFound, what="another event")

        holder = await scene.hold("job")
        await holder.append(ended())

        require(await scene.done(command, what=_WHAT), what="it is redacted")


async def check_a_redacted_event_is_not_found_by_its_value(
    open_journal: OpenJournal,
) -> None:
    """A wait that looks back finds it by its name only, with the marker."""
    scene = Scene("sought", open_journal)
    async with scene.open():
        await _delivered(scene)
        await scene.register(scene.function("job", "go"))
        # The first waits make the index of the path.
        early = await _begun(scene)
        await early.append(
            wait("w:0", scene.name("said"), path="data.name", value="Eve")
        )
        late, other = await _begun(scene), await _begun(scene)
        event = scene.event("said", {"name": "Ann"})
        [receipt] = await scene.emit(event)
        command = RedactEvent(receipt.position, event.id, scene.now)
        require(await scene.done(command, what=_WHAT), what="it is redacted")

        await late.park(wait("w:0", scene.name("said"), path="data.name", value="Ann"))
        found = await other.append(wait("w:0", scene.name("said")))

        expect(await late.woken(), [], what="what was found by the value")
        [row] = found.inbox
        require(
            isinstance(row.draft.record, EventReceived)
            and b"$redacted" in bytes(row.draft.payload),
            what="who waits for the name gets the marker",
        )


async def _begun(scene: Scene) -> Holder:
    await scene.emit(scene.event("go"))
    return await scene.hold("job")


async def check_both_in_one_commit(open_journal: OpenJournal) -> None:
    """What a commit has stored, it may redact; and what it has redacted, it sees."""
    scene = Scene("atonce", open_journal)
    async with scene.open() as journal:
        await _delivered(scene)
        event = scene.event("said", {"name": "Ann"})
        [last] = await scene.emit(scene.event("said"))
        command = RedactEvent(last.position + 1, event.id, scene.now)
        emitted, first, second = await journal.commit(
            [EmitEvents((event,), scene.now), command, command]
        )
        given(emitted, Emitted, what="an emit")
        expect(
            [getattr(each, "changed", each) for each in (first, second)],
            [True, False],
            what="both redactions",
        )
        holder = await scene.start()
        await holder.append(completed("a:0", _LARGE), ended())
        redact = await _command(scene, holder.run_id, 2)
        answers = await journal.commit([redact, redact])
        expect(
            [getattr(each, "changed", each) for each in answers],
            [True, False],
            what="both redactions",
        )
        stored = await _stored(scene, last.position + 1)
        require(stored.redaction is not None, what="the event is redacted")


# --- imports --------------------------------------------------------------------------


async def _foreign(scene: Scene, *, status: str = "completed") -> ImportRun:
    """Return a run with a redacted record, as another journal has it."""
    holder = await scene.start()
    await holder.append(completed("a:0", "secret"), ended())
    await _redact(scene, holder.run_id, 2)
    standing = await scene.summary(holder.run_id)
    history = await _history(scene, holder.run_id)
    headers = [codec.header_of(codec.encode_whole(each)[0]) for each in history]
    command = DeleteRuns((holder.run_id,), scene.now, asked=True)
    while await scene.done(command, what="a deletion"):
        pass
    row = standing.row
    if status != "completed":
        row, history, headers = replace(row, status="open"), history[:2], headers[:2]
    return ImportRun(row, tuple(history), tuple(headers), (), (), scene.now)


async def check_a_redacted_run_is_imported(open_journal: OpenJournal) -> None:
    """With its redactions, which hold."""
    scene = Scene("brought", open_journal)
    async with scene.open() as journal:
        command = await _foreign(scene)
        run_id = command.row.run_id

        [answer] = await journal.commit([command])

        require(not hasattr(answer, "error"), what=f"it is imported: {answer!r}")
        history = await _history(scene, run_id)
        expect(_values(history), [{"$redacted": True}, None], what="payloads")
        _prove(scene, run_id, history)
        row = (await scene.summary(run_id)).row
        require(row.redacted_at, what="the run is known to be redacted")
        require(not await _redact(scene, run_id, 2), what="it is redacted once")


async def check_what_is_redacted_is_not_carried_on(open_journal: OpenJournal) -> None:
    """An import of a run that has not ended is refused if it was redacted."""
    scene = Scene("unfit", open_journal)
    async with scene.open() as journal:
        command = await _foreign(scene, status="open")

        [answer] = await journal.commit([command])

        refused(answer, JournalDamaged, what="an open run")


REDACTION_CHECKS = (
    check_a_payload_is_replaced,
    check_many_records_are_redacted,
    check_what_goes_on_is_not_redacted,
    check_a_redacted_run_does_not_go_on,
    check_a_shared_payload_goes_with_the_last,
    check_an_event_is_redacted,
    check_an_event_in_use_is_not_redacted,
    check_a_redacted_event_is_not_found_by_its_value,
    check_both_in_one_commit,
    check_a_redacted_run_is_imported,
    check_what_is_redacted_is_not_carried_on,
)
