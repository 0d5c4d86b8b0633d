"""Where a client finds its server: what it is given, then variables, then a default."""

import os
from dataclasses import dataclass
from typing import Final, final
from urllib.parse import urlsplit
from urllib.request import getproxies

from ironflow import __version__
from ironflow.errors import ConfigurationError

URL_DEFAULT: Final = "http://127.0.0.1:9123"


@final
@dataclass(frozen=True, slots=True)
class Settings:
    """A server's URL, without a slash at its end; the key and environment, or empty.

    `ca_file` has the certificates that are trusted, empty for those of the machine.
    """

    url: str
    api_key: str
    environment: str
    ca_file: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        found = {
            "accept": "application/json",
            "user-agent": f"ironflow-python/{__version__}",
        }
        if self.api_key:
            found["authorization"] = f"Bearer {self.api_key}"
        if self.environment:
            found["x-ironflow-environment"] = self.environment
        return found


def has_proxies() -> bool:
    """Say whether the environment names proxies."""
    return bool(getproxies())


def settings(
    url: str | None,
    api_key: str | None,
    environment: str | None,
    ca_file: str | os.PathLike[str] | None = None,
) -> Settings:
    """Return the settings of a client; what is None comes from the variables.

    Raises:
        ConfigurationError: the URL is none, or a text cannot stand in a header.
    """
    # A program without a command line of ours has no other place for a key.
    variables = os.environ  # noqa: TID251  the clients' documented defaults
    given = url or variables.get("IRONFLOW_SERVER_URL") or URL_DEFAULT
    key = variables.get("IRONFLOW_API_KEY", "") if api_key is None else api_key
    if environment is None:
        environment = variables.get("IRONFLOW_ENVIRONMENT", "")
    if ca_file is None:
        ca_file = variables.get("IRONFLOW_CA_FILE", "")
    return Settings(
        _checked_url(given),
        _checked_header(key, option="api_key"),
        _checked_header(environment, option="environment"),
        os.fspath(ca_file),
    )


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname)
        is_url = is_url and (parts.port is None or parts.port > 0)
    except ValueError:
        is_url = False
    if not is_url:
        raise ConfigurationError(
            f"url={url!r} is no address of a server; one looks like {URL_DEFAULT}"
        )
    return url.rstrip("/")


def _checked_header(text: str, *, option: str) -> str:
    found = text.strip()
    if not (found.isascii() and (not found or found.isprintable())):
        raise ConfigurationError(
            f"{option} has characters that cannot stand in a header; copy it again"
        )
    return found
