"""Where a commit should be made, and how a thread that computes leaves the loop its time.

In the loop a commit costs nothing but the disk's time, and stops every other
task for it. Handing it over costs a wake-up of the other core, and while the loop
computes, the thread waits for the interpreter's lock. Reasons and figures are in
docs/decisions/0032-what-stops-the-loop.md.

Who wants the interpreter's lock gets it when its holder waits for something, or after
5 ms (`sys.getswitchinterval`). So a thread that is in no hurry rests far more often.
"""

import threading
from time import thread_time
from typing import Final, final

LOOP_SECONDS_MAX: Final = 0.005  # the loop is not blocked longer while others wait
# Commits that the thread makes after one has stopped the loop for longer. So among all
# commits these are few, also where the disk is slow now and then or always.
HELD_COMMITS_MIN: Final = 128
HELD_COMMITS_MAX: Final = 8192
_FORGIVEN: Final = 512  # quick commits in the loop, and a stall is forgotten


@final
class Pace:
    """Where the next commit is made; `held` is how many the thread makes before that.

    Only commits in the loop say how quick the disk is: a thread also waits for the
    interpreter.
    """

    def __init__(self) -> None:
        self.held = 0
        self._hold = HELD_COMMITS_MIN
        self._quick = 0

    def observe(self, seconds: float, *, in_loop: bool) -> None:
        """Take the time of a commit into account."""
        if not in_loop:
            self.held = max(0, self.held - 1)
        elif seconds < LOOP_SECONDS_MAX:
            self._quick += 1
            if self._quick >= _FORGIVEN:
                self._hold = HELD_COMMITS_MIN
        else:
            self.held, self._quick = self._hold, 0
            self._hold = min(2 * self._hold, HELD_COMMITS_MAX)

    def stays_in_loop(self) -> bool:
        """Say whether to commit in the loop; beside a slow disk a wake-up is nothing."""
        return self.held == 0


WORK_SECONDS: Final = 0.0005  # for so long a thread computes, then the loop may
REST_SECONDS_MAX: Final = 0.002


@final
class Rests:
    """The rests of a thread that computes beside the loop: as long as it has computed.

    None are taken while somebody waits for what the thread does.
    """

    def __init__(self) -> None:
        self._hurried: Final = threading.Event()
        self._since = 0.0

    def begin(self) -> None:
        """Nobody waits for the next piece of work; call it before that begins."""
        self._hurried.clear()

    def take(self) -> None:
        """Rest, if it is time to; on the thread that computes."""
        worked = thread_time() - self._since
        if worked >= WORK_SECONDS:
            self._hurried.wait(min(worked, REST_SECONDS_MAX))
            self._since = thread_time()

    def hurry(self) -> None:
        """Let this piece of work be done without rests; from any thread."""
        self._hurried.set()
