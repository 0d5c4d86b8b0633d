"""Log lines of a server: JSON for programs, or text for people, on standard error.

`log_formats` says how they look; it is imported when there is something to log, because
structlog is a tenth of the modules of a server, and of the time until it is ready.
"""

import logging
import sys
from typing import Final, final

# Each request to an endpoint has lines of theirs; ours is one, at debug.
_CHATTY: Final = ("httpx", "httpcore", "h11", "h2", "hpack", "websockets")


def configure(*, form: str, level: str) -> None:
    """Let this process log in a form, `json` or `text`, from a level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(form))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def default_form() -> str:
    """Return the form for whoever reads: text on a terminal, JSON elsewhere."""
    return "text" if sys.stderr.isatty() else "json"


@final
class _Formatter(logging.Formatter):
    """A formatter that is made for the first line."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self._form = form
        self._made: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        """Return a line: called under the lock of its handler."""
        if self._made is None:
            from ironflow.commands.log_formats import formatter

            self._made = formatter(self._form)
        return self._made.format(record)
