"""Every target on its seeds, on what once broke it, and on inputs made of those.

`scripts/fuzz` tries the same targets for as long as it is let, led by coverage; what it
finds is added to `corpus`.
"""

import random
from pathlib import Path

import pytest

from tests.fuzz.making import made
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
KEPT = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_what_a_target_begins_with_passes(target: Target) -> None:
    for seed in [b"", *target.seeds]:
        target.run(seed)


@pytest.mark.parametrize(
    "path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_what_once_broke_passes(path: Path) -> None:
    TARGETS[path.parent.name].run(path.read_bytes())


def test_every_folder_of_the_corpus_has_a_target() -> None:
    assert {path.parent.name for path in KEPT} <= TARGETS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_made_inputs_pass(target: Target) -> None:
    rng = random.Random(target.name)
    for number in range(target.many):
        data = made(rng, target)
        try:
            target.run(data)
        except BaseException as error:
            error.add_note(f"input {number} of {target.name}: {data!r}")
            raise
