"""What is wrong with what came over a wire, in the codes of Connect."""

from typing import final

from ironflow.wire.failures import STATUS_OF


@final
class ConnectError(Exception):
    """A call ends with a code of Connect and a sentence for the caller."""

    def __init__(self, code: str, message: str) -> None:
        assert code in STATUS_OF
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        """The HTTP status of a unary answer with this code."""
        return STATUS_OF[self.code]


def malformed(message: str) -> ConnectError:
    """Return the error for bytes or values that are not what they should be."""
    return ConnectError("invalid_argument", message)
