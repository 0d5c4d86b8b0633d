"""The operations that `ctx.step` makes, and the arguments it refuses."""

import functools
import warnings
from datetime import UTC, datetime
from typing import Any

import pytest

import ironflow
from ironflow import limits
from ironflow.authoring.event import Event
from ironflow.authoring.step import StepClient
from ironflow.interpreter.fibers import source_of
from ironflow.interpreter.operations import (
    MISSING,
    Fork,
    Publish,
    RunStep,
    Sleep,
    WaitForEvent,
)
from tests.authoring.fake_view import FakeView

step = StepClient(FakeView())
DAY_US = 24 * 3600 * 1_000_000


def charge(customer: str, total: float) -> str:
    return f"{customer} {total}"


async def later(*_: Any) -> int:
    return 1


def line_of(operation: Any) -> int:
    """The line that the interpreter shows."""
    file, _, line = source_of(operation).partition(":")
    assert file == "authoring/test_step.py"
    return int(line)


def test_run_takes_a_function_its_arguments_and_options() -> None:
    retry = ironflow.Retry(max_attempts=2)

    plain = step.run("charge", charge, "c1", 2.5)
    full = step.run(
        "charge", later, timeout="5s", retry=retry, once="at_most", undo=later
    )

    assert isinstance(plain, RunStep)
    assert (plain.name, plain.fn, plain.args) == ("charge", charge, ("c1", 2.5))
    assert (plain.retry, plain.timeout_us, plain.once) == (None, 0, "at_least")
    assert plain.undo is None
    assert isinstance(full, RunStep)
    assert (full.timeout_us, full.retry) == (5_000_000, retry)
    assert (full.once, full.undo) == ("at_most", later)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("", charge), {}, "name='' is empty"),
        ((["charge"], charge), {}, "name must be a str, not list"),
        (("compensate:x", charge), {}, "begins with 'compensate:'"),
        (("x" * 201, charge), {}, "the limit is 200"),
        (("a", "charge"), {}, r"step\.run\('a', fn, \.\.\.\) got 'charge'"),
        (("a", charge), {"timeout": "soon"}, "timeout='soon' is not a duration"),
        (("a", charge), {"timeout": 0}, "timeout=0 leaves no time"),
        (("a", charge), {"retry": 3}, "retry=3 is not a policy"),
        (("a", charge), {"once": "twice"}, """once='twice' must be "at_least\""""),
        (("a", charge), {"undo": "refund"}, "undo=...* got 'refund'"),
    ],
)
def test_run_refuses(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(ironflow.ConfigurationError, match=message):
        _ = step.run(*arguments, **options)


def test_a_coroutine_given_for_a_function_is_closed_and_explained() -> None:
    with (
        warnings.catch_warnings(action="error"),
        pytest.raises(ironflow.ConfigurationError, match="called too early"),
    ):
        _ = step.run("a", later())  # type: ignore[call-overload]  # that is the test


def test_sleeps_take_durations_and_times() -> None:
    nap = step.sleep("nap", "1h30m")
    noon = step.sleep_until("noon", datetime(2030, 1, 1, 12, tzinfo=UTC))
    past = step.sleep_until("past", "1960-01-01T00:00:00Z")

    assert isinstance(nap, Sleep)
    assert (nap.duration_us, nap.until) == (90 * 60 * 1_000_000, 0)
    assert isinstance(noon, Sleep)
    assert noon.until == 1_893_499_200_000_000
    assert isinstance(past, Sleep)
    assert (past.duration_us, past.until) == (0, 0)


def test_sleeps_refuse_what_is_no_time() -> None:
    with pytest.raises(ironflow.ConfigurationError, match="duration='x'"):
        _ = step.sleep("nap", "x")
    with pytest.raises(ironflow.ConfigurationError, match="in which time zone"):
        _ = step.sleep_until("noon", "2030-01-01T12:00:00")


def test_a_wait_looks_back_seven_days_long_by_default() -> None:
    wait = step.wait_for_event("approval", "order.approved", match="data.id")

    assert isinstance(wait, WaitForEvent)
    assert (wait.name, wait.event, wait.path) == (
        "approval",
        "order.approved",
        "data.id",
    )
    assert wait.timeout_us == 7 * DAY_US == limits.WAIT_TIMEOUT_US_DEFAULT
    assert wait.look_back
    assert wait.default is MISSING
    assert wait.convert(FakeView({"a": 1}).event).data == {"a": 1}


def test_a_wait_has_options() -> None:
    for_ever = step.wait_for_event("w", "e", timeout=None, since="now", default=None)
    at_once = step.wait_for_event("w", "e", timeout=0)

    assert isinstance(for_ever, WaitForEvent)
    assert (for_ever.timeout_us, for_ever.look_back) == (0, False)
    assert for_ever.default is None
    assert isinstance(at_once, WaitForEvent)
    assert at_once.timeout_us == 1


@pytest.mark.parametrize(
    ("event", "options", "message"),
    [
        ("order.*", {}, r"event='order\.\*' is not a name"),
        ("system.orders", {}, "a namespace of the engine"),
        ("e", {"match": "a..b"}, r"match='a\.\.b' is not a path"),
        ("e", {"timeout": "soon"}, "timeout='soon'"),
        ("e", {"since": "ever"}, """since='ever' must be "trigger" or "now\""""),
    ],
)
def test_a_wait_refuses(event: str, options: Any, message: str) -> None:
    with pytest.raises(ironflow.ConfigurationError, match=message):
        _ = step.wait_for_event("w", event, **options)


def test_what_a_wait_gives_is_an_event() -> None:
    wait: Any = step.wait_for_event("w", "order.approved")

    assert isinstance(wait.convert(FakeView().event), Event)


def test_parallel_calls_each_branch_with_the_step_client() -> None:
    fork = step.parallel(
        "fan", [lambda s: s.sleep("a", 1), lambda s: s.sleep("b", 2)], concurrency=1
    )

    assert isinstance(fork, Fork)
    assert (fork.name, fork.concurrency, fork.collect) == ("fan", 1, False)
    asked: list[Any] = [branch() for branch in fork.branches]
    assert [operation.name for operation in asked] == ["a", "b"]


def test_a_list_gives_a_list_and_a_tuple_a_tuple() -> None:
    from_list = step.parallel("fan", [later])
    from_tuple = step.parallel("fan", (later, later), on_error="collect")

    assert isinstance(from_list, Fork)
    assert from_list.finish([1]) == [1]
    assert (from_list.concurrency, from_list.collect) == (0, False)
    assert isinstance(from_tuple, Fork)
    assert from_tuple.finish([1, 2]) == (1, 2)
    assert from_tuple.collect


@pytest.mark.parametrize(
    ("branches", "options", "message"),
    [
        ({"a": later}, {}, "give a list or a tuple of functions"),
        ([later, 5], {}, r"branches\[1\] must be a function such as .* it got 5"),
        ([step.sleep("a", 1)], {}, r"branches\[0\] must be a function"),
        ([later], {"concurrency": 0}, "concurrency=0 must be a whole number of 1"),
        ([later], {"concurrency": True}, "concurrency=True"),
        ([later], {"on_error": "stop"}, """on_error='stop' must be "fail_fast\""""),
        ([later] * (limits.BRANCHES_MAX + 1), {}, "the limit is 100000"),
    ],
)
def test_parallel_refuses(branches: Any, options: Any, message: str) -> None:
    with pytest.raises(ironflow.ConfigurationError, match=message):
        _ = step.parallel("fan", branches, **options)


def test_map_calls_its_function_with_item_client_and_index() -> None:
    seen: list[Any] = []

    async def ship(item: str, client: StepClient, index: int) -> None:
        seen.append((item, client, index))

    fork = step.map("ship", (word for word in "ab"), ship, on_error="collect")

    assert isinstance(fork, Fork)
    for branch in fork.branches:
        with pytest.raises(StopIteration):
            branch().__await__().send(None)
    assert seen == [("a", step, 0), ("b", step, 1)]
    assert fork.collect
    assert fork.finish([]) == []


@pytest.mark.parametrize(
    ("items", "fn", "message"),
    [
        ({1, 2}, later, r"got a set.*give sorted\(items\)"),
        (5, later, "got 5; give a list"),
        ([1], "ship", "got 'ship', which is no function"),
        (range(limits.BRANCHES_MAX + 1), later, "the limit is 100000"),
    ],
)
def test_map_refuses(items: Any, fn: Any, message: str) -> None:
    with pytest.raises(ironflow.ConfigurationError, match=message):
        _ = step.map("ship", items, fn)


def test_publish_names_a_topic() -> None:
    message = step.publish("orders.done", {"id": 1})

    assert isinstance(message, Publish)
    assert (message.topic, message.data) == ("orders.done", {"id": 1})
    with pytest.raises(ironflow.ConfigurationError, match="topic='a b'"):
        _ = step.publish("a b", None)


def test_compensate_registers_at_once_and_may_be_awaited() -> None:
    view = FakeView()

    async def workflow() -> str:
        await StepClient(view).compensate("refund", charge, "c1", 1.0)
        return "done"

    _ = StepClient(view).compensate("other", later)
    with pytest.raises(StopIteration) as end:
        workflow().send(None)

    assert end.value.value == "done"
    assert view.undos == [("other", later, ()), ("refund", charge, ("c1", 1.0))]


def test_every_operation_knows_the_line_that_made_it() -> None:
    first = line_of(step.run("a", charge, "c", 1.0))
    lines = [
        line_of(step.sleep("a", 1)),
        line_of(step.sleep_until("a", "2030-01-01T00:00:00Z")),
        line_of(step.wait_for_event("a", "e")),
        line_of(step.parallel("a", [later])),
        line_of(step.map("a", [1], later)),
        line_of(step.invoke("child")),
        line_of(step.publish("t", 1)),
    ]

    assert lines == [first + 2 + index for index in range(7)]


def test_a_partial_is_a_function() -> None:
    operation = step.run("charge", functools.partial(charge, total=1.0), "c1")

    assert isinstance(operation, RunStep)
    assert operation.args == ("c1",)
