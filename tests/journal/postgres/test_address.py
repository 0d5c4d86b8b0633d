"""A URL is taken apart, and nothing of it that may be a password is shown."""

import pytest

from ironflow.errors import ConfigurationError
from ironflow.journal.postgres.address import parse_address


def test_what_is_ours_is_taken_out_and_the_rest_passed_on() -> None:
    address = parse_address(
        "postgresql://ann:secret@db.example:5433/orders"
        "?schema=billing&lease=30s&sslmode=require&options=-c%20statement_timeout%3D5s"
    )

    assert (address.schema, address.lease) == ("billing", 30.0)
    assert address.conninfo == (
        "postgresql://ann:secret@db.example:5433/orders"
        "?sslmode=require&options=-c%20statement_timeout%3D5s"
    )


def test_the_schema_has_a_default() -> None:
    address = parse_address("postgresql://host/db")

    assert (address.schema, address.lease) == ("ironflow", 10.0)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:secret@host/db",
        "postgresql://ann:se%40cret@host/db?password=secret",
        "postgresql://ann:se@secret@host/db",
        "postgres:///db?host=/run/postgresql&user=ann&password=secret",
    ],
)
def test_a_password_is_never_shown(url: str) -> None:
    assert "secret" not in parse_address(url).shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://[::1/db",
        "postgresql://h/d?schema=",
        f"postgresql:///?schema={'x' * 64}",
        "postgresql:///?lease=0s",
        "postgresql:///?lease=2h",
    ],
)
def test_a_url_that_says_nothing_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"URL of the journal"):
        parse_address(url)
