"""`@ironflow.function`: an async def and its options become a value."""

import inspect
import typing
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import FunctionType, SimpleNamespace
from typing import Any, Final, Literal, TypeVar, get_args, overload

from ironflow import limits, values
from ironflow.authoring.arguments import check_retry, positive_duration, shown
from ironflow.authoring.context import Context
from ironflow.authoring.definition import Function
from ironflow.authoring.event import typed_event
from ironflow.authoring.version import code_version
from ironflow.errors import ConfigurationError
from ironflow.interpreter.program import Body, Program, RunView
from ironflow.policy.attributes import check_paths
from ironflow.policy.duration import Duration
from ironflow.policy.match import parse_path, parse_pattern
from ironflow.policy.names import check_function_id, check_text
from ironflow.policy.retry import Retry

PayloadT = TypeVar("PayloadT")
OutputT = TypeVar("OutputT")
OnBug = Literal["pause", "fail"]
Workflow = Callable[[Context[PayloadT]], Coroutine[Any, Any, OutputT]]

# What resolving an annotation that is a text may raise.
_UNRESOLVED: Final = (AttributeError, NameError, SyntaxError, TypeError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    id: str | None
    triggers: Sequence[str]
    retry: Retry | None
    run_timeout: Duration | None
    step_timeout: Duration | None
    start_timeout: Duration | None
    concurrency: int | None
    concurrency_key: str | None
    retention: Duration | None
    history_limit: int
    patches: Sequence[str]
    undo_on_cancel: bool
    on_bug: OnBug
    version: str | None
    attributes: Mapping[str, str] | None


@overload
def function(fn: Workflow[PayloadT, OutputT], /) -> Function[PayloadT, OutputT]: ...
@overload
def function(
    *,
    id: str | None = None,
    triggers: Sequence[str] = (),
    retry: Retry | None = None,
    run_timeout: Duration | None = None,
    step_timeout: Duration | None = None,
    start_timeout: Duration | None = None,
    concurrency: int | None = None,
    concurrency_key: str | None = None,
    retention: Duration | None = None,
    history_limit: int = limits.HISTORY_RECORDS_DEFAULT,
    patches: Sequence[str] = (),
    undo_on_cancel: bool = True,
    on_bug: OnBug = "pause",
    version: str | None = None,
    attributes: Mapping[str, str] | None = None,
) -> Callable[[Workflow[PayloadT, OutputT]], Function[PayloadT, OutputT]]: ...
def function(
    fn: Workflow[Any, Any] | None = None,
    *,
    id: str | None = None,  # noqa: A002  the option's public name
    triggers: Sequence[str] = (),
    retry: Retry | None = None,
    run_timeout: Duration | None = None,
    step_timeout: Duration | None = None,
    start_timeout: Duration | None = None,
    concurrency: int | None = None,
    concurrency_key: str | None = None,
    retention: Duration | None = None,
    history_limit: int = limits.HISTORY_RECORDS_DEFAULT,
    patches: Sequence[str] = (),
    undo_on_cancel: bool = True,
    on_bug: OnBug = "pause",
    version: str | None = None,
    attributes: Mapping[str, str] | None = None,
) -> object:
    """Make an `async def workflow(ctx)` a function that survives a crash.

    Args:
        fn: The function; data that does not fit `ctx: Context[Order]` fails a run.
        id: Letters, digits, - and _; by default the function's name with - for _.
        triggers: Events that start it: names, or patterns ("order.*", "order.>").
        retry: How steps are tried again that say nothing else.
        run_timeout: From a run's start to its end, waits included: "1h30m", 3.5.
        step_timeout: For each attempt of a step that says nothing else.
        start_timeout: From the event until somebody takes the run up.
        concurrency: How many of its runs go on at once; what waits is not counted.
        concurrency_key: A path into the event; then so many for each value there.
        retention: How long a run is kept after its end; None: as the engine says.
        history_limit: The most records of a run; loop with `ctx.continue_as_new`.
        patches: What `ctx.patched` may be asked for.
        undo_on_cancel: Whether a cancelled run undoes its steps; an open saga does.
        on_bug: Whether an exception that is no failure pauses or fails the run.
        version: Which code this is; by default a digest of its source file.
        attributes: What lists find a run by: names, and paths into its event.

    Raises:
        ConfigurationError: something is wrong; it names function and option.
    """
    options = _Options(
        id=id,
        triggers=triggers,
        retry=retry,
        run_timeout=run_timeout,
        step_timeout=step_timeout,
        start_timeout=start_timeout,
        concurrency=concurrency,
        concurrency_key=concurrency_key,
        retention=retention,
        history_limit=history_limit,
        patches=patches,
        undo_on_cancel=undo_on_cancel,
        on_bug=on_bug,
        version=version,
        attributes=attributes,
    )
    return partial(_define, options) if fn is None else _define(options, fn)


def _define(options: _Options, fn: Workflow[Any, Any]) -> Function[Any, Any]:
    name = options.id or getattr(fn, "__qualname__", shown(fn))
    try:
        parameter = _checked_parameter(fn)
        function_id = check_function_id(
            fn.__name__.replace("_", "-") if options.id is None else options.id
        )
        triggers = _checked_names(options.triggers, option="triggers")
        for index, trigger in enumerate(triggers):
            parse_pattern(trigger, option=f"triggers[{index}]")
        program = _program(fn, parameter, options, function_id=function_id)
    except ConfigurationError as error:
        raise ConfigurationError(f"function {name!r}: {error}") from error
    return Function(function_id, triggers, fn, program)


def _program(
    fn: Workflow[Any, Any], parameter: str, options: _Options, *, function_id: str
) -> Program:
    retry = options.retry
    if retry is None:
        retry = Retry()
    check_retry(retry)
    _check_choices(options)
    _check_concurrency(options)
    output = values.return_annotation(fn)
    values.check_annotation(output, where="its return annotation")
    return Program(
        id=function_id,
        start=_starter(fn, parameter, function_id=function_id, retry=retry),
        version=_version(fn, options, function_id=function_id),
        patches=frozenset(_checked_names(options.patches, option="patches")),
        retry=retry,
        step_timeout_us=_timeout(options.step_timeout, option="step_timeout"),
        run_timeout_us=_timeout(options.run_timeout, option="run_timeout"),
        start_timeout_us=_timeout(options.start_timeout, option="start_timeout"),
        concurrency=options.concurrency or 0,
        concurrency_key=options.concurrency_key or "",
        retention_us=_timeout(options.retention, option="retention"),
        history_limit=options.history_limit,
        undo_on_cancel=options.undo_on_cancel,
        on_bug=options.on_bug,
        attributes=check_paths(options.attributes or {}, option="attributes"),
        output=output,
    )


def _starter(
    fn: Workflow[Any, Any], parameter: str, *, function_id: str, retry: Retry
) -> Callable[[RunView], Body]:
    payload = _payload_annotation(fn, parameter)
    values.check_annotation(payload, where=f"the annotation of {parameter!r}")

    def start(view: RunView) -> Body:
        event = typed_event(view.event, payload, function_id=function_id)
        return fn(Context(view, event, max_attempts=retry.max_attempts))

    return start


def _checked_parameter(fn: object) -> str:
    """The name of the one parameter of a function that is as it must be."""
    if not isinstance(fn, FunctionType) or not inspect.iscoroutinefunction(fn):
        kind = "an async generator" if inspect.isasyncgenfunction(fn) else shown(fn)
        raise ConfigurationError(
            f"@ironflow.function takes `async def workflow(ctx)`, not {kind}"
        )
    signature = inspect.signature(fn)
    named = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    ]
    if len(named) != 1 or named[0].kind is named[0].KEYWORD_ONLY:
        raise ConfigurationError(
            f"it takes {signature}; it must take one parameter, the context:"
            " `async def workflow(ctx)`. What else it needs comes with the event"
        )
    return named[0].name


def _payload_annotation(fn: Workflow[Any, Any], parameter: str) -> object:
    """The type in `ctx: Context[...]`; Any where there is none."""
    function = inspect.unwrap(fn)
    annotation: object = function.__annotations__.get(parameter, Context)
    try:
        found: object = typing.get_type_hints(
            SimpleNamespace(__annotations__={parameter: annotation}),
            globalns=function.__globals__,
            localns=values.closed_over(function),
            include_extras=True,
        )[parameter]
    except _UNRESOLVED as error:
        raise ConfigurationError(
            f"the annotation {annotation!r} of {parameter!r} cannot be resolved:"
            f" {error}; define or import the name above the function, outside of"
            " `if TYPE_CHECKING`"
        ) from error
    if found is Any or found is Context:
        return Any
    if typing.get_origin(found) is not Context:
        raise ConfigurationError(
            f"{parameter!r} is annotated with {shown(annotation)}; write"
            f" `{parameter}: ironflow.Context[TypeOfTheData]`"
        )
    return typing.get_args(found)[0]


def _checked_names(names: Sequence[str], *, option: str) -> tuple[str, ...]:
    if not isinstance(names, list | tuple | set | frozenset):
        raise ConfigurationError(f"{option}={shown(names)} must be a list of texts")
    checked = tuple(
        check_text(name, option=f"{option}[{index}]")
        for index, name in enumerate(names)
    )
    if len(set(checked)) != len(checked):
        raise ConfigurationError(f"{option}={shown(names)} names one thing twice")
    return checked


def _check_choices(options: _Options) -> None:
    limit = options.history_limit
    if type(limit) is not int or not 1 <= limit <= limits.HISTORY_RECORDS_MAX:
        raise ConfigurationError(
            f"history_limit={shown(limit)} must be a whole number from 1 to"
            f" {limits.HISTORY_RECORDS_MAX}"
        )
    if options.on_bug not in get_args(OnBug):
        raise ConfigurationError(
            f'on_bug={shown(options.on_bug)} must be "pause" or "fail"'
        )
    if type(options.undo_on_cancel) is not bool:
        raise ConfigurationError(
            f"undo_on_cancel={shown(options.undo_on_cancel)} must be True or False"
        )


def _check_concurrency(options: _Options) -> None:
    limit, key = options.concurrency, options.concurrency_key
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ConfigurationError(
            f"concurrency={shown(limit)} must be a whole number from 1 on; leave it out"
            " for no limit"
        )
    if key is None:
        return
    parse_path(key, option="concurrency_key")
    if limit is None:
        raise ConfigurationError(
            f"concurrency_key={shown(key)} needs concurrency=, the number of runs that"
            " go on at once for each value"
        )


def _timeout(value: Duration | None, *, option: str) -> int:
    return 0 if value is None else positive_duration(value, option=option)


def _version(fn: Workflow[Any, Any], options: _Options, *, function_id: str) -> str:
    if options.version is None:
        return code_version(fn, function_id=function_id)
    return check_text(options.version, option="version")
