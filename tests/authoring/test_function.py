"""What `@ironflow.function` makes, and what it refuses."""

from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec
import pytest

import ironflow
from ironflow.authoring.function import function
from tests.authoring.fake_view import FakeView, ended


class Order(msgspec.Struct):
    id: str
    items: list[int] = []


@dataclass
class PlainOrder:
    id: str


class DictOrder(TypedDict):
    id: str


class Model:
    """Acts like a model of pydantic."""

    def __init__(self, identifier: str) -> None:
        self.id = identifier

    def model_dump(self, **_: object) -> dict[str, object]:
        return {"id": self.id}

    @classmethod
    def model_validate(cls, stored: dict[str, str]) -> "Model":
        return cls(stored["id"])


async def workflow(ctx: ironflow.Context[Any]) -> None: ...


def test_a_decorated_function_is_a_value_that_shows_its_options() -> None:
    made = function(
        id="process-order",
        triggers=["order.placed", "order.*.again"],
        retry=ironflow.Retry(max_attempts=2),
        run_timeout="30d",
        step_timeout=1.5,
        start_timeout="1h",
        concurrency=3,
        concurrency_key="customer.id",
        history_limit=10,
        patches=["faster"],
        undo_on_cancel=False,
        on_bug="fail",
        version="v7",
    )(workflow)

    program = made.program
    assert made.id == program.id == "process-order"
    assert made.triggers == ("order.placed", "order.*.again")
    assert made.fn is workflow
    assert program.retry.max_attempts == 2
    assert program.run_timeout_us == 30 * 24 * 3600 * 1_000_000
    assert program.step_timeout_us == 1_500_000
    assert program.start_timeout_us == 3600 * 1_000_000
    assert (program.concurrency, program.concurrency_key) == (3, "customer.id")
    assert program.history_limit == 10
    assert program.patches == {"faster"}
    assert (program.undo_on_cancel, program.on_bug) == (False, "fail")
    assert program.version == "v7"
    assert repr(made) == "<ironflow.Function 'process-order'>"


def test_without_options_a_function_has_its_own_name_and_no_limits() -> None:
    @function
    async def tidy_up(ctx: ironflow.Context[Any]) -> int:
        return 1

    assert tidy_up.id == "tidy-up"
    assert tidy_up.triggers == ()
    assert tidy_up.program.retry == ironflow.Retry()
    assert tidy_up.program.run_timeout_us == 0
    assert tidy_up.program.output is int


def test_a_function_cannot_be_changed() -> None:
    made = function(workflow)

    with pytest.raises(AttributeError):
        made.id = "another"  # type: ignore[misc]  # that is the test


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": "no spaces"}, "id='no spaces'"),
        ({"triggers": "order.placed"}, "triggers='order.placed' must be a list"),
        ({"triggers": ["a", "b c"]}, r"triggers\[1\]='b c'"),
        ({"triggers": ["a.>.b"]}, r"triggers\[0\]='a.>.b'"),
        ({"triggers": ["a", "a"]}, "names one thing twice"),
        ({"triggers": [1]}, r"triggers\[0\] must be a str"),
        ({"retry": 3}, r"retry=3 is not a policy; write retry=ironflow.Retry"),
        ({"run_timeout": "soon"}, "run_timeout='soon' is not a duration"),
        ({"step_timeout": 0}, "step_timeout=0 leaves no time"),
        ({"start_timeout": -1}, "start_timeout=-1 is negative"),
        ({"concurrency": 0}, "concurrency=0 must be a whole number from 1 on"),
        ({"concurrency": True}, "concurrency=True must be a whole number"),
        ({"concurrency": 1, "concurrency_key": "a."}, "concurrency_key='a.' is not a"),
        ({"concurrency_key": "a"}, "concurrency_key='a' needs concurrency="),
        ({"history_limit": 0}, "history_limit=0 must be a whole number from 1"),
        ({"history_limit": True}, "history_limit=True"),
        ({"patches": "faster"}, "patches='faster' must be a list"),
        ({"patches": [""]}, r"patches\[0\]=''"),
        ({"undo_on_cancel": 1}, "undo_on_cancel=1 must be True or False"),
        ({"on_bug": "ignore"}, """on_bug='ignore' must be "pause" or "fail\""""),
        ({"version": ""}, "version='' is empty"),
    ],
)
def test_a_wrong_option_is_named_with_its_function(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ironflow.ConfigurationError, match=message) as refused:
        function(**options)(workflow)

    assert str(refused.value).startswith(f"function {options.get('id', 'workflow')!r}:")


@pytest.mark.parametrize("option", ["cron", "debounce", "throttle", "loop"])
def test_an_option_that_is_not_built_is_not_accepted(option: str) -> None:
    with pytest.raises(TypeError, match=option):
        function(**{option: 1})  # type: ignore[call-overload]  # that is the test


async def generator(ctx: object) -> Any:
    yield


async def no_parameter() -> None: ...
async def two_parameters(ctx: object, order: object) -> None: ...
async def keyword_only(*, ctx: object) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda ctx: None, "takes `async def workflow.ctx.`, not <function"),
        (Order, "not <class"),
        (generator, "not an async generator"),
        (no_parameter, "must take one parameter"),
        (two_parameters, "must take one parameter"),
        (keyword_only, "must take one parameter"),
    ],
)
def test_what_is_no_workflow_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ironflow.ConfigurationError, match=message):
        function()(wrong)


def test_an_annotation_that_is_no_context_is_refused() -> None:
    async def wrong(ctx: Order) -> None: ...

    with pytest.raises(ironflow.ConfigurationError, match=r"write `ctx: ironflow\."):
        function()(wrong)  # type: ignore[arg-type]  # that is the test


def test_types_that_are_no_data_are_refused_when_the_function_is_defined() -> None:
    async def opened(ctx: ironflow.Context[FakeView]) -> None: ...
    async def returned(ctx: ironflow.Context[Any]) -> FakeView:
        raise NotImplementedError

    async def unknown(ctx: "ironflow.Context[Missing]") -> None: ...  # type: ignore[name-defined]  # noqa: F821  that is the test

    with pytest.raises(ironflow.ConfigurationError, match="annotation of 'ctx'"):
        function()(opened)
    with pytest.raises(ironflow.ConfigurationError, match="its return annotation"):
        function()(returned)
    with pytest.raises(ironflow.ConfigurationError, match="'Missing' is not defined"):
        function()(unknown)


@pytest.mark.parametrize("payload", [Order, PlainOrder, Model])
def test_the_data_of_the_event_has_the_declared_type(payload: type) -> None:
    async def workflow(ctx: Any) -> object:
        return ctx.event.data

    workflow.__annotations__["ctx"] = ironflow.Context[payload]  # type: ignore[valid-type]  # a variable

    data = ended(function()(workflow).program.start(FakeView({"id": "o1"})))

    assert isinstance(data, payload)
    assert getattr(data, "id") == "o1"  # noqa: B009  mypy sees an object


def test_the_data_may_be_a_dict_or_anything() -> None:
    @function
    async def typed(ctx: ironflow.Context[DictOrder]) -> str:
        return ctx.event.data["id"]

    @function
    async def untyped(ctx) -> object:  # type: ignore[no-untyped-def]  # that is the test
        return ctx.event.data

    view = FakeView({"id": "o1"})
    assert ended(typed.program.start(view)) == "o1"
    assert ended(untyped.program.start(view)) == {"id": "o1"}


def test_data_that_does_not_fit_names_function_event_and_path() -> None:
    @function(id="process-order")
    async def process(ctx: ironflow.Context[Order]) -> None: ...

    view = FakeView({"id": "o1", "items": [1, "two"]})
    with pytest.raises(ironflow.PayloadRejected) as refused:
        _ = process.program.start(view)

    message = str(refused.value)
    assert "'process-order'" in message
    assert "'order.placed' (evt_1)" in message
    assert "$.items[1]" in message


def test_a_decorated_workflow_keeps_its_types() -> None:
    import functools

    def noisy(fn: Any) -> Any:
        @functools.wraps(fn)
        async def wrapper(*args: Any) -> Any:
            return await fn(*args)

        return wrapper

    @function
    @noisy
    async def process(ctx: ironflow.Context[Order]) -> str:
        return ctx.event.data.id

    assert process.program.output is str
    assert ended(process.program.start(FakeView({"id": "o1"}))) == "o1"
