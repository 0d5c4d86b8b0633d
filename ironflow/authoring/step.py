"""`ctx.step`: everything that a function may wait for."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any, Literal, TypeVar, TypeVarTuple, final, overload

from ironflow.authoring.arguments import (
    awaited_name,
    branch_limit,
    check_branches,
    check_callable,
    collects,
    known_name,
    listed,
    looks_back,
    set_options,
    step_name,
    wait_timeout,
)
from ironflow.authoring.children import ChildClient
from ironflow.authoring.event import Event, plain_event
from ironflow.authoring.frames import frame_at, placed
from ironflow.authoring.saga import Registered
from ironflow.interpreter.operations import (
    MISSING,
    Fork,
    Once,
    OnError,
    Operation,
    Publish,
    RunStep,
    Sleep,
    StepOutcome,
    WaitForEvent,
)
from ironflow.interpreter.program import RunView
from ironflow.policy.duration import Duration, parse_duration, parse_time
from ironflow.policy.match import parse_path
from ironflow.policy.names import check_topic
from ironflow.policy.retry import Retry

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
T = TypeVar("T")
ItemT = TypeVar("ItemT")
Args = TypeVarTuple("Args")

Branch = Callable[["StepClient"], Awaitable[T]]
Since = Literal["trigger", "now"]
FailFast = Literal["fail_fast"]
Collect = Literal["collect"]


@final
class StepClient(ChildClient):
    """What a function may wait for. Await what each method returns, at once.

    Every operation has a name by which its history knows it. A name may be used
    again, in a loop: the n-th use is an operation of its own. Renaming an
    operation, or moving it before another, is another history: open runs stop
    with a NondeterminismError that shows both lines.

    Awaited after the run was cancelled, each raises `ironflow.Cancelled`. Wrong
    arguments raise ConfigurationError where they are passed.
    """

    __slots__ = ("_view",)

    def __init__(self, view: RunView) -> None:
        self._view = view

    @overload
    def run(
        self,
        name: str,
        fn: Callable[[*Args], Awaitable[T]],
        *args: *Args,
        timeout: Duration | None = None,
        retry: Retry | None = None,
        once: Once = "at_least",
        undo: Callable[[StepOutcome[T]], object] | None = None,
    ) -> Operation[T]: ...
    @overload
    def run(
        self,
        name: str,
        fn: Callable[[*Args], T],
        *args: *Args,
        timeout: Duration | None = None,
        retry: Retry | None = None,
        once: Once = "at_least",
        undo: Callable[[StepOutcome[T]], object] | None = None,
    ) -> Operation[T]: ...
    def run(
        self,
        name: str,
        fn: Callable[[*Args], Any] | Any,
        *args: *Args,
        timeout: Duration | None = None,
        retry: Retry | None = None,
        once: Once = "at_least",
        undo: Callable[..., object] | None = None,
    ) -> Operation[Any]:
        """Call `fn(*args)` once, and remember what it returns.

        A plain function runs in a thread, an async one on Trio (on asyncio if
        marked with `ironflow.asyncio_step`). Later executions get the recorded
        result without a call. What `fn` returns must be data that its return
        annotation reads back as the same value.

        Args:
            name: The step's name.
            fn: What to call; what it needs comes in `args`. Keyword arguments go
                through `functools.partial`.
            args: Its positional arguments.
            timeout: How long an attempt may take; by default `step_timeout` of the
                function. A thread cannot be stopped: its step is then in doubt.
            retry: How often and when it is tried again; by default `retry` of the
                function.
            once: `"at_most"` records the start first, and gives StepInDoubt after
                a crash instead of calling again.
            undo: Called with the step's StepOutcome if the run, or a saga around
                the step, fails later; also if the step is in doubt.

        Raises:
            StepError: when awaited: the attempts are used up. `cause` says why.
        """
        frame = frame_at(1)
        try:
            name = known_name(name)
        except TypeError:  # it is not even hashable
            name = step_name(name)
        operation: RunStep[Any] = RunStep(name, fn, args, frame.f_code, frame.f_lasti)
        if not callable(fn):
            check_callable(fn, call=f"step.run({name!r}, fn, ...)")
        if (
            timeout is not None
            or retry is not None
            or undo is not None
            or once != "at_least"
        ):
            set_options(operation, timeout=timeout, retry=retry, once=once, undo=undo)
        return operation

    def sleep(self, name: str, duration: Duration) -> Operation[None]:
        """Sleep for `duration` ("30s", "1h30m", "7d", seconds, a timedelta).

        The time runs on while no process is there; a sleep that is over by then
        ends at once.
        """
        duration_us = parse_duration(duration, option="duration")
        return placed(Sleep(step_name(name), duration_us=duration_us), frame_at(1))

    def sleep_until(self, name: str, time: datetime | str) -> Operation[None]:
        """Sleep until `time`: a datetime with an offset, or ISO 8601 text with one.

        A past time is due at once.
        """
        until = parse_time(time, option="time")
        return placed(Sleep(step_name(name), until=until), frame_at(1))

    @overload
    def wait_for_event(
        self,
        name: str,
        event: str,
        *,
        match: str | None = None,
        timeout: Duration | None = "7d",
        since: Since = "trigger",
    ) -> Operation[Event[Any]]: ...
    @overload
    def wait_for_event(
        self,
        name: str,
        event: str,
        *,
        match: str | None = None,
        timeout: Duration | None = "7d",
        since: Since = "trigger",
        default: D,
    ) -> Operation[Event[Any] | D]: ...
    def wait_for_event(
        self,
        name: str,
        event: str,
        *,
        match: str | None = None,
        timeout: Duration | None = "7d",
        since: Since = "trigger",
        default: Any = MISSING,
    ) -> Operation[Any]:
        """Wait for an event, and give it.

        Takes the oldest event of that name that was stored after this run's own
        and that the run has not taken before; so one that came early is not lost.
        An event serves every run that waits for it.

        Args:
            name: The wait's name.
            event: The event's name, or `"topic:..."` for a message that is
                published; no pattern.
            match: A path such as `"data.order_id"`. The event fits if its value
                there equals that of the run's own event: same JSON type and value,
                never null.
            timeout: How long to wait; None waits for ever, 0 takes only what is
                already there.
            since: `"now"` takes later events only.
            default: What to give when the time is over, instead of raising.

        Raises:
            WaitTimedOut: when awaited: no event came in time.
            MatchPathMissing: when awaited: the run's own event has nothing at
                `match`.
        """
        if match is not None:
            parse_path(match, option="match")
        operation: WaitForEvent[Any] = WaitForEvent(
            step_name(name),
            awaited_name(event),
            path=match or "",
            timeout_us=wait_timeout(timeout),
            look_back=looks_back(since),
            default=default,
            convert=plain_event,
        )
        return placed(operation, frame_at(1))

    @overload
    def parallel(
        self,
        name: str,
        branches: tuple[Branch[A], Branch[B]],
        *,
        concurrency: int | None = None,
        on_error: FailFast = "fail_fast",
    ) -> Operation[tuple[A, B]]: ...
    @overload
    def parallel(
        self,
        name: str,
        branches: tuple[Branch[A], Branch[B], Branch[C]],
        *,
        concurrency: int | None = None,
        on_error: FailFast = "fail_fast",
    ) -> Operation[tuple[A, B, C]]: ...
    @overload
    def parallel(
        self,
        name: str,
        branches: tuple[Branch[A], Branch[B], Branch[C], Branch[D]],
        *,
        concurrency: int | None = None,
        on_error: FailFast = "fail_fast",
    ) -> Operation[tuple[A, B, C, D]]: ...
    @overload
    def parallel(
        self,
        name: str,
        branches: tuple[Branch[A], Branch[B], Branch[C], Branch[D], Branch[E]],
        *,
        concurrency: int | None = None,
        on_error: FailFast = "fail_fast",
    ) -> Operation[tuple[A, B, C, D, E]]: ...
    @overload
    def parallel(
        self,
        name: str,
        branches: tuple[Branch[T], ...],
        *,
        concurrency: int | None = None,
        on_error: FailFast = "fail_fast",
    ) -> Operation[tuple[T, ...]]: ...
    @overload
    def parallel(
        self,
        name: str,
        branches: tuple[Branch[T], ...],
        *,
        concurrency: int | None = None,
        on_error: Collect,
    ) -> Operation[tuple[T | Exception, ...]]: ...
    @overload
    def parallel(
        self,
        name: str,
        branches: list[Branch[T]],
        *,
        concurrency: int | None = None,
        on_error: FailFast = "fail_fast",
    ) -> Operation[list[T]]: ...
    @overload
    def parallel(
        self,
        name: str,
        branches: list[Branch[T]],
        *,
        concurrency: int | None = None,
        on_error: Collect,
    ) -> Operation[list[T | Exception]]: ...
    def parallel(
        self,
        name: str,
        branches: list[Branch[Any]] | tuple[Branch[Any], ...],
        *,
        concurrency: int | None = None,
        on_error: OnError = "fail_fast",
    ) -> Operation[Any]:
        """Run branches side by side; gives their results in the order given.

        Each branch is called with this step client, and returns something to
        await: `lambda step: step.run("mail", mail, order)`, or an async function
        of several steps. A list gives a list, a tuple a tuple.

        Args:
            name: The name of all of it, and the beginning of the ids inside.
            branches: A list or tuple of functions.
            concurrency: How many run at once; by default all.
            on_error: `"fail_fast"` raises the first failure once the branches that
                run have been stopped; `"collect"` gives the exceptions in the
                places of the results. A bug (an exception that is no RunFailure)
                is not raised: it pauses the run where it leaves the branch.
        """
        check_branches(branches, name=name)
        operation: Fork[Any] = Fork(
            step_name(name),
            [partial(branch, self) for branch in branches],
            concurrency=branch_limit(concurrency),
            collect=collects(on_error),
            finish=tuple if isinstance(branches, tuple) else list,
        )
        return placed(operation, frame_at(1))

    @overload
    def map(
        self,
        name: str,
        items: Iterable[ItemT],
        fn: Callable[[ItemT, "StepClient", int], Awaitable[T]],
        *,
        concurrency: int | None = None,
        on_error: FailFast = "fail_fast",
    ) -> Operation[list[T]]: ...
    @overload
    def map(
        self,
        name: str,
        items: Iterable[ItemT],
        fn: Callable[[ItemT, "StepClient", int], Awaitable[T]],
        *,
        concurrency: int | None = None,
        on_error: Collect,
    ) -> Operation[list[T | Exception]]: ...
    def map(
        self,
        name: str,
        items: Iterable[ItemT],
        fn: Callable[[ItemT, "StepClient", int], Awaitable[Any]],
        *,
        concurrency: int | None = None,
        on_error: OnError = "fail_fast",
    ) -> Operation[Any]:
        """Run `fn(item, step, index)` for every item; gives the results in order.

        The items must come in the same order in every execution, so a set is
        refused. `concurrency` and `on_error` are those of `parallel`.
        """
        check_callable(fn, call=f"step.map({name!r}, items, fn)")
        operation: Fork[Any] = Fork(
            step_name(name),
            [
                partial(fn, item, self, index)
                for index, item in enumerate(listed(items, name=name))
            ],
            concurrency=branch_limit(concurrency),
            collect=collects(on_error),
            finish=list,
        )
        return placed(operation, frame_at(1))

    def publish(self, topic: str, data: object) -> Operation[str]:
        """Publish `data` to a topic, once; gives the message's event id.

        It is published by the commit that records it: there is no time in which
        only one of the two is true.
        """
        return placed(Publish(check_topic(topic), data), frame_at(1))

    def compensate(
        self, name: str, fn: Callable[[*Args], object], *args: *Args
    ) -> Registered:
        """Register `fn(*args)` to be called if the run, or the saga, fails later.

        It is registered at once; awaiting the result changes nothing. Undos run
        newest first, each a retried step `compensate:<name>`. `step.run(...,
        undo=fn)` also covers a step that was stopped half-way: prefer it.
        """
        check_callable(fn, call=f"step.compensate({name!r}, fn, ...)")
        self._view.compensate(step_name(name), fn, args)
        return Registered()
