"""What the README shows is what there is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCREEN_LINES_MAX = 60


def test_its_code_is_that_of_an_example() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    example = (ROOT / "examples" / "order_saga.py").read_text(encoding="utf-8")

    assert len(blocks) == 1
    assert blocks[0] in example


def test_its_commands_can_be_run() -> None:
    commands = re.findall(r"^    (scripts/\w+)", README, re.MULTILINE)

    assert commands == ["scripts/quickstart", "scripts/test"]
    for command in commands:
        assert (ROOT / command).stat().st_mode & 0o111


def test_it_fits_on_a_screen() -> None:
    assert README.count("\n") <= SCREEN_LINES_MAX


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)]+)\)", README))
def test_its_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()
