"""The pytest plugin, in pytest runs of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

SHOP = """
import ironflow

@ironflow.function(id="greet", triggers=["hello"])
async def greet(ctx):
    await ctx.step.sleep("think", "1d")
    return f"hello {ctx.event.data}"

app = ironflow.App(functions=[greet])
"""

TEST = """
async def test_a_greeting_takes_a_day(harness):
    run = await harness.emit("hello", "ada")
    await harness.advance("1d")
    assert (await run.result()).output == "hello ada"
"""

CONFTEST = """
import pytest
import shop

@pytest.fixture
def ironflow_app():
    return shop.greet
"""


def run_pytest(
    directory: Path, *, settings: str = "", **files: str
) -> subprocess.CompletedProcess[str]:
    """Run the tests of a project; it has ironflow's plugin and pytest-trio's only."""
    (directory / "pytest.ini").write_text(f"[pytest]\npythonpath = .\n{settings}")
    for name, text in files.items():
        (directory / f"{name}.py").write_text(text)
    plugins = ["-p", "pytest_trio.plugin", "-p", "ironflow.testing.plugin"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins],
        cwd=directory,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(_root())},
        capture_output=True,
        text=True,
        check=False,
    )


def _root() -> Path:
    return Path(__file__).parents[2]


@pytest.mark.slow
def test_the_app_can_be_named_in_the_settings(tmp_path: Path) -> None:
    done = run_pytest(
        tmp_path,
        settings="trio_mode = true\nironflow_app = shop:app\n",
        shop=SHOP,
        test_shop=TEST,
    )

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.slow
def test_a_fixture_can_choose_the_app_for_tests_that_are_marked(
    tmp_path: Path,
) -> None:
    marked = "import pytest\n\n@pytest.mark.trio" + TEST

    done = run_pytest(tmp_path, shop=SHOP, conftest=CONFTEST, test_shop=marked)

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.slow
def test_without_an_app_the_failure_says_how_to_name_it(tmp_path: Path) -> None:
    done = run_pytest(
        tmp_path, settings="trio_mode = true\n", shop=SHOP, test_shop=TEST
    )

    assert done.returncode == 1
    assert 'ironflow_app = "shop:app"' in done.stdout
    assert "Traceback" not in done.stdout


def test_the_plugin_loads_no_event_loop() -> None:
    program = "import sys, ironflow.testing.plugin\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    loaded = set(done.stdout.split())
    assert not loaded & {"trio", "msgspec", "lmdb", "click"}
