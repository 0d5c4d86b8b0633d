"""The place in the source that makes an operation."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, TypeVar

from ironflow.interpreter.operations import Operation

OperationT = TypeVar("OperationT", bound=Operation[Any])

# The public ways to a caller's frame cost many times as much, at every step.
frame_at: Final[Callable[[int], FrameType]] = sys._getframe  # noqa: SLF001  see above # pyright: ignore[reportPrivateUsage]


def placed(operation: OperationT, frame: FrameType) -> OperationT:
    """Return the operation, which now knows that this frame made it."""
    operation.code = frame.f_code
    operation.instruction = frame.f_lasti
    return operation
