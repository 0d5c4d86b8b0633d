"""What callers give to an engine, checked.

Each raises ConfigurationError, which says what is wrong.
"""

from collections.abc import Mapping
from typing import Any, Final

from ironflow import limits
from ironflow.errors import ConfigurationError
from ironflow.policy.attributes import (
    NO_ATTRIBUTES,
    Attributes,
    check_values,
    encode,
)

_VERSION_MAX: Final = 2**31 - 1


def checked_text(text: object, *, option: str) -> str:
    """Return a text that can be stored: halves of surrogate pairs cannot."""
    if not isinstance(text, str):
        raise ConfigurationError(f"{option}={text!r} must be text")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise ConfigurationError(
            f"{option}={text!r} holds half of a surrogate pair, which is no text"
        )
    return text


def checked_version(version: object) -> int:
    """Return the version of a payload, if it is one."""
    if type(version) is not int or not 0 <= version <= _VERSION_MAX:
        raise ConfigurationError(
            f"version={version!r} must be a whole number from 0 to {_VERSION_MAX}"
        )
    return version


def checked_key(key: object) -> str:
    """Return an idempotency key, if it is not too long."""
    key = checked_text(key, option="idempotency_key")
    if len(key) > limits.IDEMPOTENCY_KEY_CHARS_MAX:
        raise ConfigurationError(
            f"idempotency_key has {len(key)} characters; at most"
            f" {limits.IDEMPOTENCY_KEY_CHARS_MAX} are allowed: use a digest"
        )
    return key


def checked_metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Return metadata as a dict of texts, if they are not too many."""
    entries: dict[Any, Any] = dict(metadata or {})
    if len(entries) > limits.METADATA_ENTRIES_MAX:
        raise ConfigurationError(
            f"metadata has {len(entries)} entries; at most"
            f" {limits.METADATA_ENTRIES_MAX} are allowed: put the rest into data"
        )
    for key, value in entries.items():
        checked_text(key, option="a key of metadata")
        checked_text(value, option=f"metadata[{key!r}]")
    return entries


def checked_attributes(attributes: Attributes | None) -> bytes:
    """Return the attributes of runs that are to start, as they are kept.

    Raises:
        ConfigurationError: a name is none, or they are too many.
        ValueRejected: a value cannot be kept.
    """
    if not attributes:
        return NO_ATTRIBUTES
    check_values(attributes, option="attributes")
    return encode({name: each for name, each in attributes.items() if each is not None})
