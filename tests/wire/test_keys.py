"""API keys as values: their text, what is stored of it, what it lets its holder do."""

from typing import Any

import msgspec
import pytest

from ironflow.errors import ConfigurationError
from ironflow.wire import keys
from ironflow.wire.keys import ApiKey, Right

TEXT = keys.text_of(bytes(range(16)))
NOW = 1_000_000


def made(*roles: str, **options: object) -> ApiKey:
    given: dict[str, Any] = {"name": "ci", **options}
    return keys.created(TEXT, roles=roles, now=NOW, **given)


def test_a_text_is_a_prefix_and_its_entropy() -> None:
    assert TEXT == "ifkey_000102030405060708090a0b0c0d0e0f"
    assert keys.is_text(TEXT)


@pytest.mark.parametrize("text", ["", TEXT[:-1], TEXT + "0", TEXT.upper(), TEXT + "\n"])
def test_what_has_another_form_is_no_text(text: str) -> None:
    assert not keys.is_text(text)


def test_what_is_stored_does_not_tell_the_text() -> None:
    stored = made("viewer").to_bytes()

    assert TEXT.encode() not in stored
    assert bytes(range(16)) not in stored
    assert keys.from_bytes(stored) == made("viewer")


def test_a_key_fits_its_own_text_only() -> None:
    key = made("viewer")

    assert keys.fits(key, TEXT)
    assert not keys.fits(key, keys.text_of(bytes(16)))
    assert not keys.fits(key, "\ud800")


def test_an_id_has_its_form() -> None:
    assert keys.is_id(made("viewer").id)
    assert not keys.is_id("key_x")


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        ("admin", set(Right)),
        ("developer", set(Right) - {Right.KEYS, Right.REDACT}),
        ("viewer", {Right.NOTHING, Right.READ}),
        ("worker", {Right.NOTHING, Right.EMIT, Right.REGISTER, Right.WORK}),
    ],
)
def test_a_role_has_its_rights(role: str, rights: set[Right]) -> None:
    assert {right for right in Right if made(role).may(right)} == rights


def test_roles_add_up() -> None:
    key = made("viewer", "worker", "viewer")

    assert key.roles == ("viewer", "worker")
    assert key.may(Right.READ)
    assert key.may(Right.WORK)


@pytest.mark.parametrize("roles", [(), ("owner",), ("viewer", "root")])
def test_a_role_that_is_none_is_refused(roles: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="admin, developer, viewer, worker"):
        made(*roles)


@pytest.mark.parametrize("options", [{"name": " "}, {"environment": "a b"}])
def test_a_name_that_is_none_is_refused(options: dict[str, str]) -> None:
    given = {"name": "ci", "environment": "", **options}

    with pytest.raises(ConfigurationError):
        made("viewer", **given)


def test_a_key_expires_when_its_time_is_over() -> None:
    key = made("viewer", lasts_us=10)

    assert not key.is_expired(NOW + 9)
    assert key.is_expired(NOW + 10)
    assert not made("viewer").is_expired(2**62)


def test_a_rotated_key_is_the_same_with_another_text() -> None:
    before = made("viewer", lasts_us=10)
    other = keys.text_of(bytes(16))

    after = keys.rotated(before, other, now=NOW + 5)

    assert keys.fits(after, other)
    assert not keys.fits(after, TEXT)
    assert after.shown == other[:10]
    assert (
        msgspec.structs.replace(
            after, sha256=before.sha256, shown=before.shown, rotated_at=0
        )
        == before
    )


def test_what_is_no_key_is_said() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        keys.from_bytes(b"\x90")
