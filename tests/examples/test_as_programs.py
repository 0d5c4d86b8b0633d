"""Each example is a program: it runs as it is, and prints what its page says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from examples import crash

EXAMPLES = Path(__file__).parents[2] / "examples"

# What each prints; an example that is not here fails the first test.
SAYS = {
    "approval.py": ["approved by grace on Sunday", "not answered in a week"],
    "checksums.py": ["checksums.py"],
    "hello.py": ["HELLO, ADA!"],
    "order_saga.py": ["lamp: completed", "chair: failed", "ada has 70 of 100 left"],
}
END_TO_END = {"crash.py"}


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an example as a user does, and wait for its end."""
    return subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_example_is_tested() -> None:
    files = {path.name for path in EXAMPLES.glob("*.py")}

    assert files == SAYS.keys() | END_TO_END


@pytest.mark.slow
@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs_and_says_what_it_did(name: str) -> None:
    done = run(name)

    assert done.returncode == 0, done.stderr
    for words in SAYS[name]:
        assert words in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.e2e
def test_an_order_that_is_killed_in_the_middle_ends_right(tmp_path: Path) -> None:
    place = tmp_path / "quickstart"

    done = run("crash.py", str(place))
    again = run("crash.py", str(place))  # it is made anew

    assert done.returncode == again.returncode == 0, done.stdout + done.stderr
    assert "All as promised" in done.stdout
    assert "charge   2 x" in done.stdout
    assert "ada has 70 of 100 left" in done.stdout
    assert "✓ completed  ship:0" in done.stdout


def test_a_broken_promise_ends_the_quickstart_with_an_error() -> None:
    with pytest.raises(SystemExit, match="broken promise: it ends"):
        crash.expect(holds=False, promise="it ends")


def test_the_quickstart_removes_no_directory_of_others(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work")

    with pytest.raises(SystemExit, match="holds other things"):
        crash.make_anew(tmp_path)

    assert thesis.exists()
