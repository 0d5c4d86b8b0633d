"""What goes between a run of the published SDKs and whoever executes it.

A *segment* is one execution of such a function: from its first line, past every step
whose result is known, to where it must wait, ends or fails. Its worker gets a `Segment`
and answers with *news*: rows of steps, and at last what it waits for or how it ended.

Ids are those of the wire without the run's id in front. Times are microseconds.
"""

from typing import Literal

import msgspec

from ironflow.records import NO_PAYLOAD, ErrorInfo, EventData, Payload

RowKind = Literal["step", "sleep", "wait", "invoke", "invoke_async"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that a segment need not execute again.

    `payload` is its result as the journal has it: of a `wait` an `EventData`, of the
    others a value, empty for null. `error` stands for a child run that did not complete;
    `function_id` and `child_run` name the child.
    """

    id: str
    kind: RowKind
    payload: Payload = NO_PAYLOAD
    error: ErrorInfo | None = None
    function_id: str = ""
    child_run: str = ""


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs to execute a run from its first line.

    `stored` is how many operations of the run are on record, also failed and open ones.
    """

    run_id: str
    function_id: str
    attempt: int
    max_attempts: int
    on_exhausted: str
    event: EventData
    rows: tuple[Row, ...] = ()
    stored: int = 0


class StepDone(msgspec.Struct, frozen=True, kw_only=True):
    """A step that was executed: its result as MessagePack, or its error.

    `began_at` is when, by the worker's clock; 0 where nobody says.
    """

    id: str
    payload: Payload = NO_PAYLOAD
    error: ErrorInfo | None = None
    began_at: int = 0


class SleepAsked(msgspec.Struct, frozen=True):
    """The run shall go on at `until`."""

    id: str
    until: int


class WaitAsked(msgspec.Struct, frozen=True, kw_only=True):
    """The run shall go on with an event of this name.

    `match` is a path into both events, or `<path> == "<literal>"`; with `literal` the
    other event's value there must be that text. `timeout_us` counts from now on.
    """

    id: str
    event: str
    match: str = ""
    literal: str | None = None
    timeout_us: int = 0


class ChildAsked(msgspec.Struct, frozen=True, kw_only=True):
    """The run starts another one; `awaited`: and goes on with its result."""

    id: str
    function_id: str
    payload: Payload = NO_PAYLOAD
    timeout_us: int = 0
    awaited: bool = True


class Finished(msgspec.Struct, frozen=True):
    """The run is complete."""

    payload: Payload = NO_PAYLOAD


Then = SleepAsked | WaitAsked | ChildAsked | Finished


class News(msgspec.Struct, frozen=True):
    """Steps that were executed, and what comes after them; None: the segment goes on.

    `error` is why it failed, as its worker said it: it is recorded in place of what the
    function of the step raises.
    """

    steps: tuple[StepDone, ...] = ()
    then: Then | None = None
    error: ErrorInfo | None = None
