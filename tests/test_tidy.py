"""Rules about files that no linter knows: sizes, names, docstrings, reasons.

Nesting, complexity and arguments are ruff's (pyproject.toml); layers are import-linter's.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("ironflow", "tests", "examples", "benchmarks", "scripts", "docs")
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
CLASS_METHODS_MAX = 25
MODEL_LINES_MAX = 300
MADE = "ironflow/wire/proto/"  # by scripts/protos: each is as long as its .proto file
# Names that say where code went, not what it does.
VAGUE_NAMES = {"common", "helper", "helpers", "misc", "util", "utils"}
EXEMPTION = re.compile(r"#\s*(?:noqa\b|pragma: no cover|type: ignore)(?P<rest>.*)")
CODES = re.compile(r"^\s*:\s*[A-Z]+\d+(?:\s*,\s*[A-Z]+\d+)*|^\s*\[[\w\-, ]+\]")


@dataclass(frozen=True)
class Source:
    """A Python file of the checkout."""

    name: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=self.name)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))


@cache
def sources() -> list[Source]:
    return [
        Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def written_names(source: Source) -> Iterator[tuple[int, str]]:
    """Every name, attribute and import of a file, dotted, with its line."""
    for node in source.nodes:
        match node:
            case ast.Name() | ast.Attribute():
                yield node.lineno, ast.unparse(node)
            case ast.Import():
                for alias in node.names:
                    yield node.lineno, alias.name
            case ast.ImportFrom():
                for alias in node.names:
                    yield node.lineno, f"{node.module}.{alias.name}"
            case _:
                pass


def test_a_file_has_one_subject() -> None:
    too_long = [
        source.name
        for source in sources()
        if source.text.count("\n") > FILE_LINES_MAX and not source.name.startswith(MADE)
    ]

    assert not too_long, f"more than {FILE_LINES_MAX} lines; split by subject"


def test_the_reference_model_can_be_read_at_one_go() -> None:
    """What the core is compared with must be plainly right."""
    model = (ROOT / "tests/model/model.py").read_text(encoding="utf-8")

    assert model.count("\n") <= MODEL_LINES_MAX


def test_a_function_fits_a_screen() -> None:
    too_long = [
        f"{source.name}:{node.lineno} {node.name}"
        for source in sources()
        for node in source.nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES_MAX
    ]

    assert not too_long, f"more than {FUNCTION_LINES_MAX} lines"


def test_a_class_has_few_methods() -> None:
    too_many = [
        f"{source.name}:{node.lineno} {node.name}"
        for source in sources()
        for node in source.nodes
        if isinstance(node, ast.ClassDef)
        and sum(
            isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
            for part in node.body
        )
        > CLASS_METHODS_MAX
    ]

    assert not too_many, f"more than {CLASS_METHODS_MAX} methods"


def test_a_file_is_named_after_what_it_holds() -> None:
    vague = [
        source.name
        for source in sources()
        if VAGUE_NAMES & set(Path(source.name).with_suffix("").parts)
    ]

    assert not vague


def test_a_file_says_what_it_holds() -> None:
    silent = [
        source.name
        for source in sources()
        if source.tree.body and not ast.get_docstring(source.tree)
    ]

    assert not silent, "a file starts with a docstring"


def test_no_state_is_global() -> None:
    found = [
        f"{source.name}:{node.lineno}"
        for source in sources()
        for node in source.nodes
        if isinstance(node, ast.Global)
    ]

    assert not found, "pass it as an argument"


def test_no_import_hides_from_the_layers() -> None:
    hidden = [
        f"{source.name}:{line}"
        for source in sources()
        for line, name in written_names(source)
        if name.split(".")[-1] == "TYPE_CHECKING"
    ]

    assert not hidden, "TYPE_CHECKING hides a cycle"


def test_an_exemption_has_a_code_and_a_reason() -> None:
    bare = [
        f"{source.name}:{number}"
        for source in sources()
        for number, line in enumerate(source.text.splitlines(), start=1)
        if (found := EXEMPTION.search(line))
        and not re.search(r"\w", CODES.sub("", found["rest"]))
    ]

    assert not bare, "say why, after the code"


def test_no_test_sleeps_or_mocks() -> None:
    found = [
        f"{source.name}:{line} {name}"
        for source in sources()
        if source.name.startswith("tests/")
        for line, name in written_names(source)
        if name == "time.sleep" or name.startswith("unittest.mock")
    ]

    assert not found, "wait for what you wait for; write a fake"
