"""The scripts in `cases/`, and that they take every arrow of the tables."""

from functools import cache
from pathlib import Path

import pytest

from tests.interpreter import arrows, script

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))


@cache
def result_of(path: Path) -> script.Result:
    return script.run(script.parse(path))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_case_prints_what_it_says(path: Path, *, rewrite: bool) -> None:
    """Invariant 2: after every line a replay of the history asks for nothing new."""
    text = result_of(path).text
    if rewrite:
        path.write_text(text)

    assert text == path.read_text()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_case_names_what_it_guards(path: Path) -> None:
    """A script that nobody can explain cannot be corrected."""
    assert path.read_text().startswith("# ")


def test_every_arrow_is_taken_by_a_case() -> None:
    """A line of the tables in states.py that nothing takes is a guess."""
    taken = {
        arrow
        for path in CASES
        for history in result_of(path).histories
        for arrow in arrows.taken(history)
    }

    missing = sorted(
        f"{table}: {state} --{record.__name__} {detail}-->"
        for table, state, (record, detail) in arrows.drawn() - taken
    )

    assert not missing, "\n".join(missing)
