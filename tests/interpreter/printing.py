"""Moves and records as the case files show them: one fact to a line."""

import dataclasses
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ironflow.interpreter import failures
from ironflow.interpreter.player import Move
from ironflow.interpreter.turn import LogLine, PerformStep, StopChild, StopStep
from ironflow.records import (
    ChildEnded,
    Entry,
    ErrorInfo,
    EventReceived,
    Record,
    RunEnded,
    RunStarted,
    StepFailed,
    StepInDoubt,
)
from tests.interpreter.language import SECOND, act, undo_it

_HIDDEN: Final = {
    "sequence",
    "recorded_at",
    "asked_at",
    "id",
    "source",
    "input_digest",
    "payload_digest",
    "codec",
    "key_id",
    "rules",
    "match_key",
}
_TIMES: Final = {"until", "timeout_at", "retry_at"}
_RUN_ID_CHARS: Final = 36


def move_lines(move: Move) -> Iterator[str]:
    """Show what a move appends, does and says."""
    for entry in move.entries:
        yield f"+ {entry_line(entry)}"
    for perform in move.perform:
        yield f"perform {perform_line(perform)}"
    for stop in move.stops:
        yield stop_line(stop)
    if move.abandoned:
        yield f"abandon {' '.join(move.abandoned)}"
    for line in move.logs:
        yield log_line(line)
    if move.bug is not None:
        yield from bug_lines(move.bug)
    yield f"= {move.state}{' (more)' if move.more else ''}"


def entry_line(entry: Entry) -> str:
    """Show a record: number, class, id, what is not the default, payload, line."""
    record = entry.record
    parts = [str(record.sequence), type(record).__name__, record.id]
    parts += [f"{name}={value}" for name, value in _fields(record)]
    parts.append(payload_text(entry))
    parts.append(f"@{record.source.rpartition(':')[2]}" if record.source else "")
    return " ".join(filter(None, parts))


def _fields(record: Record) -> Iterator[tuple[str, str]]:
    default_of = {each.name: each.default for each in msgspec.structs.fields(record)}
    for name in record.__struct_fields__:
        value = getattr(record, name)
        is_first = name == "attempt" and value == 1
        if name in _HIDDEN or value == default_of[name] or is_first:
            continue
        if name == "match_key":
            value = value.hex()
        yield name, seconds(value) if name in _TIMES else _short(value)


def seconds(time: int) -> str:
    """Show a point in time."""
    return f"{time / SECOND:g}s"


def _short(value: object) -> str:
    """Show a value; an id of a run or event by its end."""
    text = value if isinstance(value, str) else repr(value)
    if len(text) == _RUN_ID_CHARS and text.startswith(("run_", "evt_")):
        return f"{text[:4]}..{text[-4:]}"
    return text or "''"


def payload_text(entry: Entry) -> str:
    """Show a payload as what it stands for."""
    record, payload = entry.record, entry.payload
    if not payload:
        return ""
    ended_badly = isinstance(record, RunEnded | ChildEnded) and (
        record.status != "completed"
    )
    if ended_badly or isinstance(record, StepFailed | StepInDoubt):
        info = failures.decode(payload)
        details = {key: info.details[key] for key in info.details if "undo" in key}
        return f"!{info.type}: {info.message}" + (f" {details}" if details else "")
    value = msgspec.msgpack.decode(payload)
    if isinstance(record, EventReceived | RunStarted):
        value = value["data"]
    return repr(value)


def perform_line(perform: PerformStep) -> str:
    """Show what the host is asked to perform."""
    parts = [perform.id]
    if perform.args and perform.fn is act:
        parts.append(repr(perform.args))
    if perform.fn is undo_it:
        parts.append(f"undo{perform.args}")
    shown = {
        "attempt": perform.attempt if perform.attempt > 1 else 0,
        "not_before": seconds(perform.not_before) if perform.not_before else 0,
        "timeout": seconds(perform.timeout_us) if perform.timeout_us else 0,
        "started": perform.started,
        "at_most_once": perform.at_most_once,
        "in_doubt": perform.in_doubt,
    }
    parts += [f"{name}={value}" for name, value in shown.items() if value]
    return " ".join(parts)


def stop_line(stop: StopStep | StopChild) -> str:
    """Show what the host is asked to stop."""
    match stop:
        case StopStep():
            return f"stop {stop.id}" + (" interrupt" if stop.interrupt else "")
        case StopChild():
            return f"stop child {stop.id} {_short(stop.child_run)}: {stop.reason}"


def log_line(line: LogLine) -> str:
    """Show a line that function code logged."""
    return f"log at record {line.record}: {line.message % line.args}"


def bug_lines(bug: Exception) -> list[str]:
    """Show a bug: its class and its sentences, folded."""
    return textwrap.wrap(
        f"! {type(bug).__name__}: {bug}",
        width=86,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def fields_text(value: Any, *, skip: frozenset[str] = frozenset()) -> str:
    """Show the fields of a state that are not their defaults."""
    parts = []
    is_struct = isinstance(value, msgspec.Struct)
    fields = msgspec.structs.fields(value) if is_struct else dataclasses.fields(value)
    for field in fields:
        shown = getattr(value, field.name)
        if field.name not in skip and shown != field.default:
            parts.append(f"{field.name}={_field_text(field.name, shown)}")
    return " ".join(parts)


def _field_text(name: str, value: Any) -> str:
    if name.endswith("_at") or name in {"until", "at"}:
        return seconds(value)
    if isinstance(value, ErrorInfo):
        return f"!{value.type}: {value.message}"
    if name in {"payload", "input"}:
        decoded = msgspec.msgpack.decode(value)
        is_event = isinstance(decoded, dict) and "idempotency_key" in decoded
        return repr(decoded["data"] if is_event else decoded)
    return _short(value)
