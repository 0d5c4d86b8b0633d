"""Who is ready, in order, in which lane, and who holds what.

It is memory of a store that is written by one process alone: holds are not stored,
because a crash ends every hold. The ready rows of the store say who is ready; from
them the queue is built again. A parked run is not in here.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final, final

from ironflow.policy.concurrency import has_room

CLAIMS_PER_OWNER: Final = 1 << 32


@dataclass(slots=True, eq=False)
class _Lane:
    """Runs of one function and key: those that wait by place, those held by count.

    `announced` is the place with which the lane stands among the heads of its
    function, 0 if it does not.
    """

    function: "_Function"
    key: bytes
    waiting: OrderedDict[str, int] = field(default_factory=OrderedDict[str, int])
    running: int = 0
    announced: int = 0


@dataclass(slots=True, eq=False)
class _Function:
    """The lanes of a function; `heads` is a heap of those that may be taken from.

    A head is the place of a lane's first run and the lane's key. It counts only if
    the lane was announced with this very place: others are passed over.
    """

    id: str
    limit: int = 0
    lanes: dict[bytes, _Lane] = field(default_factory=dict[bytes, _Lane])
    heads: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])

    def lane(self, key: bytes) -> _Lane:
        """Return the lane of this key, made if it is new."""
        lane = self.lanes.get(key)
        if lane is None:
            lane = self.lanes[key] = _Lane(self, key)
        return lane

    def announce(self, lane: _Lane) -> None:
        """Let the heads say what the lane has to give now."""
        first = 0
        if lane.waiting and has_room(lane.running, limit=self.limit):
            first = next(iter(lane.waiting.values()))
        if first and lane.announced != first:
            heappush(self.heads, (first, lane.key))
        lane.announced = first
        if not lane.waiting and not lane.running:
            del self.lanes[lane.key]

    def head(self) -> int:
        """Return the place of the run to be taken next, 0 if there is none."""
        heads = self.heads
        while heads:
            place, key = heads[0]
            lane = self.lanes.get(key)
            if lane is not None and lane.announced == place:
                return place
            heappop(heads)
        return 0

    def take(self) -> str:
        """Take the run of the first head, which is valid, out of its lane."""
        _, key = heappop(self.heads)
        lane = self.lanes[key]
        run_id, _ = lane.waiting.popitem(last=False)
        lane.running += 1
        self.announce(lane)
        return run_id


@final
class ReadyQueue:
    """First ready, first claimed, among the lanes that have room.

    A claim costs the same however many runs wait, in a lane that is full or not. It
    makes a new epoch: the owner's number and a count of claims, so neither an owner
    before this one nor a holder before the last can append.
    """

    def __init__(self, owner: int) -> None:
        self.owner: Final = owner
        self.holds: Final[dict[str, int]] = {}
        self._lanes: Final[dict[str, _Lane]] = {}  # of every ready run
        self._functions: Final[dict[str, _Function]] = {}
        self._suspects: Final[set[str]] = set()
        self._place = 0
        self._epoch = owner * CLAIMS_PER_OWNER

    def __len__(self) -> int:
        return len(self._lanes)

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._lanes

    def set_limit(self, function_id: str, limit: int) -> None:
        """Say how many runs of a lane may be held at once, 0 for any number."""
        function = self._function(function_id)
        if function.limit != limit:
            function.limit = limit
            for lane in tuple(function.lanes.values()):
                function.announce(lane)

    def add(self, run_id: str, function_id: str, lane: bytes = b"") -> None:
        """The run is ready; nothing changes if it was."""
        if run_id not in self._lanes:
            found = self._lanes[run_id] = self._function(function_id).lane(lane)
            self._enqueue(run_id, found)

    def suspect_all(self) -> None:
        """Every run that is ready may have been held by a process that died."""
        self._suspects.update(self._lanes)

    def was_suspect(self, run_id: str) -> bool:
        """Say whether the run is one of those, once: it has been claimed since."""
        suspect = run_id in self._suspects
        if suspect:
            self._suspects.remove(run_id)
        return suspect

    def drop(self, run_id: str) -> None:
        """The run is no longer ready and nobody holds it."""
        lane = self._lanes.pop(run_id, None)
        if lane is None:
            return
        self._suspects.discard(run_id)
        if self.holds.pop(run_id, None) is None:
            del lane.waiting[run_id]
        else:
            lane.running -= 1
        lane.function.announce(lane)

    def claim(self, functions: Iterable[str], *, limit: int) -> list[str]:
        """Hold the ready runs of these functions that came first."""
        found = [self._functions[name] for name in functions if name in self._functions]
        heads = [(place, each.id) for each in found if (place := each.head())]
        heapify(heads)
        taken: list[str] = []
        while heads and len(taken) < limit:
            _, name = heads[0]
            function = self._functions[name]
            run_id = function.take()
            taken.append(run_id)
            self._epoch += 1
            self.holds[run_id] = self._epoch
            place = function.head()
            if place:
                heapreplace(heads, (place, name))
            else:
                heappop(heads)
        return taken

    def release(self, run_id: str, *, epoch: int) -> bool:
        """End a hold of this epoch; the run goes to the end of the queue."""
        if self.holds.get(run_id) != epoch:
            return False
        del self.holds[run_id]
        lane = self._lanes[run_id]
        lane.running -= 1
        self._enqueue(run_id, lane)
        return True

    def function_of(self, run_id: str) -> str:
        """Return the function of a ready run."""
        return self._lanes[run_id].function.id

    def _function(self, function_id: str) -> _Function:
        function = self._functions.get(function_id)
        if function is None:
            function = self._functions[function_id] = _Function(function_id)
        return function

    def _enqueue(self, run_id: str, lane: _Lane) -> None:
        self._place += 1
        lane.waiting[run_id] = self._place
        lane.function.announce(lane)
