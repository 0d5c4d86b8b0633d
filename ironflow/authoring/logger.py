"""The logger of a run: each line once, however often its code is replayed."""

import sys
from typing import Final, final

from ironflow.errors import ConfigurationError
from ironflow.interpreter.program import RunView

# The levels of the standard library's logging, which is not loaded for them.
DEBUG: Final = 10
INFO: Final = 20
WARNING: Final = 30
ERROR: Final = 40


@final
class RunLogger:
    """Logs what function code does, like a logger of the standard library.

    A line leaves when what the code did is durable, and is not repeated when the
    code is replayed. `args` are put into `message` with `%`, only if somebody
    listens. Inside a step use your own logger.
    """

    __slots__ = ("_view",)

    def __init__(self, view: RunView) -> None:
        self._view = view

    def debug(self, message: str, *args: object) -> None:
        """Log a line for whoever looks for a fault."""
        self._view.log(DEBUG, message, args, None)

    def info(self, message: str, *args: object) -> None:
        """Log a line about what goes as it should."""
        self._view.log(INFO, message, args, None)

    def warning(self, message: str, *args: object) -> None:
        """Log a line about what somebody should look at."""
        self._view.log(WARNING, message, args, None)

    def error(self, message: str, *args: object) -> None:
        """Log a line about what went wrong."""
        self._view.log(ERROR, message, args, None)

    def exception(self, message: str, *args: object) -> None:
        """Log what went wrong, with the exception that is being handled."""
        self._view.log(ERROR, message, args, sys.exception())

    def log(self, level: int, message: str, *args: object) -> None:
        """Log a line with a level of the standard library's `logging`.

        Raises:
            ConfigurationError: the level is not a whole number.
        """
        if type(level) is not int:
            raise ConfigurationError(
                f"level={level!r} is not a level; give a number such as logging.INFO"
            )
        self._view.log(level, message, args, None)
