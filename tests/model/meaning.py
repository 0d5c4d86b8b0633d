"""The meaning of programs: what their code asks for when it is told what happened.

The first half of the reference model. It is a direct reading of the rules, with
generators for lines of code and exceptions for what they raise; it knows nothing of
replay, records or journals, and shares no code with ironflow.
"""

from collections import Counter, deque
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from zlib import crc32

from tests.model import grammar as g

Fact = tuple[Any, ...]
Body = Generator[None, Any, Any]
Error = BaseException | None


class Failure(Exception):
    """A RunFailure, by the name of its class."""


class Bug(Exception):
    """Any other exception of function code."""


class Stop(BaseException):
    """Cancelled."""


class Broken(BaseException):
    """A bug has reached a place where it pauses the run."""


RAISED: Final = (Failure, Bug, Stop)


def short(seen: list[str]) -> str:
    """Return four digits that stand for all that the program has seen."""
    return f"{crc32(' '.join(seen).encode()) & 0xFFFF:04x}"


def stopped() -> Stop:
    """Return what a cancel raises."""
    return Stop("Cancelled")


@dataclass(eq=False)
class Line:
    """A line of code: the run's own, or a branch of a parallel.

    `prefix` begins its ids; `saga` is where its undos belong.
    """

    prefix: str = ""
    saga: str = ""
    fork: "Fork | None" = None
    body: Body | None = None
    waits_for: "Ask | Fork | None" = None
    cancelled: bool = False


@dataclass(eq=False)
class Fork:
    """A parallel under way: the branches that have started, and the ends of some."""

    parent: Line
    node: g.Parallel
    prefix: str
    lines: list[Line] = field(default_factory=list)
    ends: dict[Line, Error] = field(default_factory=dict)
    failure: Error = None
    cancelled: bool = False


@dataclass(eq=False)
class Ask:
    """An operation that has not ended. `line`: who waits for it, if anybody.

    `told`: it is an undo, owed in `saga`, and that is what its function is told.
    """

    id: str
    node: Any
    line: Line | None = None
    seen: str = ""
    asked: int = 0  # how many facts there were
    told: str = ""
    saga: str = ""
    attempt: int = 1
    recorded: bool = False  # its own record, if it has one, was fed
    doubt: bool = False  # some attempt was in doubt
    stop: str = ""  # "gently" (the attempt may end) or "now"


class Code:
    """The code of one run. Feed it facts; it adds what it asks to `asked`."""

    def __init__(self, program: g.Program, given: str, rules: g.Rules) -> None:
        self.rules = rules
        self.seen = [given]
        self.fed = 0
        self.asked: list[Fact] = []
        self.open: dict[str, Ask] = {}
        self.children: dict[str, tuple[str, Error]] = {}  # those that have ended
        self.undos: list[Ask] = []  # that are owed
        self.used: Counter[str] = Counter()  # names
        self.runnable: deque[tuple[Line, Any, Error]] = deque()
        self.cancelled: tuple[str, str] | None = None  # how the run will end
        self.ending = False
        self.root = Line()
        self.root.body = self.do(program, self.root)

    # --- facts in ---

    def feed(self, kind: str, name: str, *details: Any) -> None:
        """Tell the code of one fact and let it run until it waits."""
        self.fed += 1
        ask = self.open.get(name)
        if ask:
            ask.recorded = True
        if kind in REACTIONS:
            REACTIONS[kind](self, ask, *details)
        while self.runnable:
            line, value, error = self.runnable.popleft()
            assert line.body
            try:
                line.body.throw(error) if error else line.body.send(value)
            except StopIteration:
                self.line_ended(line, None)
            except RAISED as raised:
                self.line_ended(line, raised)

    def wake(self, line: Line | None, value: Any = None, error: Error = None) -> None:
        if line:
            line.waits_for = None
            self.runnable.append((line, value, error))

    def settle(self, ask: Ask, value: Any = None, error: Error = None) -> None:
        del self.open[ask.id]
        self.wake(ask.line, value, error)

    # --- what programs do: generators that yield while they wait ---

    def do(self, node: g.Program, line: Line) -> Body:
        match node:
            case g.Raise(bug):
                raise Bug("ValueError") if bug else Failure("NonRetryableError")
            case g.Compensate():
                self.register(line, "ok", short(self.seen))
            case g.Seq(parts):
                for part in parts:
                    yield from self.do(part, line)
            case g.Beside(child, body):
                name = yield from self.wait_for(line, g.Spawn(child))
                yield from self.do(body, line)
                self.seen.append((yield from self.join(line, name)))
            case g.Spawn(child):
                yield from self.wait_for(line, node)
                self.seen.append(child)
            case g.Saga() | g.Catch() | g.Swallow() | g.Finally():
                yield from self.do_guarded(node, line)
            case _:
                self.seen.append((yield from self.wait_for(line, node)))

    def do_guarded(
        self, node: g.Saga | g.Catch | g.Swallow | g.Finally, line: Line
    ) -> Body:
        outer, error = line.saga, None
        if isinstance(node, g.Saga):
            line.saga = self.name(line, "\\#saga")
        saga = line.saga
        try:
            yield from self.do(node.body, line)
        except RAISED as raised:
            error = raised
        match node:
            case g.Saga():
                self.pause_for(error)
                line.saga = outer
                yield from self.leave_saga(line, saga, error)
            case g.Finally(_, last):
                yield from self.do(last, line)
            case g.Swallow() | g.Catch():
                if error and (
                    isinstance(node, g.Swallow) or isinstance(error, Failure)
                ):
                    self.seen.append(f"!{error}")
                    error = None
        if error:
            raise error

    def wait_for(self, line: Line, node: Any) -> Body:
        if line.cancelled:
            raise stopped()
        if isinstance(node, g.Parallel):
            use = self.use(line.prefix + g.NAME)
            segment = f"{g.NAME}\\#{use}" if use else g.NAME
            fork = line.waits_for = Fork(line, node, f"{line.prefix}{segment}:")
            self.start_branches(fork)
        else:
            line.waits_for = self.ask(line, node)
        return (yield)

    def ask(self, line: Line, node: Any) -> Ask:
        topic = f"publish:{g.TOPIC}" if isinstance(node, g.Publish) else g.NAME
        base = getattr(node, "child", topic)
        name = self.name(line, base)
        seen = short(self.seen)
        match node:
            case g.Step(once=True):
                self.asked.append(("StepStarted", name, 1))
            case g.Sleep():
                self.asked.append(("SleepStarted", name, True))
            case g.Wait(limit):
                self.asked.append(("WaitStarted", name, limit != ""))
            case g.Publish():
                self.asked.append(("Published", name, seen))
            case g.Invoke(child, limit):
                self.asked.append(("ChildStarted", name, limit, child, True, seen))
            case g.Spawn(child):
                self.asked.append(("ChildStarted", name, False, child, False, seen))
            case _:
                pass  # its outcome will be its only record
        self.open[name] = Ask(name, node, line, seen, self.fed)
        return self.open[name]

    def join(self, line: Line, child: str) -> Body:
        if line.cancelled:
            raise stopped()
        if child not in self.children:
            line.waits_for = self.open[child]
            self.open[child].line = line
            return (yield)
        output, error = self.children[child]
        if error:
            raise error
        return output

    def name(self, line: Line, base: str) -> str:
        return f"{line.prefix}{base}:{self.use(line.prefix + base)}"

    def use(self, name: str) -> int:
        self.used[name] += 1
        return self.used[name] - 1

    # --- lines of code ---

    def start_branches(self, fork: Fork) -> None:
        """Start the branches whose turn it is; if none is left the parent goes on."""
        branches, lines, parent = fork.node.branches, fork.lines, fork.parent
        most = fork.node.concurrency or len(branches)
        waiting = [] if fork.cancelled else branches[len(lines) :]
        for branch in waiting[: most - len(lines) + len(fork.ends)]:
            line = Line(f"{fork.prefix}{len(lines)}:", parent.saga, fork)
            line.body = self.do(branch, line)
            lines.append(line)
            self.wake(line)
        if len(lines) == len(fork.ends):
            ends = [
                f"!{fork.ends[line]}" if fork.ends[line] else "ok" for line in lines
            ]
            error = stopped() if len(lines) < len(branches) else None
            self.wake(parent, f"[{','.join(ends)}]", fork.failure or error)

    def line_ended(self, line: Line, error: Error) -> None:
        fork = line.fork
        if not fork:
            self.function_ended(error)
            return
        if not fork.node.collect:
            self.pause_for(error)
        fork.ends[line] = error
        fails = error and (isinstance(error, Stop) or not fork.node.collect)
        if fails and not fork.failure:
            fork.failure = error
            if not fork.node.collect:
                self.cancel_branches(fork, "gently")
        self.start_branches(fork)

    def pause_for(self, error: Error) -> None:
        """A bug stops everything as it stands, unless the run is cancelled."""
        if isinstance(error, Bug) and not (self.cancelled or self.rules.bugs_fail):
            raise Broken

    def cancel_run(self, status: str, output: str) -> None:
        if not (self.ending or self.cancelled):
            self.cancelled = status, output
            self.cancel(self.root, "now")

    def cancel_branches(self, fork: Fork, how: str) -> None:
        fork.cancelled = True
        for line in fork.lines:
            self.cancel(line, how)

    def cancel(self, line: Line, how: str) -> None:
        line.cancelled = True
        match line.waits_for:
            case Fork() as fork:
                self.cancel_branches(fork, how)
            case Ask(node=g.Step(), told="") as ask if ask.asked == self.fed:
                self.asked = [fact for fact in self.asked if fact[1] != ask.id]
                self.settle(ask, error=stopped())
            case Ask(node=g.Step() | g.Invoke(), told="") as ask:
                ask.stop = ask.stop if ask.stop == "now" else how
            case Ask(node=g.Sleep() | g.Wait()) as ask:
                self.settle(ask, error=stopped())
            case Ask(node=g.Spawn()) as ask if ask.recorded:
                self.wake(line, error=stopped())
                ask.line = None

    # --- undo and end ---

    def register(self, line: Line, does: g.Does, told: str) -> None:
        name = self.name(line, f"compensate:{g.NAME}")
        self.undos.append(Ask(name, g.Step(does), told=told, saga=line.saga))

    def step_happened(self, ask: Ask, value: str | None) -> None:
        """A step has an undo from now on; without a value it is in doubt."""
        if isinstance(ask.node, g.Step) and ask.node.undo and ask.line:
            told = f"{ask.id} {value} {value is None}"
            self.register(ask.line, ask.node.undo, told)

    def leave_saga(self, line: Line, saga: str, error: Error) -> Body:
        mine = [undo for undo in self.undos if undo.saga == saga]
        if not error:
            for undo in mine:
                undo.saga = line.saga
            return
        self.undos = [undo for undo in self.undos if undo not in mine]
        if mine:
            self.asked.append(("UndoStarted", saga))
        for undo in reversed(mine):
            undo.line, self.open[undo.id] = line, undo
            with suppress(Failure):
                yield  # no cancel reaches it

    def function_ended(self, error: Error) -> None:
        if self.ending:
            return
        self.pause_for(error)
        self.ending = True
        end = ("failed", str(error)) if error else ("completed", " ".join(self.seen))
        last = Line()
        last.body = self.epilogue(last, *(self.cancelled or end))
        self.wake(last)

    def epilogue(self, line: Line, status: str, output: str) -> Body:
        """Undo, then stop the children, unless all went well."""
        if status == "failed" or (status == "cancelled" and self.rules.undo_on_cancel):
            yield from self.leave_saga(line, "", stopped())
        spawned = [ask for ask in self.open.values() if isinstance(ask.node, g.Spawn)]
        for child in spawned if status != "completed" else ():
            child.stop = "now"
        for child in spawned if status != "completed" else ():
            with suppress(Failure):
                yield from self.join(line, child.id)
        self.asked.append(("RunEnded", "", status, output))


# --- what facts do to the operations that they name ---


def step_completed(code: Code, ask: Ask, _: int, value: str) -> None:
    code.step_happened(ask, value)
    code.settle(ask, value)


def step_in_doubt(code: Code, ask: Ask, _: int) -> None:
    code.step_happened(ask, None)
    code.settle(ask, error=stopped() if ask.stop else Failure("StepInDoubt"))


def step_failed(code: Code, ask: Ask, attempt: int, *how: bool) -> None:
    last, doubt, never_begun = how
    ask.doubt = ask.doubt or doubt
    if last and ask.doubt:
        code.step_happened(ask, None)
    if last:
        hit = never_begun and ask.line and ask.line.cancelled
        code.settle(ask, error=stopped() if hit else Failure("StepError"))
    ask.attempt, ask.recorded = attempt + 1, False


def wait_timed_out(code: Code, ask: Ask) -> None:
    has_default = ask.node.limit == "default"
    code.settle(ask, "default", None if has_default else Failure("WaitTimedOut"))


def child_started(code: Code, ask: Ask, *_: Any) -> None:
    if isinstance(ask.node, g.Spawn):
        line, ask.line = ask.line, None
        code.wake(line, ask.id)


def child_ended(code: Code, ask: Ask, status: str, output: str) -> None:
    error: Error = None
    if status != "completed":
        hit = isinstance(ask.node, g.Invoke) and ask.line and ask.line.cancelled
        error = stopped() if hit else Failure("InvokeError")
    code.children[ask.id] = output, error
    code.settle(ask, output, error)


def deadline_passed(code: Code, ask: Ask | None) -> None:
    if ask:
        ask.stop = "now"
    else:
        code.cancel_run("failed", "RunTimedOut")


REACTIONS: Final[dict[str, Callable[..., None]]] = {
    "RunStarted": lambda code, _: code.wake(code.root),
    "Published": lambda code, ask, _: code.settle(ask, "evt"),
    "ChildStarted": child_started,
    "SleepFired": lambda code, ask: code.settle(ask, "slept"),
    "EventReceived": lambda code, ask, event: code.settle(ask, f"event {event}"),
    "WaitTimedOut": wait_timed_out,
    "StepCompleted": step_completed,
    "StepInDoubt": step_in_doubt,
    "StepFailed": step_failed,
    "ChildEnded": child_ended,
    "DeadlinePassed": deadline_passed,
    "CancelRequested": lambda code, _: code.cancel_run("cancelled", "Cancelled"),
}
