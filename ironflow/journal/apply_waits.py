"""A new wait looks for its event among those there were, and events are given to waits.

A wait for a value at a path finds it by an index: by event name, path and match key.
An index is made where waits ask for it and as far back as they ask: from then on new
events are entered, and earlier ones are filled in, so many in a commit. A wait that
must look further back *seeks*: it comes to its turn in later commits, and until then
deliveries stand still, so that nothing is taken out of order.
"""

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from ironflow import limits
from ironflow.journal import apply_runs as runs
from ironflow.journal.base import (
    Delivery,
    EventLog,
    MatchPath,
    RunRow,
    StoredEvent,
    WaitRow,
)
from ironflow.journal.matching import fits, keys_at
from ironflow.journal.view import View
from ironflow.records import Draft, EventReceived

_FIRST_PAGE: Final = 8  # the first event that fits is mostly new to the run


def at(view: View, position: int) -> StoredEvent:
    """Return the event at a position that is known to be taken."""
    return view.events("", after=position - 1, limit=1)[0]


# --- an event is given to a wait ----------------------------------------------------


def give(view: View, wait: WaitRow, stored: StoredEvent) -> bool:
    """Let a wait have an event, if it is new to the wait and to its run."""
    assert not wait.seeks, "an event went past those that a wait has not looked at"
    if stored.position <= wait.after or not view.consume(wait.run_id, stored.position):
        return False
    view.drop_wait(wait.run_id, wait.step)
    view.drop_timer(wait.run_id, wait.step, "wait")
    _put_received(view, runs.existing(view, wait.run_id), wait.step, stored)
    return True


def _put_received(view: View, row: RunRow, step: str, stored: StoredEvent) -> None:
    received = EventReceived(id=step, event_id=stored.event.id)
    draft = Draft(received, runs.encode(stored.event))
    runs.wake(view, row, draft, position=stored.position)


def give_back(view: View, run_id: str, position: int) -> None:
    """An event was not used after all: another wait of the run may have it.

    Waits that seek were asked last, and will look at it themselves. Of a run that was
    imported the event may have gone meanwhile, or never have been in this log.
    """
    view.drop_consumed(run_id, position)
    found = view.events("", after=position - 1, limit=1)
    if not found or found[0].position != position:
        return
    stored = found[0]
    waits = view.waits_for(
        stored.event, after=(run_id, 0), limit=limits.DELIVERIES_PER_COMMIT_MAX
    )
    for wait in waits:
        if wait.run_id != run_id or wait.seeks or give(view, wait, stored):
            break


# --- a wait looks back --------------------------------------------------------------


def ask(view: View, row: RunRow, wait: WaitRow) -> bool:
    """Give a new wait the oldest event that it may have, or let it wait for one.

    Says whether it has its event.
    """
    if _must_seek(view, wait):
        view.put_wait(replace(wait, seeks=True))
        if view.log().delivery is None:
            view.put_delivery(Delivery(view.log().length + 1))
        view.hint.undelivered = True
        return False
    return _settle(view, row, wait)


def seek(view: View) -> bool:
    """Let waits that seek go on, in order; say whether none is left."""
    budget = limits.LOOK_BACK_EVENTS_PER_COMMIT_MAX
    for wait in view.seeking(limit=limits.DELIVERIES_PER_COMMIT_MAX):
        reached, budget = _reach(view, wait, budget)
        if not reached:
            return False
        view.drop_wait(wait.run_id, wait.step)
        row = runs.existing(view, wait.run_id)
        if _settle(view, row, replace(wait, seeks=False)):
            view.drop_timer(wait.run_id, wait.step, "wait")
    return not view.seeking(limit=1)


def _must_seek(view: View, wait: WaitRow) -> bool:
    """Whether earlier waits still seek, or there is too much to look at."""
    if view.log().delivery is not None and view.seeking(limit=1):
        return True
    reached, _ = _reach(view, wait, limits.LOOK_BACK_EVENTS_PER_COMMIT_MAX)
    return not reached


def _settle(view: View, row: RunRow, wait: WaitRow) -> bool:
    through = _offered_through(view.log(), row.run_id)
    for stored in _earlier(view, wait):
        if stored.position > through:
            break
        if view.consume(wait.run_id, stored.position):
            _put_received(view, row, wait.step, stored)
            return True
    view.put_wait(wait)
    return False


def _offered_through(log: EventLog, run_id: str) -> int:
    """The last event that the waits of this run have been offered.

    Later ones come to the new wait by the delivery: it is behind the cursor.
    """
    if log.delivery is None:
        return log.length
    if run_id < log.delivery.run_id:
        return log.delivery.position
    return log.delivery.position - 1


def _earlier(view: View, wait: WaitRow) -> Iterator[StoredEvent]:
    """Yield the events after `wait.after` that fit a wait, in order."""
    name, path, key = wait.event, wait.path, wait.match_key
    if path and path in view.match_paths(name):
        for position in _matches(view, wait):
            yield at(view, position)
        return
    after, limit = wait.after, _FIRST_PAGE
    while page := view.events(name, after=after, limit=limit):
        yield from (each for each in page if fits(each.event, path=path, key=key))
        after, limit = page[-1].position, _longer(limit)


def _matches(view: View, wait: WaitRow) -> Iterator[int]:
    name, path, key = wait.event, wait.path, wait.match_key
    after, limit = wait.after, _FIRST_PAGE
    while page := view.matches(name, path, key, after=after, limit=limit):
        yield from page
        after, limit = page[-1], _longer(limit)


def _longer(limit: int) -> int:
    return min(2 * limit, limits.PAGE_EVENTS_MAX)


# --- the index ----------------------------------------------------------------------


def index(view: View, stored: StoredEvent) -> None:
    """Enter a new event where waits have asked for events of its name by a path."""
    paths = view.match_paths(stored.event.name)
    if paths:
        _enter(view, stored, tuple(paths))


def _enter(view: View, stored: StoredEvent, paths: tuple[str, ...]) -> None:
    for path, key in keys_at(stored.event, paths).items():
        view.put_match(stored.event.name, path, key, stored.position)


def _reach(view: View, wait: WaitRow, budget: int) -> tuple[bool, int]:
    """See that a wait can look back at all events after `wait.after`.

    At most `budget` events are looked at; returns whether that was enough, and what
    is left of it.
    """
    if not wait.path:
        return True, budget
    known = view.match_paths(wait.event).get(wait.path)
    if known is None:
        if _are_few(view, wait):
            return True, budget
        known = _learned(view, wait)
    while known.after > wait.after and budget > 0:
        known, cost = _filled(view, known, wait.after, limit=budget)
        budget -= cost
    return known.after <= wait.after, budget


def _are_few(view: View, wait: WaitRow) -> bool:
    limit = limits.LOOK_BACK_SCAN_EVENTS_MAX
    return len(view.events(wait.event, after=wait.after, limit=limit + 1)) <= limit


def _learned(view: View, wait: WaitRow) -> MatchPath:
    """Begin an index at the end of the log; make place for it if there are many."""
    paths = view.match_paths(wait.event)
    if len(paths) >= limits.MATCH_PATHS_MAX:
        # Not an old one, which is in use since: paths that come and go share a place.
        last = max(paths.values(), key=lambda known: (known.made_at, known.path))
        view.drop_match_path(wait.event, last.path)
    end = view.log().length
    known = MatchPath(wait.event, wait.path, end, end, end, made_at=end)
    view.put_match_path(known)
    return known


def _filled(
    view: View, known: MatchPath, after: int, *, limit: int
) -> tuple[MatchPath, int]:
    """Go on with a fill, or begin one after a position; return its state and cost."""
    if known.through == known.after:
        known = replace(known, start=after, through=after)
    page = view.events(known.event, after=known.through, limit=limit)
    for stored in page:
        if stored.position <= known.after:
            _enter(view, stored, (known.path,))
    if page and page[-1].position < known.after:  # a page may be short of the limit
        known = replace(known, through=page[-1].position)
    else:
        known = replace(known, after=known.start, through=known.start)
    view.put_match_path(known)
    return known, max(len(page), 1)
