"""Both type checkers agree with what the files beside this one say."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def check(*command: str) -> None:
    """Run a checker; what it says is the message of the failure."""
    finished = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.slow
def test_mypy_infers_the_types_of_user_code() -> None:
    files = ("steps.py", "functions.py", "clients.py")

    check("mypy", *(str(HERE / name) for name in files))


@pytest.mark.slow
def test_pyright_infers_the_types_of_user_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYRIGHT_PYTHON_IGNORE_WARNINGS", "1")

    check("pyright", "--pythonpath", sys.executable, "--project", str(HERE))
