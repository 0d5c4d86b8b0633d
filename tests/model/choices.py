"""What may happen next in a world: every way in which it could go on."""

from collections.abc import Iterator

from tests.model.host import Host
from tests.model.world import Choice, World


def choices_in(world: World) -> list[Choice]:
    """Return all that may happen next; a crash comes last.

    The model knows nothing of moves that are cut: nothing comes between the parts.
    """
    found: list[Choice] = []
    for run_id in world.cut:
        verb = "proceed" if run_id in world.hosts else "claim"
        crash: list[Choice] = [("crash",)] if world.hosts else []
        return [(verb, world.name(run_id)), *crash]
    for run_id in world.runs():
        host = world.hosts.get(run_id)
        if host is not None:
            found += _of_host(world, run_id, host)
        elif run_id in world.journal._durable.ready:
            found.append(("claim", world.name(run_id)))
    found += _from_outside(world)
    if world.hosts:
        found.append(("crash",))
    return found


def _of_host(world: World, run_id: str, host: Host) -> Iterator[Choice]:
    name = world.name(run_id)
    for step in host.performing.values():
        for how in host.ways(step):
            yield "settle", name, step.id, how
    inbox = len(world.run(run_id).inbox)
    ending = sum(1 for _ in host.unstopped())
    if inbox:
        yield "absorb", name
    if ending + inbox > 1:
        yield "all", name, "steps first"
        if ending and inbox:
            yield "all", name, "inbox first"
    if host.may_rest(world.run(run_id).timers) and not inbox:
        yield "rest", name


def _from_outside(world: World) -> Iterator[Choice]:
    for run_id in world.runs():
        run = world.run(run_id)
        state = world.models[run_id].state
        for step, kind in run.timers:
            if state in {"working", "waiting"} or (state, kind) == ("broken", "run"):
                yield "fire", world.name(run_id), step, kind
    state = world.models[world.root].state
    if world.sent < world.setting.events and state in {"working", "waiting"}:
        yield ("emit",)
    if state == "broken" and not world.corrected:
        yield ("correct",)
    if world.cancels and state != "ended":
        yield ("cancel",)
