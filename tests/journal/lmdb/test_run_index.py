"""The index of runs says what looking at every run says, whatever becomes of it."""

import logging
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import pytest

from ironflow.journal.base import Pause, PauseRun, ResumeRun, RunQuery, RunSummary
from ironflow.journal.lmdb import (
    attribute_blocks,
    attribute_places,
    intersect,
    keeper,
    opening,
    run_index,
    run_states,
    search,
)
from ironflow.journal.lmdb.keeper import Keeper
from ironflow.journal.lmdb.store import LmdbJournal, open_reader
from ironflow.policy.attributes import encode, parse_filters
from ironflow.records import AttributesSet, Draft
from ironflow.testing.checks_asks import child, completed, ended, sleep
from ironflow.testing.checks_scene import ALL, SECOND_US, Holder, Scene
from tests.journal.lmdb.commits import opened

STATUSES = ("", *run_states.STATES_OF)
FUNCTIONS = ("", "a", "b", "kid", "none")
FILTERS = (["n=1"], ["n>=2"], ["n<1"], ["s=x", "n>=0"], ["s=x", "s>=w", "n=0"], ["m=1"])


@contextmanager
def without_index(journal: LmdbJournal) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "_index", lambda: None)
        yield


def uses_index(journal: LmdbJournal) -> bool:
    with journal._indexed() as (_, index):
        return index is not None


async def settle(journal: LmdbJournal) -> None:
    """Let LMDB have all that is committed, and the index all of that."""
    await journal._writer._empty_log()
    journal._keeper.wait_idle()


def queries(scene: Scene, parents: list[str]) -> list[RunQuery]:
    found = [
        RunQuery(status=status, function_id=scene.name(word) if word else "", limit=ALL)
        for status, word in product(STATUSES, FUNCTIONS)
    ]
    found += [RunQuery(parent_run=parent, limit=ALL) for parent in parents[:2]]
    for status, word in product(("", "completed", "waiting"), ("", "a", "kid")):
        function_id = scene.name(word) if word else ""
        found += [
            RunQuery(status, function_id, limit=ALL, attributes=parse_filters(texts))
            for texts in FILTERS
        ]
    found += [
        RunQuery(parent_run=parent, attributes=parse_filters(["n<3"]), limit=ALL)
        for parent in parents[:2]
    ]
    return found


async def check_same(
    journal: LmdbJournal, scene: Scene, parents: list[str], chosen: random.Random
) -> None:
    """Ask all questions of the index and of the store itself."""
    for query in queries(scene, parents):
        found = await journal.find(query)
        with without_index(journal):
            wanted = await journal.find(query)
        assert [*found] == [*wanted], query
        if wanted:
            await check_page(journal, query, wanted, chosen)
    counts = await journal.counts()
    with without_index(journal):
        assert counts == await journal.counts()


async def check_page(
    journal: LmdbJournal,
    query: RunQuery,
    wanted: Sequence[RunSummary],
    chosen: random.Random,
) -> None:
    place = chosen.randrange(len(wanted))
    cursor = wanted[place].row.run_id
    page = await journal.find(
        RunQuery(
            status=query.status,
            function_id=query.function_id,
            parent_run=query.parent_run,
            attributes=query.attributes,
            cursor=cursor,
            limit=2,
        )
    )
    assert [*page] == [*wanted][place + 1 : place + 3]


class Doings:
    """Things that happen to runs, at random."""

    def __init__(self, scene: Scene, chosen: random.Random) -> None:
        self.scene = scene
        self.chosen = chosen
        self.held: list[Holder] = []
        self.paused: list[str] = []
        self.parents: list[str] = []

    async def do(self) -> None:
        what = self.chosen.choice(
            [
                "emit",
                "emit",
                "claim",
                "step",
                "end",
                "park",
                "pause",
                "mark",
                "mark",
                "resume",
                "invoke",
            ]
        )
        await getattr(self, f"_{what}")()

    def _taken(self) -> Holder | None:
        if not self.held:
            return None
        return self.held.pop(self.chosen.randrange(len(self.held)))

    async def _emit(self) -> None:
        scene = self.scene
        count = self.chosen.randrange(1, 4)
        word = self.chosen.choice(["a", "b", "both"])
        await scene.emit(*(scene.event(f"{word}.go") for _ in range(count)))

    async def _claim(self) -> None:
        for claim in await self.scene.claim("a", "b", "kid", limit=3):
            self.held.append(await Holder.of(self.scene, claim))

    async def _step(self) -> None:
        if (holder := self._taken()) is not None:
            await holder.append(completed(f"s:{holder.length}", 1))
            self.held.append(holder)

    async def _mark(self) -> None:
        if (holder := self._taken()) is not None:
            number: int | None = self.chosen.choice([None, 0, 1, 2, 3])
            text = self.chosen.choice([None, "x", "y"])
            changes = AttributesSet(id=f"attributes:{holder.length}")
            await holder.append(Draft(changes, encode({"n": number, "s": text})))
            self.held.append(holder)

    async def _end(self) -> None:
        if (holder := self._taken()) is not None:
            status = self.chosen.choice(["completed", "failed", "cancelled"])
            await holder.append(ended(status))

    async def _park(self) -> None:
        if (holder := self._taken()) is not None:
            due = self.scene.now + SECOND_US
            nap = sleep(f"n:{holder.length}", until=due)
            if not (await holder.append(nap, park=True)).parked:
                self.held.append(holder)

    async def _pause(self) -> None:
        if (holder := self._taken()) is not None:
            pause = Pause("step", "no", "v1", self.scene.now)
            command = PauseRun(holder.run_id, holder.claim.epoch, pause)
            await self.scene.done(command, what="a pause")
            self.paused.append(holder.run_id)

    async def _resume(self) -> None:
        if self.paused:
            await self.scene.commit(ResumeRun(self.paused.pop()))

    async def _invoke(self) -> None:
        if (holder := self._taken()) is not None:
            ask = child(holder, f"c:{holder.length}", self.scene.name("kid"), None)
            if not (await holder.append(ask, park=True)).parked:
                self.held.append(holder)
            self.parents.append(holder.run_id)


async def register(scene: Scene) -> None:
    await scene.register(
        scene.function("a", "a.go", "both.go"),
        scene.function("b", "b.go", "both.go"),
        scene.function("kid"),
    )


@pytest.mark.parametrize("seed", range(6))
async def test_it_finds_what_a_look_at_all_runs_finds(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, *, seed: int
) -> None:
    """For random commits, checkpoints, restarts, and an index that is behind."""
    monkeypatch.setattr(keeper, "SLICE_RUNS", 3)
    monkeypatch.setattr(attribute_blocks, "BLOCK_RUNS", 1 + seed)
    monkeypatch.setattr(attribute_blocks, "BLOCK_RUNS_MAX", 2 + seed)
    monkeypatch.setattr(attribute_places, "BLOCKS_MAX", 2 + seed)
    monkeypatch.setattr(intersect, "STRETCH", 1 + seed % 3)
    monkeypatch.setattr(intersect, "STRETCH_MAX", 2 + seed)
    monkeypatch.setattr(intersect, "TICK_LOOKS", 1 + seed % 3)
    monkeypatch.setattr(search, "SEARCHED_ROWS_MAX", 2 + seed)
    chosen = random.Random(seed)
    doings = Doings(scene, chosen)
    for _ in range(3):
        async with scene.open() as journal:
            assert isinstance(journal, LmdbJournal)
            await go_on(journal, doings)


async def go_on(journal: LmdbJournal, doings: Doings) -> None:
    scene, chosen = doings.scene, doings.chosen
    await register(scene)
    doings.held.clear()
    for _ in range(25):
        await doings.do()
        await maybe_settle(journal, chosen)
        if chosen.randrange(4) == 0:
            await check_same(journal, scene, doings.parents, chosen)
    await settle(journal)
    assert uses_index(journal)
    await check_same(journal, scene, doings.parents, chosen)


async def maybe_settle(journal: LmdbJournal, chosen: random.Random) -> None:
    """Now and then let LMDB have everything, sometimes the index too."""
    match chosen.randrange(8):
        case 0:
            await settle(journal)
        case 1:
            await journal._writer._empty_log()
        case _:
            pass


async def populated(scene: Scene) -> None:
    """Leave a few runs of each kind, with all of it in LMDB and in the index."""
    async with scene.open():
        await register(scene)
        doings = Doings(scene, random.Random(1))
        for _ in range(40):
            await doings.do()


async def check_whole(
    scene: Scene, *, anew: bool, log: pytest.LogCaptureFixture
) -> None:
    """The index is there, was made anew or not, and says what the store says."""
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        journal._keeper.wait_idle()
        assert uses_index(journal)
        await check_same(journal, scene, [], random.Random(1))
    lines = [each for each in log.messages if "is made anew" in each]
    assert len(lines) == anew


async def test_an_index_that_was_taken_away_is_made_anew(
    scene: Scene, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await populated(scene)
    shutil.rmtree(directory / opening.INDEX)

    await check_whole(scene, anew=False, log=caplog)


async def test_an_older_copy_catches_up(
    scene: Scene, directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also with what leaves no record: a pause, a resume, a wake."""
    await populated(scene)
    async with scene.open():
        holder = await scene.start("late")
        pause = PauseRun(
            holder.run_id, holder.claim.epoch, Pause("step", "no", "v1", scene.now)
        )
        await scene.done(pause, what="a pause")
    shutil.copytree(directory / opening.INDEX, tmp_path / "copy")
    await populated(scene)
    async with scene.open():
        await scene.done(ResumeRun(holder.run_id), what="a resume")
    shutil.rmtree(directory / opening.INDEX)
    shutil.copytree(tmp_path / "copy", directory / opening.INDEX)

    reader = await open_reader(directory)
    with reader._indexed() as (_, index):
        assert index is not None
    found = await reader.find(RunQuery(status="queued", function_id="lmdb.late"))
    await reader.close()
    assert [each.row.run_id for each in found] == [holder.run_id]
    await check_whole(scene, anew=False, log=caplog)


async def test_a_kill_between_a_checkpoint_and_the_index_costs_nothing(
    scene: Scene,
    directory: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What a kill leaves is what the files hold at that moment."""
    await populated(scene)
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        journal._keeper.wait_idle()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keeper, "step", lambda *_, **__: False)
            doings = Doings(scene, random.Random(2))
            for _ in range(20):
                await doings.do()
            await settle(journal)
            await scene.emit(scene.event("a.go"))
            await check_same(journal, scene, doings.parents, random.Random(2))
            counts = await journal.counts()
            without = shutil.ignore_patterns("owner*")
            shutil.copytree(directory, tmp_path / "left", ignore=without)
    async with opened(tmp_path / "left") as journal:
        journal._keeper.wait_idle()
        assert uses_index(journal)
        await check_same(journal, scene, [], random.Random(1))
        found = {each.function_id: 0 for each in counts}
        for each in await journal.counts():
            found[each.function_id] += each.count
        for each in counts:
            found[each.function_id] -= each.count
        assert not any(found.values())
    assert "made anew" not in caplog.text


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5_000])


def scribble(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[8_192:12_288] = b"\xa5" * 4_096
    file.write_bytes(data)


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, scribble, empty])
async def test_a_damaged_index_is_made_anew(
    scene: Scene,
    directory: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    damage: Callable[[Path], None],
) -> None:
    await populated(scene)
    damage(directory / opening.INDEX / opening.DATA)

    reader = await open_reader(directory)
    assert len(await reader.find(RunQuery(function_id="lmdb.a"))) > 0
    await reader.close()
    await check_whole(scene, anew=True, log=caplog)


async def test_an_index_of_another_store_is_made_anew(
    scene: Scene, directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await populated(scene)
    async with opened(tmp_path / "other"):
        pass
    shutil.rmtree(directory / opening.INDEX)
    shutil.copytree(tmp_path / "other" / opening.INDEX, directory / opening.INDEX)

    await check_whole(scene, anew=True, log=caplog)


@pytest.mark.parametrize(
    ("mark", "anew"),
    [
        (lambda: f"{keeper._boot()} 0", False),  # the process was killed
        (lambda: f"{keeper._boot()} 2", True),  # time after time
        (lambda: "another-boot 0", True),  # the machine failed
        (lambda: "", True),
    ],
)
async def test_an_index_that_was_not_closed_is_trusted_only_after_a_kill(
    scene: Scene,
    directory: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    mark: Callable[[], str],
    anew: bool,
) -> None:
    await populated(scene)
    (directory / opening.INDEX / "used").write_text(mark())

    await check_whole(scene, anew=anew, log=caplog)


async def test_taken_away_while_it_is_used_it_is_given_up(
    scene: Scene, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await populated(scene)
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        await settle(journal)
        shutil.rmtree(directory / opening.INDEX)
        await scene.emit(scene.event("a.go"))
        await settle(journal)

        assert not uses_index(journal)
        assert len(await journal.find(RunQuery(status="queued"))) > 0
    assert "is given up (its files were taken away)" in caplog.text
    await check_whole(scene, anew=False, log=caplog)


async def test_a_disk_that_fails_costs_the_index_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: object, **__: object) -> bool:
        raise OSError(28, "No space left on device")

    await populated(scene)
    monkeypatch.setattr(keeper, "step", failing)
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        await scene.emit(scene.event("a.go"))
        await settle(journal)
        journal._keeper.poke()
        assert not uses_index(journal)
        assert len(await journal.find(RunQuery(status="queued"))) > 0
    assert "No space left on device" in caplog.text
    monkeypatch.undo()
    with caplog.at_level(logging.WARNING):
        await check_whole(scene, anew=True, log=caplog)


async def test_runs_of_many_commits_are_looked_at_without_it(
    scene: Scene, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await populated(scene)
    shutil.copytree(directory / opening.INDEX, tmp_path / "copy")
    await populated(scene)
    shutil.rmtree(directory / opening.INDEX)
    shutil.copytree(tmp_path / "copy", directory / opening.INDEX)
    monkeypatch.setattr(run_index, "BEHIND_RUNS_MAX", 2)

    reader = await open_reader(directory)
    with reader._indexed() as (_, index):
        assert index is None
    await reader.close()


async def test_a_reader_takes_the_index_that_is_there_now(
    scene: Scene, directory: Path
) -> None:
    await populated(scene)
    reader = await open_reader(directory)
    before = await reader.counts()
    shutil.copytree(directory / opening.INDEX, directory / "later")
    shutil.rmtree(directory / opening.INDEX)

    assert reader._index() is None
    assert await reader.counts() == before
    (directory / "later").rename(directory / opening.INDEX)
    assert reader._index() is not None
    assert await reader.counts() == before
    await reader.close()


def test_the_thread_ends_with_its_keeper(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    opening.make_directory(directory)
    opening.prepare(directory)
    store = opening.open_store(directory, readonly=False, map_bytes=1 << 24)
    kept = Keeper(directory, store)
    kept.close()

    assert not kept._thread.is_alive()
    assert not (directory / opening.INDEX / "used").exists()
    store.close()
