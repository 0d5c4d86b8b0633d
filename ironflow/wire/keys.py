"""API keys: their text, what is stored of one, and what it lets its holder do.

A key is `ifkey_` and 32 hexadecimal digits, 128 random bits. Only its SHA-256 is stored:
nobody guesses so many bits, so a slow hash would only slow down each request.
"""

import enum
import hashlib
import hmac
import re
from typing import Final, Literal, get_args

import msgspec

from ironflow.errors import ConfigurationError
from ironflow.policy.names import check_environment, check_text

KIND: Final = "api-key"  # of the documents that keys are stored in
ENTROPY_BYTES: Final = 16
_PREFIX: Final = "ifkey_"
_KEY: Final = re.compile(_PREFIX + r"[0-9a-f]{32}\Z")
_ACTOR: Final = "apikey:"  # published clients know it so
_SHOWN_CHARS: Final = len(_PREFIX) + 4
_ID_DIGITS: Final = 12
_ID: Final = re.compile(r"key_[0-9a-f]{12}\Z")

Role = Literal["admin", "developer", "viewer", "worker"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)


class Right(enum.Enum):
    """What a request asks for. The value is how a refusal names it."""

    NOTHING = "be known"
    READ = "read"
    EMIT = "emit events, invoke functions and publish messages"
    STEER = "change and delete runs"
    REGISTER = "register functions"
    WORK = "carry out runs"
    KEYS = "manage keys"
    REDACT = "redact"


_ANYBODY: Final = frozenset({Right.NOTHING})
_READER: Final = _ANYBODY | {Right.READ}
RIGHTS: Final[dict[Role, frozenset[Right]]] = {
    "admin": frozenset(Right),
    "developer": _READER | {Right.EMIT, Right.STEER, Right.REGISTER, Right.WORK},
    "viewer": _READER,
    "worker": _ANYBODY | {Right.EMIT, Right.REGISTER, Right.WORK},
}


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is stored.

    `sha256` is that of its text, in hexadecimal digits; `shown` is how the text begins.
    `environment` is the only one it is for, empty for any. Times are microseconds;
    `expires_at` is 0 if it does not expire.
    """

    id: str
    name: str
    sha256: str
    shown: str
    roles: tuple[Role, ...]
    environment: str = ""
    created_at: int
    rotated_at: int = 0
    expires_at: int = 0

    @property
    def actor(self) -> str:
        """What records call whoever holds it."""
        return _ACTOR + self.id

    def may(self, right: Right) -> bool:
        """Say whether one of its roles has the right."""
        return any(right in RIGHTS[role] for role in self.roles)

    def is_expired(self, now: int) -> bool:
        """Say whether it is past its time."""
        return 0 < self.expires_at <= now

    def to_bytes(self) -> bytes:
        """Return it as it is stored."""
        return msgspec.msgpack.encode(self)


def from_bytes(data: bytes) -> ApiKey:
    """Return a stored key.

    Raises:
        ConfigurationError: something else was stored.
    """
    try:
        return msgspec.msgpack.decode(data, type=ApiKey)
    except msgspec.DecodeError as error:
        raise ConfigurationError(
            f"an API key cannot be read: {error}; revoke it and create another"
        ) from error


def text_of(entropy: bytes) -> str:
    """Return the text of a new key, of 16 random bytes."""
    assert len(entropy) == ENTROPY_BYTES
    return _PREFIX + entropy.hex()


def is_text(text: str) -> bool:
    """Say whether a text has the form of a key."""
    return _KEY.match(text) is not None


def is_id(text: str) -> bool:
    """Say whether a text has the form of a key's id."""
    return _ID.match(text) is not None


def hashed(text: str) -> str:
    """Return what is stored of the text of a key."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def fits(key: ApiKey, text: str) -> bool:
    """Say whether this is the text of the key, in a time that does not tell how nearly."""
    return hmac.compare_digest(key.sha256, hashed(text))


def created(
    text: str,
    *,
    name: str,
    roles: tuple[str, ...],
    now: int,
    environment: str = "",
    lasts_us: int = 0,
) -> ApiKey:
    """Return a key to store; its id follows from its text, and does not tell it.

    Raises:
        ConfigurationError: a name or role is none.
    """
    return ApiKey(
        id=f"key_{hashed(text)[:_ID_DIGITS]}",
        name=check_text(name, option="name"),
        sha256=hashed(text),
        shown=text[:_SHOWN_CHARS],
        roles=_checked_roles(roles),
        environment=check_environment(environment) if environment else "",
        created_at=now,
        expires_at=now + lasts_us if lasts_us else 0,
    )


def rotated(key: ApiKey, text: str, *, now: int) -> ApiKey:
    """Return a key with another text; the one before is worth nothing from then on."""
    return msgspec.structs.replace(
        key, sha256=hashed(text), shown=text[:_SHOWN_CHARS], rotated_at=now
    )


def with_roles(key: ApiKey, roles: tuple[str, ...]) -> ApiKey:
    """Return a key that may do something else.

    Raises:
        ConfigurationError: a role is none, or there is none.
    """
    return msgspec.structs.replace(key, roles=_checked_roles(roles))


def _checked_roles(roles: tuple[str, ...]) -> tuple[Role, ...]:
    known: dict[str, Role] = {role: role for role in ROLES}
    unknown = [role for role in roles if role not in known]
    if unknown or not roles:
        raise ConfigurationError(
            f"roles={list(roles)!r} must be one or more of {', '.join(ROLES)}"
        )
    return tuple(dict.fromkeys(known[role] for role in roles))
