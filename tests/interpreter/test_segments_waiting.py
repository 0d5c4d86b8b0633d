"""Runs of the published SDKs that sleep, wait for an event or for a child."""

import msgspec
import pytest

from ironflow.interpreter import failures
from ironflow.interpreter.segments_news import (
    ChildAsked,
    Row,
    SleepAsked,
    WaitAsked,
)
from ironflow.interpreter.turn import StopChild
from ironflow.policy.match import match_key
from ironflow.records import (
    CancelRequested,
    ChildEnded,
    ChildStarted,
    CodeChanged,
    DeadlinePassed,
    Draft,
    ErrorInfo,
    EventData,
    EventReceived,
    SleepFired,
    SleepStarted,
    StepCompleted,
    WaitStarted,
    WaitTimedOut,
)
from tests.interpreter.segments_world import (
    RUN_ID,
    SECOND,
    SegmentWorld,
    broke,
    done,
    kinds,
    pack,
)


def begun(data: object = None, **options: object) -> SegmentWorld:
    world = SegmentWorld(data, **options)
    world.begin()
    return world


# --- sleeps -------------------------------------------------------------------------------


def test_a_sleep_parks_the_run_and_becomes_a_row() -> None:
    world = begun()
    move = world.tell(done("a:0"), then=SleepAsked("nap:0", 9 * SECOND))
    assert (move.state, move.perform) == ("waiting", ())
    assert kinds(move.entries) == ["StepCompleted", "SleepStarted"]

    woken = world.absorb(Draft(SleepFired(id="nap:0")))

    assert woken.state == "working"
    assert woken.perform[0].attempt == 1
    assert world.segment.rows[-1] == Row(id="nap:0", kind="sleep")


def test_what_names_nothing_open_is_dropped() -> None:
    world = begun()
    world.tell(then=SleepAsked("nap:0", 9 * SECOND))

    move = world.absorb(
        Draft(SleepFired(id="other:0")),
        Draft(WaitTimedOut(id="nap:0")),
        Draft(StepCompleted(id="segment", attempt=1)),
        Draft(ChildEnded(id="nap:0", child_run="", status="completed")),
        Draft(CodeChanged(version="v2")),
    )

    assert (move.taken, move.entries, move.state) == (5, (), "waiting")


def test_the_open_wait_is_told_to_the_journal() -> None:
    world = begun()
    world.tell(then=SleepAsked("nap:0", 9 * SECOND))
    before = world.player.awaited()

    world.restart()

    assert before == ()
    [record] = world.player.awaited()
    assert isinstance(record, SleepStarted)
    assert world.segment.stored == 1


def test_a_run_that_waits_for_a_child_or_nothing_has_no_open_wait() -> None:
    world = begun()
    world.restart()
    nothing = world.player.awaited()
    world.tell(then=ChildAsked(id="other:0", function_id="other"))
    world.restart()

    assert nothing == world.player.awaited() == ()


# --- waits --------------------------------------------------------------------------------


def wait(match: str, literal: str | None = None, data: object = None) -> WaitStarted:
    world = begun({"orderId": "o1"} if data is None else data)
    world.tell(
        then=WaitAsked(
            id="ok:0", event=" order.approved ", match=match, literal=literal
        )
    )
    record = world.records[-1]
    assert isinstance(record, WaitStarted)
    return record


def test_a_wait_seeks_the_value_of_the_runs_own_event() -> None:
    record = wait("data.orderId")

    assert (record.event, record.path) == ("order.approved", "data.orderId")
    assert record.match_key == match_key("o1")
    assert record.look_back
    assert record.timeout_at == 0


def test_a_wait_without_a_match_takes_any_event_of_the_name() -> None:
    record = wait("")

    assert (record.path, record.match_key) == ("", b"")


def test_a_wait_may_seek_a_given_text() -> None:
    record = wait("data.runId", RUN_ID)

    assert record.match_key == match_key(RUN_ID)


@pytest.mark.parametrize(
    ("match", "path", "literal"),
    [
        ('data.runId == "run_1"', "data.runId", "run_1"),
        ("event.data.runId=='a b'", "data.runId", "a b"),
        (r'data.x == "a\"b\\c"', "data.x", 'a"b\\c'),
        ('data.x == ""', "data.x", ""),
    ],
)
def test_a_wait_may_compare_a_path_with_a_text(
    match: str, path: str, literal: str
) -> None:
    record = wait(match)

    assert (record.path, record.match_key) == (path, match_key(literal))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (WaitAsked(id="ok:0", event="x", match="data.missing"), "MATCH_PATH_MISSING"),
        (WaitAsked(id="ok:0", event="x", match="data.nil"), "MATCH_PATH_MISSING"),
        (WaitAsked(id="ok:0", event="x", match="a..b"), "NOT_CONFIGURED"),
        (WaitAsked(id="ok:0", event="x", match="a == b"), "NOT_CONFIGURED"),
        (WaitAsked(id="ok:0", event="x.*"), "NOT_CONFIGURED"),
        (WaitAsked(id="", event="x"), "NOT_CONFIGURED"),
        (SleepAsked("segment", 1), "NOT_CONFIGURED"),
        (SleepAsked("a:0", 1), "MISUSED_OPERATION"),
        (SleepAsked("b:0", 1), "MISUSED_OPERATION"),
        (SleepAsked("c:0", 1), "MISUSED_OPERATION"),
        (ChildAsked(id="d:0", function_id=""), "NOT_CONFIGURED"),
    ],
)
def test_what_cannot_be_asked_fails_the_run(
    asked: WaitAsked | SleepAsked | ChildAsked, code: str
) -> None:
    world = begun({"nil": None})
    world.tell(done("a:0"), broke("b:0"))
    world.tell(then=ChildAsked(id="c:0", function_id="other", awaited=False))

    move = world.tell(done("e:0"), then=asked)

    assert kinds(move.entries) == ["StepCompleted", "StepFailed", "RunEnded"]
    assert world.error().code == code
    assert not world.error().retryable


def test_an_event_becomes_a_row_that_is_the_event() -> None:
    world = begun()
    world.tell(then=WaitAsked(id="ok:0", event="order.approved", timeout_us=SECOND))
    record = world.records[-1]
    assert isinstance(record, WaitStarted)
    assert record.timeout_at == record.recorded_at + SECOND
    event = EventData(id="evt_2", name="order.approved", data=msgspec.Raw(pack(1)))

    move = world.absorb(Draft(EventReceived(id="ok:0", event_id="evt_2"), pack(event)))

    assert move.state == "working"
    [row] = world.segment.rows
    assert row.kind == "wait"
    assert msgspec.msgpack.decode(row.payload, type=EventData).id == "evt_2"


def test_a_wait_that_times_out_fails_the_run() -> None:
    world = begun()
    world.tell(then=WaitAsked(id="ok:0", event="order.approved", timeout_us=SECOND))

    move = world.absorb(Draft(WaitTimedOut(id="ok:0")))

    assert kinds(move.entries) == ["WaitTimedOut", "RunEnded"]
    assert (world.state.status, world.error().code) == ("failed", "TIMEOUT")
    assert "'ok:0'" in world.error().message


# --- children -----------------------------------------------------------------------------


def waiting_for_child(timeout_us: int = 0) -> SegmentWorld:
    world = begun()
    child = ChildAsked(
        id="other:0", function_id="other", payload=pack(5), timeout_us=timeout_us
    )
    world.tell(then=child)
    return world


def ended(status: str, payload: bytes = b"") -> Draft:
    return Draft(ChildEnded(id="other:0", child_run="run_x", status=status), payload)


def test_a_child_is_started_with_its_input() -> None:
    world = waiting_for_child(timeout_us=SECOND)

    record = world.records[-1]
    assert isinstance(record, ChildStarted)
    assert (record.function_id, record.awaited, record.attached) == (
        "other",
        True,
        True,
    )
    assert record.child_run.startswith("run_")
    assert record.timeout_at == record.recorded_at + SECOND
    assert world.history[-1].payload == pack(5)
    assert world.moves[-1].state == "waiting"
    assert world.segment.stored == 1


def test_the_result_of_a_child_becomes_a_row() -> None:
    world = waiting_for_child()

    move = world.absorb(ended("completed", pack({"x": 1})))

    assert move.state == "working"
    assert world.rows() == {"other:0": {"x": 1}}


def test_a_child_that_failed_becomes_a_failed_row() -> None:
    world = waiting_for_child()
    info = ErrorInfo(type="X", message="broken", code="STEP_FAILED")

    world.absorb(ended("failed", failures.encode(info)))

    [row] = world.segment.rows
    assert (row.kind, row.function_id, row.error) == ("invoke", "other", info)
    assert row.child_run.startswith("run_")


def test_a_child_that_was_cancelled_becomes_a_failed_row() -> None:
    world = waiting_for_child()

    world.absorb(ended("cancelled"))

    error = world.segment.rows[0].error
    assert error is not None
    assert error.type == "Cancelled"


def test_a_child_out_of_time_is_stopped_and_the_run_waits_for_its_end() -> None:
    world = waiting_for_child(timeout_us=SECOND)

    late = world.absorb(Draft(DeadlinePassed(id="other:0", timer="invoke")))
    world.absorb(ended("cancelled"))

    assert late.state == "waiting"
    [stop] = late.stops
    assert isinstance(stop, StopChild)
    assert stop.id == "other:0"
    error = world.segment.rows[0].error
    assert error is not None
    assert error.code == "TIMEOUT"


def test_a_run_goes_on_at_once_with_a_child_that_it_does_not_await() -> None:
    world = begun()

    move = world.tell(then=ChildAsked(id="o:0", function_id="other", awaited=False))

    record = world.records[-1]
    assert isinstance(record, ChildStarted)
    assert (record.attached, record.awaited) == (False, False)
    assert move.state == "working"
    assert world.rows() == {"o:0": {"run_id": record.child_run}}
    assert world.segment.stored == 1


def test_the_end_of_a_child_that_is_not_awaited_is_on_record_only() -> None:
    world = begun()
    world.tell(then=ChildAsked(id="other:0", function_id="other", awaited=False))
    before = world.rows()

    move = world.absorb(ended("failed", failures.encode(ErrorInfo("X", "gone"))))

    assert kinds(move.entries) == ["ChildEnded"]
    assert (move.state, move.perform) == ("working", ())
    assert world.rows() == before


def test_a_cancel_stops_the_child_that_is_waited_for() -> None:
    world = waiting_for_child()

    move = world.absorb(Draft(CancelRequested()))

    [stop] = move.stops
    assert isinstance(stop, StopChild)
    assert "no reason was given" in world.error().message
