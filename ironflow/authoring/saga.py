"""A part of a function that is undone as a whole."""

from collections.abc import Generator
from types import TracebackType
from typing import Any, Final, final

from ironflow.errors import MisusedOperation
from ironflow.interpreter.operations import UndoSaga
from ironflow.interpreter.program import RunView

_UNENTERED: Final = object()


@final
class Registered:
    """What `step.compensate` gives: nothing to wait for, awaited or not."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        """Return at once."""
        yield from ()


@final
class Saga:
    """`async with ctx.saga():` undoes its own steps when a failure leaves it.

    Left by a failure (a RunFailure, such as StepError or NonRetryableError, or by
    a cancel), it calls the undos that its steps registered, newest first, and then
    lets the exception go on. Left without an exception it undoes nothing: its
    undos pass to what encloses it, which may fail later.

    Any other exception is a bug in the function: the run pauses inside the saga
    with nothing undone, so code outside cannot catch it. What shall undo and may be
    caught outside must be a NonRetryableError, or a class derived from it.
    """

    __slots__ = ("_handle", "_view")

    def __init__(self, view: RunView) -> None:
        self._view = view
        self._handle: object = _UNENTERED

    async def __aenter__(self) -> None:
        if self._handle is not _UNENTERED:
            raise MisusedOperation(
                "a saga is entered once; write `async with ctx.saga():` each time"
            )
        self._handle = self._view.enter_saga()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        match error:
            case None:
                self._view.leave_saga(self._handle)
            case GeneratorExit():  # the coroutine is being dropped, nothing happened
                pass
            case _:  # the interpreter knows which exceptions undo and which pause
                await self._undo(error)

    def _undo(self, error: BaseException) -> UndoSaga:
        operation = UndoSaga(self._handle, error)
        if error.__traceback__ is not None:
            # Its first frame is the function's, at the line inside the saga.
            code = error.__traceback__.tb_frame.f_code
            operation.at(code, error.__traceback__.tb_lasti)
        return operation
