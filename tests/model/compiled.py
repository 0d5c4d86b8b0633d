"""Real functions made of the programs of the grammar, over the public context.

What a function has seen so far goes into all that it asks: into the arguments of
steps, the data of messages and the input of children. So a value that reaches the
wrong line, or at the wrong time, shows in every later record.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final

from ironflow.authoring.context import Context
from ironflow.authoring.definition import Function
from ironflow.authoring.function import function
from ironflow.authoring.step import StepClient
from ironflow.errors import NonRetryableError, RunFailure
from ironflow.interpreter.operations import StepOutcome
from ironflow.interpreter.turn import PerformStep
from ironflow.policy.retry import Retry
from tests.model import grammar as g

ROOT: Final = "root"
TRIGGER: Final = "begin"
DELAY: Final = timedelta(minutes=1)
RETRY: Final = Retry(max_attempts=g.ATTEMPTS, jitter=0)

Branch = Callable[[StepClient], Awaitable[Any]]

CHILDREN: Final[Mapping[str, g.Program]] = {
    "good": g.Seq(()),
    "bad": g.Raise(),
    "slow": g.Sleep(),
}


class Hung(Exception):
    """An attempt that was stopped by its timeout."""


class Stage:
    """Where steps are performed, one at a time: `current` is told by the host."""

    def __init__(self) -> None:
        self.current: PerformStep | None = None
        self.ids: dict[str, str] = {}  # of steps, by idempotency key

    def act(self, does: str, value: str) -> str:
        """Behave as the grammar says of a step."""
        assert self.current is not None, "a step runs that nobody performs"
        match does, self.current.attempt:
            case ("fails", _) | ("flaky", 1):
                raise RuntimeError(does)
            case "refuses", _:
                raise NonRetryableError(does)
            case "late", 2:
                raise RuntimeError(does)
            case (("hangs" | "late"), _):
                raise Hung(does)
            case _:
                return f"{self.current.id}#{self.current.attempt}@{value}"

    def step(self, does: str, seen: str) -> str:
        """Perform an attempt of a step of the grammar."""
        return self.act(does, seen)

    def undo(self, does: str, outcome: StepOutcome[str]) -> str:
        """Perform an attempt of an undo of a step."""
        step = self.ids[outcome.idempotency_key]
        told = f"{step} {outcome.value} {outcome.in_doubt}"
        return self.act(does, f"undo {told}")

    def compensate(self, told: str) -> str:
        """Perform an attempt of an undo that belongs to no step."""
        return self.act("ok", f"undo {told}")


def functions_of(
    program: g.Program, stage: Stage, rules: g.Rules
) -> dict[str, Function[Any, Any]]:
    """Return the functions of a program and its children, by id."""
    found: dict[str, Function[Any, Any]] = {
        kind: function_of(CHILDREN[kind], stage, g.RULES, name=kind)
        for kind in g.children_of(program)
    }
    return {ROOT: function_of(program, stage, rules), **found}


def function_of(
    program: g.Program,
    stage: Stage,
    rules: g.Rules,
    *,
    name: str = ROOT,
    version: str = "1",
) -> Function[Any, Any]:
    """Return the function of a program."""

    @function(
        id=name,
        triggers=[TRIGGER] if name == ROOT else [],
        retry=RETRY,
        run_timeout="1h" if rules.run_timeout else None,
        undo_on_cancel=rules.undo_on_cancel,
        on_bug="fail" if rules.bugs_fail else "pause",
        version=version,
    )
    async def compiled(ctx: Context[Any]) -> str:
        seen: list[str] = [ctx.event.data]
        await _Code(ctx, seen, stage).run(program, ctx.step)
        return " ".join(seen)

    return compiled


class _Code:
    """The code of one run."""

    def __init__(self, ctx: Context[Any], seen: list[str], stage: Stage) -> None:
        self.ctx = ctx
        self.seen = seen
        self.stage = stage

    async def run(self, program: g.Program, step: StepClient) -> None:
        """Do what the program says."""
        match program:
            case g.Seq(parts):
                for part in parts:
                    await self.run(part, step)
            case g.Parallel():
                self.seen.append(await self._parallel(program, step))
            case g.Beside(child, body):
                handle = await step.invoke_async(child, g.short(self.seen))
                await self.run(body, step)
                self.seen.append(await handle.result())
            case g.Saga() | g.Catch() | g.Swallow() | g.Finally():
                await self._guarded(program, step)
            case g.Raise(bug):
                raise ValueError("bug") if bug else NonRetryableError("raised")
            case g.Compensate():
                told = g.short(self.seen)
                await step.compensate(g.NAME, self.stage.compensate, told)
            case _:
                self.seen.append(await self._leaf(program, step))

    async def _guarded(
        self, program: g.Saga | g.Catch | g.Swallow | g.Finally, step: StepClient
    ) -> None:
        match program:
            case g.Saga(body):
                async with self.ctx.saga():
                    await self.run(body, step)
            case g.Catch(body):
                try:
                    await self.run(body, step)
                except RunFailure as error:
                    self.seen.append(_raised(error))
            case g.Swallow(body):
                try:
                    await self.run(body, step)
                except BaseException as error:  # noqa: BLE001  that is its point
                    self.seen.append(_raised(error))
            case g.Finally(body, last):
                try:
                    await self.run(body, step)
                finally:
                    await self.run(last, step)

    async def _parallel(self, program: g.Parallel, step: StepClient) -> str:
        branches: list[Branch] = [
            partial(self.run, branch) for branch in program.branches
        ]
        limit = program.concurrency or None
        ends: list[object] = []
        if program.collect:
            ends += await step.parallel(
                g.NAME, branches, concurrency=limit, on_error="collect"
            )
        else:
            ends += await step.parallel(g.NAME, branches, concurrency=limit)
        return f"[{','.join('ok' if end is None else _raised(end) for end in ends)}]"

    async def _leaf(self, leaf: g.Leaf, step: StepClient) -> str:
        match leaf:
            case g.Step():
                return await self._step(leaf, step)
            case g.Sleep():
                await step.sleep(g.NAME, DELAY)
                return "slept"
            case g.Wait(limit):
                return await _wait(step, limit)
            case g.Publish():
                return (await step.publish(g.TOPIC, g.short(self.seen)))[:3]
            case _:
                return await self._child(leaf, step)

    async def _child(self, leaf: g.Leaf, step: StepClient) -> str:
        data = g.short(self.seen)
        if isinstance(leaf, g.Spawn):
            return (await step.invoke_async(leaf.child, data)).function_id
        assert isinstance(leaf, g.Invoke)
        timeout = DELAY if leaf.limit else None
        output: str = await step.invoke(leaf.child, data, timeout=timeout)
        return output

    async def _step(self, leaf: g.Step, step: StepClient) -> str:
        return await step.run(
            g.NAME,
            partial(self.stage.step, leaf.does),
            g.short(self.seen),
            once="at_most" if leaf.once else "at_least",
            retry=RETRY if leaf.once else None,  # by default it is tried once only
            undo=partial(self.stage.undo, leaf.undo) if leaf.undo else None,
        )


async def _wait(step: StepClient, limit: str) -> str:
    if limit == "default":
        event = await step.wait_for_event(
            g.NAME, g.EVENT, timeout=DELAY, default="default"
        )
    else:
        timeout = DELAY if limit else None
        event = await step.wait_for_event(g.NAME, g.EVENT, timeout=timeout)
    return event if isinstance(event, str) else event.data


def _raised(error: object) -> str:
    return f"!{type(error).__name__}"
