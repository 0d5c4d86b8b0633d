"""The reference: what a run must record, said as plainly as possible.

It knows nothing of replay, batches and bytes, and shares no code with ironflow. A fact
is a tuple: kind of record, id of the operation, and what else matters. An error is the
name of its class, or nothing. `Code` is a program that is told facts; `Model` is a run,
which tells all of them anew after each one.
"""

from collections import defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from tests.model import grammar as g
from tests.model.walked import Body, Part, part_of

Fact = tuple[Any, ...]
ENDS: Final = {  # how a run ends that is not to go on
    "CancelRequested": ("cancelled", g.CANCELLED),
    "DeadlinePassed": ("failed", "RunTimedOut"),
}
# What an operation gives, by the kind of the fact that settles it: value and error.
RESULTS: Final[dict[str, Any]] = {
    "Published": lambda ask, _: ("evt", ""),
    "SleepFired": lambda ask: ("slept", ""),
    "EventReceived": lambda ask, event: (event, ""),
    "WaitTimedOut": lambda ask: ("default", ask.node.error),
    "StepCompleted": lambda ask, _, value: (value, ""),
    "StepFailed": lambda ask, *_: (None, "StepError"),
    "StepInDoubt": lambda ask, _: (None, "StepInDoubt"),
    "ChildEnded": lambda _, end, it: (it, "" if end == "completed" else "InvokeError"),
}


@dataclass(eq=False)
class Line:
    """A line of code: the run's own, or a branch. `prefix` begins its ids."""

    prefix: str
    owed: "list[Ask]"  # the undos of the saga that it is in
    body: Any = None
    waits_for: Any = None  # an Ask, branches, or nothing that a cancel could reach
    cancelled: bool = False


@dataclass(eq=False)
class Ask:
    """An operation that has not ended. `line`: who waits for it, if anybody."""

    id: str
    node: Any
    given: str  # all that the program had seen, or what an undo is told
    line: Line | None
    asked: int  # after how many facts; of an undo: after how many others
    attempt: int = 1
    recorded: bool = False  # its own record, if it has one, is a fact
    doubt: bool = False  # some attempt was in doubt
    stop: str = ""  # "gently" (the attempt may end) or "now"
    result: Any = None  # value and error, once it has ended


class Code:
    """The code of a run that was told these facts: what is open, and newly asked."""

    def __init__(self, run: "Model", facts: tuple[Fact, ...]) -> None:
        self.rules, self.fed = run.rules, 0
        self.asked: tuple[Fact, ...] = ()  # what is to be recorded next
        self.open: dict[str, Ask] = {}
        self.used: dict[str, count[int]] = defaultdict(count)  # names
        self.end: tuple[str, str] | None = None  # of the run, once it is certain
        self.ending = self.broken = False
        self.root = Line("", [])
        self.root.body = self.function(run.program, [run.given], self.root)
        self.runnable: deque[tuple[Line, Any]] = deque([(self.root, None)])
        for fact in facts:
            if not self.broken:
                self.feed(*fact)

    def feed(self, kind: str, name: str, *details: Any) -> None:
        """Tell the code of one fact and let it run until it waits."""
        self.fed += 1
        self.asked = tuple(fact for fact in self.asked if fact[:2] != (kind, name))
        if name in self.open:
            self.happened(self.open[name], kind, *details)
        elif kind in ENDS and not self.end:
            self.end = ENDS[kind]
            self.cancel(self.root, "now")
        while self.runnable and not self.broken:
            line, result = self.runnable.popleft()
            with suppress(StopIteration):
                line.waits_for = line.body.send(result)

    def happened(self, ask: Ask, kind: str, *details: Any) -> None:
        """A fact names an open operation."""
        ask.recorded = True
        if kind == "DeadlinePassed":
            ask.stop = "now"
        if kind == "ChildStarted" and isinstance(ask.node, g.Spawn):
            self.wake(ask, (ask, ""))
        ask.doubt = ask.doubt or (kind == "StepFailed" and details[2])
        if kind == "StepFailed" and not details[1]:
            ask.attempt, ask.recorded = ask.attempt + 1, False
        elif kind in RESULTS:
            value, error = RESULTS[kind](ask, *details)
            own = kind == "StepFailed" and not details[3]  # an attempt was made
            if error and ask.line and ask.line.cancelled and not own:
                error = g.CANCELLED
            ask.result = value, error
            undo = getattr(ask.node, "undo", "")
            if undo and ask.line and (kind != "StepFailed" or ask.doubt):
                self.owe(ask.line, undo, f"{ask.id} {value} {value is None}")
            del self.open[ask.id]
            self.wake(ask, ask.result)

    def wake(self, ask: Ask, result: tuple[Any, str]) -> None:
        line, ask.line = ask.line, None
        if line:
            line.waits_for = None
            self.runnable.append((line, result))

    def operation(self, node: Any, given: Any, line: Line) -> Body:
        """Ask for anything, or join a child; return what it gives, and its error."""
        if line.cancelled:
            return None, g.CANCELLED
        if isinstance(node, g.Parallel):
            return (yield from self.parallel(node, given, line))
        if isinstance(node, Ask):
            node.line = line
            return node.result or (yield node)
        name = self.name(line, node.name)
        ask = self.open[name] = Ask(name, node, given, line, self.fed)
        self.asked += tuple((kind, name, *rest) for kind, *rest in node.records(given))
        return (yield ask)

    def name(self, line: Line, base: str) -> str:
        return f"{line.prefix}{base}:{next(self.used[line.prefix + base])}"

    def whole(self, part: Part, line: Line, *, pauses: bool = True) -> Body:
        """Do what a bug must not leave: unless the run is to end, it pauses here."""
        error = yield from part(self, line)
        if pauses and error == g.BUG and not (self.end or self.rules.bugs_fail):
            self.broken = True
            yield
        return error

    def parallel(self, node: g.Parallel, parts: list[Part], line: Line) -> Body:
        """Start lines as their turn comes; each that ends lets this one look again."""
        use = next(self.used[line.prefix + g.NAME])
        prefix = line.prefix + (f"{g.NAME}\\#{use}" if use else g.NAME)
        lines: list[Line] = []
        ends: dict[Line, str] = {}
        while True:
            found = filter(None, ends.values())
            errors = [end for end in found if end == g.CANCELLED or not node.collect]
            for each in lines if errors and not node.collect else ():
                self.cancel(each, "gently")
            closed = line.cancelled or (errors and not node.collect)
            beyond = len(ends) + (node.concurrency or len(parts))
            for part in () if closed else parts[len(lines) : beyond]:
                new = Line(f"{prefix}:{len(lines)}:", line.owed)
                new.body = self.branch(part, new, line, node)
                lines.append(new)
                self.runnable.append((new, None))
            if len(ends) == len(lines):
                break
            ended, ends[ended] = yield lines
        self.runnable.append((line, None))
        yield  # until those have run that could before it
        words = [f"!{ends[each]}" if ends[each] else "ok" for each in lines]
        errors += [g.CANCELLED] if len(lines) < len(parts) else [""]
        return f"[{','.join(words)}]", errors[0]

    def branch(self, part: Part, line: Line, parent: Line, node: g.Parallel) -> Body:
        error = yield from self.whole(part, line, pauses=not node.collect)
        self.runnable.appendleft((parent, (line, error)))

    def saga(self, part: Part, line: Line) -> Body:
        """Undo what the part owes if it fails, else owe it outside."""
        outer, line.owed, name = line.owed, [], self.name(line, "\\#saga")
        error = yield from self.whole(part, line)
        owed, line.owed = line.owed, outer
        outer += [] if error else owed
        yield from self.undo(owed if error else [], name, line)
        return error

    def owe(self, line: Line, does: Any, told: str) -> None:
        name, place = self.name(line, f"compensate:{g.NAME}"), next(self.used["undo"])
        line.owed.append(Ask(name, g.Step(does), f"undo {told}", None, place))

    def undo(self, owed: list[Ask], saga: str, line: Line) -> Body:
        """Undo what is owed, the newest first; no cancel reaches it."""
        self.asked += (("UndoStarted", saga),) if owed else ()
        for ask in sorted(owed, key=lambda ask: -ask.asked):
            ask.line, self.open[ask.id] = line, ask
            yield

    def cancel(self, line: Line, how: str) -> None:
        """From now on all that the line asks is cancelled; what can be, at once."""
        line.cancelled = True
        ask = line.waits_for
        kind = type(ask.node) if isinstance(ask, Ask) else None
        for each in ask if isinstance(ask, list) else ():
            self.cancel(each, how)
        if kind in {g.Sleep, g.Wait} or (kind is g.Step and ask.asked == self.fed):
            start = "StepStarted", ask.id, 1
            self.asked = tuple(fact for fact in self.asked if fact != start)
            del self.open[ask.id]
            self.wake(ask, (None, g.CANCELLED))
        elif kind in {g.Step, g.Invoke}:
            ask.stop = max(ask.stop, how)
        elif kind is g.Spawn and ask.recorded:
            self.wake(ask, (None, g.CANCELLED))

    def function(self, program: g.Program, seen: list[str], line: Line) -> Body:
        """Run the program; unless all is well, undo, then stop the children; end."""
        error = yield from self.whole(part_of(program, seen), line)
        result = ("failed", error) if error else ("completed", " ".join(seen))
        status, output = self.end = self.end or result
        self.ending, line.cancelled = True, False
        if status == "failed" or (status == "cancelled" and self.rules.undo_on_cancel):
            yield from self.undo(line.owed, "", line)
        children = [ask for ask in self.open.values() if status != "completed"]
        for child in children:
            child.stop = "now"
        for child in children:
            yield from self.operation(child, "", line)
        self.asked += (("RunEnded", "", status, output),)


class Model:
    """One run of one program. What it holds is replaced, never changed."""

    def __init__(self, program: g.Program, given: str, rules: g.Rules) -> None:
        self.program, self.given, self.rules = program, given, rules
        self.history: tuple[Fact, ...] = (("RunStarted", ""),)
        self.inbox: tuple[Fact, ...] = ()
        self.events: tuple[str, ...] = ()  # that were sent
        self.codes: dict[tuple[Fact, ...], Code] = {}  # that were read before
        self.code, self.state = Code(self, ()), "working"

    def go_on(self, *facts: Fact) -> None:
        """Record facts, tell the code, and record what it asks for behind them."""
        self.history += facts
        if self.history not in self.codes:
            self.codes[self.history] = Code(self, self.history)
        self.code = self.codes[self.history]
        steps = [ask for ask in self.code.open.values() if isinstance(ask.node, g.Step)]
        self.state = "working" if steps else "waiting"
        if self.history[-1][0] == "RunEnded":
            self.state, self.inbox = "ended", ()
        elif self.code.broken:
            self.state = "broken"
        else:
            self.match()
        if self.code.asked and not self.code.broken:
            self.go_on(*self.code.asked)

    def settle(self, step: str, how: str, told: str) -> None:
        """A step begins or ends, by itself or as its host was told to stop it."""
        ask = self.code.open[step]
        made = step, ask.attempt
        kind = ask.node.comes_to(ask.attempt) if how == "ends" else how
        last = told != "" or kind == "refuses" or ask.attempt == g.ATTEMPTS
        never_begun = kind == "given up" and ask.attempt == 1
        if (last and kind == "hangs") or (kind == "given up" and ask.doubt):
            kind = "in doubt"
        facts: dict[str, Fact] = {
            "begins": ("StepStarted", *made),
            "ok": ("StepCompleted", *made, f"{step}#{ask.attempt}@{ask.given}"),
            "in doubt": ("StepInDoubt", *made),
        }
        failed = "StepFailed", *made, last, kind == "hangs", never_begun
        self.go_on(facts.get(kind, failed))

    def absorb(self, fact: Fact) -> None:
        """A fact moves from the inbox to the history, unless nobody wants it now."""
        if fact in self.inbox:
            self.inbox = tuple(each for each in self.inbox if each != fact)
            if fact != ("DeadlinePassed", "") or not self.code.ending:
                self.go_on(fact)

    def match(self) -> None:
        """What nobody waits for is free; the oldest wait takes the oldest event."""
        wanted = {"", *self.code.open}
        self.inbox = tuple(fact for fact in self.inbox if fact[1] in wanted)
        facts = (*self.history, *self.inbox)
        taken = [fact[2] for fact in facts if fact[0] == "EventReceived"]
        free = [event for event in self.events if event not in taken]
        for name, event in zip(self.waits, free, strict=False):
            self.inbox += (("EventReceived", name, event),)

    @property
    def waits(self) -> list[str]:
        """The waits that no event has found, in the order of their asks."""
        met = {fact[1] for fact in self.inbox}
        waits = [ask for ask in self.code.open.values() if isinstance(ask.node, g.Wait)]
        return [ask.id for ask in waits if ask.recorded and ask.id not in met]
