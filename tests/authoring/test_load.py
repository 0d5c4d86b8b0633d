"""Finding the app that a command names."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ironflow
from ironflow.authoring.load import load_app

SHOP = """
import ironflow

@ironflow.function(id="{id}")
async def process(ctx): ...

app = ironflow.App(functions=[process])
number = 5
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current directory of its own; what is imported from it is forgotten."""
    known = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "ironflow_shop.py").write_text(SHOP.format(id="in-folder"))
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def refusal(target: str) -> str:
    with pytest.raises(ironflow.ConfigurationError) as refused:
        load_app(target)
    return str(refused.value)


def test_an_app_is_found_in_a_module_of_the_current_directory() -> None:
    assert list(load_app("ironflow_shop:app").programs) == ["in-folder"]


def test_an_app_is_found_in_a_file_wherever_it_is(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "neighbour.py").write_text("ID = 'in-file'")
    source = SHOP.format(id="in-file").replace(
        "import ironflow", "import ironflow, neighbour"
    )
    (folder / "sub" / "ironflow_other.py").write_text(source)

    app = load_app("sub/ironflow_other.py:app")

    assert list(app.programs) == ["in-file"]
    assert load_app("sub/ironflow_other.py:app") is app


def test_two_files_of_one_name_do_not_meet(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "ironflow_shop.py").write_text(SHOP.format(id="in-sub"))

    first = load_app("ironflow_shop:app")
    second = load_app("sub/ironflow_shop.py:app")

    assert list(first.programs) == ["in-folder"]
    assert list(second.programs) == ["in-sub"]
    assert list(load_app("ironflow_shop:app").programs) == ["in-folder"]


def test_a_single_function_becomes_an_app() -> None:
    assert list(load_app("ironflow_shop:process").programs) == ["in-folder"]


@pytest.mark.parametrize("target", ["ironflow_shop", ":app", "ironflow_shop:", ""])
def test_a_target_has_two_parts(target: str) -> None:
    assert "write module:name" in refusal(target)


def test_what_is_not_there_is_answered_with_what_is_near() -> None:
    assert "did you mean 'ironflow_shop'?" in refusal("ironflow_shpo:app")
    assert "did you mean 'ironflow_shop'?" in refusal("ironflow_shpo.py:app")
    assert "has no 'ap'; did you mean 'app'" in refusal("ironflow_shop:ap")
    assert refusal("nowhere.at_all:app").startswith("there is no module 'nowhere'")


def test_what_is_no_app_is_shown() -> None:
    message = refusal("ironflow_shop:number")

    assert "is 5, which is neither an ironflow.App nor a function" in message
    assert "did you mean 'process'?" in message


def test_a_module_without_any_app_is_told_to_make_one(folder: Path) -> None:
    (folder / "ironflow_empty.py").write_text("number = 5")

    assert "make one: App(" in refusal("ironflow_empty:number")


@pytest.mark.parametrize("target", ["ironflow_broken:app", "ironflow_broken.py:app"])
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\ny = x / 0", "ironflow_broken.py:2: y = x / 0"),
        ("\nimport json\njson.loads('{')", "ironflow_broken.py:3: json.loads"),
        ("import ironflow_missing", "No module named 'ironflow_missing'"),
        ("def f(:", "ironflow_broken.py, line 1"),
        (
            "import ironflow\n\n@ironflow.function(id='a b')\nasync def f(ctx): ...",
            "ironflow_broken.py:3: @ironflow.function",
        ),
    ],
)
def test_an_error_in_the_module_shows_the_users_own_line(
    folder: Path, target: str, source: str, message: str
) -> None:
    (folder / "ironflow_broken.py").write_text(source)

    said = refusal(target)

    assert "cannot be imported" in said
    assert message in said
    assert "ironflow_broken" not in sys.modules
