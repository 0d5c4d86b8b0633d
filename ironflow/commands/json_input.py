"""Values that are given on a command line as JSON, or in a file."""

import json
from typing import IO, Final, NoReturn

import click

from ironflow.commands import output

_EXCERPT_CHARS: Final = 20  # on each side of a mistake


def given(text: str | None, file: IO[bytes] | None) -> object:
    """Return the value of `--data` or `--data-file`; None if neither is given.

    Raises:
        UsageError: both are, or it is not JSON; the message shows where.
    """
    if text is not None and file is not None:
        raise click.UsageError("give --data or --data-file, not both")
    if text is not None:
        return parsed(text, option="--data")
    return None if file is None else parsed(file.read(), option="--data-file")


def parsed(text: str | bytes, *, option: str) -> object:
    """Return the value of an option.

    Raises:
        BadParameter: it is not JSON; the message shows where.
    """

    def refuse(why: str) -> NoReturn:
        raise click.BadParameter(why, param_hint=option)

    def constant(name: str) -> NoReturn:
        refuse(f"{name} is not JSON; leave it out or write null")

    try:
        whole = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        return json.loads(whole, parse_constant=constant)
    except UnicodeDecodeError as error:
        refuse(f"byte {error.start} is not UTF-8; JSON is UTF-8")
    except json.JSONDecodeError as error:
        refuse(_mistake(error))
    except (RecursionError, ValueError) as error:
        refuse(f"it cannot be read as JSON: {error}")


def _mistake(error: json.JSONDecodeError) -> str:
    at, text = error.pos, error.doc
    before = text[max(at - _EXCERPT_CHARS, 0) : at]
    after = text[at : at + _EXCERPT_CHARS]
    place = f"line {error.lineno}, column {error.colno}"
    excerpt = output.plain(f"{before} >>> {after}") if text else "it is empty"
    return f"it is not JSON: {error.msg} at {place}: {excerpt}"
