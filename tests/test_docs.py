"""What the pages in docs/ say is there, is there; and what must be said, is said."""

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import ironflow
from ironflow import errors, limits

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md"])
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
INVARIANTS = range(1, 12)
NAMED_TEST = re.compile(r"`((?:tests|ironflow)/[\w/]+\.py)::(\w+)`")
NAMED_FOLDER = re.compile(r"`((?:tests|ironflow|examples|scripts|docs)/[\w./*-]*)`")
NAMED_FILE = re.compile(r"`((?:[\w-]+/)+[\w*-]+\.(?:py|md|txt|toml))`")
# How a user's own file is written in an example.
INVENTED = {"path/file.py"}
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")
ROW = re.compile(r"^\| `(\w+)` \| (.+) \|$", re.MULTILINE)
UNITS_US = {"d": 86_400_000_000, "s": 1_000_000, "ms": 1_000}
UNITS_BYTES = {"MiB": 1 << 20, "KiB": 1 << 10}


def text_of(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows_of(name: str) -> dict[str, list[str]]:
    """The rows of a page's tables by the name in their first cell."""
    return {name: cells.split(" | ") for name, cells in ROW.findall(text_of(name))}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def names_in(file: str) -> frozenset[str]:
    """The functions, classes and assigned names of a file, as far as they are outermost."""
    path = ROOT / file
    if not path.exists():
        return frozenset()
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Assign():
                names.update(
                    each.id for each in node.targets if isinstance(each, ast.Name)
                )
            case _:
                pass
    return frozenset(names)


def section(number: int) -> str:
    """What the page of invariants says of one of them."""
    _, _, rest = text_of("invariants.md").partition(f"\n## Invariant {number}\n")
    return rest.partition("\n## ")[0]


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_a_page_names_only_tests_that_exist(page: Path) -> None:
    named = NAMED_TEST.findall(page.read_text(encoding="utf-8"))

    missing = [f"{file}::{name}" for file, name in named if name not in names_in(file)]

    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_a_page_names_only_files_that_exist(page: Path) -> None:
    """From the root of the checkout, or of the package."""
    text = page.read_text(encoding="utf-8")
    named = {*NAMED_FOLDER.findall(text), *NAMED_FILE.findall(text)} - INVENTED
    roots = (ROOT, ROOT / "ironflow", page.parent)

    missing = [
        path
        for path in sorted(named)
        if not any(list(root.glob(path.rstrip("/"))) for root in roots)
    ]

    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))

    broken = [link for link in links if not (page.parent / link).exists()]

    assert not broken


@pytest.mark.parametrize("number", INVARIANTS)
def test_an_invariant_names_its_tests(number: int) -> None:
    found = section(number)

    assert "**" in found, "its statement"
    assert "*Why.*" in found
    assert "*Where.*" in found
    assert NAMED_TEST.search(found.partition("*Tests.*")[2])


def test_every_decision_is_in_the_index() -> None:
    index = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")

    missing = [page.name for page in DECISIONS if f"({page.name})" not in index]

    assert not missing


@pytest.mark.parametrize("page", DECISIONS, ids=relative)
def test_a_decision_says_what_was_rejected(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert re.search(r"\b(Rejected|Refused)\b", text)


def test_every_part_of_the_package_has_a_section() -> None:
    """A new folder or file at the top says where it stands before it is merged."""
    headings = re.findall(r"^##+ (.*)$", text_of("architecture.md"), re.MULTILINE)
    described = set(re.findall(r"`([\w./]+)`", "\n".join(headings)))
    parts = {
        path.name + "/" * path.is_dir()
        for path in (ROOT / "ironflow").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }

    assert not parts - described


@pytest.mark.parametrize("name", sorted(set(ironflow.__all__) - {"__version__"}))
def test_a_public_name_says_what_it_is_for(name: str) -> None:
    value = getattr(ironflow, name)

    # One that is inherited speaks of something else.
    own = value.__dict__.get("__doc__") if isinstance(value, type) else value.__doc__

    assert own


def test_every_error_is_in_the_reference() -> None:
    """With the code and the answer that its class has."""
    rows = rows_of("reference/errors.md")
    tree = {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.IronflowError)
    }

    assert {name: rows[name][:2] for name in rows} == {
        name: [f"`{value.code}`", "yes" if value.retryable else "no"]
        for name, value in tree.items()
    }
    assert "`ironflow.Cancelled`" in text_of("reference/errors.md")


def test_every_bound_is_in_the_reference() -> None:
    """With the value that it has."""
    rows = rows_of("reference/limits.md")
    bounds = {name: value for name, value in vars(limits).items() if name.isupper()}

    assert {name: number_of(cells[0]) for name, cells in rows.items()} == bounds
    assert all(len(cells) == 2 and cells[1].strip() for cells in rows.values())


def number_of(shown: str) -> int:
    """The number in a cell such as `16 MiB`, `7 d` or `1,000`."""
    number, _, unit = shown.partition(" ")
    factor = (UNITS_BYTES | UNITS_US)[unit] if unit else 1
    return int(number.replace(",", "")) * factor


@pytest.mark.parametrize("module", ["", ".interpreter", ".journal", ".engine"])
def test_a_package_says_what_may_be_in_it(module: str) -> None:
    assert import_module(f"ironflow{module}").__doc__
