"""How what is chosen happens in a world: what a host of runs does.

Each verb of a choice is a function. The models are told the same as the journal.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from ironflow import ids
from ironflow.interpreter import outcomes
from ironflow.interpreter.player import Move
from ironflow.interpreter.turn import PerformStep, StopChild
from ironflow.journal.base import (
    Appended,
    AppendRecords,
    EmitEvents,
    FireTimer,
    JournalCommand,
    Pause,
    PauseRun,
    RequestCancel,
    TimerKind,
)
from ironflow.journal.memory import MemoryJournal, Snapshot
from ironflow.records import ChildStarted, Draft, RunEnded, ends_run
from tests.model import grammar as g
from tests.model.checks import check_way
from tests.model.compiled import Hung
from tests.model.host import Host, How, News
from tests.model.model import ENDS, Model
from tests.model.rows import FIRED, stopping, timers_of
from tests.model.setting import ENVIRONMENT, NOW, encode, event, registered
from tests.model.world import Choice, World, inbox_fact

SETTLED: Final = frozenset({"StepCompleted", "StepFailed", "StepInDoubt"})


def do(world: World, choice: Choice) -> None:
    """Let it happen."""
    verb, *about = choice
    VERBS[verb](world, *about)


def _claim(world: World, name: str) -> None:
    run_id = world.named(name)
    claim = world.claimed(run_id)
    host = world.resting.pop(run_id, None) or world.host_of(run_id, claim)
    host.claim = claim
    assert host.session.length == claim.length
    world.hosts[run_id] = host
    news = [News("go_on")] if host.session.length == 1 else []
    if world.corrected and world.models[run_id].state == "broken":
        news = [News("go_on", (("CodeChanged", ""),))]
    _carry_out(world, host, host.session.absorb((), NOW), news)


def _settle(world: World, name: str, step: str, how: How) -> None:
    host = world.hosts[world.named(name)]
    _take_in(world, host, [_settled(world, host, host.performing[step], how)])


def _proceed(world: World, name: str) -> None:
    host = world.hosts[world.named(name)]
    left, host.left = host.left, []
    _take_in(world, host, left)


def _rest(world: World, name: str) -> None:
    """Wait in the journal for the time of the next attempts."""
    host = world.hosts[world.named(name)]
    length = host.session.length
    world.commit(_append(host, Move("working", length), 0, park=True))
    _park(world, host)


def _park(world: World, host: Host) -> None:
    run_id = host.claim.run_id
    world.resting[run_id] = world.hosts.pop(run_id)


def _absorb(world: World, name: str) -> None:
    run_id = world.named(name)
    _take_in(world, world.hosts[run_id], _arrived(world, run_id)[:1])


def _all(world: World, name: str, order: str) -> None:
    run_id = world.named(name)
    host = world.hosts[run_id]
    settled = [_settled(world, host, step, "ends") for step in host.unstopped()]
    arrived = _arrived(world, run_id)
    steps_first = order == "steps first"
    _take_in(world, host, settled + arrived if steps_first else arrived + settled)


def _emit(world: World) -> None:
    world.sent += 1
    name = f"event {world.sent}"
    world.commit(EmitEvents((event(g.EVENT, name),), NOW))
    model = world.models[world.root]
    model.events += (name,)
    model.match()


def _fire(world: World, name: str, step: str, kind: TimerKind) -> None:
    run_id = world.named(name)
    timer = world.run(run_id).timers[step, kind]
    fire = FireTimer(timer, timer.due)
    # A timer may be delivered more than once.
    world.commit(fire, fire)
    world.commit(fire)
    model = world.models[run_id]
    assert (step, kind) in timers_of(model) - world.fired_of(run_id)
    world.fired |= {(run_id, step, kind)}
    if kind in FIRED:
        model.inbox += ((FIRED[kind], step),)


def _cancel(world: World) -> None:
    world.cancels -= 1
    world.commit(RequestCancel(world.root, "tester", "", NOW))
    _request_cancel(world.models[world.root])


def _correct(world: World) -> None:
    """Code without bugs is deployed: a run that is paused goes on with it."""
    world.corrected = True
    world.crashes += 1  # what the pause has forgotten is begun again, as after a crash
    world.commit(registered(world.setting.corrected_functions))
    model = world.models[world.root]
    model.program, model.codes = world.setting.corrected, {}


def _crash(world: World) -> None:
    """All that is under way happens, and nobody hears of it."""
    world.crashes += 1
    for host in world.hosts.values():
        for step in host.unstopped():
            _settled(world, host, step, "ends")
    world.close()
    durable = world.journal._durable  # restored() takes a copy
    world.journal = MemoryJournal.restored(Snapshot(ENVIRONMENT, durable))
    world.cut = {
        run_id
        for run_id in world.cut
        if len(world.run(run_id).entries) < len(world.models[run_id].history)
    }


# --- how it happens ---


def _settled(world: World, host: Host, step: PerformStep, how: How) -> News:
    """Let an attempt end in this way; return the news of it."""
    told = host.stopping.get(step.id, "")
    return News("settle", (step.id, how, told), _draft(world, host, step, how))


def _draft(world: World, host: Host, step: PerformStep, how: How) -> Draft:
    if how == "begins":
        return outcomes.started(step)
    if how == "given up":
        return outcomes.given_up(step)
    if how == "in doubt":
        return outcomes.in_doubt(step, "nobody knows")
    try:
        payload = encode(_perform(world, host.claim.run_id, step))
    except Exception as error:  # noqa: BLE001  whatever a step raises is recorded
        error.__traceback__ = None  # showing it would take longer than all else
        stopped, hung = step.id in host.stopping, isinstance(error, Hung)
        return outcomes.failed(
            step, error, now=NOW, draw=0, stopped=stopped, in_doubt=hung
        )
    return outcomes.completed(step, payload)


def _perform(world: World, run_id: str, step: PerformStep) -> object:
    attempt = step.id, step.attempt
    for kind, *fact in world.models[run_id].history:
        assert kind not in SETTLED or tuple(fact[:2]) != attempt, "invariant 3"
    world.effects[run_id, *attempt] += 1
    once = step.at_most_once
    assert world.effects[run_id, *attempt] <= (1 if once else 1 + world.crashes)
    world.stage.current = step
    return step.fn(*step.args)


def _arrived(world: World, run_id: str) -> list[News]:
    """Return the news of all that waits in the inbox."""
    return [
        News("absorb", (inbox_fact(row),), row.draft, row.number)
        for row in world.run(run_id).inbox.values()
    ]


def _take_in(world: World, host: Host, news: list[News]) -> None:
    drafts = [each.draft for each in news if each.draft]
    for draft in drafts:
        host.performing.pop(draft.record.id, None)
        host.stopping.pop(draft.record.id, None)
        host.unbegun.discard(draft.record.id)
    _carry_out(world, host, host.session.absorb(drafts, NOW), news)


def _carry_out(world: World, host: Host, move: Move, news: list[News]) -> None:
    """Commit a move, tell the models, and begin what it asks."""
    run_id = host.claim.run_id
    if not news or news[0].draft:
        news, host.left = news[: move.taken], news[move.taken :]
    through = max((each.number for each in news), default=0)
    idle = move.state == "waiting" and not (move.more or host.left)
    commands: list[JournalCommand] = []
    if move.entries or through or move.abandoned or idle:
        commands.append(_append(host, move, through, park=idle))
    answers = world.commit(*commands, *_stops(move))
    _tell(world, run_id, news, move)
    host.take(move)
    is_over = move.state in {"ended", "broken"}
    is_cut = move.more or (host.left and not is_over)
    world.cut = {run_id} if is_cut else set()
    for step in move.perform:
        world.stage.ids[ids.idempotency_key(run_id, step.id)] = step.id
    parked = [answer.parked for answer in answers if isinstance(answer, Appended)]
    if move.state == "broken":
        _stand_still(world, host, move, through)
    if is_over:
        assert host.close()
        del world.hosts[run_id]
    elif any(parked):
        _park(world, host)


def _request_cancel(model: Model) -> None:
    """A second request changes nothing."""
    if (fact := ("CancelRequested", "")) not in model.inbox:
        model.inbox += (fact,)


def _stops(move: Move) -> list[RequestCancel]:
    """Return what stops children, to be committed with the move: none may get lost."""
    return [
        RequestCancel(stop.child_run, "parent", stop.reason, NOW)
        for stop in move.stops
        if isinstance(stop, StopChild)
    ]


def _stand_still(world: World, host: Host, move: Move, through: int) -> None:
    """Pause a run whose code is broken, or end it if it is cancelled or too late."""
    run_id = host.claim.run_id
    for row in world.run(run_id).inbox.values():
        if ends_run(row.draft.record):
            end = host.session.end_broken(row.draft, move.bug, NOW)
            world.commit(_append(host, end, row.number, park=False), *_stops(end))
            why = inbox_fact(row)
            world.models[run_id].go_on(why, ("RunEnded", "", *ENDS[why[0]]))
            stopped = {stop.id for stop in end.stops}
            assert stopped == stopping(world.models[run_id]), f"it stops {stopped}"
            _tell(world, run_id, [], end)
            return
    pause = Pause("code", str(move.bug), "1", NOW)
    world.commit(PauseRun(run_id, host.claim.epoch, pause, through))


def _append(host: Host, move: Move, through: int, *, park: bool) -> AppendRecords:
    return AppendRecords(
        run_id=host.claim.run_id,
        epoch=host.claim.epoch,
        expected_length=move.length_before,
        entries=move.entries,
        headers=move.headers,
        inbox_through=through,
        park=park,
        abandoned=move.abandoned,
        awaited=host.session.awaited(),  # an engine says it once
    )


def _tell_news(model: Model, news: list[News]) -> None:
    for each in news:
        if each.verb == "settle":
            check_way(model, *each.about)
        getattr(model, each.verb)(*each.about)


def _tell(world: World, run_id: str, news: list[News], move: Move) -> None:
    """Tell the models what has become true."""
    model = world.models[run_id]
    _tell_news(model, news)
    row = world.run(run_id).row
    for entry in move.entries:
        match entry.record:
            case ChildStarted(function_id=kind, child_run=child):
                given = msgspec.msgpack.decode(entry.payload)
                world.models[child] = world.setting.model_of(kind, given)
            case RunEnded() if row.parent_run and (
                world.models[row.parent_run].state != "ended"
            ):
                parent, end = world.models[row.parent_run], model.history[-1][2:]
                assert end[0] != "cancelled" or row.parent_step in stopping(parent)
                parent.inbox += (("ChildEnded", row.parent_step, *end),)
    for stop in move.stops:
        assert stop.id in stopping(model) or stop.id not in model.code.open
    for cancel in _stops(move):
        stopped = world.models[cancel.run_id]
        if stopped.state != "ended":
            _request_cancel(stopped)


VERBS: Final[dict[str, Callable[..., None]]] = {
    "claim": _claim,
    "settle": _settle,
    "absorb": _absorb,
    "all": _all,
    "proceed": _proceed,
    "rest": _rest,
    "emit": _emit,
    "fire": _fire,
    "cancel": _cancel,
    "correct": _correct,
    "crash": _crash,
}
