"""Where the values of a run, a step or an event are, and what is refused."""

from collections.abc import AsyncGenerator, Sequence

import msgspec
import pytest
from msgspec.structs import replace

from ironflow import ids, limits
from ironflow.errors import MisusedOperation, RunNotFound
from ironflow.journal import redaction_plan as plan
from ironflow.journal.base import (
    Answer,
    DeleteRuns,
    JournalCommand,
    RedactRecords,
)
from ironflow.journal.redacting import (
    Redacted,
)
from ironflow.records import (
    Draft,
    EventData,
    Rewound,
    StepPatched,
)
from ironflow.testing.checks_asks import (
    child,
    completed,
    continued,
    ended,
    failed,
)
from ironflow.testing.checks_scene import Holder, Scene, encoded
from tests.journal.redacting import (
    LARGE,
    SECRET,
    a_scene,
    error,
    family,
    redacted,
    run,
    shown,
    step,
)


@pytest.fixture
async def scene() -> AsyncGenerator[Scene]:
    async with a_scene() as scene:
        yield scene


# --- runs -----------------------------------------------------------------------------


async def test_a_run_has_no_payload_left(scene: Scene) -> None:
    holder = await scene.start()
    await holder.append(
        completed("a:0", SECRET), failed("b:0", attempt=1), ended("failed", error())
    )

    found = await run(scene, holder.run_id)

    history = await scene.journal.history(holder.run_id)
    assert found == Redacted(4, (holder.run_id,), found.event_ids)
    assert len(found.event_ids) == 1  # the one that started it
    assert await redacted(scene, holder.run_id) == [1, 2, 3, 4]
    event = msgspec.msgpack.decode(history[0].payload, type=EventData)
    assert event.name == scene.name("job.go")
    assert msgspec.msgpack.decode(event.data)["$redacted"] is True
    marks = [msgspec.msgpack.decode(each.payload) for each in history[1:]]
    assert set(marks[0]) == {"$redacted", "sha256", "redactedAt"}
    assert (marks[1]["type"], marks[1]["message"]) == ("Error", "redacted")
    assert set(marks[1]["details"]) == {"sha256", "redactedAt"}


async def test_a_second_time_changes_nothing(scene: Scene) -> None:
    holder = await scene.start()
    await holder.append(completed("a:0", SECRET), ended())
    await run(scene, holder.run_id)
    before = await scene.journal.history(holder.run_id)
    scene.now += 1_000_000

    found = await run(scene, holder.run_id)

    assert found.payloads == 0
    assert await scene.journal.history(holder.run_id) == before


async def test_a_long_run_goes_in_several_commits(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REDACTED_RECORDS_PER_COMMIT_MAX", 4)
    holder = await scene.start()
    values = [LARGE if number in {1, 9} else number for number in range(11)]
    await holder.append(*(completed(f"s:{n}", each) for n, each in enumerate(values)))
    await holder.append(ended())
    commits = watched(scene, monkeypatch)

    found = await run(scene, holder.run_id)

    sizes = [len(each.replacements) for each in commits]
    assert sum(sizes) == found.payloads == 13
    assert all(size <= 5 for size in sizes)
    # Both that have the large payload go at once.
    assert any(
        {3, 11} <= {each.sequence for each in command.replacements}
        for command in commits
    )
    assert await redacted(scene, holder.run_id) == [*range(1, 14)]


def watched(scene: Scene, patch: pytest.MonkeyPatch) -> list[RedactRecords]:
    """The redactions of records that are asked for from now on."""
    seen: list[RedactRecords] = []
    commit = scene.journal.commit

    async def call(commands: Sequence[JournalCommand]) -> Sequence[Answer]:
        seen.extend(each for each in commands if isinstance(each, RedactRecords))
        return await commit(commands)

    patch.setattr(scene.journal, "commit", call)
    return seen


async def test_a_run_that_goes_on_is_refused(scene: Scene) -> None:
    holder = await scene.start()
    await holder.append(completed("a:0", SECRET))

    with pytest.raises(MisusedOperation, match=f"{holder.run_id} is open"):
        await run(scene, holder.run_id)

    assert await redacted(scene, holder.run_id) == []


async def test_a_run_that_is_not_there_is_not_found(scene: Scene) -> None:
    with pytest.raises(RunNotFound):
        await run(scene, ids.run_id(ids.derived(scene.now, "nobody")))


# --- what runs have of each other -------------------------------------------------------


async def test_what_a_child_was_given_and_gave_goes_on_both_sides(
    scene: Scene,
) -> None:
    parent, kid = await family(scene)

    found = await run(scene, parent)

    assert found.run_ids == (parent, kid)
    assert await redacted(scene, parent) == [1, 2, 3, 4]
    assert await redacted(scene, kid) == [1, 3]
    assert "inner" in await shown(scene, kid)


async def test_of_a_child_its_parent_keeps_the_rest(scene: Scene) -> None:
    parent, kid = await family(scene)

    await run(scene, kid)

    assert await redacted(scene, kid) == [1, 2, 3]
    assert await redacted(scene, parent) == [2, 3]


async def test_a_result_that_is_passed_on_goes_wherever_it_went(scene: Scene) -> None:
    """A parent that ends with what its child gave says the same again."""
    parent, kid = await family(scene, back=2)

    await run(scene, kid)

    assert await redacted(scene, parent) == [2, 3, 4]


async def test_nothing_goes_while_a_parent_goes_on(scene: Scene) -> None:
    await scene.register(scene.function("sub"), scene.function("job", "job.go"))
    await scene.emit(scene.event("job.go"))
    parent = await scene.hold("job")
    await parent.park(child(parent, "call:0", scene.name("sub"), SECRET))
    kid = await scene.hold("sub")
    await kid.append(ended("completed", 1))

    with pytest.raises(MisusedOperation, match=f"{parent.run_id}, which has a copy"):
        await run(scene, kid.run_id)

    assert await redacted(scene, kid.run_id) == []


async def test_a_run_that_went_on_in_another(scene: Scene) -> None:
    """What it handed over goes on both sides, in both directions."""
    first = await scene.start()
    await first.append(continued(first, SECRET))
    second = await scene.hold("job")
    await second.append(completed("a:0", SECRET), ended())

    await run(scene, first.run_id)

    assert await redacted(scene, first.run_id) == [1, 2]
    assert await redacted(scene, second.run_id) == [1]
    await run(scene, second.run_id)
    assert await redacted(scene, second.run_id) == [1, 2, 3]


async def test_a_child_that_went_on_in_another_gave_its_result_in_the_last(
    scene: Scene,
) -> None:
    await scene.register(scene.function("sub"), scene.function("job", "job.go"))
    await scene.emit(scene.event("job.go"))
    parent = await scene.hold("job")
    await parent.park(child(parent, "call:0", scene.name("sub"), 1))
    first = await scene.hold("sub")
    await first.append(continued(first, 2))
    second = await scene.hold("sub")
    await second.append(ended("completed", SECRET))
    again = await scene.hold("job")
    await again.append(ended("completed", 3))

    await step(scene, parent.run_id, "call:0")

    assert await redacted(scene, first.run_id) == [1]
    assert await redacted(scene, second.run_id) == [2]
    assert await redacted(scene, parent.run_id) == [2, 3]
    found = await run(scene, second.run_id)
    assert found.payloads == 2  # what the first handed over, on both sides


async def test_a_relative_that_was_deleted_is_not_missed(scene: Scene) -> None:
    parent, kid = await family(scene)
    command = DeleteRuns((kid,), scene.now, asked=True)
    assert await scene.done(command, what="a deletion")

    found = await run(scene, parent)

    assert found.run_ids == (parent,)


# --- steps ----------------------------------------------------------------------------


async def test_of_a_step_everything_goes_and_of_others_nothing(scene: Scene) -> None:
    """Results, errors of attempts, and where amendments replace its result."""
    holder = await scene.start()
    await holder.append(
        failed("a:0", attempt=1, retry_at=scene.now + 1),
        completed("a:0", SECRET, attempt=2),
        completed("b:0", "kept"),
    )
    await holder.append(park=True)
    for draft in (
        Draft(StepPatched(id="a:0"), encoded(SECRET + "2")),
        Draft(Rewound(to=4), encoded({"a:0": SECRET + "3", "b:0": "kept"})),
        Draft(Rewound(to=4)),
        Draft(Rewound(to=4), encoded({"b:0": "kept"})),
    ):
        await amended(scene, holder, draft)
    again = await scene.hold("job")
    await again.append(ended("completed", "kept"))

    await step(scene, holder.run_id, "a:0")

    assert await redacted(scene, holder.run_id) == [2, 3, 5, 6]
    assert SECRET not in await shown(scene, holder.run_id)
    assert "kept" in await shown(scene, holder.run_id)


async def amended(scene: Scene, holder: Holder, draft: Draft) -> None:
    command = replace(
        holder.command(draft), epoch=0, inbox_through=0, abandoned=(), awaited=()
    )
    answer = await scene.commit(command)
    holder.took(command, answer)


async def test_an_end_that_says_the_same_goes_too(scene: Scene) -> None:
    holder = await scene.start()
    await holder.append(completed("a:0", SECRET), ended("completed", SECRET))

    await step(scene, holder.run_id, "a:0")

    assert await redacted(scene, holder.run_id) == [2, 3]


async def test_the_error_of_a_run_quotes_that_of_its_step(scene: Scene) -> None:
    holder = await scene.start()
    await holder.append(
        completed("a:0", "kept"), failed("b:0", attempt=1), ended("failed", error())
    )

    await step(scene, holder.run_id, "b:0")

    assert await redacted(scene, holder.run_id) == [3, 4]


async def test_a_large_payload_goes_as_a_whole(scene: Scene) -> None:
    holder = await scene.start()
    await holder.append(completed("a:0", LARGE), completed("b:0", LARGE), ended())

    await step(scene, holder.run_id, "a:0")

    assert await redacted(scene, holder.run_id) == [2, 3]


@pytest.mark.parametrize("name", ["c:0", ""])
async def test_a_step_that_is_not_there_is_told(scene: Scene, name: str) -> None:
    holder = await scene.start()
    await holder.append(completed("a:0", SECRET), ended())

    with pytest.raises(MisusedOperation, match="has no step"):
        await step(scene, holder.run_id, name)


# --- small things -----------------------------------------------------------------------


def test_records_are_read_few_at_a_time() -> None:
    wanted = [1, 2, 3, 5, *range(10, 30)]

    assert [*plan.ranges(wanted)] == [(1, 3), (5, 1), (10, 16), (26, 4)]
    assert [*plan.ranges([])] == []


async def test_a_payload_that_cannot_be_read_goes_all_the_same(scene: Scene) -> None:
    """It is none of what its kind of record has."""
    holder = await scene.start()
    broken = Draft(failed("a:0", attempt=1).record, encoded(5))
    await holder.append(broken, ended("failed", error()))

    await run(scene, holder.run_id)

    history = await scene.journal.history(holder.run_id)
    assert msgspec.msgpack.decode(history[1].payload)["$redacted"] is True


async def test_a_run_that_is_deleted_meanwhile_is_not_read_half(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = await scene.start()
    await holder.append(completed("a:0", SECRET), ended())

    async def gone(run_id: str, **_: int) -> list[object]:
        return []

    monkeypatch.setattr(scene.journal, "history", gone)
    with pytest.raises(RunNotFound):
        await run(scene, holder.run_id)
