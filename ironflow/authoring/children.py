"""Child runs as function code handles them: by id, or with the child's types."""

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any, Generic, TypeVar, final, overload

from ironflow import values
from ironflow.authoring.arguments import positive_duration, shown
from ironflow.authoring.definition import Function
from ironflow.authoring.frames import frame_at, placed
from ironflow.errors import ConfigurationError
from ironflow.interpreter.operations import Child, Invoke, JoinChild, Operation
from ironflow.policy.duration import Duration
from ironflow.policy.names import check_function_id

T = TypeVar("T")
PayloadT = TypeVar("PayloadT")
OutputT = TypeVar("OutputT")


@final
class Converted(Generic[T]):
    """An operation whose value is changed before function code gets it."""

    __slots__ = ("_convert", "operation")

    def __init__(
        self, operation: Operation[Any], convert: Callable[[Any], T], /
    ) -> None:
        self.operation = operation
        self._convert = convert

    def __await__(self) -> Generator[Operation[Any], Any, T]:
        """Hand the operation to the interpreter; return what becomes of its value."""
        return self._convert((yield self.operation))


@final
class ChildRun(Generic[OutputT]):
    """A child run that was started and goes on beside its parent."""

    __slots__ = ("_child", "_output")

    def __init__(self, child: Child, output: object, /) -> None:
        self._child = child
        self._output = output

    @property
    def run_id(self) -> str:
        """The id of the child run."""
        return self._child.run_id

    @property
    def function_id(self) -> str:
        """The id of the child's function."""
        return self._child.function_id

    def result(self) -> Awaitable[OutputT]:
        """Wait for the child's end; gives its output. May be called again.

        Raises:
            InvokeError: when awaited: the child failed or was cancelled.
        """
        operation = placed(JoinChild(self._child), frame_at(1))
        return _as_declared(operation, self._output)

    def __repr__(self) -> str:
        """Show the function and the run."""
        return f"<ChildRun {self.run_id} of {self.function_id!r}>"


class ChildClient:
    """The part of `ctx.step` that starts child runs."""

    __slots__ = ()

    @overload
    def invoke(
        self,
        function: Function[None, OutputT],
        data: None = None,
        *,
        timeout: Duration | None = None,
    ) -> Awaitable[OutputT]: ...
    @overload
    def invoke(
        self,
        function: Function[PayloadT, OutputT],
        data: PayloadT,
        *,
        timeout: Duration | None = None,
    ) -> Awaitable[OutputT]: ...
    @overload
    def invoke(
        self,
        function: str,
        data: object = None,
        *,
        timeout: Duration | None = None,
    ) -> Awaitable[Any]: ...
    def invoke(
        self,
        function: Function[Any, Any] | str,
        data: object = None,
        *,
        timeout: Duration | None = None,
    ) -> Awaitable[Any]:
        """Run another function as a child run with `data`; gives its output.

        Given the function itself, the output is of its type; given an id, it is
        what JSON would hold. After `timeout` (none by default) the child is
        cancelled; it is cancelled with its parent, too.

        Raises:
            InvokeError: when awaited: the child failed, was cancelled, or took too
                long. `run_id` names it and `cause` says why.
        """
        operation = placed(
            _invocation(function, data, timeout=timeout, awaited=True), frame_at(1)
        )
        return _as_declared(operation, _output_of(function))

    @overload
    def invoke_async(
        self,
        function: Function[None, OutputT],
        data: None = None,
        *,
        detached: bool = False,
    ) -> Awaitable[ChildRun[OutputT]]: ...
    @overload
    def invoke_async(
        self,
        function: Function[PayloadT, OutputT],
        data: PayloadT,
        *,
        detached: bool = False,
    ) -> Awaitable[ChildRun[OutputT]]: ...
    @overload
    def invoke_async(
        self, function: str, data: object = None, *, detached: bool = False
    ) -> Awaitable[ChildRun[Any]]: ...
    def invoke_async(
        self,
        function: Function[Any, Any] | str,
        data: object = None,
        *,
        detached: bool = False,
    ) -> Awaitable[ChildRun[Any]]:
        """Start a child run and go on; gives a handle with `run_id` and `result()`.

        The child is cancelled when this run fails or is cancelled, unless it is
        `detached`; it is left alone when this run completes.
        """
        operation = placed(
            _invocation(function, data, awaited=False, attached=not detached),
            frame_at(1),
        )
        output = _output_of(function)
        return Converted(operation, lambda child: ChildRun(child, output))


def _invocation(
    function: object,
    data: object,
    *,
    timeout: Duration | None = None,
    awaited: bool,
    attached: bool = True,
) -> Invoke:
    """Return the operation that starts a child run.

    Raises:
        ConfigurationError: there can be no such function, or the timeout is wrong.
    """
    match function:
        case Function():
            function_id = function.id
        case str():
            function_id = check_function_id(function, option="function")
        case _:
            raise ConfigurationError(
                f"function={shown(function)} is neither an ironflow function nor the"
                " id of one; a plain function is called by step.run"
            )
    timeout_us = 0
    if timeout is not None:
        timeout_us = positive_duration(timeout, option="timeout")
    return Invoke(
        function_id, data, timeout_us=timeout_us, awaited=awaited, attached=attached
    )


def _output_of(function: Function[Any, Any] | str) -> object:
    """Return the annotation of what a child run returns; Any if only its id is known."""
    return function.program.output if isinstance(function, Function) else Any


def _as_declared(operation: Operation[Any], output: object) -> Awaitable[Any]:
    """Return the operation so that it gives a value of the type `output`."""
    if output is Any:
        return operation
    return Converted(operation, partial(_read_back, output))


def _read_back(output: object, plain: object) -> object:
    """The child's output came as plain data; what it was is the child's business."""
    return values.decode(values.encode(plain), output)
