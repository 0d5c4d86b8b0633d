"""What all worlds of a program have in common: its functions and how it begins."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ironflow import ids
from ironflow.authoring.definition import Function
from ironflow.interpreter.player import Move
from ironflow.journal.base import EmitEvents, Emitted, FunctionRow, RegisterFunctions
from ironflow.journal.memory import MemoryJournal
from ironflow.records import EventData
from tests.model import grammar as g
from tests.model.compiled import CHILDREN, TRIGGER, Stage, function_of, functions_of
from tests.model.model import Fact, Model

NOW: Final = 1_700_000_000_000_000
ENVIRONMENT: Final = "default"

encode: Final = msgspec.msgpack.Encoder().encode


class Setting:
    """What all worlds of a program have in common.

    That includes what was found out about a history, by its last digest: it stands for
    the run and all of its records.
    """

    def __init__(self, program: g.Program, rules: g.Rules = g.RULES) -> None:
        self.program = program
        self.rules = rules
        self.stage = Stage()
        self.facts: dict[bytes, Fact] = {}  # by the digest of their record
        self.replays: dict[tuple[bytes, bool], Move] = {}  # and whether with new code
        self.statuses: dict[bytes, str] = {}  # of histories that were verified
        self.functions = functions_of(program, self.stage, rules)
        self.corrected = g.corrected(program)
        root = function_of(self.corrected, self.stage, rules, version="2")
        self.corrected_functions = {**self.functions, root.id: root}
        self.events = sum(isinstance(leaf, g.Wait) for leaf in g.leaves_of(program))
        journal = MemoryJournal(ENVIRONMENT)
        journal.commit_now([registered(self.functions)])
        [answer] = journal.commit_now([EmitEvents((event(TRIGGER, "start"),), NOW)])
        assert isinstance(answer, Emitted)
        [self.root] = answer.receipts[0].run_ids
        self.start = journal.snapshot()
        self.model = Model(program, "start", rules)
        self.children: dict[tuple[str, str], Model] = {}

    def model_of(self, kind: str, given: str) -> Model:
        """Return the model of a child that begins."""
        if (kind, given) not in self.children:
            model = Model(CHILDREN[kind], given, g.RULES)
            self.children[kind, given] = model
        return copied(self.children[kind, given])


def copied(model: Model) -> Model:
    """Return a run that has lived the same; `copy.copy` takes five times as long."""
    again = object.__new__(Model)
    vars(again).update(vars(model))
    return again


def registered(functions: Mapping[str, Function[Any, Any]]) -> RegisterFunctions:
    """Return the command that makes functions known."""
    programs = [(each.triggers, each.program) for each in functions.values()]
    rows = [
        FunctionRow(program.id, program.version, triggers, (), program.run_timeout_us)
        for triggers, program in programs
    ]
    return RegisterFunctions(tuple(rows), NOW)


def event(name: str, data: object) -> EventData:
    """Return an event; the same for the same name and data."""
    value = encode(data)
    entropy = (name.encode() + value).ljust(10, b"\0")
    event_id = ids.event_id(ids.uuid7(NOW, entropy))
    return EventData(id=event_id, name=name, data=msgspec.Raw(value))
