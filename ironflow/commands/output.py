"""What commands print: JSON for programs, tables and short values for people."""

import json
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, cast

import click

from ironflow.policy.duration import parse_time
from ironflow.records import Payload
from ironflow.transport.rendering import shown

UNLIMITED: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_GAP: Final = "  "
_VALUE_COLUMNS: Final = 200
_LAST_COLUMNS_MIN: Final = 12
_COLORS: Final = {
    "completed": "green",
    "same": "green",
    "failed": "red",
    "diverges": "red",
    "stops": "red",
    "redacted": "yellow",
    "in_doubt": "red",
    "paused": "yellow",
    "held": "yellow",
    "cancelled": "yellow",
    "waiting": "cyan",
    "sleeping": "cyan",
    "backing_off": "yellow",
    "running": "blue",
    "extends": "blue",
}
_GLYPHS: Final = {
    "completed": ("✓", "+"),
    "fired": ("✓", "+"),
    "received": ("✓", "+"),
    "published": ("✓", "+"),
    "same": ("✓", "+"),
    "extends": ("✓", "+"),
    "failed": ("✗", "x"),
    "diverges": ("✗", "x"),
    "stops": ("✗", "x"),
    "redacted": ("⊘", "/"),
    "in_doubt": ("?", "?"),
    "timed_out": ("✗", "x"),
    "paused": ("‖", "="),
    "held": ("‖", "="),
    "cancelled": ("⊘", "/"),
    "abandoned": ("⊘", "/"),
    "continued": ("→", ">"),
}
_OPEN_GLYPHS: Final = ("…", "~")


def write_json(value: object) -> None:
    """Print a document of JSON."""
    click.echo(json.dumps(value, ensure_ascii=not _is_unicode(), indent=2))


def write_line(value: object) -> None:
    """Print a document of JSON in one line, of which there are several."""
    click.echo(json.dumps(value, ensure_ascii=not _is_unicode()))


def width() -> int:
    """Return how many columns a line may have: unlimited where nobody looks."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return UNLIMITED
    return max(shutil.get_terminal_size().columns, 40)


def _is_unicode() -> bool:
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
    return encoding.replace("-", "") in {"utf8", "utf16", "utf32"}


def state(word: str) -> str:
    """Return a state as people see it: glyph, word, color."""
    glyph = _GLYPHS.get(word, _OPEN_GLYPHS)[0 if _is_unicode() else 1]
    return click.style(f"{glyph} {word.replace('_', ' ')}", fg=_COLORS.get(word))


def dim(text: str) -> str:
    """Return a text that is less important."""
    return click.style(text, dim=True) if text else ""


# --- texts ----------------------------------------------------------------------


def plain(text: str) -> str:
    """Return a text that can do nothing to a terminal."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def columns(text: str) -> int:
    """Return how many columns a text takes, styled or not."""
    bare = click.unstyle(text) if "\x1b" in text else text
    if bare.isascii():
        return len(bare)
    return sum(_width_of(each) for each in bare)


def _width_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "FW" else 1


def short(text: str, room: int) -> str:
    """Return a plain text cut to so many columns."""
    if columns(text) <= room:
        return text
    more = "…" if _is_unicode() else "..."
    room = max(room - columns(more), 0)
    kept, used = "", 0
    for each in text:
        used += _width_of(each)
        if used > room:
            break
        kept += each
    return kept + more


def one_line(value: object) -> str:
    """Return a JSON value in one line."""
    return plain(json.dumps(value, ensure_ascii=False))


def cut(text: str, room: int) -> str:
    """Return a text that may be styled; one that is too long loses style and end."""
    return text if columns(text) <= room else short(click.unstyle(text), room)


def wrapped(text: str, room: int) -> list[str]:
    """Return a text in lines of so many columns."""
    lines = text.splitlines() or [""]
    if room >= UNLIMITED // 2:
        return lines
    return [
        part
        for line in lines
        for part in (
            [line]
            if columns(line) <= room
            else textwrap.wrap(click.unstyle(line), max(room, 20)) or [""]
        )
    ]


def value(payload: Payload, *, full: bool) -> str:
    """Return a stored value: in one line and cut, or whole in as many as it takes."""
    return _value(shown(payload), full=full)


def event_value(payload: Payload, *, full: bool) -> str:
    """Return the data of a stored event."""
    event = shown(payload)
    data = (
        cast("dict[str, object]", event).get("data")
        if isinstance(event, dict)
        else event
    )
    return _value(data, full=full)


def _value(value: object, *, full: bool) -> str:
    if full:
        return plain_lines(json.dumps(value, ensure_ascii=False, indent=2))
    return short(one_line(value), _VALUE_COLUMNS)


def plain_lines(text: str) -> str:
    """Return lines that can do nothing to a terminal."""
    return "\n".join(map(plain, text.splitlines()))


# --- times ----------------------------------------------------------------------


def microseconds(moment: str | None) -> int:
    """Return a time of a document; 0 for none."""
    return 0 if moment is None else parse_time(moment, option="time")


def local(time_us: int) -> str:
    """Return a time as people read it, in the zone of their machine."""
    if not time_us:
        return "-"
    time = (_EPOCH + timedelta(microseconds=time_us)).astimezone()
    return time.strftime("%Y-%m-%d %H:%M:%S")


# --- tables ---------------------------------------------------------------------


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    dropped: Sequence[str] = (),
    cuttable: bool = False,
    full: bool = False,
) -> None:
    """Print rows under headings.

    On a narrow terminal columns go, in the order of `dropped`, until the rest fits;
    one whose last column is `cuttable` fits with little of it. `full` cuts nothing.
    """
    cells = [list(headings), *map(list, rows)]
    for heading in dropped:
        if full or _needed(cells, cuttable=cuttable) <= width():
            break
        at = cells[0].index(heading)
        for row in cells:
            del row[at]
    sizes = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    left = width() - sum(sizes[:-1]) - len(_GAP) * (len(sizes) - 1)
    for index, row in enumerate(cells):
        last = row[-1] if full else cut(row[-1], max(left, _LAST_COLUMNS_MIN))
        line = _GAP.join(map(padded_to, [*row[:-1], last], sizes)).rstrip()
        click.echo(line if index else dim(line))


def _needed(cells: Sequence[Sequence[str]], *, cuttable: bool) -> int:
    """How many columns of the terminal a table needs at least."""
    sizes = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    last = min(sizes[-1], _LAST_COLUMNS_MIN) if cuttable else sizes[-1]
    return sum(sizes[:-1]) + last + len(_GAP) * (len(sizes) - 1)


def padded_to(text: str, size: int) -> str:
    """Return a text filled up with blanks to so many columns."""
    return text + " " * (size - columns(text))
