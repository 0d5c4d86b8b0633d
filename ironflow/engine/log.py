"""The engine's own log lines, and those of function code: they never stop a run.

A user's handler or filter may raise. `logging` prints what its own handlers raise and
goes on; this does the same for all others.
"""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Final


class SafeLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger with handlers that may raise; what they raise goes to standard error."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Change nothing."""
        return msg, kwargs

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a line."""
        try:
            super().log(level, msg, *args, stacklevel=2, **kwargs)
        except Exception:  # noqa: BLE001  whatever a handler raises
            if logging.raiseExceptions and sys.stderr:
                traceback.print_exc()


log: Final = SafeLogger(logging.getLogger("ironflow.engine"))
run_log: Final = SafeLogger(logging.getLogger("ironflow.run"))
