"""The reference: what a run must record, said as plainly as possible.

A `Model` lives through one run and never crashes, replays, encodes or batches. Its
public methods are what happens to the run; `history` is what must then have been
recorded. What programs mean is in `meaning.py`; this half has attempts, events,
timers and the inbox. A fact is a tuple: kind of record, id of the operation, and
what else matters.
"""

from contextlib import suppress
from typing import Final

from tests.model import grammar as g
from tests.model.meaning import Ask, Broken, Code, Fact

# What a timer puts into the inbox; one for a retry only wakes the run.
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
        self.inbox: list[Fact] = []
        self.events = 0
        self.fired: set[tuple[str, str]] = set()  # timers
        self.state = "working"

    def copy(self) -> "Model":
        """Return a model of the same run that goes its own way from here."""
        model = Model(*self.about)
        model.history, model.inbox = self.history.copy(), self.inbox.copy()
        model.events, model.fired = self.events, self.fired.copy()
        model.state = self.state
        with suppress(Broken):
            for fact in self.history[: self.code.fed]:
                model.code.feed(*fact)
        model.code.asked = self.code.asked.copy()
        return model

    # --- what happens to the run ---

    def go_on(self, *facts: Fact) -> None:
        """Record facts, tell the code, and record what it asks for behind them."""
        self.history += facts
        try:
            while self.code.fed < len(self.history):
                for fact in self.history[self.code.fed :]:
                    self.code.feed(*fact)
                    self.match()
                self.history += self.code.asked
                self.code.asked = []
            self.state = "working" if self.running() else "waiting"
        except Broken:
            self.state = "broken"
        self.end()

    def settle(self, step: str, how: str, told: str) -> None:
        """A step begins or ends, by itself or as its host was told to stop it."""
        ask = self.code.open[step]
        kind = outcome_of(ask) if how == "ends" else how
        assert told in {"", ask.stop}
        assert how != "in doubt" or told == "now" or ask.node.once
        assert how != "given up" or told
        last = told != "" or kind == "refuses" or ask.attempt == g.ATTEMPTS
        doubt = kind == "in doubt" or (last and kind == "hangs")
        never_begun = kind == "given up" and ask.attempt == 1
        if kind == "begins":
            self.go_on(("StepStarted", step, ask.attempt))
        elif kind == "ok":
            self.go_on(("StepCompleted", step, ask.attempt, value_of(ask)))
        elif doubt or (kind == "given up" and ask.doubt):
            self.go_on(("StepInDoubt", step, ask.attempt))
        else:
            how_failed = last, kind == "hangs", never_begun
            self.go_on(("StepFailed", step, ask.attempt, *how_failed))

    def emit(self) -> None:
        self.events += 1
        self.match()

    def fire(self, name: str, kind: str) -> None:
        assert (name, kind) in self.timers
        if kind in {"run", "invoke", "retry"}:
            self.fired.add((name, kind))
        if kind in FIRED:
            self.inbox.append((FIRED[kind], name))

    def request_cancel(self) -> None:
        if ("CancelRequested", "") not in self.inbox:
            self.inbox.append(("CancelRequested", ""))

    def child_ended(self, child: str, status: str, output: str) -> None:
        assert status != "cancelled" or self.code.open[child].stop
        self.inbox.append(("ChildEnded", child, status, output))

    def absorb(self, fact: Fact) -> None:
        """A fact moves from the inbox to the history, unless nobody wants it now."""
        if fact in self.inbox:
            self.inbox.remove(fact)
            if fact != ("DeadlinePassed", "") or not self.code.ending:
                self.go_on(fact)

    def end_broken(self, *why: str) -> None:
        """A run that a bug has paused is to end; its code cannot be asked."""
        for ask in self.code.open.values():
            is_child = isinstance(ask.node, g.Invoke | g.Spawn) and ask.recorded
            ask.stop = "now" if is_child else ""
        late = why[0] == "DeadlinePassed"
        end = ("failed", "RunTimedOut") if late else ("cancelled", "Cancelled")
        self.history += [why, ("RunEnded", "", *end)]
        self.end()

    def correct(self, program: g.Program) -> None:
        """Other code reads the history, and asks for what is not recorded yet."""
        self.about = program, *self.about[1:]
        self.code = Code(*self.about)
        for fact in self.history:
            self.code.feed(*fact)
        asked, self.code.asked = self.code.asked, []
        self.code.asked = [fact for fact in asked if fact not in self.history]

    # --- what is left to be done ---

    def running(self) -> dict[str, tuple[int, str]]:
        """Return the steps under way: attempt, and how they are to be stopped."""
        return {
            ask.id: (ask.attempt, ask.stop)
            for ask in self.code.open.values()
            if isinstance(ask.node, g.Step)
            if ask.recorded or ask.attempt > 1 or not ask.node.once
        }

    def stopping(self) -> set[str]:
        """Return the steps and children that are to be stopped."""
        return {ask.id for ask in self.code.open.values() if ask.stop}

    def unanswered(self) -> list[Ask]:
        """Return what still waits for the world, in the order of the asks."""
        answered = {name for _, name, *_ in self.inbox}
        found = self.code.open.values() if self.state != "ended" else ()
        return [ask for ask in found if ask.id not in answered]

    @property
    def timers(self) -> set[tuple[str, str]]:
        """Return the timers that are set, by operation and kind."""
        run = self.about[2].run_timeout and self.state != "ended"
        timers = {(ask.id, timer_of(ask)) for ask in self.unanswered()}
        timers |= {("", "run")} if run else set()
        return {timer for timer in timers if timer[1]} - self.fired

    @property
    def waits(self) -> list[str]:
        """Return the waits that no event has found, in the order of their asks."""
        waits = [ask for ask in self.unanswered() if isinstance(ask.node, g.Wait)]
        return [ask.id for ask in waits if ask.recorded]

    @property
    def taken(self) -> set[int]:
        """Return the events that the run has taken."""
        facts = (*self.history, *self.inbox)
        return {fact[2] for fact in facts if fact[0] == "EventReceived"}

    def match(self) -> None:
        """What nobody waits for is free; the oldest wait takes the oldest event."""
        wanted = {"", *self.code.open}
        self.inbox = [fact for fact in self.inbox if fact[1] in wanted]
        for event in range(1, self.events + 1):
            if self.waits and event not in self.taken:
                self.inbox.append(("EventReceived", self.waits[0], event))

    def end(self) -> None:
        if self.history[-1][0] == "RunEnded":
            self.state, self.inbox = "ended", []


def timer_of(ask: Ask) -> str:
    """Return the kind of timer that an operation has set."""
    match ask.node:
        case g.Sleep() if ask.recorded:
            return "sleep"
        case g.Wait(limit) if limit and ask.recorded:
            return "wait"
        case g.Invoke(_, True) if ask.recorded:
            return "invoke"
        case g.Step() if ask.attempt > 1:
            return "retry"
    return ""


def outcome_of(ask: Ask) -> str:
    """Return what an attempt comes to by itself."""
    does: str = ask.node.does
    by_attempt = {"flaky": ("fails", "ok"), "late": ("hangs", "fails")}
    first, then = by_attempt.get(does, (does, does))
    return first if ask.attempt == 1 else then


def value_of(ask: Ask) -> str:
    """Return what a step returns."""
    return f"undo {ask.told}" if ask.told else f"{ask.id}#{ask.attempt}@{ask.seen}"
