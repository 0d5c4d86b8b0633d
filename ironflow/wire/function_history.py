"""The versions of a function, as its registry keeps them: what it was, since when, and why.

A version is a whole configuration, so that it can be gone back to. What is kept of a
function is bounded; the oldest versions go first.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from ironflow import limits
from ironflow.errors import ConfigurationError, FunctionNotFound
from ironflow.wire.functions import FunctionConfig

KIND: Final = "function-versions"  # of the documents that versions are stored in

# The words of the published schema; a function that is made begins with an update.
Change = Literal["update", "status_change", "rollback", "delete"]


class FunctionVersion(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A function as it was made at one time, by whom and why.

    `actor` is empty where nobody had to say who he was. `at` is in microseconds.
    """

    config: FunctionConfig
    change: Change = "update"
    reason: str = ""
    actor: str = ""
    at: int = 0

    @property
    def number(self) -> int:
        """Its number, from 1."""
        return self.config.revision


_HEAD_BYTES_MAX: Final = 5  # of an array

Versions = tuple[FunctionVersion, ...]

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Versions).decode


def from_bytes(data: bytes) -> Versions:
    """Return the versions of a function, oldest first.

    Raises:
        ConfigurationError: something else wrote them.
    """
    try:
        return _decode(data)
    except msgspec.DecodeError as error:
        raise ConfigurationError(
            f"the versions of a function cannot be read: {error}; a newer ironflow has"
            " written them"
        ) from error


def to_bytes(versions: Sequence[FunctionVersion]) -> bytes:
    """Return as many of the newest versions as are kept, as they are stored.

    Raises:
        ConfigurationError: the newest alone is too large.
    """
    kept = list(versions[-limits.FUNCTION_VERSIONS_MAX :])
    parts = [_encode(each) for each in kept]
    size = sum(map(len, parts)) + _HEAD_BYTES_MAX
    while size > limits.DOCUMENT_BYTES_MAX and len(parts) > 1:
        size -= len(parts.pop(0))
    if len(parts[-1]) > limits.FUNCTION_CONFIG_BYTES_MAX:
        raise ConfigurationError(
            f"function {kept[-1].config.id!r} is {len(parts[-1])} bytes with all that it"
            f" says of itself; the limit is {limits.FUNCTION_CONFIG_BYTES_MAX}: put less"
            " into its metadata"
        )
    return _encode([msgspec.Raw(each) for each in parts])


def standing(
    versions: Versions, registered: FunctionConfig | None, *, now: int
) -> Versions:
    """Return the versions with what is registered at their end.

    It is missing there if it was registered before versions were kept.
    """
    if registered is None:
        return versions
    if versions and versions[-1].number >= registered.revision:
        return versions
    at = registered.updated_at or now
    return (
        *versions,
        FunctionVersion(config=registered, reason=registered.change_reason, at=at),
    )


def numbered(versions: Sequence[FunctionVersion], number: int) -> FunctionVersion:
    """Return a version by its number.

    Raises:
        FunctionNotFound: it is not kept; the message says which are.
    """
    for each in versions:
        if each.number == number:
            return each
    first, last = versions[0].number, versions[-1].number
    raise FunctionNotFound(
        f"function {versions[-1].config.id!r} has no version {number}; those from"
        f" {first} to {last} are kept"
    )


def made_by(versions: Sequence[FunctionVersion], time: int) -> int:
    """Return the number of the version that stood at a time; 0 if that is not kept."""
    return max((each.number for each in versions if each.at <= time), default=0)
