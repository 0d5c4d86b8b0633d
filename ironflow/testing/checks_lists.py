"""Checks of a journal: runs are found by what a query says, and counted."""

from collections import Counter
from dataclasses import replace
from itertools import product
from typing import Final

from ironflow import ids
from ironflow.journal.base import (
    CountedJournal,
    Pause,
    PauseRun,
    ResumeRun,
    RunCount,
    RunQuery,
    RunSummary,
)
from ironflow.testing.checks_asks import child, completed, ended, fire, sleep
from ironflow.testing.checks_scene import (
    ALL,
    SECOND_US,
    Holder,
    OpenJournal,
    Scene,
    expect,
    require,
)

_WHAT: Final = "a command to a run"
_YEAR_US: Final = 365 * 24 * 3600 * SECOND_US
_FUNCTIONS: Final = ("a", "b", "kid")
_PAGE: Final = 3
_STATUSES: Final = (
    "",
    "queued",
    "running",
    "waiting",
    "paused",
    "completed",
    "failed",
    "cancelled",
)


async def check_runs_are_found_by_all_that_a_query_says(
    open_journal: OpenJournal,
) -> None:
    """Function, status, parent and time, alone and together, also after changes."""
    scene = Scene("lists", open_journal)
    scene.now += _YEAR_US  # so that the first page has these among all of a store
    async with scene.open():
        people = await _populate(scene)
        await _check_lists(scene, people)
    async with scene.open():
        # Every hold has ended: a run that had only begun is queued again.
        people = {
            run_id: "queued" if status == "claimed" else status
            for run_id, status in people.items()
        }
        await _check_lists(scene, people)
        await _change(scene, people)
        await _check_lists(scene, people)


async def check_runs_are_found_by_time(open_journal: OpenJournal) -> None:
    """`since` counts, `until` does not; to the millisecond of the id."""
    scene = Scene("times", open_journal)
    async with scene.open() as journal:
        await scene.register(scene.function("job", "go"))
        receipts = await scene.emit(*(scene.event("go") for _ in range(5)))
        order = [receipt.run_ids[0] for receipt in receipts]
        times = [ids.time_us(run_id) for run_id in order]
        query = RunQuery(function_id=scene.name("job"))
        for since, until, wanted in (
            (times[1], 0, order[1:]),
            (times[1] + 1, 0, order[2:]),
            (0, times[3], order[:3]),
            (0, times[3] + 1, order[:4]),
            (times[1], times[3], order[1:3]),
            (times[2], times[2], []),
            (times[4] + SECOND_US, 0, []),
        ):
            found = await journal.find(replace(query, since=since, until=until))
            expect(
                [each.row.run_id for each in found],
                wanted[::-1],
                what=f"runs since {since} until {until}",
            )
        page = await journal.find(replace(query, since=times[1], cursor=order[3]))
        found_ids = [each.row.run_id for each in page]
        expect(found_ids, [order[2], order[1]], what="runs since, after a cursor")


async def _populate(scene: Scene) -> dict[str, str]:
    """Make runs of two functions that stand in every way; return their statuses.

    One that is held and has only its first record is `claimed` here.
    """
    people: dict[str, str] = {}
    await scene.register(scene.function("kid"))
    for word in ("a", "b"):
        for status in ("completed", "failed", "cancelled"):
            holder = await scene.start(word)
            await holder.append(ended(status))
            people[holder.run_id] = status
        parked = await scene.start(word)
        await parked.park(sleep("nap:0", until=scene.now + SECOND_US))
        people[parked.run_id] = "waiting"
        paused = await scene.start(word)
        pause = Pause("step", "no", "v1", scene.now)
        await scene.done(PauseRun(paused.run_id, paused.claim.epoch, pause), what=_WHAT)
        people[paused.run_id] = "paused"
        running = await scene.start(word)
        await running.append(completed("a:0", 1))
        people[running.run_id] = "running"
        people[(await scene.start(word)).run_id] = "claimed"
        parent = await scene.start(word)
        await parent.park(child(parent, "call:0", scene.name("kid"), None))
        kid = await scene.hold("kid")
        await kid.append(ended())
        people[kid.run_id] = "completed"
        # Its parent was woken by that.
        people[parent.run_id] = "running"
    for word in ("a", "b"):
        [receipt] = await scene.emit(scene.event(f"{word}.go"))
        people[receipt.run_ids[0]] = "queued"
    return people


async def _change(scene: Scene, people: dict[str, str]) -> None:
    """Let runs that stand still go on, and one that is ready end."""
    for run_id, status in list(people.items()):
        match status:
            case "paused":
                await scene.done(ResumeRun(run_id), what=_WHAT)
                people[run_id] = "queued"
            case "waiting":
                await fire(scene, run_id)
                people[run_id] = "running"
            case _:
                pass
    for claim in await scene.claim("a", "b"):
        holder = await Holder.of(scene, claim)
        if claim.length > 1 and not claim.inbox:
            await holder.append(ended("failed"))
            people[claim.run_id] = "failed"
        else:
            people[claim.run_id] = "claimed" if claim.length == 1 else "running"


async def _check_lists(scene: Scene, people: dict[str, str]) -> None:
    """Ask every question about these runs, and count them."""
    words = {run_id: _shown(status) for run_id, status in people.items()}
    order = sorted(people, reverse=True)
    summaries = [await scene.summary(run_id) for run_id in order]
    found = {summary.row.run_id: summary.status for summary in summaries}
    expect(found, words, what="how the runs stand")
    parents = {summary.row.parent_run for summary in summaries} - {""}
    expect(len(parents), 2, what="parents")
    middle = ids.time_us(order[len(order) // 2])
    for word, status in product(("", *_FUNCTIONS), _STATUSES):
        function_id = scene.name(word) if word else ""
        query = RunQuery(status=status, function_id=function_id, limit=ALL)
        await _check_list(scene, query, summaries)
    for word, status in (("", ""), ("a", ""), ("kid", "completed"), ("", "failed")):
        function_id = scene.name(word) if word else ""
        query = RunQuery(status=status, function_id=function_id, limit=ALL)
        await _check_list(scene, replace(query, since=middle), summaries)
        of_one = replace(query, parent_run=min(parents))
        await _check_list(scene, of_one, summaries)
        await _check_list(scene, replace(of_one, until=middle), summaries)
    await _check_counts(scene, summaries)


def _shown(status: str) -> str:
    return "running" if status == "claimed" else status


async def _check_list(
    scene: Scene, query: RunQuery, summaries: list[RunSummary]
) -> None:
    wanted = [
        summary.row.run_id
        for summary in summaries
        if query.status in {"", summary.status}
        and query.function_id in {"", summary.row.function_id}
        and query.parent_run in {"", summary.row.parent_run}
        and query.since <= ids.time_us(summary.row.run_id)
        and (not query.until or ids.time_us(summary.row.run_id) < query.until)
    ]
    known = {summary.row.run_id for summary in summaries}
    found = await scene.journal.find(query)
    # Others may have runs in the store as well.
    order = [each.row.run_id for each in found if each.row.run_id in known]
    expect(order, wanted, what=f"the runs of {query}")
    if not query.function_id:
        return
    require(len(found) == len(order), what=f"{query} finds runs of other functions")
    if len(wanted) < _PAGE:
        return
    pages: list[str] = []
    step = replace(query, limit=_PAGE)
    while page := await scene.journal.find(step):
        pages += [each.row.run_id for each in page]
        step = replace(step, cursor=pages[-1])
    expect(pages, wanted, what=f"the pages of {query}")


async def _check_counts(scene: Scene, summaries: list[RunSummary]) -> None:
    journal = scene.journal
    if not isinstance(journal, CountedJournal):
        return
    wanted = Counter((each.row.function_id, each.status) for each in summaries)
    counts = await journal.counts()
    expect(
        [each for each in counts if each.function_id.startswith(scene.word + ".")],
        sorted(RunCount(*key, count) for key, count in wanted.items()),
        what="how many runs of each function and status",
    )
    order = [(each.function_id, each.status) for each in counts]
    expect(order, sorted(set(order)), what="the order of counts")


LIST_CHECKS = (
    check_runs_are_found_by_all_that_a_query_says,
    check_runs_are_found_by_time,
)
