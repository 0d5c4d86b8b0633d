"""Log lines of a server: JSON for programs, or text for people, on standard error.

Lines of `logging`, ours and those of libraries and users, go through structlog's formatter,
so that all have the same shape.
"""

import logging
import sys
from typing import Final

import structlog

FORMATS: Final = ("json", "text")
LEVELS: Final = ("debug", "info", "warning", "error")


def configure(*, form: str, level: str) -> None:
    """Let this process log in a form, from a level on."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=_as_json() if form == "json" else _as_text(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def default_form() -> str:
    """Return the form for whoever reads: text on a terminal, JSON elsewhere."""
    return "text" if sys.stderr.isatty() else "json"


def _as_json() -> list[structlog.typing.Processor]:
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
    ]


def _as_text() -> list[structlog.typing.Processor]:
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # Rich would show the locals of users, secrets among them.
            exception_formatter=structlog.dev.plain_traceback,
        ),
    ]
