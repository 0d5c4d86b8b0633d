"""The workers of the published SDKs: who is there, and what each can execute.

A worker is there while it is heard of. One that is not for `SEGMENT_SILENCE_US_MAX` is
forgotten, and its jobs are given to others.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast, final

from ironflow import limits
from ironflow.engine.alarms import Alarm, Alarms
from ironflow.engine.clock import Clock
from ironflow.engine.log import log
from ironflow.transport.http.messages import HttpError
from ironflow.transport.segment_book import Book
from ironflow.transport.workers import WorkerInfo, Workers
from ironflow.wire import documents
from ironflow.wire.documents import Document

SLOTS_DEFAULT = 10


@final
@dataclass(slots=True, eq=False)
class PublishedWorker:
    """A worker. `active` is how many jobs it said it is at.

    `revoked` is told of a run whose job is taken from it. `replaced` is called when
    another connection registers under its id.
    """

    id: str
    transport: str
    functions: frozenset[str]
    slots: int
    registered_at: int
    heard_at: int
    hostname: str = ""
    sdk: str = ""
    runtime: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    active: int = 0
    revoked: Callable[[str], None] | None = None
    replaced: Callable[[], None] = lambda: None
    expiry: Alarm | None = None
    forget: Callable[[], None] | None = None

    @property
    def takes_failures(self) -> bool:
        """Say whether it can be told that a child did not complete.

        The older SDK, which is not Python's, takes every row for a completed one.
        """
        return not self.runtime or "python" in self.runtime.lower()

    @property
    def drops_what_it_has(self) -> bool:
        """Say whether it passes over a job that it is at and is sent again: Python's does."""
        return "python" in self.runtime.lower()

    def info(self) -> WorkerInfo:
        """Return it as the table of all workers shows it."""
        return WorkerInfo(
            id=self.id,
            transport=self.transport,
            function_ids=tuple(sorted(self.functions)),
            registered_at=self.registered_at,
            last_heartbeat=self.heard_at,
            active_jobs=self.active,
            max_concurrent=self.slots,
            hostname=self.hostname,
            labels=self.labels,
            runtime=self.runtime,
            sdk=self.sdk,
        )


@final
class PublishedWorkers:
    """The workers that are there.

    `changed` is called with a function that a worker came for, or whose last one went.
    """

    def __init__(
        self,
        clock: Clock,
        alarms: Alarms,
        book: Book,
        table: Workers,
        *,
        changed: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._alarms = alarms
        self._book = book
        self._table = table
        self._changed = changed
        self._workers: dict[str, PublishedWorker] = {}
        self._serving: Counter[str] = Counter()
        self.slots = 0  # of all workers

    def register(
        self, worker_id: str, source: Document, *, transport: str
    ) -> PublishedWorker:
        """Note a worker, in the place of one of its id, whose jobs it keeps.

        Raises:
            HttpError: 429, there are too many.
            ConfigurationError: a field is wrong.
        """
        version = documents.inner(source, "version")
        now = self._clock.now()
        worker = PublishedWorker(
            id=worker_id,
            transport=transport,
            functions=frozenset(documents.texts(source, "function_ids")),
            slots=min(
                max(1, documents.whole(source, "max_concurrent_jobs", SLOTS_DEFAULT)),
                limits.RUNS_ACTIVE_MAX,
            ),
            registered_at=now,
            heard_at=now,
            hostname=documents.text(source, "hostname"),
            sdk=documents.text(version, "sdk"),
            runtime=documents.text(version, "runtime"),
            labels=_labels(source),
        )
        before = self._workers.get(worker_id)
        if before is not None:
            self.leave(worker_id, keeps_jobs=True)
            before.replaced()
        if len(self._workers) >= limits.SEGMENT_WORKERS_MAX:
            raise HttpError(
                429,
                "resource_exhausted",
                f"there are {limits.SEGMENT_WORKERS_MAX} workers, which is the most",
            )
        self._workers[worker_id] = worker
        self.slots += worker.slots
        worker.forget = self._table.add(worker_id, worker.info)
        self._watch(worker)
        for function_id in worker.functions:
            self._serving[function_id] += 1
            self._changed(function_id)
        return worker

    def heard(self, worker_id: str) -> PublishedWorker:
        """Return a worker that has just been heard of.

        Raises:
            HttpError: 404, it has to register again.
        """
        worker = self.note(worker_id)
        if worker is None:
            raise HttpError(
                404,
                "not_found",
                f"worker {worker_id[:100]!r} is not registered here; register again",
            )
        return worker

    def note(self, worker_id: str) -> PublishedWorker | None:
        """Return a worker that has just been heard of, None if it is not registered."""
        worker = self._workers.get(worker_id)
        if worker is not None:
            worker.heard_at = self._clock.now()
        return worker

    def leave(
        self,
        worker_id: str,
        *,
        why: str = "it registered again",
        only: PublishedWorker | None = None,
        keeps_jobs: bool = False,
    ) -> None:
        """Forget a worker, and queue its jobs again, which say `why`.

        `only`: unless it came back since. `keeps_jobs`: for as long as their leases last.
        """
        worker = self._workers.get(worker_id)
        if worker is None or (only is not None and worker is not only):
            return
        del self._workers[worker_id]
        self.slots -= worker.slots
        if worker.expiry is not None:
            worker.expiry.cancel()
        if worker.forget is not None:
            worker.forget()
        if not keeps_jobs:
            self._book.worker_gone(worker_id, why)
        for function_id in worker.functions:
            self._serving[function_id] -= 1
            if not self._serving[function_id]:
                del self._serving[function_id]
                self._changed(function_id)

    def stream_ended(self, worker: PublishedWorker) -> None:
        """Forget a worker whose stream has ended, unless it has another one by now.

        Others may have its jobs at once; until they do, it may come back to them.
        """
        if self._workers.get(worker.id) is not worker:
            return
        self.leave(worker.id, keeps_jobs=True)
        self._loosen(worker, "its stream ended")

    def vanished(self, worker: PublishedWorker) -> None:
        """Offer the jobs of a worker to others whose machine did not answer any more.

        Unless it is heard of over another connection. It stays registered, for it may come
        back, and it would drop all its jobs if it had to register again.
        """
        is_heard = worker.heard_at + limits.SOCKET_SILENCE_US_MAX > self._clock.now()
        if self._workers.get(worker.id) is worker and not is_heard:
            self._loosen(worker, "its machine did not answer any more")

    def _loosen(self, worker: PublishedWorker, why: str) -> None:
        lost = self._book.loosen(worker.id, why)
        if lost:
            log.warning(
                "worker %s was lost: %s; %d runs of it go to others",
                worker.id,
                why,
                len(lost),
            )

    def serve(self, function_id: str) -> bool:
        """Say whether a worker is there that can execute this function."""
        return self._serving[function_id] > 0

    def _watch(self, worker: PublishedWorker) -> None:
        due = worker.heard_at + limits.SEGMENT_SILENCE_US_MAX
        worker.expiry = self._alarms.set(due, lambda: self._look_after(worker))

    def _look_after(self, worker: PublishedWorker) -> None:
        if worker.heard_at + limits.SEGMENT_SILENCE_US_MAX > self._clock.now():
            self._watch(worker)
        else:
            silence = limits.SEGMENT_SILENCE_US_MAX // 1_000_000
            self.leave(worker.id, why=f"it said nothing for {silence} s", only=worker)


def _labels(source: Document) -> dict[str, str]:
    """The labels as they were written: their names are the user's."""
    found = source.get("labels")
    if not isinstance(found, dict):
        return {}
    labels = cast("dict[str, object]", found)
    return {name: text for name, text in labels.items() if isinstance(text, str)}
