"""Where a commit should be made: in the event loop, or by the writer thread.

In the loop a commit costs nothing but the disk's time, and stops every other
task for it. Handing it over costs a wake-up of the other core, and while the loop
computes, the thread waits for the interpreter's lock. Measured figures are in
docs/decisions/0003-lmdb-store.md.
"""

from typing import Final, final

LOOP_SECONDS_MAX: Final = 0.005  # the loop is not blocked longer while others wait
_FORGET: Final = 0.97  # a stall is forgotten after some hundred quick commits


@final
class Pace:
    """How long a commit may take now: the worst of late, fading."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Take the time of a commit into account."""
        self.seconds = max(seconds, self.seconds * _FORGET)

    def stays_in_loop(self) -> bool:
        """Say whether to commit in the loop; beside a slow disk a wake-up is nothing."""
        return self.seconds < LOOP_SECONDS_MAX
