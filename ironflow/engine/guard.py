"""Function code runs with no current Trio task.

Otherwise `with trio.move_on_after(5): await ctx.step...` would put the engine's own
task under the user's deadline, and end in an internal error of Trio. With the task
taken out, a sleep, nursery, lock or scope of Trio raises RuntimeError at the user's
own line, before any effect.
"""

from typing import Any, final

from trio._core import _run  # pyright: ignore[reportPrivateUsage]  # there is no other way

_context: Any = _run.GLOBAL_RUN_CONTEXT


@final
class OutsideTrio:
    """`with OutsideTrio():` takes the current task out of Trio's run context.

    Not reentrant: the interpreter never calls back into the engine.
    """

    __slots__ = ("_task",)

    def __enter__(self) -> None:
        self._task = getattr(_context, "task", None)
        if self._task is not None:
            del _context.task

    def __exit__(self, *_: object) -> None:
        if self._task is not None:
            _context.task = self._task
