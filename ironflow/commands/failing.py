"""What errors become on a terminal: one sentence, and an exit status."""

import os
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn, cast

import click

from ironflow.errors import IronflowError

DEBUG: Final = "IRONFLOW_DEBUG"
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
_OURS: Final = str(Path(__file__).parent.parent)


@contextmanager
def explained() -> Generator[None]:
    """Exit with a sentence where a command raises; see `IRONFLOW_DEBUG`."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except BaseException as error:
        cause = _first(error)
        if isinstance(cause, click.ClickException | click.exceptions.Exit):
            raise cause from error
        if isinstance(cause, KeyboardInterrupt):
            raise click.exceptions.Exit(INTERRUPTED) from None
        # click knows a pipe that its reader has closed, and says nothing.
        if isinstance(cause, BrokenPipeError | SystemExit | GeneratorExit):
            raise cause from error
        _fail(cause, error)


def _fail(cause: BaseException, error: BaseException) -> NoReturn:
    if os.environ.get(DEBUG):
        traceback.print_exception(error, file=sys.stderr)
    raise click.ClickException(_sentence(cause)) from error


def _first(error: BaseException) -> BaseException:
    """Return what a group is about: an interrupt before all, else its first error."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    group = cast("BaseExceptionGroup[BaseException]", error)
    leaves = [_first(each) for each in group.exceptions]
    interrupts = [leaf for leaf in leaves if isinstance(leaf, KeyboardInterrupt)]
    return (interrupts or leaves)[0]


def _sentence(error: BaseException) -> str:
    match error:
        case IronflowError():
            return str(error)
        case OSError():
            return _system(error)
        case _:
            return _unexpected(error)


def _system(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{what}; correct that and try again"


def _unexpected(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(_OURS)]
    place = f" at {ours[-1].filename}:{ours[-1].lineno}" if ours else ""
    text = " ".join(str(error).split())
    return (
        f"this is a bug in ironflow: {type(error).__name__}: {text}{place};"
        f" set {DEBUG}=1 to see the traceback, and please report it"
    )
