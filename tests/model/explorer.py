"""Every schedule of a program: what is checked after each of its steps.

Two ways to the same state have the same future, so each state is gone on from once.
It is reached by a live run, that of the first way that led there. What is durable alone
decides where a crash leads to, so each durable state crashes once, too.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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


@dataclass
class Explored:
    """How much there was: states, ways from one to another, and whole schedules."""

    states: int = 0
    moves: int = 0
    schedules: int = 0


class Disagreement(AssertionError):
    """The real thing and the model differ; says how to see it again."""


@dataclass(slots=True)
class Search:
    """What is known of a program's states, and what is left to be tried."""

    numbers: dict[object, int] = field(default_factory=dict[object, int])
    # Of each state that was gone on from: whether by a crash, and the state after.
    ways: list[list[tuple[bool, int]]] = field(
        default_factory=list[list[tuple[bool, int]]]
    )
    # State, how to be there, what is to happen next, how one came there.
    todo: list[tuple[int, Saved, Choice, Path]] = field(
        default_factory=list[tuple[int, Saved, Choice, Path]]
    )
    crashed: dict[object, int] = field(default_factory=dict[object, int])

    def number(self, world: World) -> int:
        """Return the number of the state that a world is in."""
        return self.numbers.setdefault(world.key(), len(self.numbers))


def explore(program: g.Program, rules: g.Rules = g.RULES) -> Explored:
    """Run a program through all its schedules."""
    setting = Setting(program, rules)
    search = Search()
    world = World(setting)
    _go_on(search, world, search.number(world), ())
    while search.todo:
        before, saved, choice, path = search.todo.pop()
        after = search.crashed.get(saved.key) if choice == CRASH else None
        if after is None:
            world = World.restored(setting, saved)
            path = (*path, choice)
            _take(world, path)
            after = search.number(world)
            _go_on(search, world, after, path)
        if choice == CRASH:
            search.crashed[saved.key] = after
        search.ways[before].append((choice == CRASH, after))
    moves = sum(map(len, search.ways))
    return Explored(len(search.ways), moves, schedules(search))


def _go_on(search: Search, world: World, state: int, path: Path) -> None:
    """Go on until a known state, always by the first choice; note the others."""
    while state == len(search.ways):
        search.ways.append([])
        choices = choices_in(world)
        with _reported(world, path):
            check_replay(world)
            if not choices:
                check_end(world)
                break
        if choices[1:]:
            saved = world.saved()
            search.todo += [(state, saved, other, path) for other in choices[1:]]
        path = (*path, choices[0])
        _take(world, path)
        before, state = state, search.number(world)
        search.ways[before].append((choices[0] == CRASH, state))
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


def schedules(search: Search) -> int:
    """Count the ways from the start to an end, with at most two crashes."""

    @cache
    def ways(state: int, crashes: int) -> int:
        assert crashes >= 0
        if not search.ways[state]:
            return 1
        return sum(
            ways(after, crashes - crashed)
            for crashed, after in search.ways[state]
            if crashes >= crashed
        )

    return ways(0, CRASHES_COUNTED)


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
