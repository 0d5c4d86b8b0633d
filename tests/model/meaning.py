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
Result = tuple[Any, BaseException | None]
Kinds = tuple[type[BaseException], ...]
Guarded = g.Saga | g.Catch | g.Swallow | g.Finally


class Failure(Exception):
    """A RunFailure, by the name of its class."""


class Bug(Exception):
    """Any other exception of function code."""


class Stop(BaseException):
    """Cancelled."""


class Broken(BaseException):
    """A bug has reached a place where it pauses the run."""


def short(seen: list[str]) -> str:
    """Return four digits that stand for all that the program has seen."""
    return f"{crc32(' '.join(seen).encode()) & 0xFFFF:04x}"


def stopped() -> Stop:
    """Return what a cancel raises."""
    return Stop("Cancelled")


NOTHING = g.Parallel(())


@dataclass(eq=False)
class Group:
    """Lines that are cancelled together: the run's one, or a parallel's branches."""

    parent: "Line | None" = None
    node: g.Parallel = NOTHING
    prefix: str = ""
    cancelled: bool = False
    started: int = 0
    ends: dict[int, BaseException | None] = field(default_factory=dict)
    failure: BaseException | None = None

    def is_cancelled(self) -> bool:
        outer = self.parent is not None and self.parent.group.is_cancelled()
        return self.cancelled or outer


@dataclass(eq=False)
class Line:
    """A line of code. `prefix` begins its ids, `saga` is where its undos belong."""

    group: Group
    prefix: str = ""
    saga: str = ""
    path: tuple[int, ...] = ()
    body: Body | None = None

    def is_within(self, group: Group) -> bool:
        parent = self.group.parent
        return self.group is group or (parent is not None and parent.is_within(group))


@dataclass(eq=False)
class Undo:
    """Something to take back; `told` is what its function is told."""

    id: str
    saga: str
    does: str
    told: str
    once: bool = False


@dataclass(eq=False)
class Ask:
    """An operation that has not ended. `line`: who waits for it, if anybody."""

    id: str
    node: Any
    line: Line | None
    seen: str
    attempt: int = 1
    recorded: bool = False  # its own record, if it has one, was fed
    doubt: bool = False  # some attempt was in doubt
    stop: str = ""  # "gently" (the attempt may end) or "now"
    asked: int = 0  # how many facts there were


class Code:
    """The code of one run. Feed it facts; it adds what it asks to `asked`."""

    def __init__(self, program: g.Program, given: str, rules: g.Rules) -> None:
        self.program = program
        self.rules = rules
        self.seen = [given]
        self.asked: list[Fact] = []
        self.abandoned: list[str] = []  # sleeps and waits that a cancel has ended
        self.open: dict[str, Ask] = {}
        self.cancelled: tuple[str, str] | None = None  # how the run will end
        self.counters: Counter[str] = Counter()
        self.undos: list[Undo] = []
        self.children: dict[str, Result] = {}  # those that have ended
        self.runnable: deque[tuple[Line, Result]] = deque()
        self.root = Line(Group())
        self.ending = False
        self.fed = 0

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
            line, (value, error) = self.runnable.popleft()
            self._run(line, value, error)

    def _run(self, line: Line, value: Any, error: BaseException | None) -> None:
        assert line.body
        try:
            line.body.throw(error) if error else line.body.send(value)
        except StopIteration:
            self._line_ended(line, None)
        except (Failure, Bug, Stop) as raised:
            self._line_ended(line, raised)

    def _wake(self, line: Line | None, result: Result = (None, None)) -> None:
        if line:
            self.runnable.append((line, result))

    def _settle(self, ask: Ask, value: Any, error: BaseException | None = None) -> None:
        del self.open[ask.id]
        self._wake(ask.line, (value, error))

    # --- what programs do: generators that yield while they wait ---

    def _meaning(self, node: g.Program, line: Line) -> Body:
        match node:
            case g.Raise(bug):
                raise Bug("ValueError") if bug else Failure("NonRetryableError")
            case g.Compensate():
                self._register(line, "ok", short(self.seen))
            case g.Seq(parts):
                for part in parts:
                    yield from self._meaning(part, line)
            case g.Beside(child, body):
                name = yield from self._await(line, g.Spawn(child))
                yield from self._meaning(body, line)
                self.seen.append((yield from self._join(line, name)))
            case g.Spawn(child):
                yield from self._await(line, node)
                self.seen.append(child)
            case g.Saga() | g.Catch() | g.Swallow() | g.Finally():
                yield from self._guarded(node, line)
            case _:
                self.seen.append((yield from self._await(line, node)))

    def _guarded(self, node: Guarded, line: Line) -> Body:
        match node:
            case g.Saga(body):
                yield from self._saga(body, line)
            case g.Catch(body):
                yield from self._caught(body, line, (Failure,))
            case g.Swallow(body):
                yield from self._caught(body, line, (Failure, Bug, Stop))
            case g.Finally(body, last):
                error: BaseException | None = None
                try:
                    yield from self._meaning(body, line)
                except (Failure, Bug, Stop) as raised:
                    error = raised
                yield from self._meaning(last, line)
                if error:
                    raise error

    def _caught(self, body: g.Program, line: Line, kinds: Kinds) -> Body:
        try:
            yield from self._meaning(body, line)
        except kinds as raised:
            self.seen.append(f"!{raised}")

    def _await(self, line: Line, node: Any) -> Body:
        if line.group.is_cancelled() and not isinstance(node, Undo):
            raise stopped()
        if isinstance(node, g.Parallel):
            self._fork(line, node)
        else:
            self._ask(line, node)
        return (yield)

    def _ask(self, line: Line, node: Any) -> None:
        name, seen = self._name(line, node), short(self.seen)
        self.open[name] = Ask(name, node, line, seen, asked=self.fed)
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

    def _name(self, line: Line, node: Any) -> str:
        match node:
            case Undo():
                return node.id
            case g.Publish():
                return self._counted(line, f"publish:{g.TOPIC}")
            case g.Invoke(child) | g.Spawn(child):
                return self._counted(line, child)
            case _:
                return self._counted(line, g.NAME)

    def _counted(self, line: Line, name: str) -> str:
        return f"{line.prefix}{name}:{self._use(line, name)}"

    def _use(self, line: Line, name: str) -> int:
        self.counters[line.prefix + name] += 1
        return self.counters[line.prefix + name] - 1

    def _join(self, line: Line, child: str) -> Body:
        if line.group.is_cancelled():
            raise stopped()
        if child not in self.children:
            self.open[child].line = line
            return (yield)
        output, error = self.children[child]
        if error:
            raise error
        return output

    # --- parallels ---

    def _fork(self, line: Line, node: g.Parallel) -> None:
        use = self._use(line, g.NAME)
        segment = f"{g.NAME}\\#{use}" if use else g.NAME
        self._go_on(Group(line, node, f"{line.prefix}{segment}:"))

    def _go_on(self, group: Group) -> None:
        """Start the branches whose turn it is; if none is left, wake the parent."""
        branches, parent = group.node.branches, group.parent
        most = group.node.concurrency or len(branches)
        assert parent
        while not (
            group.started == len(branches)
            or group.started - len(group.ends) == most
            or group.is_cancelled()
        ):
            index, group.started = group.started, group.started + 1
            path = (*parent.path, index)
            line = Line(group, f"{group.prefix}{index}:", parent.saga, path)
            line.body = self._meaning(branches[index], line)
            self._wake(line)
        if group.started == len(group.ends):
            self._wake(parent, group_result(group))

    def _line_ended(self, line: Line, error: BaseException | None) -> None:
        group = line.group
        if group.parent is None:
            return self._function_ended(error)
        if not group.node.collect:
            pause_for(self, error)
        group.ends[line.path[-1]] = error
        if error and not group.failure:
            if not group.node.collect:
                group.failure = error
                self._cancel(group)
            elif isinstance(error, Stop):
                group.failure = error
        return self._go_on(group)

    # --- cancel ---

    def _cancel_run(self, status: str, output: str) -> None:
        if not (self.ending or self.cancelled):
            self.cancelled = status, output
            self._cancel(self.root.group)

    def _cancel(self, group: Group) -> None:
        group.cancelled = True
        hit = [
            ask for ask in self.open.values() if ask.line and ask.line.is_within(group)
        ]
        for ask in sorted(hit, key=lambda ask: ask.line.path if ask.line else ()):
            match ask.node:
                case g.Step() if ask.asked == self.fed:
                    self.asked = [fact for fact in self.asked if fact[1] != ask.id]
                    self._settle(ask, None, stopped())
                case g.Step() | g.Invoke():
                    gently = ask.stop != "now" and group.parent
                    ask.stop = "gently" if gently else "now"
                case g.Sleep() | g.Wait():
                    self.abandoned.append(ask.id)
                    self._settle(ask, None, stopped())
                case g.Spawn() if ask.recorded:
                    self._wake(ask.line, (None, stopped()))
                    ask.line = None

    # --- undo and end ---

    def _register(self, line: Line, does: str, told: str) -> None:
        name = self._counted(line, f"compensate:{g.NAME}")
        self.undos.append(Undo(name, line.saga, does, told))

    def _undoable(self, ask: Ask, told: str) -> None:
        if isinstance(ask.node, g.Step) and ask.node.undo and ask.line:
            self._register(ask.line, ask.node.undo, told)

    def _saga(self, body: g.Program, line: Line) -> Body:
        outer, line.saga = line.saga, self._counted(line, "\\#saga")
        saga = line.saga
        try:
            yield from self._meaning(body, line)
        except (Failure, Bug, Stop) as raised:
            pause_for(self, raised)
            line.saga = outer
            yield from self._undo(line, saga)
            raise
        line.saga = outer
        for undo in self.undos:
            undo.saga = outer if undo.saga == saga else undo.saga

    def _undo(self, line: Line, saga: str) -> Body:
        mine = [undo for undo in self.undos if undo.saga == saga]
        self.undos = [undo for undo in self.undos if undo.saga != saga]
        if mine:
            self.asked.append(("UndoStarted", saga))
        for undo in reversed(mine):
            with suppress(Failure):
                yield from self._await(line, undo)

    def _function_ended(self, error: BaseException | None) -> None:
        if self.ending:
            return
        pause_for(self, error)
        self.ending = True
        end = ("failed", str(error)) if error else ("completed", " ".join(self.seen))
        last = Line(Group())
        last.body = self._epilogue(last, *(self.cancelled or end))
        self._wake(last)

    def _epilogue(self, line: Line, status: str, output: str) -> Body:
        """Undo, then stop the children, unless all went well."""
        if status != "completed":
            if status != "cancelled" or self.rules.undo_on_cancel:
                yield from self._undo(line, "")
            children = [
                ask for ask in self.open.values() if isinstance(ask.node, g.Spawn)
            ]
            for child in children:
                child.stop = "now"
            for child in children:
                with suppress(Failure):
                    yield from self._join(line, child.id)
        self.asked.append(("RunEnded", "", status, output))


def pause_for(code: Code, error: BaseException | None) -> None:
    """A bug stops everything as it stands, unless the run is cancelled."""
    if isinstance(error, Bug) and not (code.cancelled or code.rules.bugs_fail):
        raise Broken


def group_result(group: Group) -> Result:
    """Return what a parallel gives to the line that waits for it."""
    if group.failure:
        return None, group.failure
    if group.started < len(group.node.branches):
        return None, stopped()
    ends = [f"!{end}" if end else "ok" for _, end in sorted(group.ends.items())]
    return f"[{','.join(ends)}]", None


# --- what facts do to the operations that they name ---


def run_started(code: Code, _: None) -> None:
    code.root.body = code._meaning(code.program, code.root)
    code._wake(code.root)


def published(code: Code, ask: Ask, _: str) -> None:
    code._settle(ask, "evt")


def child_started(code: Code, ask: Ask, *_: Any) -> None:
    if isinstance(ask.node, g.Spawn):
        line, ask.line = ask.line, None
        code._wake(line, (ask.id, None))


def sleep_fired(code: Code, ask: Ask) -> None:
    code._settle(ask, "slept")


def event_received(code: Code, ask: Ask, event: int) -> None:
    code._settle(ask, f"event {event}")


def wait_timed_out(code: Code, ask: Ask) -> None:
    late = None if ask.node.limit == "default" else Failure("WaitTimedOut")
    code._settle(ask, "default", late)


def step_completed(code: Code, ask: Ask, _: int, value: str) -> None:
    code._undoable(ask, f"{ask.id} {value} False")
    code._settle(ask, value)


def step_in_doubt(code: Code, ask: Ask, _: int) -> None:
    code._undoable(ask, f"{ask.id} None True")
    code._settle(ask, None, stopped() if ask.stop else Failure("StepInDoubt"))


def step_failed(code: Code, ask: Ask, *details: Any) -> None:
    attempt, last, doubt, never = details
    ask.doubt = ask.doubt or doubt
    if last and ask.doubt:
        code._undoable(ask, f"{ask.id} None True")
    if last:
        hit = never and ask.line and ask.line.group.is_cancelled()
        return code._settle(ask, None, stopped() if hit else Failure("StepError"))
    ask.attempt = attempt + 1
    ask.recorded = False
    return None


def child_ended(code: Code, ask: Ask, status: str, output: str) -> None:
    error: BaseException | None = None
    if status != "completed":
        mine = ask.line.group if ask.line else Group()
        hit = isinstance(ask.node, g.Invoke) and mine.is_cancelled()
        error = stopped() if hit else Failure("InvokeError")
    code.children[ask.id] = output, error
    code._settle(ask, output, error)


def deadline_passed(code: Code, ask: Ask | None) -> None:
    if ask:
        ask.stop = "now"
    else:
        code._cancel_run("failed", "RunTimedOut")


def cancel_requested(code: Code, _: None) -> None:
    code._cancel_run("cancelled", "Cancelled")


REACTIONS: Final[dict[str, Callable[..., None]]] = {
    "RunStarted": run_started,
    "Published": published,
    "ChildStarted": child_started,
    "SleepFired": sleep_fired,
    "EventReceived": event_received,
    "WaitTimedOut": wait_timed_out,
    "StepCompleted": step_completed,
    "StepInDoubt": step_in_doubt,
    "StepFailed": step_failed,
    "ChildEnded": child_ended,
    "DeadlinePassed": deadline_passed,
    "CancelRequested": cancel_requested,
}
