"""Case files: a program, then what happens to a run of it and what comes of that.

A case file is Python up to a line `---`. Below it a line `> completed charge:0 {"id":
1}` lets something happen; the lines after it say what the run did then. `== title`
begins another run. Everything else is a comment. The first lines of a file name the
rule or the bug that it guards.
"""

from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any, Final

from ironflow import errors
from ironflow.interpreter.operations import MISSING
from ironflow.interpreter.program import Program
from ironflow.policy.retry import Retry
from ironflow.records import Entry
from tests.interpreter.commands import Commands
from tests.interpreter.language import act
from tests.interpreter.world import program_of

_DIVIDER: Final = "---"
_ERRORS: Final = [name for name in vars(errors) if name[0].isupper()]


@dataclass(frozen=True)
class Case:
    """A case file, taken apart. `lines` are those below the divider."""

    path: Path
    source: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What came of a case: the text as it should be, and the histories written."""

    text: str
    histories: tuple[tuple[Entry, ...], ...]


def parse(path: Path) -> Case:
    """Read a case file."""
    source, divider, script = path.read_text().partition(f"\n{_DIVIDER}\n")
    assert divider, f"{path.name}: a line {_DIVIDER} divides program and script"
    return Case(path, source, tuple(script.splitlines()))


def run(case: Case) -> Result:
    """Run a case; return its text with what was really printed."""
    programs = programs_of(case)
    below: list[str] = []
    histories: list[tuple[Entry, ...]] = []
    commands = Commands(programs)
    for line in case.lines:
        if line.startswith("== "):
            histories.append(commands.finish())
            commands = Commands(programs)
        if not line.startswith("  "):
            below.append(line)
        if line.startswith("> "):
            below += [f"  {printed}" for printed in commands.execute(line[2:])]
    histories.append(commands.finish())
    text = "\n".join((case.source, _DIVIDER, *below)) + "\n"
    return Result(text, tuple(histories))


def programs_of(case: Case) -> dict[str, Program]:
    """Return the programs of a case by name; `workflow` is the first."""
    programs: dict[str, Program] = {}

    def function(**options: Any) -> Any:
        def register(fn: Any) -> Any:
            programs[fn.__name__] = program_of(fn, **options)
            return fn

        return register

    namespace: dict[str, Any] = {
        **{name: getattr(errors, name) for name in _ERRORS},
        "__name__": case.path.stem,
        "Any": Any,
        "MISSING": MISSING,
        "Retry": Retry,
        "act": act,
        "function": function,
    }
    exec(_compiled(case), namespace)
    for name, fn in namespace.items():
        if isinstance(getattr(fn, "__code__", None), CodeType) and (
            fn.__code__.co_varnames[:1] == ("step",) and name not in programs
        ):
            programs[name] = program_of(fn)
    assert "workflow" in programs, f"{case.path.name}: there is no workflow(step)"
    return programs


def _compiled(case: Case) -> CodeType:
    return compile(case.source, f"cases/{case.path.name}", "exec")
