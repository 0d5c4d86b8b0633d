"""Whatever a published worker sends: it is refused by name, or leads to a history."""

from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ironflow.errors import ConfigurationError, ValueRejected
from ironflow.interpreter import outcomes
from ironflow.interpreter.segments_news import SleepAsked
from ironflow.policy.retry import Retry
from ironflow.records import SleepStarted
from ironflow.wire import protojson, segments, segments_stream
from ironflow.wire.errors import ConnectError
from ironflow.wire.proto.worker import WorkerMessage
from ironflow.wire.segments import Report
from tests.interpreter.segments_world import RUN_ID, SegmentWorld, pack

NOW = 1_700_000_000_000_000

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(
        [
            "2030-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "1d",
            "0s",
            "data.n",
            'data.n == "x"',
            "completed",
            "failed",
            "order.created",
            f"{RUN_ID}:a:0",
            f"{RUN_ID}:segment",
            f"{RUN_ID}:a\x00:0",
        ]
    )
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
ids = st.sampled_from([f"{RUN_ID}:a:0", f"{RUN_ID}:b:0", f"{RUN_ID}:fan:0:c:0"])


def mostly(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What belongs there, or anything."""
    return st.one_of(right, right, right, anything)


def documents(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with some of these fields, each mostly right."""
    return st.fixed_dictionaries(
        {}, optional={name: mostly(value) for name, value in fields.items()}
    )


errors = documents(
    message=st.text(max_size=5),
    code=st.just("STEP_FAILED"),
    retryable=st.booleans(),
    retry_after_ms=st.integers(-1, 2**62),
)
steps = documents(
    id=ids,
    status=st.sampled_from(["completed", "failed"]),
    output=anything,
    error=errors,
    started_at=st.just("2030-01-01T00:00:00Z"),
)
yields = documents(
    step_id=ids,
    type=st.sampled_from(
        ["sleep", "wait_for_event", "invoke_function", "invoke_function_async"]
    ),
    until=st.just("9999-12-31T23:59:59Z"),
    event_filter=documents(
        event=st.just("order.approved"),
        match=st.sampled_from(["data.n", 'data.n == "x"', "data.missing"]),
        match_value=st.text(max_size=3),
        timeout=st.just("1h"),
    ),
    function_id=st.just("other"),
    input=anything,
    invoke_timeout_ms=st.integers(-1, 2**62),
)
reports = documents(
    status=st.sampled_from(["progress", "completed", "failed", "yielded"]),
    steps=st.lists(steps, max_size=4),
    output=anything,
    error=errors,
).flatmap(lambda found: st.builds(lambda more: {**found, "yield": more}, yields))


def play(report: Report) -> None:
    """Let a run take a report, and then another one."""
    world = SegmentWorld({"n": 1}, retry=Retry(max_attempts=2, jitter=0.0))
    world.begin()
    for _ in range(2):
        if not world.player.is_over and world.moves[-1].state == "working":
            world.player.offer(report.news)
            outcome = outcomes.completed(world.performed, pack(None))
            if report.news.error is not None:
                outcome = outcomes.failed(
                    world.performed, ValueError("no"), now=world.now, draw=0.0
                )
            world.absorb(outcome)


@given(reports)
@example(
    {
        "status": "yielded",
        "yield": {
            "type": "sleep",
            "step_id": f"{RUN_ID}:a\x00:0",
            "until": "2030-01-01T00:00:00Z",
        },
    }
)
def test_any_document_is_refused_or_makes_a_history(found: Any) -> None:
    try:
        report = segments.report_of(segments.parsed(msgspec.json.encode(found)), RUN_ID)
    except (ConfigurationError, ValueRejected):
        return
    play(report)


instants = st.sampled_from(["2030-01-01T00:00:00Z", "0001-01-01T00:00:00Z"])
messages = st.one_of(
    documents(stepCompleted=documents(stepId=ids, outputValue=anything, durationMs=st.integers(-5, 2**31 - 1))),
    documents(stepFailed=documents(stepId=ids, error=errors)),
    documents(
        stepYielded=documents(
            stepId=ids,
            sleep=documents(until=instants),
            waitEvent=documents(eventName=st.just("e"), timeout=instants),
            invokeFunction=documents(functionId=st.just("f"), inputJson=st.text(max_size=4)),
        )
    ),
    documents(jobCompleted=documents(output=anything, outputValue=anything)),
    documents(jobFailed=documents(error=errors, steps=st.lists(documents(id=ids, status=st.just("failed"), outputValue=anything)))),
)  # fmt: skip


@given(messages)
def test_any_message_is_refused_or_makes_a_history(found: Any) -> None:
    try:
        message = protojson.decode(WorkerMessage, msgspec.json.encode(found))
    except ConnectError:
        return
    for name in (
        "step_completed",
        "step_failed",
        "step_yielded",
        "job_completed",
        "job_failed",
    ):
        told = getattr(message, name)
        if told is None:
            continue
        try:
            report = segments_stream.report_of(told, RUN_ID, now=NOW)
        except (ConfigurationError, ValueRejected):
            continue
        play(report)


@pytest.mark.parametrize("until", [-(2**62), 0, 2**62])
def test_a_time_out_of_range_is_the_nearest_that_there_is(until: int) -> None:
    """A store must be able to sort it."""
    world = SegmentWorld()
    world.begin()
    world.tell(then=SleepAsked("nap:0", until))

    record = world.records[-1]
    assert isinstance(record, SleepStarted)
    assert 1 <= record.until < 10**18
