"""The frames of protocol 2: what a server and a worker of ours say to each other.

A frame is one MessagePack array whose first element is its kind. What a frame holds stands
in the order of the fields here; an element that is not known is passed over, and one that
is left out at the end has its default. `docs/protocol-2.md` says who sends which when.

Records travel as they are stored: a header is the array of its class, and a payload lies
beside it. So nothing is encoded twice.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from ironflow.errors import ProtocolError
from ironflow.records import Record

PROTOCOL: Final = 2
BUSY: Final = "UNAVAILABLE"  # the code of a failure after which one may come again

_NIL: Final = 0xC0
_NONE: Final = msgspec.Raw(bytes([_NIL]))


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """What every frame is."""


# --- parts of frames ------------------------------------------------------------------


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """A record that waits in the inbox of a run.

    `draft` is `[header]` or `[header, payload]`. `number` says which to take away with an
    append. `position` is the place of its event in the log, 0 without one.
    """

    number: int
    draft: msgspec.Raw
    position: int = 0


class Claimed(msgspec.Struct, frozen=True, array_like=True):
    """A run that the worker is to carry on, under `epoch`, until it parks or ends.

    `history` is an array of all its `length` records, each `[format, header, digest]` or
    `[format, header, digest, payload]`; nil: the worker has them, or asks for them.
    `asked`: somebody wants the run to stand still; begin no step, and pause it for `asked`.
    """

    run_id: str
    function_id: str
    epoch: int
    length: int
    inbox: tuple[Waiting, ...] = ()
    history: msgspec.Raw = _NONE
    asked: bool = False

    @property
    def is_whole(self) -> bool:
        """Say whether the history is in it."""
        return memoryview(self.history)[0] != _NIL


class SentRecord(msgspec.Struct, frozen=True, array_like=True):
    """A record that is to be appended, and its payload; nil if its codec is 0."""

    header: msgspec.Raw
    payload: msgspec.Raw = _NONE


class ReceivedRecord(msgspec.Struct, frozen=True, array_like=True):
    """The same, as the server reads it."""

    header: Record
    payload: msgspec.Raw = _NONE


# --- what a commit may have -------------------------------------------------------------


class Append(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Append records to a run that this worker holds.

    `length` is that of the history before. `digest` is the chain's after the last record;
    empty: the worker computes none. `inbox_through`, `park`, `abandoned` and `awaited` are
    those of `journal.base.AppendRecords`.
    """

    run_id: str
    epoch: int
    length: int
    records: tuple[SentRecord, ...]
    digest: bytes = b""
    inbox_through: int = 0
    park: bool = False
    abandoned: tuple[str, ...] = ()
    awaited: tuple[msgspec.Raw, ...] = ()


class ReceivedAppend(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The same, as the server reads it."""

    run_id: str
    epoch: int
    length: int
    records: tuple[ReceivedRecord, ...]
    digest: bytes = b""
    inbox_through: int = 0
    park: bool = False
    abandoned: tuple[str, ...] = ()
    awaited: tuple[Record, ...] = ()


class PauseHeld(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Let a run stand still: its code or a step needs somebody to look at it.

    `kept` are drafts (`[header]` or `[header, payload]`) that its code could not be shown.
    """

    run_id: str
    epoch: int
    reason: str
    message: str
    version: str
    inbox_through: int = 0
    kept: tuple[msgspec.Raw, ...] = ()


class CancelChild(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Ask a child of a run that this worker holds to cancel."""

    parent_run: str
    child_run: str
    reason: str


Command = Append | PauseHeld | CancelChild
ReceivedCommand = ReceivedAppend | PauseHeld | CancelChild


class Stored(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """An append is durable: the length now, what waits, and whether the run is parked.

    A run that is parked, or has ended, is not held any more. `asked` is as in `Claimed`.
    """

    length: int
    inbox: tuple[Waiting, ...]
    parked: bool
    asked: bool = False


class Carried(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Another command holds; `changed` says whether it had to do anything."""

    changed: bool


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A command changed nothing: `LEASE_LOST`, `CONFLICT` or `RUN_NOT_FOUND`.

    The worker forgets what it has of the run, and gives it back.
    """

    code: str
    message: str


Outcome = Stored | Carried | Refusal


# --- frames -------------------------------------------------------------------------------


class Hello(Frame, frozen=True, tag=1):
    """The first frame of a worker.

    `worker` is its name, which people read; `process` is random, of one process. `functions`
    are rows of the registry (`journal.rows.FunctionRow`). `credit` is how many runs it
    carries on at once. `codecs` are the numbers of payload codecs that it knows.
    """

    versions: tuple[int, ...]
    worker: str
    process: str
    hostname: str
    sdk: str
    functions: tuple[msgspec.Raw, ...]
    credit: int
    codecs: tuple[int, ...] = (1,)


class Welcome(Frame, frozen=True, tag=2):
    """The answer of the server, before anything else.

    `now` is its clock in microseconds, by which the worker goes. Whoever hears nothing for
    `silence_us` takes the other for lost.
    """

    version: int
    environment: str
    session: str
    now: int
    silence_us: int


class Claims(Frame, frozen=True, tag=3):
    """Runs for the worker, within its credit."""

    claims: tuple[Claimed, ...]


class Commit(Frame, frozen=True, tag=4):
    """Commands that hold together or not at all; answered by `Answers` or `NotStored`."""

    number: int
    commands: tuple[Command, ...]


class ReceivedCommit(Frame, frozen=True, tag=4):
    """The same, as the server reads it."""

    number: int
    commands: tuple[ReceivedCommand, ...]


class Answers(Frame, frozen=True, tag=5):
    """What became of a commit, which is durable: one outcome a command, in order."""

    number: int
    outcomes: tuple[Outcome, ...]


class NotStored(Frame, frozen=True, tag=6):
    """Nothing of a commit was stored, because there is no space: try it again later."""

    number: int
    message: str


class GiveBack(Frame, frozen=True, tag=7):
    """The worker holds these runs no more: run id and epoch of each. They stay ready."""

    claims: tuple[tuple[str, int], ...]


class HistoryRequest(Frame, frozen=True, tag=8):
    """Ask for the records `after+1` to `after+limit` of a run; answered by `HistoryPage`."""

    number: int
    run_id: str
    after: int
    limit: int


class HistoryPage(Frame, frozen=True, tag=9):
    """Records of a run, as in `Claimed`; `more`: ask again after the last of them."""

    number: int
    history: msgspec.Raw
    more: bool


class News(Frame, frozen=True, tag=10):
    """These runs, which the worker holds, have something in their inboxes.

    An append without records brings it.
    """

    run_ids: tuple[str, ...]


class Credit(Frame, frozen=True, tag=11):
    """From now on the worker carries on so many runs at once; 0: it drains."""

    credit: int


class Ping(Frame, frozen=True, tag=12):
    """A sign of life of the server, with its clock; answered by `Pong` at once."""

    now: int


class Pong(Frame, frozen=True, tag=13):
    """A sign of life of the worker."""


class Drain(Frame, frozen=True, tag=14):
    """The server asks the worker to end what it has begun, and to leave."""

    reason: str


class Bye(Frame, frozen=True, tag=15):
    """An end in order: nothing follows. A worker's runs are given back."""

    reason: str


class Failure(Frame, frozen=True, tag=16):
    """The last frame to somebody who broke the protocol, or is not wanted."""

    code: str
    message: str


WorkerFrame = (
    Hello | ReceivedCommit | GiveBack | HistoryRequest | Credit | Pong | Bye | Failure
)
ServerFrame = (
    Welcome
    | Claims
    | Answers
    | NotStored
    | HistoryPage
    | News
    | Ping
    | Drain
    | Bye
    | Failure
)

encode: Final = msgspec.msgpack.Encoder().encode

# Text that is no UTF-8 has an error of its own; so has what is nested too deep.
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_of_worker: Final[Callable[[bytes], WorkerFrame]] = msgspec.msgpack.Decoder(
    WorkerFrame
).decode
_of_server: Final[Callable[[bytes], ServerFrame]] = msgspec.msgpack.Decoder(
    ServerFrame
).decode


def worker_frame(data: bytes) -> WorkerFrame:
    """Return the frame in a message of a worker.

    Raises:
        ProtocolError: it is none.
    """
    try:
        return _of_worker(data)
    except _UNREADABLE as error:
        raise _unreadable(data, error) from error


def server_frame(data: bytes) -> ServerFrame:
    """Return the frame in a message of a server.

    Raises:
        ProtocolError: it is none.
    """
    try:
        return _of_server(data)
    except _UNREADABLE as error:
        raise _unreadable(data, error) from error


def _unreadable(data: bytes, error: Exception) -> ProtocolError:
    return ProtocolError(f"a message of {len(data)} bytes is no frame: {error}")


def sent(header: bytes, payload: bytes | msgspec.Raw) -> SentRecord:
    """Return a record that travels as it was sealed."""
    if not payload:
        return SentRecord(msgspec.Raw(header))
    return SentRecord(msgspec.Raw(header), msgspec.Raw(payload))
