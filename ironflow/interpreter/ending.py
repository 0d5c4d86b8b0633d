"""How a run ends once its own code has: completed, failed, cancelled, or by a bug."""

from typing import Any

import msgspec

from ironflow import limits, values
from ironflow.errors import Cancelled, CodeError, RunFailure
from ironflow.interpreter import cancelling, failures, settling, undoing
from ironflow.interpreter.core import Core
from ironflow.records import CANCELLED, COMPLETED, FAILED, RunEnded


def root_done(core: Core, value: Any, error: BaseException | None) -> None:
    """End the run by what its function returned or raised.

    A cancel or a deadline decides, whatever the code made of it. An exception that is
    no failure is a bug: the run stands still and nothing is undone.
    """
    if core.cause is not None:
        error = core.cause
    if error is None:
        _complete(core, value)
    elif not pauses(core, error):
        _fail(core, error)


def pauses(core: Core, error: BaseException) -> bool:
    """Say whether what leaves the function, a saga or a branch is a bug; note it.

    A run that is cancelled ends by its cancel, whatever its code raises then.
    """
    if core.cause is not None or isinstance(error, Cancelled | RunFailure):
        return False
    if core.program.on_bug == "fail" and not isinstance(error, CodeError):
        return False
    assert isinstance(error, Exception)
    core.bug = error
    return True


def _complete(core: Core, value: Any) -> None:
    try:
        payload = values.round_trip(value, core.program.output, step=core.program.id)
    except Exception as error:  # noqa: BLE001  what the function returned is a bug
        core.bug = error
        return
    core.finishing = True
    _ask_end(core, COMPLETED, payload)


def _fail(core: Core, error: BaseException) -> None:
    """Undo, then stop the children that end with this run, then end."""
    core.finishing = True
    cancelled = isinstance(error, Cancelled)
    entries = core.run_saga.entries
    if entries and (core.program.undo_on_cancel or not cancelled):
        undoing.start(
            core,
            entries,
            saga_id="",
            reason=type(error).__name__,
            done=lambda: _stop_children(core, error),
        )
    else:
        _stop_children(core, error)


def _stop_children(core: Core, error: BaseException) -> None:
    for child in core.attached_children():
        cancelling.stop_child(core, child, "its parent did not complete")
    core.end = lambda: _ask_failed_end(core, error)
    core.end_if_alone()


def _ask_failed_end(core: Core, error: BaseException) -> None:
    cancelled = isinstance(error, Cancelled)
    info = failures.describe(error, with_traceback=not cancelled)
    if core.undo_failures:
        text = "; ".join(core.undo_failures)[: limits.ERROR_MESSAGE_CHARS_MAX]
        info = msgspec.structs.replace(
            info, details={**info.details, "undo_failed": text}
        )
    _ask_end(core, CANCELLED if cancelled else FAILED, failures.encode(info))


def _ask_end(core: Core, status: str, payload: bytes) -> None:
    record = RunEnded(status=status, asked_at=core.time)
    core.ask(record, settling.run_ended, payload=payload)
