"""Where the data of an event is, and what is refused."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from ironflow import limits
from ironflow.errors import EventNotFound, MisusedOperation
from ironflow.journal.base import (
    Answer,
    JournalCommand,
    RedactEvent,
    Refused,
)
from ironflow.journal.redacting import (
    Redacted,
)
from ironflow.records import (
    Draft,
    Published,
)
from ironflow.testing.checks_asks import (
    completed,
    ended,
    wait,
)
from ironflow.testing.checks_scene import Holder, Scene, encoded
from tests.journal.redacting import (
    SECRET,
    a_scene,
    data_of,
    event_of,
    redacted,
    run,
    shown,
    step,
)


@pytest.fixture
async def scene() -> AsyncGenerator[Scene]:
    async with a_scene() as scene:
        yield scene


# --- events ---------------------------------------------------------------------------


async def test_an_event_goes_with_its_copies(scene: Scene) -> None:
    """Of the runs that it started, and of those that waited for it."""
    waiting = await scene.start("other")
    await waiting.park(wait("w:0", scene.name("job.go")))
    await scene.register(scene.function("job", "job.go"))
    event = replace(scene.event("job.go", SECRET), metadata={"who": SECRET})
    await scene.emit(event)
    holder = await scene.hold("job")
    await holder.append(completed("a:0", "kept"), ended())
    woken = await scene.hold("other")
    await woken.append(ended())

    found = await event_of(scene, event.id)

    assert found.payloads == 3
    assert set(found.run_ids) == {holder.run_id, waiting.run_id}
    assert (await data_of(scene, event.id))["$redacted"] is True
    assert await redacted(scene, holder.run_id) == [1]
    assert await redacted(scene, waiting.run_id) == [3]
    for run_id in (holder.run_id, waiting.run_id):
        assert SECRET not in await shown(scene, run_id)
    again = await event_of(scene, event.id)
    assert again.payloads == 0
    left = await run(scene, holder.run_id)
    assert left.event_ids == ()  # the event in the log is redacted


async def test_a_message_goes_where_it_was_published(scene: Scene) -> None:
    holder = await scene.start()
    event_id = scene.event("unused").id
    published = Published(id="say:0", topic="news", event_id=event_id)
    await holder.append(Draft(published, encoded(SECRET)), ended())

    by_run = await step(scene, holder.run_id, "say:0")
    assert by_run.event_ids == (event_id,)
    assert await data_of(scene, event_id) == SECRET
    await event_of(scene, event_id)

    assert await redacted(scene, holder.run_id) == [2]
    assert (await data_of(scene, event_id))["$redacted"] is True


async def test_an_event_that_a_run_was_given_but_has_not_seen_is_refused(
    scene: Scene,
) -> None:
    waiting = await scene.start("other")
    await waiting.park(wait("w:0", scene.name("said")))
    event = scene.event("said", SECRET)
    await scene.emit(event)

    with pytest.raises(MisusedOperation, match="which got this event"):
        await event_of(scene, event.id)

    assert await data_of(scene, event.id) == SECRET


async def test_an_open_run_without_the_event_is_no_matter(scene: Scene) -> None:
    waiting = await scene.start("other")
    await waiting.park(wait("w:0", scene.name("heard")), wait("v:0", scene.name("x")))
    await scene.emit(scene.event("x", 1))
    event = scene.event("said", SECRET)
    await scene.emit(event)

    found = await event_of(scene, event.id)

    assert found == Redacted(1, ())


async def test_an_event_that_another_run_gets_meanwhile(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has it no more; its copy goes when that run has ended."""
    waiting = await scene.start("other")
    event = scene.event("said", SECRET)
    await scene.emit(event)
    commit = scene.journal.commit

    async def late(commands: Sequence[JournalCommand]) -> Sequence[Answer]:
        if isinstance(commands[0], RedactEvent):
            monkeypatch.setattr(scene.journal, "commit", commit)
            await waiting.append(wait("w:0", scene.name("said")))
        return await commit(commands)

    monkeypatch.setattr(scene.journal, "commit", late)
    with pytest.raises(MisusedOperation, match="which got this event"):
        await event_of(scene, event.id)
    assert (await data_of(scene, event.id))["$redacted"] is True

    await waiting.append(ended())
    found = await event_of(scene, event.id)

    assert found == Redacted(1, (waiting.run_id,))


async def test_runs_that_are_far_from_an_event_are_not_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = await scene.start("other")
    await long_ago.append(ended())
    scene.now += 2 * limits.REDACTION_CLOCKS_APART_US_MAX
    event = scene.event("said", SECRET)
    await scene.emit(event)
    scene.now += 2 * limits.REDACTION_CLOCKS_APART_US_MAX
    much_later = await scene.start("third")
    await much_later.append(ended())
    read: list[str] = []
    history = scene.journal.history

    async def noted(run_id: str, **options: int) -> Any:
        read.append(run_id)
        return await history(run_id, **options)

    monkeypatch.setattr(scene.journal, "history", noted)

    await event_of(scene, event.id)

    assert read == []


async def test_an_event_that_is_still_being_offered_is_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait that has not been looked at would get the marker."""
    monkeypatch.setattr(limits, "DELIVERIES_PER_COMMIT_MAX", 1)
    event = scene.event("said", SECRET)
    await scene.register(scene.function("job", "job.go"))
    for _ in range(2):
        await scene.emit(scene.event("job.go"))
    for claim in await scene.claim("job"):
        holder = await Holder.of(scene, claim)
        await holder.park(wait("w:0", event.name, path="data", value=SECRET))
    await scene.emit(event)
    command = RedactEvent(3, event.id, scene.now)

    [answer] = await scene.journal.commit([command])

    assert isinstance(answer, Refused)
    assert "still being offered" in str(answer.error)


async def test_an_event_that_is_not_there_is_not_found(scene: Scene) -> None:
    with pytest.raises(EventNotFound):
        await event_of(scene, scene.event("said").id)
