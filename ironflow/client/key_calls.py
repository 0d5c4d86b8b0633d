"""The requests that manage API keys, for the command line.

They are none of a client's: a program that does work has no business with keys.
"""

from collections.abc import Mapping
from urllib.parse import quote

from ironflow.client.answers import Nothing
from ironflow.client.calls import Call
from ironflow.client.payload import encoded

_PATH = "/api/v1/apikeys"


def list_keys() -> Call[Nothing]:
    """List API keys: a list of `KeyDocument`."""
    return Call(method="GET", path=_PATH, answer=Nothing, is_safe=True)


def create_key(document: Mapping[str, object]) -> Call[Nothing]:
    """Create an API key: `NewKeyDocument`."""
    return Call(method="POST", path=_PATH, answer=Nothing, body=encoded(dict(document)))


def rotate_key(key_id: str) -> Call[Nothing]:
    """Give an API key another text: `NewKeyDocument`."""
    return Call(method="POST", path=f"{_of(key_id)}/rotate", answer=Nothing)


def revoke_key(key_id: str) -> Call[Nothing]:
    """Revoke an API key; it answers nothing."""
    return Call(method="DELETE", path=_of(key_id), answer=Nothing)


def _of(key_id: str) -> str:
    return f"{_PATH}/{quote(key_id, safe='')}"
