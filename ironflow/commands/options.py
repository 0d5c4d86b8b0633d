"""Options and arguments that several commands have, and what they accept."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, final

import click

from ironflow import ids
from ironflow.errors import ConfigurationError, RunNotFound
from ironflow.policy.attributes import parse_filter
from ironflow.policy.duration import parse_duration, parse_time

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

STATUSES: Final = (
    "queued",
    "running",
    "waiting",
    "paused",
    "completed",
    "failed",
    "cancelled",
    "continued",
)
_RUN: Final = re.compile(r"run_[0-9a-f]{32}")


Place = Path | str
"""Where a journal lies: a data directory, or the URL of one in PostgreSQL."""


@final
class DataPlace(click.ParamType[Place]):
    """A directory, or a URL that begins with `postgresql://`."""

    name = "directory"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Place:
        """Return the directory as a path, the URL as it is."""
        del param, ctx  # whatever else it is, it may be the name of a directory
        if str(value).startswith(("postgresql://", "postgres://")):
            return str(value)
        return Path(value)


def data_dir_option(command: CommandT) -> CommandT:
    """Add `--data-dir`."""
    return click.option(
        "--data-dir",
        "directory",
        type=DataPlace(),
        envvar="IRONFLOW_DATA_DIR",
        default=".ironflow",
        show_default=True,
        show_envvar=True,
        help="The directory that holds the journal, or a postgresql:// URL.",
    )(command)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A file with runs, read in place of a journal."""

    path: Path


def bundle_option(command: CommandT) -> CommandT:
    """Add `--bundle`."""
    return click.option(
        "--bundle",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Read the runs of this file, which 'ironflow export' wrote.",
    )(command)


def json_option(command: CommandT) -> CommandT:
    """Add `--json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON, for programs."
    )(command)


@final
class RunId(click.ParamType[str]):
    """A run id: `run_` and 32 hexadecimal digits."""

    name = "run"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the id; letters may be large, blanks around it are ignored."""
        text = str(value).strip().lower()
        try:
            return ids.check_run_id(text)
        except (ConfigurationError, RunNotFound) as error:
            self.fail(str(error), param, ctx)


@final
class AppTarget(click.ParamType[str]):
    """`module:attribute` or `path/file.py:attribute`."""

    name = "app"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the text; whether there is such an app is seen when it is loaded."""
        text = str(value)
        place, separator, name = text.rpartition(":")
        if not (separator and place and name.isidentifier()):
            bare = text.rstrip(":")
            near = "shop:app" if ":" in bare or not bare else f"{bare}:app"
            self.fail(
                f"{text!r} names no app; write module:attribute or"
                f" path/file.py:attribute, such as {near}",
                param,
                ctx,
            )
        return text


@final
class Seconds(click.ParamType[float]):
    """A duration, in seconds: `30s`, `1h30m`, or a number of seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        text = str(value).strip()
        with_unit = f"{text}s" if text.replace(".", "", 1).isdecimal() else text
        try:
            return parse_duration(with_unit, option="--timeout") / 1_000_000
        except ConfigurationError as error:
            self.fail(str(error), param, ctx)


@final
class Moment(click.ParamType[int]):
    """A time, in microseconds: `1h30m` is so long ago; otherwise ISO 8601."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the time; 1 for one that is too long ago."""
        text = str(value).strip()
        option = f"--{param.name}" if param is not None else self.name
        try:
            ago = parse_duration(text, option=option)
        except ConfigurationError:
            pass
        else:
            return max(1, time.time_ns() // 1_000 - ago)
        try:
            return max(1, parse_time(text, option=option))
        except ConfigurationError as error:
            self.fail(f"{error}, or how long ago: 30m, 1d", param, ctx)


MOMENT: Final = Moment()


@final
class AttributeFilterText(click.ParamType[str]):
    """A filter by an attribute, such as `total>=100`; it stays text."""

    name = "filter"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the text, if it is a filter."""
        try:
            parse_filter(value, option="--attribute")
        except ConfigurationError as error:
            self.fail(str(error), param, ctx)
        return str(value)


FILTER: Final = AttributeFilterText()
RUN_ID: Final = RunId()
DURATION: Final = Seconds()
APP_TARGET: Final = AppTarget()
