"""Every schedule of a program: what is checked after each of its steps.

Two ways to the same state have the same future, so each state is gone on from once.
It is reached by a live run, that of the first way that led there. What is durable alone
decides where a crash leads to, so each durable state crashes once, too.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Final

from tests.model import grammar as g
from tests.model.checks import check_end, check_replay, check_rows, recorded_facts
from tests.model.choices import choices_in
from tests.model.happenings import do
from tests.model.setting import Setting
from tests.model.world import Choice, Saved, World

CRASHES_COUNTED: Final = 2
CRASH: Final[Choice] = ("crash",)
IMPORTS: Final = (
    "from tests.model.explorer import follow",
    "from tests.model.grammar import *",
)

Path = tuple[Choice, ...]
Graph = dict[object, list[tuple[bool, object]]]
# A choice that is left: the state, how to be there, the choice, how one came there.
Todo = tuple[object, Saved, Choice, Path]


@dataclass
class Explored:
    """How much there was: states, ways from one to another, and whole schedules."""

    states: int = 0
    moves: int = 0
    schedules: int = 0


class Disagreement(AssertionError):
    """The real thing and the model differ; says how to see it again."""


def explore(program: g.Program, rules: g.Rules = g.RULES) -> Explored:
    """Run a program through all its schedules."""
    setting = Setting(program, rules)
    graph: Graph = {}
    todo: list[Todo] = []
    crashed: dict[object, object] = {}
    world = World(setting)
    start = world.key()
    _go_on(world, (), graph, todo)
    while todo:
        before, saved, choice, path = todo.pop()
        if choice == CRASH and saved.key in crashed:
            graph[before].append((True, crashed[saved.key]))
            continue
        world = World.restored(setting, saved)
        path = (*path, choice)
        _take(world, path)
        after = world.key()
        graph[before].append((choice == CRASH, after))
        if choice == CRASH:
            crashed[saved.key] = after
        _go_on(world, path, graph, todo)
    moves = sum(map(len, graph.values()))
    return Explored(len(graph), moves, schedules(graph, start))


def _go_on(world: World, path: Path, graph: Graph, todo: list[Todo]) -> None:
    """Go on until a known state, always by the first choice; note the others."""
    while (key := world.key()) not in graph:
        graph[key] = []
        choices = choices_in(world)
        with _reported(world, path):
            check_replay(world)
            if not choices:
                check_end(world)
        if choices[1:]:
            saved = world.saved()
            todo += [(key, saved, other, path) for other in choices[1:]]
        for choice in choices[:1]:
            path = (*path, choice)
            _take(world, path)
            graph[key].append((choice == CRASH, world.key()))
    world.close()


def _take(world: World, path: Path) -> None:
    with _reported(world, path):
        do(world, path[-1])
        check_rows(world)


@contextmanager
def _reported(world: World, path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise Disagreement(report(world.setting, path, error)) from error


def schedules(graph: Graph, start: object) -> int:
    """Count the ways from the start to an end, with at most two crashes."""

    @cache
    def ways(state: object, crashes: int) -> int:
        assert crashes >= 0
        if not graph[state]:
            return 1
        return sum(
            ways(after, crashes - crashed)
            for crashed, after in graph[state]
            if crashes >= crashed
        )

    return ways(start, CRASHES_COUNTED)


# --- when something is wrong ---


def report(setting: Setting, path: Path, error: Exception) -> str:
    """Say what happened, in which order, and how to see it again."""
    world = World(setting)
    program, rules = setting.program, setting.rules
    lines = [f"{type(error).__name__}: {error}", "", f"program: {program}", ""]
    try:
        for number, choice in enumerate(path):
            lines.append(f"{number:3} {choice}")
            do(world, choice)
    except Exception as again:  # noqa: BLE001  it is the one that is reported
        lines.append(f"    raises {type(again).__name__}: {again}")
    for run_id, model in world.models.items():
        lines += ["", f"{world.name(run_id)}: recorded, and what the model says"]
        real = recorded_facts(world, run_id)
        for index in range(max(len(real), len(model.history))):
            left = real[index] if index < len(real) else "-"
            right = model.history[index] if index < len(model.history) else "-"
            lines.append(f"  {'  ' if left == right else '!!'} {left}\n     {right}")
        lines.append(f"  inbox: {model.inbox}, waits: {model.waits}")
    lines += ["", "To see it again:", "", *IMPORTS]
    lines += [f"follow({program!r}, {rules!r}, {path!r})"]
    return "\n".join(lines)


def follow(program: g.Program, rules: g.Rules, path: Path) -> World:
    """Go one way, with all checks and the same code throughout; return its end."""
    world = World(Setting(program, rules))
    for choice in path:
        do(world, choice)
        check_rows(world)
        check_replay(world)
    return world


def wander(world: World, draws: Iterable[int]) -> None:
    """Go where the draws lead and then straight to an end, with the same code."""
    path: Path = ()
    for draw in draws:
        choices = choices_in(world)
        if not choices:
            break
        path = (*path, choices[draw % len(choices)])
        _take(world, path)
        with _reported(world, path):
            check_replay(world)
    while choices := [choice for choice in choices_in(world) if choice != CRASH]:
        path = (*path, choices[0])
        _take(world, path)
    with _reported(world, path):
        check_end(world)
    world.close()
