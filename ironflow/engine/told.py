"""Log lines of function code, told once they are durable."""

from collections.abc import Iterable

from ironflow.engine.log import run_log
from ironflow.interpreter.turn import LogLine


def tell(function_id: str, run_id: str, lines: Iterable[LogLine]) -> None:
    """Pass lines on to the logger `ironflow.run`, with `run_id` and `function_id`."""
    for line in lines:
        error = line.error
        run_log.log(
            line.level,
            line.message,
            *line.args,
            exc_info=(type(error), error, error.__traceback__) if error else None,
            extra={"run_id": run_id, "function_id": function_id},
        )
