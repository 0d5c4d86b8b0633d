"""What all worlds of a program have in common: its functions and how it begins."""

from typing import Final

import msgspec

from ironflow import ids
from ironflow.journal.base import EmitEvents, Emitted, FunctionRow, RegisterFunctions
from ironflow.journal.memory import MemoryJournal
from ironflow.records import EventData
from tests.model import grammar as g
from tests.model.compiled import TRIGGER, Stage, functions_of

NOW: Final = 1_700_000_000_000_000
ENVIRONMENT: Final = "default"

encode: Final = msgspec.msgpack.Encoder().encode


class Setting:
    """What all worlds of a program have in common."""

    def __init__(self, program: g.Program, rules: g.Rules = g.RULES) -> None:
        self.program = program
        self.rules = rules
        self.stage = Stage()
        self.functions = functions_of(program, self.stage, rules)
        self.events = sum(isinstance(leaf, g.Wait) for leaf in g.leaves_of(program))
        rows = [
            FunctionRow(each.id, "1", each.triggers, (), each.program.run_timeout_us)
            for each in self.functions.values()
        ]
        journal = MemoryJournal(ENVIRONMENT)
        journal.commit_now([RegisterFunctions(tuple(rows), NOW)])
        [answer] = journal.commit_now([EmitEvents((event(TRIGGER, "start"),), NOW)])
        assert isinstance(answer, Emitted)
        [self.root] = answer.receipts[0].run_ids
        self.start = journal.snapshot()


def event(name: str, data: object) -> EventData:
    """Return an event; the same for the same name and data."""
    value = encode(data)
    entropy = (name.encode() + value).ljust(10, b"\0")
    event_id = ids.event_id(ids.uuid7(NOW, entropy))
    return EventData(id=event_id, name=name, data=msgspec.Raw(value))
