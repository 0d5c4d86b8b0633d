"""`pytest tests/interpreter --rewrite` writes into the case files what they print."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite",
        action="store_true",
        help="write what the case files print into them; read the diff",
    )


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    """Say whether expectations are to be written instead of checked."""
    return bool(request.config.getoption("--rewrite", default=False))
