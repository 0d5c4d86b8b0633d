"""A worker that executes functions of ours as the published SDKs execute theirs.

It polls for jobs over REST. Of a job it executes the function from its first line, past
every step whose row it has been given, and reports where the function must wait: one thing
at a time, of the branches the first. What a step returns is a row under its id.
"""

import inspect
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import trio

from ironflow import App, Engine, ids
from ironflow.authoring.definition import Function
from ironflow.engine.open import run_engine
from ironflow.errors import InvokeError, NonRetryableError
from ironflow.handles import moment
from ironflow.interpreter.operations import (
    Fork,
    Invoke,
    Operation,
    Publish,
    RunStep,
    Sleep,
    StepOutcome,
    WaitForEvent,
)
from ironflow.interpreter.program import RunView
from ironflow.journal.memory import MemoryJournal
from ironflow.policy.duration import format_duration
from ironflow.records import ErrorInfo, EventData
from ironflow.testing.virtual_clock import VirtualClock
from ironflow.transport.http.messages import Handler, Headers, Request, Response
from ironflow.transport.server import open_handler

_ENDED = {"status": "completed", "started_at": "2030-01-01T00:00:00Z"}


@asynccontextmanager
async def published(
    app: App, journal: MemoryJournal, clock: VirtualClock
) -> AsyncGenerator[Engine]:
    """A host: a server without functions, and such a worker."""
    async with (
        run_engine(App(functions=[]), journal, clock=clock) as engine,
        open_handler(engine, journal, clock) as (handler, context),
        trio.open_nursery() as nursery,
    ):
        worker = _Worker(handler, app, clock)
        await worker.register()
        nursery.start_soon(worker.run)
        yield engine
        nursery.cancel_scope.cancel()
        context.stopping.set()


@dataclass
class _Worker:
    handler: Handler
    app: App
    clock: VirtualClock

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        path, _, query = path.partition("?")
        headers = Headers([("content-type", "application/json")])
        data = b"" if body is None else msgspec.json.encode(body)
        answer = await self.handler(
            Request(method, path, query=query, headers=headers, body=data)
        )
        assert isinstance(answer, Response)
        assert isinstance(answer.body, bytes)
        assert answer.status < 300, answer.body
        return msgspec.json.decode(answer.body) if answer.body else None

    async def register(self) -> None:
        for each in self.app.functions:
            retry = each.program.retry
            body: dict[str, Any] = {
                "id": each.id,
                "triggers": [{"event": trigger} for trigger in each.triggers],
                "preferredMode": "EXECUTION_MODE_PULL",
                "retry": {
                    "maxAttempts": retry.max_attempts,
                    "initialDelayMs": retry.initial_delay_us // 1_000,
                    "onExhausted": "fail",
                },
            }
            await self.call(
                "POST", "/ironflow.v1.IronflowService/RegisterFunction", body
            )
        body = {
            "worker_id": "w",
            "function_ids": [each.id for each in self.app.functions],
            "max_concurrent_jobs": 10,
        }
        await self.call("POST", "/api/v1/workers/w/register", body)

    async def run(self) -> None:
        """Poll, and execute what comes."""
        while True:
            found = await self.call(
                "GET", "/api/v1/workers/w/jobs?available=10&wait=20"
            )
            for job in (found or {"jobs": []})["jobs"]:
                await self._work(job)

    async def _work(self, job: dict[str, Any]) -> None:
        fence = {name: job[name] for name in ("run_id", "execution_seq", "lease_token")}
        path = f"/api/v1/workers/w/jobs/{job['job_id']}"
        await self.call("PUT", f"{path}/ack", fence)
        execution = _Execution(self, job, self.app.function(job["function_id"]))
        await self.call("PUT", path, {**fence, **await execution.report()})

    async def publish(self, topic: str, data: Any) -> str:
        """Publish a message, as a step of a worker does."""
        found = await self.call(
            "POST",
            "/ironflow.v1.PubSubService/Publish",
            {"topic": topic, "data": data},
        )
        return str(found["eventId"])


class _Yields(Exception):
    """The run must wait: what is reported of that."""

    def __init__(self, found: dict[str, Any]) -> None:
        super().__init__(found)
        self.found = found


@dataclass
class _Scope:
    """A line of code: its prefix, and how often each name was used in it."""

    prefix: str
    used: "Counter[str]" = field(default_factory=Counter)

    def id_of(self, name: str) -> str:
        number = self.used[name]
        self.used[name] += 1
        return f"{self.prefix}:{ids.escaped(name)}:{number}"


class _Execution:
    """One segment."""

    def __init__(
        self, worker: _Worker, job: dict[str, Any], function: Function[Any, Any]
    ) -> None:
        self._worker = worker
        self._job = job
        self._function = function
        self._known = {row["step_id"]: row for row in job["completed_steps"]}
        self._rows: list[dict[str, Any]] = []
        self._undos: list[tuple[str, Callable[[], Any]]] = []

    async def report(self) -> dict[str, Any]:
        """Execute the function; return what is reported."""
        scope = _Scope(self._job["run_id"])
        body = self._function.program.start(cast("RunView", _View(self._job)))
        try:
            output = await self._drive(body, scope)
        except _Yields as waits:
            return {"status": "yielded", "steps": self._rows, "yield": waits.found}
        except Exception as error:  # noqa: BLE001 - of the function
            retryable = not isinstance(error, NonRetryableError)
            if not retryable or self._job["attempt"] >= self._job["max_attempts"]:
                await self._undo(scope)
            return {
                "status": "failed",
                "steps": self._rows,
                "error": {"message": str(error), "retryable": retryable},
            }
        return {"status": "completed", "steps": self._rows, "output": output}

    async def _drive(self, body: Any, scope: _Scope) -> Any:
        """Let code run from one operation to the next, to its end."""
        if not inspect.iscoroutine(body):
            body = _awaited(body)
        value: Any = None
        error: Exception | None = None
        while True:
            try:
                asked = body.send(value) if error is None else body.throw(error)
            except StopIteration as end:
                return end.value
            value, error = None, None
            try:
                value = await self._perform(asked, scope)
            except _Yields:
                raise
            except Exception as raised:  # noqa: BLE001 - of a step
                error = raised

    async def _perform(self, asked: Operation[Any], scope: _Scope) -> Any:
        match asked:
            case RunStep():
                return await self._run(asked, scope)
            case Fork():
                return await self._fork(asked, scope)
            case Publish():
                data = asked.data
                return await self._execute(
                    scope.id_of(asked.name),
                    lambda: self._worker.publish(asked.topic, data),
                )
            case Sleep() | WaitForEvent() | Invoke():
                return self._wait(asked, scope.id_of(asked.name))
            case _:
                raise AssertionError(f"no SDK has a word for {asked!r}")

    async def _run(self, asked: RunStep[Any], scope: _Scope) -> Any:
        id_ = scope.id_of(asked.name)
        value = await self._execute(id_, lambda: asked.fn(*asked.args))
        undo = asked.undo
        if undo is not None:
            outcome = StepOutcome(
                step=id_,
                args=asked.args,
                value=value,
                in_doubt=False,
                idempotency_key="",
            )
            self._undos.append((asked.name, lambda: undo(outcome)))
        return value

    async def _execute(self, id_: str, call: Callable[[], Any]) -> Any:
        if id_ in self._known:
            return self._known[id_]["output"]
        value = call()
        if inspect.isawaitable(value):
            value = await value
        self._rows.append({"id": id_, "type": "invoke", "output": value, **_ENDED})
        return value

    async def _fork(self, asked: Fork[Any], scope: _Scope) -> Any:
        """Begin every branch; of what they wait for, report the first."""
        found: list[Any] = []
        waits: list[_Yields] = []
        for number, branch in enumerate(asked.branches):
            inner = _Scope(f"{scope.prefix}:{ids.escaped(asked.name)}:{number}")
            try:
                found.append(await self._drive(branch(), inner))
            except _Yields as each:
                waits.append(each)
        if waits:
            raise waits[0]
        return asked.finish(found)

    def _wait(self, asked: Sleep | WaitForEvent[Any] | Invoke, id_: str) -> Any:
        row = self._known.get(id_)
        if row is None:
            raise _Yields({"step_id": id_, **self._waited_for(asked)})
        if row.get("status") == "failed":
            raise InvokeError(
                row["error"]["message"],
                run_id="",
                function_id="",
                cause=ErrorInfo(type="E", message=""),
            )
        if isinstance(asked, WaitForEvent):
            return asked.convert(_event(row["output"]))
        return row["output"]

    def _waited_for(self, asked: Sleep | WaitForEvent[Any] | Invoke) -> dict[str, Any]:
        match asked:
            case Sleep():
                until = asked.until or self._worker.clock.now() + asked.duration_us
                return {"type": "sleep", "until": _text(until)}
            case WaitForEvent():
                found = {
                    "event": asked.event,
                    "timeout": format_duration(asked.timeout_us),
                }
                if asked.path:
                    found["match"] = asked.path
                return {"type": "wait_for_event", "event_filter": found}
            case Invoke():
                return {
                    "type": "invoke_function",
                    "function_id": asked.function_id,
                    "input": asked.data,
                    "invoke_timeout_ms": asked.timeout_us // 1_000,
                }

    async def _undo(self, scope: _Scope) -> None:
        for name, call in reversed(self._undos):
            id_ = scope.id_of(f"compensate:{name}")
            value = call()
            self._rows.append(
                {"id": id_, "type": "compensate", "output": value, **_ENDED}
            )


async def _awaited(body: Any) -> Any:
    return await body


def _text(time_us: int) -> str:
    return moment(time_us).isoformat()


def _event(document: dict[str, Any]) -> EventData:
    return EventData(
        id=document["id"],
        name=document["name"],
        data=msgspec.Raw(msgspec.msgpack.encode(document["data"])),
    )


class _View:
    """What code may learn of its run."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.run_id: str = job["run_id"]
        self.function_id: str = job["function_id"]
        self.attempt: int = job["attempt"]
        self.event = _event(job["event"])
