"""One event carried out in this process: its runs and their children, and no others."""

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, final

import trio

from ironflow import ids
from ironflow.authoring.app import App
from ironflow.engine.engine import Engine
from ironflow.engine.handles import Receipt, Run
from ironflow.engine.open import open_engine
from ironflow.journal.base import Claim
from ironflow.limits import PAGE_RECORDS_MAX
from ironflow.records import ChildStarted

_MILLISECOND_US: Final = 1_000
_PATIENCE: Final = "1s"  # for steps that run when somebody interrupts the command


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an event: its runs, and the children that they started.

    A run that continued as new stands here as the last of its chain.
    """

    receipt: Receipt
    runs: tuple[Run, ...]
    children: tuple[Run, ...]


@final
class _Chosen:
    """Which runs are carried on: those of this event, and what they start.

    Nothing else makes runs meanwhile, since one process owns the directory. So what
    is newer than the command belongs to it, and of what is older only `wanted`.
    """

    def __init__(self) -> None:
        now = time.time_ns() // 1_000
        self._begun = now - now % _MILLISECOND_US  # as exact as run ids are
        self.wanted: set[str] = set()

    def __call__(self, claim: Claim) -> bool:
        run_id = claim.run_id
        return run_id in self.wanted or ids.time_us(run_id) >= self._begun


async def carry_out(
    app: App,
    event: str,
    data: object,
    *,
    url: str,
    shared: bool,
    idempotency_key: str,
    timeout: float | None,
) -> Outcome:
    """Emit an event; return when its runs and their children have ended or paused.

    After `timeout` seconds they are returned as they then stand. A key that was used
    before emits nothing: the runs of its first event go on. Where others make runs
    too, the journal is `shared`, this is one more engine for a while.
    """
    chosen = _Chosen()
    only = None if shared else chosen
    deadline = trio.current_time() + (float("inf") if timeout is None else timeout)
    async with open_engine(app, url, only=only, shutdown=_PATIENCE) as engine:
        receipt = await engine.emit(event, data, idempotency_key=idempotency_key)
        if not receipt.duplicate:
            return await _ended(engine, app, receipt, deadline)
        chosen.wanted.update(run.id for run in await _family(engine, receipt.run_ids))
    # An engine offers each run once: the older ones were passed over.
    async with open_engine(app, url, only=only, shutdown=_PATIENCE) as engine:
        return await _ended(engine, app, receipt, deadline)


async def _ended(
    engine: Engine, app: App, receipt: Receipt, deadline: float
) -> Outcome:
    runs = await _results(engine, app, receipt.run_ids, deadline)
    of_event = {run.id for run in runs} | set(receipt.run_ids)
    children: dict[str, Run] = {}
    waiting = True
    while waiting:  # a child may start more of them
        family = await _family(engine, receipt.run_ids)
        new = [
            run.id
            for run in family
            if run.id not in of_event | children.keys() and not run.continued_to
        ]
        found = await _results(engine, app, new, deadline)
        children.update((run.id, run) for run in found)
        waiting = bool(new)
    return Outcome(receipt, tuple(runs), tuple(children.values()))


async def _results(
    engine: Engine, app: App, run_ids: Iterable[str], deadline: float
) -> list[Run]:
    """Wait for runs; one whose function the app lacks cannot go on here."""
    found: list[Run] = []
    for run_id in run_ids:
        run = await engine.get_run(run_id)
        if run.function_id in app.programs:
            left = deadline - trio.current_time()
            run = await engine.result(
                run_id, None if left == float("inf") else max(left, 0)
            )
        found.append(run)
    return found


async def _family(engine: Engine, run_ids: Collection[str]) -> list[Run]:
    """Return the runs, what they continued as, and their children, all the way down."""
    found: list[Run] = []
    waiting, seen = list(run_ids), set(run_ids)
    while waiting:
        run = await engine.get_run(waiting.pop())
        found.append(run)
        kin = await _children(engine, run.id)
        if run.continued_to:
            kin.append(run.continued_to)
        waiting.extend(each for each in kin if each not in seen)
        seen.update(kin)
    return found


async def _children(engine: Engine, run_id: str) -> list[str]:
    children: list[str] = []
    after = 0
    while page := await engine.history(run_id, after=after, limit=PAGE_RECORDS_MAX):
        children += [
            entry.record.child_run
            for entry in page
            if isinstance(entry.record, ChildStarted)
        ]
        after = page[-1].record.sequence
    return children
