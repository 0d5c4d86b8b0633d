"""How a log line looks: one formatter of structlog for every line of the process.

Lines of `logging`, ours and those of libraries and users, get the same shape.
"""

import logging
import sys

from structlog import dev, processors, stdlib
from structlog.typing import Processor


def formatter(form: str) -> logging.Formatter:
    """Return the formatter of a form: `json` or `text`."""
    return stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            stdlib.add_log_level,
            stdlib.add_logger_name,
            stdlib.ExtraAdder(),
            processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            stdlib.ProcessorFormatter.remove_processors_meta,
            *(_json() if form == "json" else _text()),
        ],
    )


def _json() -> list[Processor]:
    return [
        processors.format_exc_info,
        processors.UnicodeDecoder(),
        processors.JSONRenderer(ensure_ascii=False, default=str),
    ]


def _text() -> list[Processor]:
    return [
        dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # Rich would show the locals of users, secrets among them.
            exception_formatter=dev.plain_traceback,
        )
    ]
