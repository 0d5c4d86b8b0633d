"""What `ironflow run` prints of the runs that it carried out."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click

from ironflow import values
from ironflow.authoring.app import App
from ironflow.commands import output
from ironflow.commands.one_shot import Outcome
from ironflow.commands.run_documents import error
from ironflow.engine.handles import Run
from ironflow.errors import ValueRejected
from ironflow.policy.duration import format_duration

_MICROSECOND = timedelta(microseconds=1)


def write(outcome: Outcome, *, as_json: bool) -> None:
    """Print the result of each run."""
    if as_json:
        output.write_json(
            {
                "event_id": outcome.receipt.event_id,
                "duplicate": outcome.receipt.duplicate,
                "runs": [_document(run) for run in outcome.runs],
                "children": [_document(run) for run in outcome.children],
            }
        )
        return
    for run in outcome.runs:
        _write(run, "")
    for run in outcome.children:
        _write(run, "child of a run above")


def failures(outcome: Outcome, app: App, *, idempotency_key: str) -> list[str]:
    """Return a sentence for each run that did not complete, saying what to do."""
    if not outcome.runs:
        return [
            f"the event {outcome.receipt.event_id}, which had this idempotency key"
            " first, started no run; use another key"
        ]
    again = (
        "repeat this command"
        if idempotency_key
        else "open the directory with an engine (with an --idempotency-key this"
        " command could be repeated)"
    )
    return [
        sentence for run in outcome.runs for sentence in _failure(run, app, again=again)
    ]


def _failure(run: Run, app: App, *, again: str) -> Iterator[str]:
    look = f"'ironflow runs show {run.id}' shows its steps"
    why = f": {run.error.type}: {run.error.message}" if run.error else ""
    match run.status:
        case "completed":
            return
        case "failed" | "cancelled":
            yield f"run {run.id} {_ENDED[run.status]}{why}; {look}"
        case "paused":
            message = run.error.message if run.error else ""
            yield f"run {run.id} is paused: {message}. Correct that, then {again}"
        case _ if run.function_id not in app.programs:
            yield (
                f"run {run.id} belongs to {run.function_id!r}, which this app does not"
                " have; it waits for an engine that has it"
            )
        case _:
            yield f"run {run.id} is still {run.status}; {look}. To go on, {again}"


_ENDED = {"failed": "failed", "cancelled": "was cancelled"}


def _document(run: Run) -> dict[str, object]:
    return {
        "id": run.id,
        "function_id": run.function_id,
        "status": run.status,
        "output": _shown(run.output),
        "error": error(run.error),
        "started_at": _moment(run.started_at),
        "ended_at": None if run.ended_at is None else _moment(run.ended_at),
        "continued_from": run.continued_from or None,
    }


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _shown(value: object) -> object:
    """The output was stored, so it can be encoded; what shows it may still refuse."""
    try:
        return values.to_json(values.encode(value))
    except ValueRejected as refused:
        return {"$unreadable": str(refused)}


def _write(run: Run, note: str) -> None:
    took = ""
    if run.ended_at is not None:
        took = format_duration((run.ended_at - run.started_at) // _MICROSECOND)
    parts = (
        output.state(run.status),
        output.plain(run.function_id),
        run.id,
        f"took {took}" if took else "",
        note,
    )
    click.echo("  ".join(part for part in parts if part))
    if run.status == "completed":
        click.echo(
            "  " + output.cut(output.one_line(_shown(run.output)), output.width() - 2)
        )
