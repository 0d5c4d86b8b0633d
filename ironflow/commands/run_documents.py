"""Runs and their records as JSON, and the list of raw records."""

from collections.abc import Sequence

import msgspec

from ironflow.commands import output
from ironflow.commands.runs_list import document
from ironflow.interpreter.fold import OperationState, RunState
from ironflow.records import Entry, ErrorInfo, Record
from ironflow.transport.rendering import operation_document, shown
from ironflow.wire.answers import RunDocument, moment


def of_run(run: RunDocument, state: RunState, why: Sequence[str]) -> dict[str, object]:
    """Return a run with all that its records say."""
    event = state.event
    cancel = state.cancel
    return {
        **document(run),
        "version": state.version,
        "event": None
        if event is None
        else {"id": event.id, "name": event.name, "data": shown(event.data)},
        "output": shown(state.payload),
        "error": error(state.error),
        "why": list(why),
        "cancel": None
        if cancel is None
        else {
            "actor": cancel.actor,
            "reason": cancel.reason,
            "at": moment(cancel.at),
        },
        "undo": [
            {
                "saga": undo.id or None,
                "reason": undo.reason,
                "at": moment(undo.at),
            }
            for undo in state.undo
        ],
        "operations": [operation(each) for each in state.operations],
    }


def operation(state: OperationState) -> object:
    """Return an operation; what its kind does not have is left out."""
    return msgspec.to_builtins(operation_document(state))


def error(info: ErrorInfo | None) -> object:
    """Return a recorded error as JSON has it."""
    return None if info is None else msgspec.to_builtins(info)


# --- raw records -----------------------------------------------------------------


def write_records(entries: Sequence[Entry], *, as_json: bool, full: bool) -> None:
    """Print records as they are stored."""
    if as_json:
        output.write_json({"records": [_record(entry) for entry in entries]})
        return
    rows = [_row(entry, full=full) for entry in entries]
    headings = ("RECORD", "TIME", "KIND", "ID", "HOLDS")
    output.table(headings, rows, dropped=("TIME",), cuttable=True, full=full)


def _record(entry: Entry) -> dict[str, object]:
    return {
        "kind": type(entry.record).__name__,
        **_fields(entry.record),
        "payload": shown(entry.payload),
        "digest": entry.digest.hex(),
    }


def _fields(record: Record) -> dict[str, object]:
    found = {name: getattr(record, name) for name in record.__struct_fields__}
    return {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in found.items()
    }


_SHOWN_ELSEWHERE = {
    "sequence",
    "recorded_at",
    "asked_at",
    "id",
    "input_digest",
    "payload_digest",
    "codec",
}


def _row(entry: Entry, *, full: bool) -> tuple[str, ...]:
    record = entry.record
    parts = [
        f"{name}={value}"
        for name, value in _fields(record).items()
        if name not in _SHOWN_ELSEWHERE and value not in ("", 0, ())
    ]
    if entry.payload:
        parts.append(output.value(entry.payload, full=full))
    return (
        str(record.sequence),
        output.local(record.recorded_at),
        type(record).__name__,
        output.plain(record.id),
        output.plain(" ".join(parts)),
    )
