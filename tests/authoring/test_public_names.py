"""What `import ironflow` offers."""

import ast
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ironflow
from ironflow import errors

PACKAGE = Path(inspect.getfile(ironflow)).parent


def test_every_public_name_can_be_had() -> None:
    for name in ironflow.__all__:
        assert getattr(ironflow, name) is not None
    assert dir(ironflow) == sorted(ironflow.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'secrets'"):
        ironflow.secrets  # type: ignore[attr-defined]  # noqa: B018  that is the test


def test_type_checkers_are_told_the_same_names() -> None:
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    imported = {
        alias.asname: f"{node.module}"
        for node in stub.body
        if isinstance(node, ast.ImportFrom) and node.module != "typing"
        for alias in node.names
    }

    assert imported == ironflow._HOMES  # type: ignore[attr-defined]  # not in the stub


def test_every_error_is_public() -> None:
    declared = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }

    assert declared <= set(ironflow.__all__)


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]

    assert ironflow.__version__ == project["version"]


def test_writing_functions_loads_no_engine_and_no_event_loop() -> None:
    program = (
        "import sys, ironflow; ironflow.App; ironflow.function; print(*sys.modules)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    loaded = set(finished.stdout.split())
    assert not loaded & {"asyncio", "click", "httpx", "lmdb", "logging", "rich", "trio"}
    assert not {name for name in loaded if name.startswith("ironflow.engine")}
