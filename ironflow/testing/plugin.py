"""The pytest plugin: the fixtures `harness` and `ironflow_app`.

Every pytest run of a project that has ironflow installed loads this file, so it
imports nothing of the engine until a test asks for it.
"""

from collections.abc import AsyncGenerator
from importlib import import_module
from typing import Any

import pytest

_HOW = (
    "the fixture `harness` does not know your app; name it once in the pytest"
    ' configuration (ironflow_app = "shop:app"), or in conftest.py:\n\n'
    "    @pytest.fixture\n"
    "    def ironflow_app():\n"
    "        return shop.app  # or a function, or a list of functions\n"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting `ironflow_app`."""
    parser.addini("ironflow_app", "the app of the fixture harness: module:name")


@pytest.fixture
def ironflow_app(request: pytest.FixtureRequest) -> Any:
    """The app that `harness` runs; override it to choose another."""
    target = request.config.getini("ironflow_app")
    if not target:
        pytest.fail(_HOW, pytrace=False)
    return import_module("ironflow.authoring.load").load_app(target)


@pytest.fixture
async def harness(ironflow_app: Any) -> AsyncGenerator[Any]:
    """An app in memory and in virtual time, for tests that run on Trio."""
    testing = import_module("ironflow.testing.harness")
    async with testing.open_harness(ironflow_app) as opened:
        yield opened
