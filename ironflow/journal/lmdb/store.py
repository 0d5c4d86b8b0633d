"""The journal in LMDB: opened by its one owner, or by readers beside it."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, final

import trio

from ironflow import limits
from ironflow.errors import (
    ConfigurationError,
    JournalDamaged,
    JournalError,
    JournalFailed,
    JournalFull,
    JournalOlder,
)
from ironflow.journal.base import (
    Answer,
    Claim,
    Hint,
    JournalCommand,
    Packing,
    RunSummary,
    shown_status,
)
from ironflow.journal.lmdb import (
    keys,
    migrate,
    opening,
    owner,
    recovery,
    rows,
    tally,
    wal,
)
from ironflow.journal.lmdb._lmdb import MAP_BYTES_MAX, Environment
from ironflow.journal.lmdb.batch import Batch
from ironflow.journal.lmdb.checkpoint import Committed
from ironflow.journal.lmdb.follower import Follower
from ironflow.journal.lmdb.head import read_head
from ironflow.journal.lmdb.keeper import Keeper, identity, open_to_read
from ironflow.journal.lmdb.known import Known, Memory
from ironflow.journal.lmdb.layers import Layered
from ironflow.journal.lmdb.loading import load_memory
from ironflow.journal.lmdb.packer import Packer, Wanted
from ironflow.journal.lmdb.reading import Source
from ironflow.journal.lmdb.reads import Reads, read_inbox, read_short_history
from ironflow.journal.lmdb.run_index import RunIndex
from ironflow.journal.lmdb.tables import read_run
from ironflow.journal.lmdb.writer import Writer
from ironflow.records import Entry


async def open_lmdb(
    path: str | Path, *, environment: str = "default", map_bytes: int = MAP_BYTES_MAX
) -> "LmdbJournal":
    """Open a data directory as its owner; make it if it is new or empty.

    It blocks the loop for some milliseconds, as the disk takes them. The time does not depend on
    how many runs are parked. A directory made by a crashed call is made again;
    whatever was acknowledged before a crash is there. A store of an older ironflow is
    brought up to date, which takes as long as to copy it; the old file is kept. `map_bytes` bounds the size
    of the store.

    Raises:
        JournalOwned: another process, or this one, owns the directory.
        JournalForeign: it holds other files.
        JournalNewer: a newer ironflow wrote it.
        JournalDamaged: it was cut off, or is older than its head file says.
        JournalFull: there is no space for a new one.
        JournalFailed: the disk failed.
        ConfigurationError: it may not be read or written.
    """
    await trio.lowlevel.checkpoint()
    directory = Path(path)
    opening.make_directory(directory)
    lock = owner.acquire(directory)
    try:
        store = open_owned(directory, map_bytes=map_bytes)
        try:
            memory, digest = _begin(store, environment)
            return LmdbJournal(
                Committed(store, digest=digest),
                memory,
                lock,
                directory=directory,
                environment=environment,
            )
        except OSError as error:
            store.close()
            raise JournalFailed(
                f"{directory} cannot be written ({error}); look at the disk and the"
                " permissions, then start again"
            ) from error
        except BaseException:
            store.close()
            raise
    except BaseException:
        lock.release()
        raise


def open_owned(directory: Path, *, map_bytes: int) -> Environment:
    """Open the store of a directory whose lock the caller has, with all that is in its log."""
    opening.prepare(directory)
    opening.check_file(directory, is_still=True)
    head = read_head(directory)
    try:
        store = opening.open_store(directory, readonly=False, map_bytes=map_bytes)
    except JournalOlder:
        migrate.bring_up(directory, head=head)
        store = opening.open_store(directory, readonly=False, map_bytes=map_bytes)
    store.reader_check()
    try:
        recovery.recover(directory, store, head=head)
        _renew_log(directory, store)
    except BaseException:
        store.close()
        raise
    return store


def _renew_log(directory: Path, store: Environment) -> None:
    """Make the log again if it is gone and nothing was lost with it."""
    path = directory / wal.NAME
    if path.exists():
        return
    with store.snapshot() as snapshot:
        store_id = snapshot.get(keys.META, keys.STORE_KEY) or b""
    try:
        wal.make(path, store_id=store_id)
        opening.sync(directory)
    except OSError as error:
        raise JournalFull(
            f"{path} cannot be made: {error.strerror}; make room, then try again"
        ) from error


async def open_reader(
    path: str | Path, *, environment: str = "default"
) -> "LmdbReader":
    """Open a data directory to read it, also while another process owns it.

    Raises:
        JournalForeign: there is no journal.
        JournalNewer: a newer ironflow wrote it.
        JournalDamaged: it was cut off, or is older than its head file says.
        JournalOwned: this process owns it; read from the journal that is open.
        ConfigurationError: it has no such environment, or may not be read.
    """
    await trio.lowlevel.checkpoint()
    directory = Path(path)
    opening.check_directory(directory)
    _check_to_read(directory)
    head = read_head(directory)
    store = opening.open_store(directory, readonly=True, map_bytes=MAP_BYTES_MAX)
    try:
        with store.snapshot() as snapshot:
            found = opening.inspect(snapshot)
        follower = Follower(directory, store)
        follower.check(head)
        number = found.environments.get(environment)
        if number is None:
            known = ", ".join(sorted(found.environments)) or "none yet"
            raise ConfigurationError(
                f"{directory} has no environment {environment!r}; it has: {known}"
            )
        return LmdbReader(
            follower, directory=directory, environment=environment, number=number
        )
    except BaseException:
        store.close()
        raise


def _check_to_read(directory: Path) -> None:
    is_still = not owner.is_owned(directory)
    try:
        opening.check_file(directory, is_still=is_still)
    except JournalDamaged:
        # An owner that came meanwhile writes pages while they are looked at.
        if not is_still or not owner.is_owned(directory):
            raise
        opening.check_file(directory, is_still=False)


def _begin(store: Environment, environment: str) -> tuple[Memory, bytes]:
    """Count this owner, in a commit of its own, and load what it needs to know.

    Return also the digest of that commit's row.
    """
    with store.snapshot() as snapshot:
        found = opening.inspect(snapshot)
    commit_number = found.last.number + 1
    number = found.environments.get(environment, len(found.environments))
    if number >= opening.ENVIRONMENTS_MAX:
        raise ConfigurationError(
            f"a journal has at most {opening.ENVIRONMENTS_MAX} environments"
        )
    head = rows.chained(found.last.head, keys.number(commit_number))
    data, digest = rows.encode_commit(
        found.last.digest, rows.CommitBody(commit_number, number, [], [], head, [])
    )
    owner_number = found.owner + 1
    meta: dict[bytes, bytes | None] = {
        keys.OWNER_KEY: keys.number(owner_number),
        keys.ENVIRONMENT_KEY + environment.encode(): keys.number(number),
    }
    environments = {*found.environments.values(), number}
    with store.snapshot() as snapshot:
        meta |= tally.renewed(
            snapshot, environments, before=found.owner, owner=owner_number
        )
    store.write({keys.META: meta, keys.COMMITS: {keys.number(commit_number): data}})
    with store.snapshot() as snapshot:
        memory = load_memory(snapshot, number, owner_number=owner_number)
    if not found.is_closed:
        memory.queue.suspect_all()
    memory.commit_number, memory.head = commit_number, head
    return memory, digest


@final
class LmdbReader(Reads):
    """A journal that another process may own; it only reads.

    What it returns was durable. It holds nothing between calls, so the owner's
    file does not grow because of it.
    """

    def __init__(
        self, source: Source, *, directory: Path, environment: str, number: int
    ) -> None:
        super().__init__(source, environment=environment, number=number)
        self._directory: Final = directory
        self._file = (0, 0)
        self._opened: RunIndex | None = None

    def _index(self) -> RunIndex | None:
        file = identity(self._directory / opening.INDEX)
        if file != self._file:
            self._close_index()
            self._file = file
            self._opened = open_to_read(self._directory, self.source.environment)
        return self._opened

    def _close_index(self) -> None:
        if self._opened is not None:
            self._opened.environment.close()
            self._opened = None

    async def commit(self, commands: Sequence[JournalCommand]) -> Sequence[Answer]:
        """Refuse: a reader does not write."""
        raise _only_reads(f"commit {len(commands)} commands")

    async def claim(self, functions: frozenset[str], *, limit: int) -> Sequence[Claim]:
        """Refuse: a reader does not claim."""
        raise _only_reads(f"claim {limit} runs of {len(functions)} functions")

    async def release(self, claims: Sequence[Claim]) -> None:
        """Refuse: a reader holds nothing."""
        raise _only_reads(f"release {len(claims)} runs")

    def watch(self, callback: Callable[[Hint], None]) -> Callable[[], None]:
        """Refuse: the owner's commits are not seen here; ask again."""
        raise _only_reads(f"call {callback!r} back")

    async def close(self) -> None:
        """Close the files. Idempotent."""
        if not self._closed:
            self._closed = True
            self._close_index()
            self.source.environment.close()


def _only_reads(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"a journal opened for reading cannot {what}; ask the process that owns it,"
        " or open the directory with open_lmdb when nobody does"
    )


@final
class LmdbJournal(Reads):
    """One environment of a data directory that this process owns.

    A commit that was acknowledged survives kill -9 and power loss; one that was not
    is there whole or not at all. All methods belong to one Trio loop.
    """

    def __init__(
        self,
        committed: Committed,
        memory: Memory,
        lock: owner.OwnerLock,
        *,
        directory: Path,
        environment: str,
    ) -> None:
        super().__init__(committed, environment=environment, number=memory.environment)
        self._memory: Final = memory
        self._lock: Final = lock
        self._callbacks: Final[list[Callable[[Hint], None]]] = []
        log = wal.open_wal(directory / wal.NAME)
        self._writer: Final = Writer(
            committed,
            memory,
            log,
            directory=directory,
            name=environment,
            settled=self._settled,
            checkpointed=self._checkpointed,
        )
        self._keeper: Final = Keeper(directory, committed.environment)
        self._packer: Final = Packer(
            committed.environment,
            directory,
            environment=memory.environment,
            submit=self._writer.change,
            bring_in=self._writer.bring_in,
            index=self._index,
        )

    async def commit(self, commands: Sequence[JournalCommand]) -> Sequence[Answer]:
        """Carry out the commands, in order, in one transaction.

        The transaction is shared with whoever else commits now. On return
        everything survives kill -9 and power loss; after a crash before that, all
        of the call holds or nothing. A refused command changes nothing and does not
        touch the others: its answer is `Refused`. It is shielded from cancellation
        from the moment it is called, because a commit cannot be taken back.

        Raises:
            JournalFull: no space; nothing was stored, the journal goes on.
            JournalFailed: the disk failed; the journal takes no more commits.
            ConfigurationError: there are too many commands.
            JournalError: it is closed.
        """
        if len(commands) > limits.COMMIT_COMMANDS_MAX:
            raise ConfigurationError(
                f"{len(commands)} commands are too many for one commit; the limit is"
                f" {limits.COMMIT_COMMANDS_MAX}"
            )
        self._check_open()
        return await self._writer.submit(commands)

    async def claim(self, functions: frozenset[str], *, limit: int) -> Sequence[Claim]:
        """Take ready runs of these functions that nobody holds, first come first.

        At most `limits.CLAIM_RUNS_MAX`. It writes nothing: holds are in memory, and
        a run that is held when the process dies is ready for the next owner.
        """
        await self._checkpoint()
        queue = self._memory.queue
        taken = queue.claim(functions, limit=min(limit, limits.CLAIM_RUNS_MAX))
        with self.source.snapshot() as snapshot:
            return [self._claim(snapshot, run_id) for run_id in taken]

    def _is_held(self, run_id: str) -> bool:
        return run_id in self._memory.queue.holds

    def _summary(self, snapshot: Layered, run_id: str) -> RunSummary | None:
        known = self._memory.read(run_id)
        if known is None or known.row is None:
            return super()._summary(snapshot, run_id)
        if known.length is None:
            known.length = snapshot.length(known.key)
        queue, length = self._memory.queue, known.length
        held = run_id in queue.holds
        status = shown_status(
            known.row, length=length, ready=run_id in queue, held=held
        )
        return RunSummary(known.row, status, length)

    def _index(self) -> RunIndex | None:
        return self._keeper.index

    def _fresh_holds(self) -> Sequence[bytes]:
        held = self._memory.held.values()
        return [known.key for known in held if known.length == 1]

    def _checkpointed(self) -> None:
        self._keeper.poke()

    def _claim(self, snapshot: Layered, run_id: str) -> Claim:
        memory, queue = self._memory, self._memory.queue
        key = self._prefix + keys.run(run_id)
        known, first = memory.fresh.pop(run_id, (None, None))
        entries: Sequence[Entry] = () if first is None else (first,)
        if known is None:
            known = Known(key, read_run(snapshot, self._prefix, run_id))
        if not entries or known.length != 1:
            known.length, entries = read_short_history(snapshot, key)
        if known.inbox is None:
            known.inbox = read_inbox(snapshot, key)
        memory.held[run_id] = known
        return Claim(
            run_id,
            queue.function_of(run_id),
            queue.holds[run_id],
            known.length,
            known.inbox,
            entries,
            is_recovered=queue.was_suspect(run_id),
            asked=None if known.row is None else known.row.asked,
        )

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give runs back, still ready; others may claim them at once.

        Runs that are no longer held under the claim's epoch stay as they are.
        """
        await self._checkpoint()
        memory = self._memory
        hint = Hint()
        for claim in claims:
            if memory.queue.release(claim.run_id, epoch=claim.epoch):
                memory.held.pop(claim.run_id, None)
                hint.ready.add(claim.run_id)
        self._tell(hint)

    async def pack(
        self, *, ended_before: int, go_on: Callable[[], bool], at_once: bool = False
    ) -> Packing:
        """Move histories of runs that ended before a time into segments.

        It makes one round, which may take long, beside the commits of others. Where
        `ended_before` is 0, it only deletes segments that nobody needs any more. It
        ends early when `go_on`, which another thread asks, says so. Few runs of a day
        wait until it is over, unless all shall be packed `at_once`.

        Raises:
            JournalFull: there is no room for a segment; nothing was changed by it.
            JournalError: a segment cannot be written, or it is closed.
        """
        self._check_open()
        functions = self._memory.functions.items()
        retentions = {each: row.retention_us for each, row in functions}
        wanted = Wanted(ended_before, retentions, go_on, at_once)
        return await self._packer.pack(wanted)

    def watch(self, callback: Callable[[Hint], None]) -> Callable[[], None]:
        """Call back after each commit that changed something; return a stop."""
        self._callbacks.append(callback)

        def stop() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return stop

    def _settled(self, batch: Batch) -> None:
        is_ours = all(each.change is not None for each in batch.submissions)
        if batch.frame is not None and not is_ours:
            self._tell(batch.hint)

    def _tell(self, hint: Hint) -> None:
        for callback in tuple(self._callbacks):
            callback(hint)

    async def close(self) -> None:
        """Finish the commits under way and give everything back. Idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._packer.close()
            await self._writer.close()
            if not self._writer.has_failed:
                self._note_the_end()
        finally:
            self._keeper.close()
            self.source.environment.close()
            self._lock.release()

    def _note_the_end(self) -> None:
        """Write that nothing is held any more: who is ready was not held by a crash.

        Without the note, the next claims are counted as after a crash. That is all.
        """
        owner_number = self._memory.queue.owner
        note = {keys.META: {keys.CLOSED_KEY: keys.number(owner_number)}}
        with suppress(JournalError):
            self.source.environment.write(note)
