"""The rows of a journal: what its tables hold, beside histories.

Rows are values. Times are microseconds since 1970. What is made for every step is a
Struct: a frozen dataclass costs ten times as much. The collector of garbage need not look
at them (`gc=False`): values make no cycles.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec

from ironflow.records import RULES, Draft, EventData, Redaction

RunStatus = Literal["open", "paused", "completed", "failed", "cancelled", "continued"]
CLOSED: frozenset[str] = frozenset({"completed", "failed", "cancelled", "continued"})
FunctionHost = Literal["local", "pull", "push"]
TimerKind = Literal["sleep", "wait", "invoke", "retry", "run", "start"]


class FunctionRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A function as the registry knows it; matching uses it at commit time.

    `triggers` are event patterns. Durations are microseconds, 0 for none.
    `concurrency` is how many of its runs of one lane may be held at once, 0 for any
    number; `concurrency_key` is the path into a run's event that says which lane.
    `retention_us` is how long its runs are kept after their end, 0 for ever. `rules`
    say how its runs are carried on, and stand in each one's RunStarted. `host` is where
    its code lives. `config` is a MessagePack document of its host's, empty for none:
    journals keep it and do not look into it. `attributes` are names of attributes, and the
    paths into a run's event where their values are.
    """

    id: str
    version: str
    triggers: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()
    run_timeout_us: int = 0
    start_timeout_us: int = 0
    concurrency: int = 0
    concurrency_key: str = ""
    retention_us: int = 0
    rules: str = RULES
    host: FunctionHost = "local"
    config: bytes = b""
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a run stands still, and which code version would not go on.

    `reason` is `code` (a bug or a mismatch), `step` (one with on_exhausted="pause"),
    `poison` (its claims end with their process), `import` (it came from another
    journal) or `asked` (`actor` asked for it).
    """

    reason: str
    message: str
    version: str
    paused_at: int
    actor: str = ""


class Lost(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The worker that a run was taken from, because it was lost, and the one after it.

    `why` is a sentence. The history had `length` records then. `by` is who carries the run
    on, empty while nobody does.
    """

    worker: str
    why: str
    at: int
    length: int
    by: str = ""


class RunRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The durable state of a run that is not in its history.

    It is written when the run starts, pauses and ends, never by a step; when its attributes
    change, and when it is claimed after a crash.
    `trigger_position` is the place of the run's event in the event log: a wait
    looks back to it. A child's and a continued run's is the log's length when it
    was made. `first_run` is the first of a chain made by continue_as_new, empty
    in that run itself: a parent knows its child by it. A run with a `parent_run`
    but no `parent_step` tells nobody when it ends. `lane` is what `policy.concurrency`
    said when the run started, and stays. `claims` counts those that ended with their
    process, as far as they are counted, since the history has had `claimed_at` records.
    `lost` is the last worker that was lost while it held the run. `asked` is a pause that
    its holder is asked for, while the run is open. `redacted_at` is when a payload of its
    history was first taken away, 0 for never: such a run does not go on. `attributes` are as
    `policy.attributes` encodes them; all changes of them are in the history.
    """

    run_id: str
    function_id: str
    status: RunStatus
    event_id: str
    event_name: str
    trigger_position: int
    created_at: int
    attempt: int = 1
    parent_run: str = ""
    parent_step: str = ""
    attached: bool = False
    continued_from: str = ""
    continued_to: str = ""
    first_run: str = ""
    ended_at: int = 0
    pause: Pause | None = None
    lane: bytes = b""
    claims: int = 0
    claimed_at: int = 0
    lost: Lost | None = None
    asked: Pause | None = None
    redacted_at: int = 0
    attributes: bytes = b""


class WaitRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A wait: `path` and `match_key` are empty where any event of the name fits.

    `sequence` is its WaitStarted record's. Of two waits of one run that an event
    fits, the older takes it: a run consumes an event once. Events up to position
    `after` do not count: they came before the run's own, or before the ask. One that
    `seeks` has not looked at all earlier events yet, and may be given none meanwhile.
    """

    run_id: str
    step: str
    sequence: int
    event: str
    path: str
    match_key: bytes
    after: int = 0
    seeks: bool = False


class MatchPath(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How far the events of a name are indexed by what they have at a path.

    Those after position `after` are, and so will be all that come. A fill is under
    way where `through` is less: then those after `start` up to `through` are too.
    `made_at` is the length of the log when the index was made.
    """

    event: str
    path: str
    after: int
    start: int
    through: int
    made_at: int


class TimerRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Something that is due at `due` (microseconds).

    A run has at most one timer of a step and kind; `run` and `start` are of the
    step "".
    """

    run_id: str
    step: str
    kind: TimerKind
    due: int


class StoredEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event in its place in the log; `run_ids` are the runs it started.

    With a `redaction` its data is what stands in the place of what was stored.
    """

    position: int
    event: EventData
    run_ids: tuple[str, ...] = ()
    redaction: Redaction | None = None


class Delivery(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where the delivery of events to waits stopped, while it is unfinished.

    The event at `position` has been offered to waits up to (`run_id`,
    `sequence`), in that order; later events to no wait yet.
    """

    position: int
    run_id: str = ""
    sequence: int = 0


class EventLog(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How many events were stored; `delivery` is None if each found its waits."""

    length: int
    delivery: Delivery | None = None


class Hold(msgspec.Struct, frozen=True, gc=False):
    """The epoch of a run's holder, 0 if nobody holds it, and the run's length."""

    epoch: int
    length: int


class InboxRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record on its way into a history.

    `number` grows within a run and is never used twice, also when all are gone.
    `position` is the place in the event log of the event it brings, if any.
    """

    number: int
    draft: Draft
    position: int = 0
