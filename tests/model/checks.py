"""What must hold in a world, after each of the things that may happen in it."""

from typing import Any

from ironflow import codec
from ironflow.interpreter.fold import fold
from ironflow.interpreter.player import Move
from ironflow.interpreter.turn import StopStep
from ironflow.journal.memory_durable import Run
from tests.model.facts import fact_of
from tests.model.host import Host, stop_word
from tests.model.model import Fact, Model
from tests.model.rows import running, stopping, taken, timers_of
from tests.model.setting import ENVIRONMENT, NOW
from tests.model.world import World, inbox_fact


def check_rows(world: World) -> None:
    """What the journal holds of each run is what the model says."""
    for run_id in world.runs():
        run, model = world.run(run_id), world.models[run_id]
        recorded = recorded_facts(world, run_id)
        if run_id in world.cut:
            assert recorded == list(model.history[: len(recorded)]), (
                "the histories differ"
            )
            continue
        assert recorded == list(model.history), "the histories differ"
        assert [inbox_fact(row) for row in run.inbox.values()] == list(model.inbox), (
            "inbox"
        )
        if model.state != "broken":  # what a cancel has ended is taken away later
            _check_run(world, run, model)
        host = world.hosts.get(run_id)
        if host is not None:
            held = {
                step.id: (step.attempt, host.stopping.get(step.id, ""))
                for step in host.performing.values()
            }
            assert held == running(model), f"{held}, not {running(model)}"


def _check_run(world: World, run: Run, model: Model) -> None:
    timers, waits = set(run.timers), list(run.waits)
    expected = timers_of(model) - world.fired_of(run.row.run_id)
    assert timers == expected, f"timers: {timers}, not {expected}"
    awaited = model.waits if model.state != "ended" else []
    assert waits == awaited, f"waits: {waits}, not {awaited}"
    ended = run.row.status not in {"open", "paused"}
    assert ended == (model.state == "ended"), f"{run.row.status}, {model.state}"
    assert ended or len(run.consumed) == len(taken(model)), "consumed events"


def check_way(model: Model, step: str, how: str, told: str) -> None:
    """An attempt ends in a way that the model allows."""
    ask = model.code.open[step]
    assert told in {"", ask.stop}
    assert how != "in doubt" or told == "now" or ask.node.once
    assert how != "given up" or told


def check_replay(world: World) -> None:
    """A run that is loaded anew is where the run is that never stopped."""
    for run_id in world.runs():
        model = world.models[run_id]
        begun = model.code.fed > 0 and run_id not in world.cut
        unasked = model.state == "ended" and model.code.fed < len(model.history)
        waits = model.state == "broken" and world.corrected
        if not begun or unasked or waits:
            continue  # it has more to ask, or it was ended from outside its code
        key = world.run(run_id).entries[-1].digest, world.corrected
        move = world.setting.replays.get(key)
        if move is None:
            session = world.session_of(run_id)
            move = world.setting.replays[key] = session.absorb((), NOW)
            assert session.close(), "code does not let itself be closed"
        assert not move.entries, f"invariant 2: a replay asks {move.entries}"
        assert move.state == model.state, f"a replay is {move.state}: {move.bug!r}"
        if move.state != "broken":
            _check_orders(move, model)
            _check_steps(move, world.hosts.get(run_id))


def _check_orders(move: Move, model: Model) -> None:
    """A host that is new to the run is told to do what is left to be done."""
    stops: dict[str, Any] = {stop.id: stop for stop in move.stops}
    words = {
        name: stop_word(stop)
        for name, stop in stops.items()
        if isinstance(stop, StopStep)
    }
    asked = {step.id: (step.attempt, words.get(step.id, "")) for step in move.perform}
    assert asked == running(model), f"a replay performs {asked}"
    assert set(stops) == stopping(model), f"a replay stops {stops}"


def _check_steps(move: Move, host: Host | None) -> None:
    """It is told to call the same functions with the same arguments as the one before."""
    again = {step.id: f"{step.name}{step.args}" for step in move.perform}
    for step in host.performing.values() if host else ():
        call = f"{step.name}{step.args}"
        assert again[step.id] == call, f"a replay calls {again[step.id]}, not {call}"


def check_end(world: World) -> None:
    """Nothing can happen any more: then all runs have ended, and nothing is left."""
    for run_id in world.runs():
        model, run = world.models[run_id], world.run(run_id)
        assert model.state in {"ended", "broken"}, f"{run_id} waits for ever"
        if model.state == "ended":
            assert not (run.inbox)
            assert not (run.timers)
            assert not (run.waits)
            assert not (run.consumed)
            assert run.row.status == model.history[-1][2]
        digest, statuses = run.entries[-1].digest, world.setting.statuses
        if digest not in statuses:
            statuses[digest] = _verified(run)
        _check_status(statuses[digest], model)


def _verified(run: Run) -> str:
    """The digests hold, and the tables of states know every arrow; return its status."""
    pairs = [(codec.encode(entry), entry) for entry in run.entries]
    start = codec.chain_start(ENVIRONMENT, run.row.run_id)
    assert list(codec.verify_chain(pairs, start=start)) == run.entries
    return fold(run.entries).status


def _check_status(status: str, model: Model) -> None:
    if model.state == "ended":
        assert status == model.history[-1][2]
    else:
        undoing = ("UndoStarted", "") in model.history
        assert status == ("undoing" if undoing else "running")


def recorded_facts(world: World, run_id: str) -> list[Fact]:
    """Return a history in the words of the model."""
    entries, known = world.run(run_id).entries, world.setting.facts
    for entry in entries:
        if entry.digest not in known:
            known[entry.digest] = fact_of(entry.record, entry.payload)
    return [known[entry.digest] for entry in entries]
