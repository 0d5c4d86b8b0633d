"""What must hold in a world, after each of the things that may happen in it."""

from typing import Any

from ironflow import codec
from ironflow.interpreter.fold import fold
from ironflow.interpreter.session import Move
from ironflow.interpreter.turn import StopStep
from ironflow.journal.memory_tables import Run
from tests.model.facts import fact_of
from tests.model.host import stop_word
from tests.model.meaning import Fact
from tests.model.model import Model
from tests.model.setting import ENVIRONMENT, NOW
from tests.model.world import World, inbox_fact


def check_rows(world: World) -> None:
    """What the journal holds of each run is what the model says."""
    for run_id in world.runs():
        run, model = world.run(run_id), world.models[run_id]
        recorded = recorded_facts(world, run_id)
        if run_id in world.cut:
            assert recorded == model.history[: len(recorded)], "the histories differ"
            continue
        assert recorded == model.history, "the histories differ"
        assert [inbox_fact(row) for row in run.inbox.values()] == model.inbox, "inbox"
        if model.state != "broken":  # what a cancel has ended is taken away later
            _check_run(run, model)
        host = world.hosts.get(run_id)
        if host is not None:
            running = {
                step.id: (step.attempt, host.stopping.get(step.id, ""))
                for step in host.performing.values()
            }
            assert running == model.running(), f"{running}, not {model.running()}"


def _check_run(run: Run, model: Model) -> None:
    timers, waits = set(run.timers), list(run.waits)
    assert timers == model.timers, f"timers: {timers}, not {model.timers}"
    assert waits == model.waits, f"waits: {waits}, not {model.waits}"
    ended = run.row.status not in {"open", "paused"}
    assert ended == (model.state == "ended"), f"{run.row.status}, {model.state}"
    assert ended or len(run.consumed) == len(model.taken), "consumed events"


def check_replay(world: World) -> None:
    """A run that is loaded anew is where the run is that never stopped."""
    for run_id in world.runs():
        model = world.models[run_id]
        begun = model.code.fed > 0 and run_id not in world.cut
        unasked = model.state == "ended" and model.code.fed < len(model.history)
        waits = model.state == "broken" and world.corrected
        if not begun or unasked or waits:
            continue  # it has more to ask, or it was ended from outside its code
        session = world.session_of(run_id)
        move = session.absorb((), NOW)
        assert not move.entries, f"invariant 2: a replay asks {move.entries}"
        assert move.state == model.state, f"a replay is {move.state}: {move.bug!r}"
        if move.state != "broken":
            _check_orders(move, model)
        assert session.close(), "code does not let itself be closed"


def _check_orders(move: Move, model: Model) -> None:
    """A host that is new to the run is told to do what is left to be done."""
    stops: dict[str, Any] = {stop.id: stop for stop in move.stops}
    words = {
        name: stop_word(stop)
        for name, stop in stops.items()
        if isinstance(stop, StopStep)
    }
    running = {step.id: (step.attempt, words.get(step.id, "")) for step in move.perform}
    assert running == model.running(), f"a replay performs {running}"
    assert set(stops) == model.stopping(), f"a replay stops {stops}"


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
        _check_history(run, model)


def _check_history(run: Run, model: Model) -> None:
    """The digests hold, and the tables of states know every arrow."""
    pairs = [(codec.encode(entry), entry) for entry in run.entries]
    start = codec.chain_start(ENVIRONMENT, run.row.run_id)
    assert list(codec.verify_chain(pairs, start=start)) == run.entries
    status = fold(run.entries).status
    if model.state == "ended":
        assert status == model.history[-1][2]
    else:
        undoing = ("UndoStarted", "") in model.history
        assert status == ("undoing" if undoing else "running")


def recorded_facts(world: World, run_id: str) -> list[Fact]:
    """Return a history in the words of the model."""
    return [fact_of(entry.record, entry.payload) for entry in world.run(run_id).entries]
