"""What a URL of PostgreSQL says, and what of it may be shown: never a password."""

from dataclasses import dataclass
from typing import Final, final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from ironflow.errors import ConfigurationError
from ironflow.policy.duration import parse_duration

SCHEMA_DEFAULT: Final = "ironflow"
SCHEMA_CHARS_MAX: Final = 63  # of a name in PostgreSQL
LEASE_SECONDS_DEFAULT: Final = 10.0
LEASE_SECONDS_MIN: Final = 0.2
LEASE_SECONDS_MAX: Final = 3600.0
_OWN: Final = frozenset({"schema", "lease"})


@final
@dataclass(frozen=True, slots=True)
class Address:
    """Where a journal is: `conninfo` is for the driver, `shown` for messages.

    `lease` is how long, in seconds, the others wait for a node that is silent.
    """

    conninfo: str
    schema: str
    shown: str
    lease: float = LEASE_SECONDS_DEFAULT


def parse_address(url: str) -> Address:
    """Take a URL apart: `postgresql://user:password@host:port/database?schema=name`.

    Whatever libpq accepts in a URL is passed on; `schema` and `lease` are ours.

    Raises:
        ConfigurationError: it is no URL, the schema has no name, or the lease no length.
    """
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError as error:
        raise ConfigurationError(
            "the URL of the journal cannot be read; write"
            " postgresql://user:password@host:port/database, with special characters"
            " in user and password as %XX"
        ) from error
    own = {name: value for name, value in query if name in _OWN}
    rest = [(name, value) for name, value in query if name not in _OWN]
    # Blanks as %20: libpq takes a plus sign for itself.
    query_text = urlencode(rest, quote_via=quote)
    host = parts.netloc.rpartition("@")[2]
    conninfo = f"postgresql://{parts.netloc}{parts.path}?{query_text}"
    shown = f"postgresql://{host}{parts.path}"
    schema = _schema(own.get("schema", SCHEMA_DEFAULT))
    return Address(conninfo, schema, shown, _lease(own.get("lease")))


def _schema(name: str) -> str:
    if not name or "\0" in name or len(name.encode()) > SCHEMA_CHARS_MAX:
        raise ConfigurationError(
            f"schema={name!r} in the URL of the journal is no name; write 1 to"
            f" {SCHEMA_CHARS_MAX} characters"
        )
    return name


def _lease(text: str | None) -> float:
    if text is None:
        return LEASE_SECONDS_DEFAULT
    seconds = parse_duration(text, option="lease") / 1_000_000
    if not LEASE_SECONDS_MIN <= seconds <= LEASE_SECONDS_MAX:
        raise ConfigurationError(
            f"lease={text!r} in the URL of the journal must be from"
            f" {LEASE_SECONDS_MIN:g}s to {LEASE_SECONDS_MAX:g}s"
        )
    return seconds
