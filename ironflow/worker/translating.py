"""Between the commands and rows of a journal and the frames of protocol 2."""

from collections.abc import Callable, Sequence
from typing import Final, NoReturn

import msgspec

from ironflow import codec
from ironflow.errors import (
    ConfigurationError,
    Conflict,
    IronflowError,
    JournalDamaged,
    JournalError,
    LeaseLost,
    ProtocolError,
    RunNotFound,
)
from ironflow.journal.base import (
    Answer,
    Appended,
    AppendRecords,
    Claim,
    CountClaims,
    Counted,
    DeliverEvents,
    Done,
    ForgiveClaims,
    InboxRow,
    JournalCommand,
    Pause,
    PauseRun,
    Refused,
    RegisterFunctions,
    RequestCancel,
)
from ironflow.records import Entry
from ironflow.wire.frames import (
    Answers,
    Append,
    CancelChild,
    Carried,
    Claimed,
    Command,
    HistoryPage,
    NotStored,
    Outcome,
    PauseHeld,
    Refusal,
    Stored,
    Waiting,
    encode,
    sent,
)
from ironflow.worker.connection import Page, Reply

# The server knows who asks, and why.
_ASKED: Final = Pause("asked", "somebody asked for it", "", 0)
_PARENT: Final = "run "  # how the engine names who cancels a child
_ERRORS: Final[dict[str, Callable[[str], IronflowError]]] = {
    LeaseLost.code: LeaseLost,
    Conflict.code: Conflict,
    RunNotFound.code: RunNotFound,
}


def only_carries_on(what: str) -> NoReturn:
    """Refuse what a worker's journal does not do.

    Raises:
        ConfigurationError: always.
    """
    raise ConfigurationError(
        f"a worker cannot {what}: it carries runs on; ask the server, with a client"
    )


def command_of(command: JournalCommand) -> Command:
    """Return the command as it travels.

    Raises:
        ConfigurationError: it is none of a worker.
    """
    match command:
        case AppendRecords():
            return _append(command)
        case PauseRun():
            return PauseHeld(
                command.run_id,
                command.epoch,
                command.pause.reason,
                command.pause.message,
                command.pause.version,
                command.inbox_through,
                tuple(msgspec.Raw(codec.encode_draft(each)) for each in command.kept),
            )
        case RequestCancel() if command.actor.startswith(_PARENT):
            parent = command.actor.removeprefix(_PARENT)
            return CancelChild(parent, command.run_id, command.reason)
        case _:
            only_carries_on(f"commit {type(command).__name__}")


def _append(command: AppendRecords) -> Append:
    entries = command.entries
    return Append(
        command.run_id,
        command.epoch,
        command.expected_length,
        tuple(
            [
                sent(header, entry.payload)
                for entry, header in zip(entries, command.headers, strict=True)
            ]
        ),
        entries[-1].digest if entries else b"",
        command.inbox_through,
        command.park,
        command.abandoned,
        tuple(msgspec.Raw(encode(record)) for record in command.awaited),
    )


def answer_of(outcome: Outcome) -> Answer:
    """Return the answer of the server.

    Raises:
        ProtocolError: there is something in it that is no draft.
    """
    match outcome:
        case Stored():
            inbox = _inbox(outcome.inbox)
            asked = _ASKED if outcome.asked else None
            return Appended(outcome.length, inbox, outcome.parked, asked)
        case Carried():
            return Done(outcome.changed)
        case Refusal():
            error = _ERRORS.get(outcome.code, JournalError)
            return Refused(error(outcome.message))


def claim_of(claimed: Claimed) -> Claim:
    """Return the claim that the server sent.

    Raises:
        ProtocolError: there is something in it that is no record.
    """
    entries: Sequence[Entry] = ()
    if claimed.is_whole:
        entries = entries_of(claimed.history)
    return Claim(
        claimed.run_id,
        claimed.function_id,
        claimed.epoch,
        claimed.length,
        _inbox(claimed.inbox),
        entries,
        asked=_ASKED if claimed.asked else None,
    )


def entries_of(history: msgspec.Raw) -> Sequence[Entry]:
    """Return the records of a page.

    Raises:
        ProtocolError: they are none.
    """
    try:
        return codec.decode_page(bytes(history))
    except JournalDamaged as error:
        raise ProtocolError(
            f"the server sent a history that is none: {error}"
        ) from error


def _inbox(rows: Sequence[Waiting]) -> tuple[InboxRow, ...]:
    try:
        return tuple(
            [
                InboxRow(row.number, codec.decode_draft(bytes(row.draft)), row.position)
                for row in rows
            ]
        )
    except JournalDamaged as error:
        raise ProtocolError(
            f"the server sent an inbox that is none: {error}"
        ) from error


def answered_here(command: JournalCommand) -> Answer | None:
    """Answer what the server does by itself; None for what it has to be sent."""
    match command:
        case RegisterFunctions():
            return Done()
        case DeliverEvents() | ForgiveClaims():
            return Done(changed=False)
        case CountClaims():
            return Counted()
        case _:
            return None


def reply_of(frame: Answers | NotStored | HistoryPage) -> Reply:
    """Return what a frame says to whoever asked.

    Raises:
        ProtocolError: there is something in it that is none of ours.
    """
    match frame:
        case Answers():
            return [answer_of(outcome) for outcome in frame.outcomes]
        case NotStored():
            return frame
        case HistoryPage():
            return Page(entries_of(frame.history), more=frame.more)
