"""The names of `ironflow.testing`, for programs and for type checkers."""

import ast
from pathlib import Path

import pytest

import ironflow.testing


def test_the_stub_lists_the_names_that_there_are() -> None:
    stub = Path(ironflow.testing.__file__).with_suffix(".pyi")
    imported = {
        alias.asname
        for node in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert imported == set(ironflow.testing.__all__)


def test_each_name_can_be_imported() -> None:
    assert all(hasattr(ironflow.testing, name) for name in ironflow.testing.__all__)
    assert dir(ironflow.testing) == sorted(ironflow.testing.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="explore_everything"):
        _ = ironflow.testing.explore_everything  # type: ignore[attr-defined]  # the mistake
