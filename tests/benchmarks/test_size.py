"""A journal that is made full at once is a journal, and both are measured alike."""

from pathlib import Path

import trio

import ironflow
from benchmarks import size
from benchmarks.filling import Scale, fill, filled, run_of_order
from benchmarks.functions import app
from ironflow.journal.lmdb.verify import Finding, verify

SCALE = Scale(runs=60, events=700)


def test_a_filled_store_is_what_verify_expects(tmp_path: Path) -> None:
    directory = tmp_path / "journal"

    fill(directory, SCALE)

    assert [each for each in verify(directory) if isinstance(each, Finding)] == []


def test_a_filled_store_has_as_many_runs_and_events_as_were_asked_for(
    tmp_path: Path,
) -> None:
    async def count() -> tuple[int, int]:
        async with ironflow.open_engine(app, f"lmdb://{tmp_path}/journal") as engine:
            runs = await engine.list_runs(status="waiting", limit=1_000)
            events = await engine.list_events(limit=1_000)
        return len(runs), len(events)

    fill(tmp_path / "journal", SCALE)

    assert trio.run(count) == (SCALE.runs, SCALE.events)


def test_an_order_of_a_filled_store_is_woken_by_its_payment_alone(
    tmp_path: Path,
) -> None:
    async def pay() -> list[ironflow.Run]:
        async with ironflow.open_engine(app, f"lmdb://{tmp_path}/journal") as engine:
            await engine.emit("order.paid", {"order": 7})
            await engine.result(run_of_order(SCALE, 7))
            return await engine.list_runs(status="completed")

    fill(tmp_path / "journal", SCALE)

    [run] = trio.run(pay)
    assert (run.id, run.output) == (run_of_order(SCALE, 7), 7)


def test_a_filled_store_is_kept_until_the_functions_change(tmp_path: Path) -> None:
    directory = filled(tmp_path, SCALE)
    (directory / "mark").touch()

    assert (filled(tmp_path, SCALE) / "mark").exists()
    (tmp_path / f"{directory.name}.json").write_text("{}")
    assert not (filled(tmp_path, SCALE) / "mark").exists()


def test_each_figure_is_measured_of_both_stores_in_every_round(tmp_path: Path) -> None:
    counts = size.Counts(runs=3, steps=2, emits=5, wakes=4, cold_wakes=2, claims=2)

    rows = size.measure(tmp_path, 1, scale=SCALE, cache=tmp_path, counts=counts)

    assert len(rows) == 13
    assert all(len(row.rounds) == 1 and min(row.rounds) > 0 for row in rows)
