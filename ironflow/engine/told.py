"""Log lines of function code, told once they are durable."""

import logging
from collections.abc import Iterable
from typing import Final

from ironflow.interpreter.turn import LogLine

_log: Final = logging.getLogger("ironflow.run")


def tell(function_id: str, run_id: str, lines: Iterable[LogLine]) -> None:
    """Pass lines on to the logger `ironflow.run`, with `run_id` and `function_id`."""
    for line in lines:
        error = line.error
        _log.log(
            line.level,
            line.message,
            *line.args,
            exc_info=(type(error), error, error.__traceback__) if error else None,
            extra={"run_id": run_id, "function_id": function_id},
        )
