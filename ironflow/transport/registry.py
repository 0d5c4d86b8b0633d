"""Functions that are registered over the wire, as the journal's registry has them.

A function of the server's own app is registered by its engine. One whose code lives
elsewhere is a `FunctionConfig`; its row says who hosts it and by which rules.
"""

from typing import Final

from ironflow.errors import ConfigurationError
from ironflow.journal.base import FunctionRow
from ironflow.wire.functions import FunctionConfig, from_bytes

SEGMENTS: Final = "segments-1"
_EVENT: Final = ("$.", "event.")
_DATA: Final = "data."


def config_of(row: FunctionRow) -> FunctionConfig | None:
    """Return what a function said of itself; None for one of the server's own app.

    Raises:
        ConfigurationError: something else wrote it.
    """
    return from_bytes(row.config) if row.config else None


def row_of(config: FunctionConfig) -> FunctionRow:
    """Return the row of a function that a published worker or endpoint registers.

    Raises:
        ConfigurationError: the key of its concurrency is no path.
    """
    return FunctionRow(
        id=config.id,
        version=config.code_version,
        triggers=config.patterns,
        concurrency=config.concurrency.limit,
        concurrency_key=_inside_data(config.concurrency.key),
        rules=SEGMENTS,
        host=config.mode,
        config=config.to_bytes(),
    )


def check_host(row: FunctionRow | None, config: FunctionConfig) -> None:
    """Refuse to take a function away from the server's own app.

    Raises:
        ConfigurationError: the app has a function of this id.
    """
    if row is not None and row.host == "local" and not row.config:
        raise ConfigurationError(
            f"function {config.id!r} is hosted by the server itself, in its app; register"
            " yours under another id, or take it out of the app"
        )


def _inside_data(key: str) -> str:
    """Return a key path as ours: the published ones begin inside the event's data."""
    for prefix in _EVENT:
        key = key.removeprefix(prefix)
    return key if not key or key.startswith(_DATA) else _DATA + key
