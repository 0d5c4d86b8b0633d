"""What a URL of PostgreSQL says, and what of it may be shown: never a password."""

from dataclasses import dataclass
from typing import Final, final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from ironflow.errors import ConfigurationError

SCHEMA_DEFAULT: Final = "ironflow"
SCHEMA_CHARS_MAX: Final = 63  # of a name in PostgreSQL


@final
@dataclass(frozen=True, slots=True)
class Address:
    """Where a journal is: `conninfo` is for the driver, `shown` for messages."""

    conninfo: str
    schema: str
    shown: str


def parse_address(url: str) -> Address:
    """Take a URL apart: `postgresql://user:password@host:port/database?schema=name`.

    Whatever libpq accepts in a URL is passed on; `schema` is ours.

    Raises:
        ConfigurationError: it is no URL, or the schema has no name.
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
    schemas = [value for name, value in query if name == "schema"] or [SCHEMA_DEFAULT]
    schema = schemas[-1]
    if not schema or "\0" in schema or len(schema.encode()) > SCHEMA_CHARS_MAX:
        raise ConfigurationError(
            f"schema={schema!r} in the URL of the journal is no name; write 1 to"
            f" {SCHEMA_CHARS_MAX} characters"
        )
    rest = [(name, value) for name, value in query if name != "schema"]
    # Blanks as %20: libpq takes a plus sign for itself.
    query_text = urlencode(rest, quote_via=quote)
    host = parts.netloc.rpartition("@")[2]
    conninfo = f"postgresql://{parts.netloc}{parts.path}?{query_text}"
    shown = f"postgresql://{host}{parts.path}"
    return Address(conninfo, schema, shown)
