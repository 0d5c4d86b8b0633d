"""What transports get of an engine: a place to host functions whose code is elsewhere."""

from collections.abc import Callable
from typing import final

from ironflow.engine.clock import Clock
from ironflow.engine.runtime import Runtime
from ironflow.interpreter.program import Program
from ironflow.journal.base import Hint, Journal


@final
class Hosting:
    """The journal, the clock and the programs of a running engine.

    Whoever carries runs on by itself (a worker's end of the wire) claims them from
    `journal`. Whoever has programs that the engine shall carry on gives them to `carry`.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def journal(self) -> Journal:
        """Return the journal that the engine carries runs on in."""
        return self._runtime.journal

    @property
    def clock(self) -> Clock:
        """Return the engine's clock."""
        return self._runtime.clock

    @property
    def is_closing(self) -> bool:
        """Say whether the engine begins nothing new any more."""
        return self._runtime.closing

    def now(self) -> int:
        """Return the time in microseconds."""
        return self._runtime.clock.now()

    def watch(self, callback: Callable[[Hint], None]) -> Callable[[], None]:
        """Call back after each commit that changed something; return a stop.

        On the engine's loop. A hint may be lost: look once at start.
        """
        return self._runtime.journal.watch(callback)

    def look(self) -> None:
        """Let the engine look for runs that it could claim."""
        self._runtime.look.set()

    def carry(self, program: Program) -> None:
        """Carry out runs of this program from now on, also those that wait.

        One of the same id is replaced for runs that are claimed from here on; those in
        memory keep the one they have.
        """
        self._runtime.carry(program)

    def bound(self, capacity: Callable[[], int]) -> None:
        """Hold no more runs of carried programs than this says, however many are ready.

        The rest stay in the journal. Call `look` when it says more than before.
        """
        self._runtime.outside.capacity = capacity

    def drop(self, function_id: str) -> None:
        """Claim no more runs of this function; those that are held go on."""
        self._runtime.drop(function_id)

    def carries(self, run_id: str) -> bool:
        """Say whether the engine carries a run on now, with code of its own."""
        carried = self._runtime.active.get(run_id)
        if carried is None:
            return False
        return carried.function_id not in self._runtime.outside.functions

    def epoch_of(self, run_id: str) -> int | None:
        """Return the epoch under which this engine holds a run; None: it does not."""
        carried = self._runtime.active.get(run_id)
        return None if carried is None else carried.hold.epoch

    def abandon(self, run_id: str) -> None:
        """Let a run stand as it is in the journal, until this engine is opened again.

        What it does not know to have ended is done again then. For the end of a server,
        whose runs may wait for others longer than anybody wants to wait for them.
        """
        carried = self._runtime.active.get(run_id)
        if carried is not None:
            self._runtime.let_go(run_id)
            carried.drop()
