"""Jobs that wait for a worker, by function, and workers that wait for a job.

A job wakes one worker that can take it; whoever is woken and goes away wakes another.
"""

import math
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, final

import trio

from ironflow.engine.alarms import Alarms


class Queued(Protocol):
    """What can wait: `number` is its place among all."""

    function_id: str
    number: int


_J = TypeVar("_J", bound=Queued)


@final
@dataclass(slots=True, eq=False)
class _Poll:
    """Somebody who waits for a job of one of these functions."""

    functions: Collection[str]
    woken: trio.Event = field(default_factory=trio.Event)


@final
class JobQueues(Generic[_J]):
    """The queues of all functions."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._queues: dict[str, deque[_J]] = {}
        self._queued: set[_J] = set()
        self._polls: dict[_Poll, None] = {}  # in the order in which they came

    def has(self, job: _J) -> bool:
        """Say whether a job is queued."""
        return job in self._queued

    def put(self, job: _J) -> None:
        """Queue a job behind the others of its function."""
        self._queued.add(job)
        self._queues.setdefault(job.function_id, deque()).append(job)
        self._wake_for(job.function_id)

    def remove(self, job: _J) -> None:
        """Take a job out, if it is queued."""
        if job in self._queued:
            self._queued.remove(job)
            self._queues[job.function_id].remove(job)

    def oldest(self, functions: Collection[str]) -> _J | None:
        """Take the job of these functions out that came first of all, if there is one."""
        best: deque[_J] | None = None
        least = math.inf
        for function_id in functions:
            queue = self._queues.get(function_id)
            if queue and queue[0].number < least:
                best, least = queue, queue[0].number
        if best is None:
            return None
        job = best.popleft()
        self._queued.remove(job)
        return job

    async def wait(self, functions: Collection[str], *, until: int) -> None:
        """Return when there may be a job of these functions, or it is `until`."""
        poll = _Poll(functions)
        self._polls[poll] = None
        alarm = self._alarms.set(until, poll.woken.set)
        try:
            await poll.woken.wait()
        except trio.Cancelled:
            del self._polls[poll]
            if poll.woken.is_set():  # by something that is for another now
                self._pass_on(functions)
            raise
        finally:
            alarm.cancel()
            self._polls.pop(poll, None)

    def wake_all(self) -> None:
        """Let everybody who waits look."""
        for poll in self._polls:
            poll.woken.set()

    def _pass_on(self, functions: Collection[str]) -> None:
        for function_id in functions:
            if self._queues.get(function_id):
                self._wake_for(function_id)

    def _wake_for(self, function_id: str) -> None:
        for poll in self._polls:
            if function_id in poll.functions and not poll.woken.is_set():
                poll.woken.set()
                return
