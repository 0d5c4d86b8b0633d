"""A version says which code a function is: the same in every process."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ironflow.authoring.version import code_version

MODULE = """
import ironflow

@ironflow.function
async def workflow(ctx):
    {body}

if __name__ == "__main__":
    print(workflow.program.version)
"""


def printed(*command: str, cwd: Path, hash_seed: str = "0") -> str:
    finished = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={
            "PYTHONPATH": str(Path(__file__).parent.parent.parent),
            "PYTHONHASHSEED": hash_seed,
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        check=True,
        capture_output=True,
        text=True,
    )
    return finished.stdout.strip()


def made_by_exec(body: str) -> str:
    names: dict[str, Any] = {}
    exec(MODULE.format(body=body), names)
    return str(names["workflow"].program.version)


@pytest.mark.slow
def test_a_script_and_an_imported_module_are_the_same_code(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(MODULE.format(body="return 1"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "shop.py").write_text(MODULE.format(body="return 1"))
    show = "import shop; print(shop.workflow.program.version)"

    versions = {
        printed("shop.py", cwd=tmp_path),
        printed("-m", "shop", cwd=tmp_path),
        printed("-c", show, cwd=tmp_path),
        printed("elsewhere/shop.py", cwd=tmp_path),
    }

    assert len(versions) == 1
    assert len(versions.pop()) == 16


@pytest.mark.slow
def test_code_without_a_file_is_the_same_in_every_process(tmp_path: Path) -> None:
    source = MODULE.format(body="return ctx in {'a', 'b', 'c', ('d', 1)}")

    versions = {
        printed("-c", source, cwd=tmp_path, hash_seed=seed) for seed in ("1", "2", "3")
    }

    assert len(versions) == 1


@pytest.mark.parametrize(
    "body",
    [
        "return 2",
        "return 1.0",
        "return '1'",
        "return (lambda: 2)()",
        "return ctx.a",
        "return ctx.b",
        "return ctx in {'a', 'b', 'c'}",
        "return ctx in {'a', 'b', ('c', 1)}",
    ],
)
def test_other_code_without_a_file_has_another_version(body: str) -> None:
    assert made_by_exec(body) != made_by_exec("return 1")
    assert made_by_exec(body) == made_by_exec(body)


def test_a_change_anywhere_in_the_file_is_another_version(tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    file.write_text("def outer():\n    async def inner(ctx): ...\n    return inner")
    names: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    inner = names["outer"]()

    before = code_version(inner, function_id="inner")
    file.write_text(file.read_text() + "\nRATE = 2")

    assert code_version(inner, function_id="inner") != before
    assert code_version(inner, function_id="x") != code_version(inner, function_id="y")


def test_code_whose_file_is_gone_is_known_by_itself(tmp_path: Path) -> None:
    source = "async def workflow(ctx): return {}"
    versions: set[str] = set()
    for result, file in [(1, "a.py"), (1, "b.py"), (2, "a.py")]:
        names: dict[str, Any] = {}
        exec(compile(source.format(result), str(tmp_path / file), "exec"), names)
        versions.add(code_version(names["workflow"], function_id="workflow"))

    assert len(versions) == 2
