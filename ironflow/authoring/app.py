"""An app: the functions that belong together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast, final

from ironflow.authoring.arguments import shown
from ironflow.authoring.definition import Function
from ironflow.errors import ConfigurationError
from ironflow.interpreter.program import Program


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class App:
    """The functions that an engine runs: `App(functions=[process_order])`.

    There is no registry behind it: two apps may live in one process. `programs`
    and `triggers` are what the engine needs of the functions, by id.

    Raises:
        ConfigurationError: something in the list is no function of ironflow, or
            two have the same id.
    """

    functions: Sequence[Function[Any, Any]]
    programs: Mapping[str, Program] = field(init=False, repr=False)
    triggers: Mapping[str, tuple[str, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        functions = _checked(self.functions)
        programs = {function.id: function.program for function in functions}
        triggers = {function.id: function.triggers for function in functions}
        object.__setattr__(self, "functions", functions)
        object.__setattr__(self, "programs", MappingProxyType(programs))
        object.__setattr__(self, "triggers", MappingProxyType(triggers))

    def function(self, function_id: str) -> Function[Any, Any]:
        """Return the function with this id.

        Raises:
            ConfigurationError: the app has none; the message lists those it has.
        """
        for function in self.functions:
            if function.id == function_id:
                return function
        known = ", ".join(sorted(self.programs)) or "none"
        raise ConfigurationError(
            f"the app has no function {function_id!r}; it has {known}"
        )


def _checked(functions: object) -> tuple[Function[Any, Any], ...]:
    if not isinstance(functions, list | tuple):
        raise ConfigurationError(
            f"App(functions={shown(functions)}): give a list of functions"
        )
    found: dict[str, Function[Any, Any]] = {}
    members = cast("Sequence[object]", functions)
    for index, function in enumerate(members):
        if not isinstance(function, Function):
            raise ConfigurationError(
                f"App(functions=[...]): number {index} is {shown(function)}, which is"
                " no function of ironflow; decorate it with @ironflow.function(...)"
            )
        known = cast("Function[Any, Any]", cast("object", function))
        if known.id in found:
            raise ConfigurationError(
                f"App(functions=[...]): two functions have the id {known.id!r}"
                f" ({_place(found[known.id])} and {_place(known)}); give one of them"
                " another id="
            )
        found[known.id] = known
    return tuple(found.values())


def _place(function: Function[Any, Any]) -> str:
    return f"{function.fn.__module__}.{function.fn.__qualname__}"
