"""Versions of a function, as they are stored."""

import pytest
from msgspec.structs import replace

from ironflow import limits
from ironflow.errors import ConfigurationError, FunctionNotFound
from ironflow.wire.function_history import (
    FunctionVersion,
    Versions,
    from_bytes,
    numbered,
    standing,
    to_bytes,
)
from ironflow.wire.functions import FunctionConfig


def version(number: int, **metadata: object) -> FunctionVersion:
    config = FunctionConfig(id="mail", revision=number, metadata=metadata)
    return FunctionVersion(config=config, reason="so", actor="apikey:k", at=number)


def through(last: int, first: int = 1) -> Versions:
    return tuple(version(number) for number in range(first, last + 1))


def test_versions_are_stored_and_read() -> None:
    found = (*through(2), replace(version(3), change="rollback"))

    assert from_bytes(to_bytes(found)) == found


def test_the_oldest_go_when_there_are_too_many() -> None:
    most = limits.FUNCTION_VERSIONS_MAX

    kept = from_bytes(to_bytes(through(most + 3)))

    assert [kept[0].number, kept[-1].number, len(kept)] == [4, most + 3, most]


def test_the_oldest_go_when_they_are_too_large() -> None:
    large = "x" * (limits.FUNCTION_CONFIG_BYTES_MAX - 1_000)
    data = to_bytes([version(number, notes=large) for number in range(1, 7)])

    assert len(data) <= limits.DOCUMENT_BYTES_MAX
    assert [each.number for each in from_bytes(data)] == [3, 4, 5, 6]


def test_one_that_is_too_large_is_refused() -> None:
    large = "x" * limits.FUNCTION_CONFIG_BYTES_MAX

    with pytest.raises(ConfigurationError, match=r"'mail' is 26\d+ bytes"):
        to_bytes([version(1), version(2, notes=large)])


def test_what_cannot_be_read_is_said() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        from_bytes(b"\x01")


def test_what_was_registered_before_is_the_first_version() -> None:
    registered = replace(version(4).config, updated_at=7, change_reason="before")

    [found] = standing((), registered, now=9)

    assert found == FunctionVersion(config=registered, reason="before", at=7)
    assert standing((), replace(registered, updated_at=0), now=9)[0].at == 9


def test_what_is_stored_comes_before_what_is_registered() -> None:
    """Another server may have written an older row, in the commit that it was refused."""
    found = through(2)

    assert standing(found, version(2, other=1).config, now=9) == found
    assert standing(found, None, now=9) == found
    assert standing(found, version(3).config, now=9)[2].number == 3


def test_a_version_is_found_by_its_number() -> None:
    found = through(5, first=3)

    assert numbered(found, 4).number == 4
    with pytest.raises(FunctionNotFound, match=r"no version 2; those from 3 to 5"):
        numbered(found, 2)
