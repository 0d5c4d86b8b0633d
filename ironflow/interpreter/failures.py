"""Exceptions <-> what is recorded of them; the same live and on replay."""

import traceback
from typing import Any, Final

import msgspec

from ironflow import limits
from ironflow.errors import (
    InvokeError,
    IronflowError,
    NonRetryableError,
    RetryAfterError,
    StepError,
    StepInDoubt,
)
from ironflow.records import ErrorInfo, Payload

# The code of a step that was stopped before its first attempt.
NEVER_BEGUN: Final = "NEVER_BEGUN"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ErrorInfo).decode


def describe(error: BaseException, *, with_traceback: bool = True) -> ErrorInfo:
    """Return what is recorded of an exception and its causes."""
    causes: list[ErrorInfo] = []
    cause = error.__cause__ or (
        None if error.__suppress_context__ else error.__context__
    )
    while cause is not None and len(causes) < limits.ERROR_CAUSES_MAX:
        causes.append(_one(cause, with_traceback=False))
        cause = cause.__cause__
    info = _one(error, with_traceback=with_traceback)
    return msgspec.structs.replace(info, causes=tuple(causes))


def _one(error: BaseException, *, with_traceback: bool) -> ErrorInfo:
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in {"builtins", "__main__"}:
        name = f"{kind.__module__}.{name}"
    known = error if isinstance(error, IronflowError) else None
    return ErrorInfo(
        type=name,
        message=_message(error)[: limits.ERROR_MESSAGE_CHARS_MAX],
        code=known.code if known else "ERROR",
        retryable=known.retryable if known else True,
        traceback=_traceback(error) if with_traceback else "",
        details=_details(error),
    )


def _message(error: BaseException) -> str:
    try:
        return _storable(str(error))
    except Exception:  # noqa: BLE001  a user's __str__ may do anything
        return f"<{type(error).__name__}: its __str__ failed>"


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _traceback(error: BaseException) -> str:
    # The first frame is ours, which tells the reader nothing.
    lines = traceback.format_tb(error.__traceback__)
    text = _storable("".join(lines[1:] or lines))
    return text[-limits.ERROR_TRACEBACK_CHARS_MAX :]


def _details(error: BaseException) -> dict[str, str | int]:
    match error:
        case StepError():
            return {"step": error.step, "attempts": error.attempts}
        case InvokeError():
            return {"function_id": error.function_id, "run_id": error.run_id}
        case _:
            return {}


def encode(info: ErrorInfo) -> bytes:
    """Return the payload of a failure record."""
    return _encode(info)


def decode(payload: Payload) -> ErrorInfo:
    """Return the error in the payload of a failure record."""
    return _decode(payload)


def step_error(step: str, attempts: int, info: ErrorInfo) -> StepError:
    """Return what a function gets for a step that is given up."""
    times = "once" if attempts == 1 else f"{attempts} times"
    return StepError(
        f"step {step!r} failed after it was tried {times}: {info.type}: {info.message}",
        step=step,
        attempts=attempts,
        cause=info,
    )


def step_in_doubt(step: str, attempts: int, info: ErrorInfo) -> StepInDoubt:
    """Return what a function gets for a step of which nobody knows the effect."""
    return StepInDoubt(
        f"step {step!r} is in doubt: {info.message}; its effect may have happened",
        step=step,
        attempts=attempts,
        cause=info,
    )


def may_retry(error: BaseException) -> bool:
    """Say whether an attempt that raised this may be followed by another."""
    if isinstance(error, RetryAfterError):
        return True
    if isinstance(error, NonRetryableError):
        return False
    return not isinstance(error, IronflowError) or error.retryable


def invoke_error(function_id: str, child_run: str, info: ErrorInfo) -> Any:
    """Return what a parent gets for a child that did not complete."""
    return InvokeError(
        f"child run {child_run} of {function_id!r} did not complete:"
        f" {info.type}: {info.message}",
        function_id=function_id,
        run_id=child_run,
        cause=info,
    )
