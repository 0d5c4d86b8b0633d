"""Checks of a journal: attributes of runs are kept, change, go on, and find runs."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Final

from msgspec.structs import replace as with_fields

from ironflow.errors import JournalDamaged
from ironflow.journal.base import (
    DeleteRuns,
    EmitEvents,
    Emitted,
    RunQuery,
    RunSummary,
)
from ironflow.policy.attributes import decode, encode, parse_filters
from ironflow.records import AttributesSet, Draft, RunStarted
from ironflow.testing.checks_asks import child, continued, ended, sleep
from ironflow.testing.checks_imports import foreign
from ironflow.testing.checks_scene import (
    ALL,
    SECOND_US,
    Holder,
    OpenJournal,
    Scene,
    expect,
    given,
    refused,
    require,
)

_NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
_PAGE: Final = 2
_PATHS: Final = (("customer", "data.customer.id"), ("total", "total"))
# What the runs of `check_runs_are_found_by_attributes` have, oldest first.
_PEOPLE: Final[tuple[dict[str, object], ...]] = (
    {"customer": "c1", "total": 5},
    {"customer": "c2", "total": 100, "paid": True},
    {"customer": "c1", "total": 99.5, "paid": False},
    {},
    {"customer": "c10", "total": -(2**63), "at": _NOON},
    {"customer": "c1", "total": 2**64 - 1, "at": _NOON.replace(year=2025)},
    {"customer": "", "total": -0.0, "note": "100"},
    {"customer": "\U0001f600", "total": 100.0},
)
# What a filter finds of them, by their places.
_FOUND: Final[dict[str, set[int]]] = {
    "customer=c1": {0, 2, 5},
    "customer=c10": {4},
    "customer=": {6},
    "customer=nobody": set(),
    "customer>c1": {1, 4, 7},
    "customer<=c1": {0, 2, 5, 6},
    "nothing=c1": set(),
    "total=100": {1, 7},
    'total="100"': set(),
    "note=100": {6},
    "total>=100": {1, 5, 7},
    "total>100": {5},
    "total<5": {4, 6},
    "total<=5": {0, 4, 6},
    "total>=-1.5": {0, 1, 2, 5, 6, 7},
    f"total={2**64 - 1}": {5},
    f"total={2**64 - 2}": set(),
    "paid=true": {1},
    "paid=false": {2},
    "at>=2026-01-01": {4},
    "at=2026-03-01T13:00:00+01:00": {4},
    "at<2026-01-01": {5},
}

_PAGED: Final = ("customer=c1", "customer>c1", "total>=100", "total=100")


def _changes(step: str, **changes: object) -> Draft:
    return Draft(AttributesSet(id=step), encode(changes))


async def _emitted(scene: Scene, word: str, data: object, **given_: object) -> str:
    event = scene.event(word, data)
    command = EmitEvents((event,), scene.now, attributes=(encode(given_),))
    answer = given(await scene.commit(command), Emitted, what="emit with attributes")
    [run_id] = answer.receipts[0].run_ids
    return run_id


async def _attributes(scene: Scene, run_id: str) -> dict[str, object]:
    return dict(decode((await scene.summary(run_id)).row.attributes))


async def check_attributes_of_a_start(open_journal: OpenJournal) -> None:
    """Those that are given come first; what an event has that is none is left out."""
    scene = Scene("starts", open_journal)
    async with scene.open() as journal:
        row = with_fields(scene.function("job", "go"), attributes=_PATHS)
        await scene.register(row)
        data = {"customer": {"id": "c1"}, "total": [1]}
        plain = await _emitted(scene, "go", data)
        both = await _emitted(scene, "go", data, customer="c2", stage="new")
        [first] = await journal.history(both, limit=1)
    async with scene.open():
        expect(await _attributes(scene, plain), {"customer": "c1"}, what="of the event")
        wanted = {"customer": "c2", "stage": "new"}
        expect(await _attributes(scene, both), wanted, what="of event and emit")
        started = given(first.record, RunStarted, what="the first record")
        expect(decode(started.attributes), wanted, what="attributes on record")


async def check_attributes_change_with_their_record(open_journal: OpenJournal) -> None:
    """Each change is on the row in the same commit; None removes; a restart keeps it."""
    scene = Scene("changes", open_journal)
    async with scene.open():
        holder = await scene.start()
        run_id = holder.run_id
        await holder.append(_changes("attributes:0", stage="new", total=1))
        wanted: dict[str, object] = {"stage": "new", "total": 1}
        expect(await _attributes(scene, run_id), wanted, what="after a change")
        await holder.append(
            _changes("attributes:1", stage="paid"),
            _changes("attributes:2", total=None, at=_NOON),
        )
        wanted = {"stage": "paid", "at": _NOON}
        expect(await _attributes(scene, run_id), wanted, what="after two more")
        await holder.park(sleep("nap:0", until=scene.now + SECOND_US))
    async with scene.open():
        expect(await _attributes(scene, run_id), wanted, what="after a restart")
        found = await _found(scene, ("stage=paid",), run_id)
        expect(found, [run_id], what="the run by its attribute")
        found = await _found(scene, ("stage=new",), run_id)
        expect(found, [], what="the run by what it had")


async def check_attributes_go_on_with_a_run(open_journal: OpenJournal) -> None:
    """A run that continues keeps them, below what its new event has; a child has none."""
    scene = Scene("goes-on", open_journal)
    async with scene.open():
        row = with_fields(scene.function("job", "job.go"), attributes=_PATHS)
        await scene.register(row, scene.function("kid"))
        await scene.emit(scene.event("job.go", {"customer": {"id": "c1"}}))
        holder = await scene.hold("job")
        await holder.append(
            _changes("attributes:0", stage="new", total=1),
            child(holder, "call:0", scene.name("kid"), {"total": 7}),
        )
        kid = await scene.hold("kid")
        expect(await _attributes(scene, kid.run_id), {}, what="attributes of a child")
        await kid.append(ended())
        await holder.append()
        await holder.append(continued(holder, {"total": 2}))
        [claim] = await scene.claim("job")
        wanted = {"customer": "c1", "stage": "new", "total": 2}
        expect(await _attributes(scene, claim.run_id), wanted, what="of the next run")
        before = {"customer": "c1", "stage": "new", "total": 1}
        expect(await _attributes(scene, holder.run_id), before, what="of the first run")


async def check_runs_are_found_by_attributes(open_journal: OpenJournal) -> None:
    """By one value or a range, with other filters and cursors; also after changes."""
    scene = Scene("finds", open_journal)
    async with scene.open():
        for word in ("a", "b"):
            await scene.register(scene.function(word, f"{word}.go"))
        people = [
            await _emitted(scene, f"{word}.go", None, **each)
            for each, word in zip(_PEOPLE, "abaabbaa", strict=True)
        ]
        for claim in await scene.claim("a", limit=2):
            holder = await Holder.of(scene, claim)
            await holder.append(ended("failed"))
        await _check_found(scene, people)
    async with scene.open():
        await _check_found(scene, people)
        await _check_after_changes(scene, people)


async def _check_found(scene: Scene, people: list[str]) -> None:
    """Ask for each filter, alone, with others, and with function and status."""
    for text, places in _FOUND.items():
        wanted = [people[place] for place in sorted(places, reverse=True)]
        expect(await _found(scene, (text,), *people), wanted, what=f"runs with {text}")
    for one, other in product(_PAGED, ("customer=c1", "total<=5", "paid=true")):
        both = sorted(_FOUND[one] & _FOUND[other], reverse=True)
        found = await _found(scene, (one, other), *people)
        expect(found, [people[at] for at in both], what=f"runs with {one} and {other}")
    summaries = [await scene.summary(run_id) for run_id in people]
    for text, status in product(_FOUND, ("", "failed")):
        await _check_pages(scene, summaries, text, word="a", status=status)
    for text, status in product(_PAGED, ("", "queued")):
        await _check_pages(scene, summaries, text, word="", status=status)


async def _check_pages(
    scene: Scene, people: list[RunSummary], text: str, *, word: str, status: str
) -> None:
    query = RunQuery(
        status=status,
        function_id=scene.name(word) if word else "",
        attributes=parse_filters((text,)),
    )
    wanted = [
        each.row.run_id
        for place, each in reversed(list(enumerate(people)))
        if place in _FOUND[text]
        and query.status in {"", each.status}
        and query.function_id in {"", each.row.function_id}
    ]
    known = {each.row.run_id for each in people}
    pages: list[str] = []
    step = replace(query, limit=_PAGE)
    while page := await scene.journal.find(step):
        pages += [each.row.run_id for each in page]
        step = replace(step, cursor=page[-1].row.run_id)
    expect([each for each in pages if each in known], wanted, what=f"pages of {query}")


async def _check_after_changes(scene: Scene, people: list[str]) -> None:
    """Runs that change or are deleted leave the lists where they were."""
    [claim, *rest] = await scene.claim("b")
    await scene.journal.release(rest)
    holder = await Holder.of(scene, claim)
    await holder.append(_changes("attributes:0", customer="moved", total=None))
    expect(
        await _found(scene, ("customer=moved",), *people), [holder.run_id], what="moved"
    )
    for text in ("customer=c2", "total>-1e300"):
        found = await _found(scene, (text,), *people)
        require(holder.run_id not in found, what=f"{text} finds what it was before")
    await holder.append(ended())
    runs = (holder.run_id,)
    while await scene.done(DeleteRuns(runs, scene.now, asked=True), what="a deletion"):
        pass
    expect(await _found(scene, ("customer=moved",), *people), [], what="a deleted run")


async def check_attributes_come_with_the_records(open_journal: OpenJournal) -> None:
    """An import takes them from the history, whatever the row says."""
    scene = Scene("imports-attributes", open_journal)
    command = foreign(
        scene,
        _changes("attributes:0", stage="new", total=1),
        ended(),
        status="completed",
    )
    wrong = encode({"stage": "other"})
    command = replace(command, row=with_fields(command.row, attributes=wrong))
    broken = Draft(AttributesSet(id="attributes:0"), b"\x81\xa1a\x90")
    unreadable = foreign(scene, broken, ended(), status="completed")
    async with scene.open():
        await scene.register(scene.function("job"))
        await scene.done(command, what="an import")
        refused(await scene.commit(unreadable), JournalDamaged, what="no attributes")
        run_id = command.row.run_id
        wanted: dict[str, object] = {"stage": "new", "total": 1}
        expect(await _attributes(scene, run_id), wanted, what="of an imported run")
        found = await _found(scene, ("stage=new",), run_id)
        expect(found, [run_id], what="an imported run by its attribute")


async def _found(scene: Scene, texts: tuple[str, ...], *among: str) -> list[str]:
    query = RunQuery(attributes=parse_filters(texts), limit=ALL)
    found = await scene.journal.find(query)
    return [each.row.run_id for each in found if each.row.run_id in among]


ATTRIBUTE_CHECKS = (
    check_attributes_of_a_start,
    check_attributes_change_with_their_record,
    check_attributes_go_on_with_a_run,
    check_runs_are_found_by_attributes,
    check_attributes_come_with_the_records,
)
