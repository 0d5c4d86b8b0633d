"""Runs that disagree with the code for one cause are one group."""

from ironflow.debug.difference import Difference
from ironflow.debug.grouping import RUNS_MAX, Tally
from ironflow.debug.verdict import Verdict


def diverged(step: str, *, sequence: int = 3, asked: str = "nothing") -> Verdict:
    return Verdict(
        kind="diverges",
        records=5,
        sequence=sequence,
        step=step,
        cause="order",
        recorded=f"step {step!r} (shop.py:12)",
        asked=asked,
    )


def test_uses_and_branches_of_one_step_are_one_cause() -> None:
    tally = Tally()
    tally.add("run_1", "order", diverged("all:0:ship:0"))
    tally.add("run_2", "order", diverged("all:17:ship:3", sequence=40))

    [group] = tally.groups()

    assert (group.count, group.run_ids) == (2, ["run_1", "run_2"])
    assert group.example.step == "all:0:ship:0"


def test_other_functions_steps_and_asks_are_other_causes() -> None:
    tally = Tally()
    for function_id, verdict in (
        ("order", diverged("ship:0")),
        ("order", diverged("charge:0")),
        ("order", diverged("charge:0", asked="step 'pay:0' (shop.py:9)")),
        ("refund", diverged("charge:0")),
    ):
        tally.add("run_1", function_id, verdict)

    assert len(tally.groups()) == 4


def test_names_that_end_in_numbers_stay_apart() -> None:
    tally = Tally()
    tally.add("run_1", "order", diverged("charge\\:1:0"))
    tally.add("run_2", "order", diverged("charge\\:2:0"))

    assert len(tally.groups()) == 2


def test_outcomes_are_grouped_by_the_places_that_differ() -> None:
    tally = Tally()
    for path in ("$.items[1].price", "$.items[20].price", "$.total"):
        verdict = Verdict(
            kind="diverges",
            records=5,
            cause="outcome",
            differences=(Difference(path, 1, 2),),
        )
        tally.add("run_1", "order", verdict)

    assert [group.count for group in tally.groups()] == [2, 1]


def test_good_verdicts_are_counted_and_not_grouped() -> None:
    tally = Tally()
    tally.add("run_1", "order", Verdict(kind="same", records=1))
    tally.add("run_2", "order", Verdict(kind="extends", records=1))

    assert tally.groups() == []
    assert tally.counts == {"same": 1, "extends": 1, "diverges": 0, "stops": 0}


def test_a_group_names_its_first_runs() -> None:
    tally = Tally()
    for number in range(RUNS_MAX + 5):
        tally.add(f"run_{number}", "order", diverged("ship:0"))

    [group] = tally.groups()

    assert (group.count, len(group.run_ids)) == (RUNS_MAX + 5, RUNS_MAX)
