"""The reference: what a run must record, said as plainly as possible.

A `Model` lives through one run and never crashes, replays, encodes or batches. Its
public methods are what happens to the run; `history` is what must then have been
recorded. What programs mean is in `meaning.py`; this half has attempts, events,
timers and the inbox. A fact is a tuple: kind of record, id of the operation, and
what else matters.
"""

from contextlib import suppress
from typing import Any, Final

from tests.model import grammar as g
from tests.model.meaning import Ask, Broken, Code, Fact, Undo

SETTLED: Final = ("StepCompleted", "StepFailed", "StepInDoubt")
# What sets a timer, and what comes of it; a retry only wakes the run.
TIMED: Final = {
    "SleepStarted": "sleep",
    "WaitStarted": "wait",
    "ChildStarted": "invoke",
}
FIRED: Final = {
    "sleep": "SleepFired",
    "wait": "WaitTimedOut",
    "invoke": "DeadlinePassed",
    "run": "DeadlinePassed",
}


class Model:
    """One run of one program."""

    def __init__(
        self, program: g.Program, given: str, rules: g.Rules = g.RULES
    ) -> None:
        self.about = program, given, rules
        self.code = Code(*self.about)
        self.history: list[Fact] = [("RunStarted", "")]
        self.fed = 0
        self.state = "working"
        self.events = 0
        self.taken: set[int] = set()
        self.waits: list[str] = []
        self.timers = {("", "run")} if rules.run_timeout else set()
        self.inbox: list[Fact] = []

    def copy(self) -> "Model":
        """Return a model of the same run that goes its own way from here."""
        model = Model(*self.about)
        model.history = self.history.copy()
        with suppress(Broken):
            for fact in model.history[: self.fed]:
                model.code.feed(*fact)
        model.code.asked, model.code.abandoned = [], []
        model.fed, model.state, model.events = self.fed, self.state, self.events
        model.taken, model.waits = self.taken.copy(), self.waits.copy()
        model.timers, model.inbox = self.timers.copy(), self.inbox.copy()
        return model

    # --- what happens to the run ---

    def start(self) -> None:
        self._feed()

    def settle(self, step: str, how: str, told: str) -> None:
        """A step ends by itself, in doubt, or is given up between two attempts.

        `told`: how its host had been told to stop it, if at all.
        """
        ask = self.code.open[step]
        kind = outcome_of(ask) if how == "ends" else how
        assert told in {"", ask.stop}
        assert how != "in doubt" or told == "now" or ask.node.once
        assert how != "given up" or told
        never = how == "given up" and ask.attempt == 1
        last = told != "" or kind == "refuses" or ask.attempt == g.ATTEMPTS
        doubt = kind == "in doubt" or (last and kind == "hangs")
        if kind == "begins":
            self._record("StepStarted", step, ask.attempt)
        elif kind == "ok":
            self._record("StepCompleted", step, ask.attempt, value_of(ask))
        elif doubt or (kind == "given up" and ask.doubt):
            self._record("StepInDoubt", step, ask.attempt)
        else:
            self._record("StepFailed", step, ask.attempt, last, kind == "hangs", never)

    def emit(self) -> None:
        self.events += 1
        self._match()

    def fire(self, name: str, kind: str) -> None:
        self.timers.remove((name, kind))
        if kind == "wait":
            self.waits.remove(name)
        if kind in FIRED:
            self.inbox.append((FIRED[kind], name))

    def request_cancel(self) -> None:
        if ("CancelRequested", "") not in self.inbox:
            self.inbox.append(("CancelRequested", ""))

    def child_ended(self, child: str, status: str, output: str) -> None:
        assert status != "cancelled" or self.code.open[child].stop
        self.timers.discard((child, "invoke"))
        self.inbox.append(("ChildEnded", child, status, output))

    def absorb(self, fact: Fact) -> None:
        """A fact moves from the inbox to the history, unless nobody wants it now."""
        if fact in self.inbox:
            self.inbox.remove(fact)
            if fact != ("DeadlinePassed", "") or not self.code.ending:
                self._record(*fact)

    def end_broken(self, *why: str) -> None:
        """A run that a bug has paused is to end; its code cannot be asked."""
        for ask in self.code.open.values():
            is_child = isinstance(ask.node, g.Invoke | g.Spawn) and ask.recorded
            ask.stop = "now" if is_child else ""
        self._append(*why)
        late = why[0] == "DeadlinePassed"
        end = ("failed", "RunTimedOut") if late else ("cancelled", "Cancelled")
        self._append("RunEnded", "", *end)

    # --- what is to be done for it ---

    def running(self) -> dict[str, tuple[int, str]]:
        """Return the steps under way: attempt, and how they are to be stopped."""
        return {
            ask.id: (ask.attempt, ask.stop)
            for ask in self.code.open.values()
            if isinstance(ask.node, g.Step | Undo)
            if ask.recorded or ask.attempt > 1 or not ask.node.once
        }

    def stopping(self) -> set[str]:
        """Return the steps and children that are to be stopped."""
        return {ask.id for ask in self.code.open.values() if ask.stop}

    # --- records ---

    def _record(self, *fact: Any) -> None:
        self._append(*fact)
        self._feed()

    def _feed(self) -> None:
        """Feed one fact after the other; what they ask is recorded behind them."""
        try:
            while self.fed < len(self.history):
                for fact in self.history[self.fed :]:
                    self.fed += 1
                    self.code.feed(*fact)
                    self._abandon()
                asked, self.code.asked = self.code.asked, []
                for fact in asked:
                    self._append(*fact)
        except Broken:
            self.state = "broken"
        if self.state in {"working", "waiting"}:
            self.state = "working" if self.running() else "waiting"

    def _append(self, *fact: Any) -> None:
        self.history.append(fact)
        kind, name, *rest = fact
        if name in self.code.open:
            self.waits += [name] if kind == "WaitStarted" else []
            self.timers -= {(name, "retry")} if kind in SETTLED else set()
            if kind in TIMED and rest[0]:
                self.timers.add((name, TIMED[kind]))
            if kind == "StepFailed" and not rest[1]:
                self.timers.add((name, "retry"))
        self._match()
        if kind == "RunEnded":
            self.state, self.waits, self.timers, self.inbox = "ended", [], set(), []

    def _match(self) -> None:
        """The oldest wait takes the oldest event that the run has not taken."""
        for event in range(1, self.events + 1):
            if self.waits and event not in self.taken:
                wait = self.waits.pop(0)
                self.taken.add(event)
                self.timers.discard((wait, "wait"))
                self.inbox.append(("EventReceived", wait, event))

    def _abandon(self) -> None:
        """A cancel has ended sleeps and waits; what was on its way to them is free."""
        names, self.code.abandoned = self.code.abandoned, []
        self.timers = {timer for timer in self.timers if timer[0] not in names}
        self.waits = [wait for wait in self.waits if wait not in names]
        for fact in [fact for fact in self.inbox if fact[1] in names]:
            self.inbox.remove(fact)
            self.taken -= {fact[2]} if fact[0] == "EventReceived" else set()
        self._match()


def outcome_of(ask: Ask) -> str:
    """Return what an attempt comes to by itself."""
    does: str = ask.node.does
    by_attempt = {"flaky": ("fails", "ok"), "late": ("hangs", "fails")}
    first, then = by_attempt.get(does, (does, does))
    return first if ask.attempt == 1 else then


def value_of(ask: Ask) -> str:
    """Return what a step returns."""
    if isinstance(ask.node, Undo):
        return f"undo {ask.node.told}"
    return f"{ask.id}#{ask.attempt}@{ask.seen}"
