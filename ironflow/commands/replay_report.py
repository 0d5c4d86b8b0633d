"""What `ironflow replay` prints: verdicts, or groups of runs by cause."""

from collections import Counter
from collections.abc import Iterator
from typing import final

import click

from ironflow.commands import output
from ironflow.debug.asked import Note
from ironflow.debug.difference import Difference
from ironflow.debug.grouping import Group, Tally
from ironflow.debug.verdict import Verdict
from ironflow.interpreter.program import Program
from ironflow.journal.base import RunSummary
from ironflow.policy.duration import format_duration


@final
class Report:
    """Takes verdicts as they come, and prints them at the end.

    Of good runs it keeps nothing but their number and the last one's verdict.
    """

    def __init__(self, programs: dict[str, Program]) -> None:
        self.programs = programs
        self.records = 0
        self.seconds = 0.0
        self._tally = Tally()
        self._unknown: Counter[str] = Counter()
        self._last: tuple[RunSummary, Verdict | None] | None = None

    def add(self, summary: RunSummary, verdict: Verdict) -> None:
        """Take the verdict on a run."""
        self.records += verdict.records
        row = summary.row
        self._tally.add(row.run_id, row.function_id, verdict)
        self._last = summary, verdict

    def unknown(self, summary: RunSummary) -> None:
        """Take a run whose function the app does not have."""
        self._unknown[summary.row.function_id] += 1
        self._last = summary, None

    def is_bad(self, *, strict: bool) -> bool:
        """Say whether the command has failed."""
        counts = self._tally.counts
        return bool(counts["diverges"] or counts["stops"] or (strict and self._unknown))

    def write(self, *, one: bool, as_json: bool) -> None:
        """Print the verdict on one run, or on all."""
        if one and self._last is not None:
            summary, verdict = self._last
            _write_one(summary, verdict, as_json=as_json)
        elif as_json:
            output.write_json(self._document())
        else:
            self._write_all()

    def _document(self) -> dict[str, object]:
        return {
            "runs": sum(self._tally.counts.values()),
            "records": self.records,
            "seconds": round(self.seconds, 3),
            "counts": dict(self._tally.counts),
            "runs_with_notes": self._tally.noted,
            "unknown_functions": dict(self._unknown),
            "groups": [
                {
                    "function_id": group.function_id,
                    "count": group.count,
                    "run_ids": group.run_ids,
                    "example": _verdict(group.example),
                }
                for group in self._tally.groups()
            ],
        }

    def _write_all(self) -> None:
        counts = self._tally.counts
        took = format_duration(int(self.seconds * 1_000_000))
        found = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        click.echo(
            f"{sum(counts.values())} runs, {self.records} records in {took}:"
            f" {found or 'nothing to replay'}"
        )
        if self._tally.noted:
            click.echo(
                f"{self._tally.noted} of them have notes: replay one alone to see them"
            )
        for group in self._tally.groups():
            _write_group(group)
        for function_id, count in self._unknown.most_common():
            click.echo(
                f"{count} runs of {output.plain(function_id)}: unknown function, not"
                " replayed",
                err=True,
            )


def _write_group(group: Group) -> None:
    verdict = group.example
    runs = "1 run" if group.count == 1 else f"{group.count} runs"
    click.echo()
    click.echo(
        f"{output.state(verdict.kind)}  {runs} of {output.plain(group.function_id)},"
        f" such as {group.run_ids[0]}{_place(verdict)}"
    )
    _write_details(verdict)


def _write_one(summary: RunSummary, verdict: Verdict | None, *, as_json: bool) -> None:
    row = summary.row
    if as_json:
        head = {"run_id": row.run_id, "function_id": row.function_id}
        unknown = {"verdict": "unknown function"}
        output.write_json(head | (unknown if verdict is None else _verdict(verdict)))
        return
    if verdict is None:
        click.echo(
            f"{row.run_id}: unknown function {output.plain(row.function_id)}, not"
            " replayed: the app does not have it"
        )
        return
    click.echo(
        f"{output.state(verdict.kind)}  {row.run_id}  {output.plain(row.function_id)}"
        f"  {verdict.records} records{_place(verdict)}"
    )
    _write_details(verdict)


def _place(verdict: Verdict) -> str:
    if not verdict.cause:
        return ""
    step = f" ({output.plain(verdict.step)})" if verdict.step else ""
    return f", at record {verdict.sequence}{step}"


def _write_details(verdict: Verdict) -> None:
    for name, text in _details(verdict):
        label = output.padded_to(f"  {name}", 12)
        for line in output.wrapped(output.plain(text), output.width() - 12):
            click.echo(output.dim(label) + line)
            label = " " * 12


def _details(verdict: Verdict) -> Iterator[tuple[str, str]]:
    if verdict.cause == "order":
        yield "recorded", verdict.recorded
        yield "today", verdict.asked
    if verdict.message:
        yield "", verdict.message
    for difference in verdict.differences:
        yield "value", f"{difference.path}: {_change(difference)}"
    for ask in verdict.asks_next:
        yield "asks next", ask
    for note in verdict.notes:
        yield "note", _note(note)


def _change(difference: Difference) -> str:
    recorded = output.one_line(difference.recorded)
    today = output.one_line(difference.today)
    if not difference.is_today:
        return f"{recorded} is gone"
    if not difference.is_recorded:
        return f"{today} is new"
    return f"{recorded} is now {today}"


def _note(note: Note) -> str:
    place = f"record {note.sequence}, {note.what}: {note.part}"
    if note.recorded is None:
        return f"{place} changed to {output.one_line(note.today)}"
    recorded, today = output.one_line(note.recorded), output.one_line(note.today)
    return f"{place} was {recorded} and is now {today}"


def _verdict(verdict: Verdict) -> dict[str, object]:
    document: dict[str, object] = {
        "verdict": verdict.kind,
        "records": verdict.records,
        "record": verdict.sequence or None,
        "step": verdict.step or None,
        "cause": verdict.cause or None,
        "recorded": verdict.recorded or None,
        "today": verdict.asked or None,
        "message": verdict.message or None,
        "differences": [_difference(each) for each in verdict.differences],
        "asks_next": list(verdict.asks_next),
        "notes": [
            {
                "record": note.sequence,
                "of": note.what,
                "part": note.part,
                "recorded": note.recorded,
                "today": note.today,
            }
            for note in verdict.notes
        ],
    }
    return document


def _difference(difference: Difference) -> dict[str, object]:
    document: dict[str, object] = {"path": difference.path}
    if difference.is_recorded:
        document["recorded"] = difference.recorded
    if difference.is_today:
        document["today"] = difference.today
    return document
