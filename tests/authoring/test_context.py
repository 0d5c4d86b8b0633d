"""What `ctx` tells of a run."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import RFC_4122

import pytest

import ironflow
from ironflow.authoring.context import Context
from ironflow.authoring.event import typed_event
from ironflow.interpreter.operations import ContinueAsNew, UndoSaga
from tests.authoring.fake_view import FakeView, asked


def context(view: FakeView) -> Context[Any]:
    event = typed_event(view.event, Any, function_id="f")
    return Context(view, event, max_attempts=5)


def test_the_event_has_everything_its_sender_gave() -> None:
    view = FakeView(
        {"id": 1},
        version=2,
        timestamp=1_000_000,
        metadata={"tenant": "a"},
        idempotency_key="k",
        source="web",
    )

    event = context(view).event

    assert event.id == "evt_1"
    assert event.name == "order.placed"
    assert event.data == {"id": 1}
    assert event.version == 2
    assert event.timestamp == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert event.metadata == {"tenant": "a"}
    assert (event.idempotency_key, event.source) == ("k", "web")


def test_the_run_is_shown_as_it_is_now() -> None:
    view = FakeView()
    ctx = context(view)
    before = ctx.run
    view.attempt = 2

    assert (before.id, before.function_id) == ("run_1", "process-order")
    assert (before.attempt, before.max_attempts) == (1, 5)
    assert ctx.run.attempt == 2


def test_the_time_is_exact_and_knows_its_zone() -> None:
    now = context(FakeView()).now()

    assert now - datetime(1970, 1, 1, tzinfo=UTC) == timedelta(
        microseconds=1_700_000_000_123_456
    )


def test_chance_and_ids_come_from_the_run() -> None:
    ctx, again = context(FakeView()), context(FakeView())

    drawn = ctx.random().random(), ctx.uuid()

    assert drawn == (again.random().random(), again.uuid())
    assert drawn[1].version == 4
    assert drawn[1].variant == RFC_4122


def test_patches_are_asked_of_the_run() -> None:
    ctx = context(FakeView())

    assert ctx.patched("applied")
    assert not ctx.patched("other")


def test_lines_go_to_the_run_with_the_levels_of_logging() -> None:
    view = FakeView()
    log = context(view).logger

    log.debug("a %s", 1)
    log.info("b")
    log.warning("c")
    log.error("d")
    log.log(logging.CRITICAL, "e")
    try:
        raise ValueError("wrong")
    except ValueError as error:
        caught = error
        log.exception("f")

    assert view.lines == [
        (logging.DEBUG, "a %s", (1,), None),
        (logging.INFO, "b", (), None),
        (logging.WARNING, "c", (), None),
        (logging.ERROR, "d", (), None),
        (logging.CRITICAL, "e", (), None),
        (logging.ERROR, "f", (), caught),
    ]


def test_a_level_is_a_number() -> None:
    with pytest.raises(ironflow.ConfigurationError, match="level='info'"):
        context(FakeView()).logger.log("info", "text")  # type: ignore[arg-type]  # that is the test


def test_continue_as_new_is_an_operation_that_knows_its_line() -> None:
    async def workflow(ctx: Context[Any]) -> None:
        await ctx.continue_as_new({"page": 2})

    operation = asked(workflow(context(FakeView())))

    assert isinstance(operation, ContinueAsNew)
    assert operation.data == {"page": 2}
    assert operation.code is workflow.__code__


async def with_saga(ctx: Context[Any], error: BaseException | None) -> str:
    async with ctx.saga():
        if error is not None:
            raise error
    return "after"


def test_a_saga_that_succeeds_passes_its_undos_on() -> None:
    view = FakeView()

    with pytest.raises(StopIteration):
        with_saga(context(view), None).send(None)

    assert view.sagas == ["entered", "left handle"]


@pytest.mark.parametrize(
    "error",
    [ironflow.NonRetryableError("no"), ironflow.Cancelled(), ValueError("a bug")],
)
def test_a_saga_left_by_an_exception_asks_to_undo_and_lets_it_go_on(
    error: BaseException,
) -> None:
    view = FakeView()
    body = with_saga(context(view), error)

    operation = body.send(None)

    assert isinstance(operation, UndoSaga)
    assert (operation.saga, operation.error) == ("handle", error)
    assert operation.code is with_saga.__code__
    with pytest.raises(type(error)):
        body.send(None)
    assert view.sagas == ["entered"]


def test_a_saga_in_a_dropped_coroutine_does_nothing() -> None:
    async def waiting(ctx: Context[Any]) -> None:
        async with ctx.saga():
            await ctx.step.sleep("nap", 1)

    view = FakeView()
    body = waiting(context(view))
    body.send(None)

    body.close()

    assert view.sagas == ["entered"]


def test_a_saga_is_entered_once() -> None:
    async def twice(ctx: Context[Any]) -> None:
        saga = ctx.saga()
        async with saga:
            pass
        async with saga:
            pass

    with pytest.raises(ironflow.MisusedOperation, match="entered once"):
        twice(context(FakeView())).send(None)


def test_a_saga_may_be_left_by_hand_with_an_exception_never_raised() -> None:
    saga = context(FakeView()).saga()

    operation = saga.__aexit__(ValueError, ValueError("a bug"), None).send(None)

    assert isinstance(operation, UndoSaga)
    assert operation.code is None
