"""What is not on the command line: `IRONFLOW_*` variables, then `ironflow.toml`.

Variables belong to the options that name them. The file stands in the current directory,
or where `IRONFLOW_CONFIG` says. What is at its top holds for every command that has such an
option, what is in a table for the command of its name:

    data-dir = "/var/lib/shop"

    [serve]
    app = "shop:app"
    port = 9123
"""

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import click

FILE: Final = "ironflow.toml"
VARIABLE: Final = "IRONFLOW_CONFIG"
# The settings there are, and what click calls the parameters of their options.
NAMES: Final = {
    "api-key": "api_key",
    "app": "target",
    "ca-file": "ca_file",
    "data-dir": "directory",
    "database-url": "database_url",
    "dev": "is_dev",
    "environment": "environment",
    "host": "host",
    "log-format": "log_format",
    "log-level": "log_level",
    "pack-after": "pack_after",
    "port": "port",
    "push-allow": "push_allow",
    "push-deny": "push_deny",
    "retention": "retention",
    "server": "server",
    "tls-cert": "tls_cert",
    "tls-key": "tls_key",
    "signing-key": "signing_key",
}
Defaults = Mapping[str, Any]


def read(commands: Iterable[str]) -> Defaults:
    """Return the settings of the file, as click looks for them; none if there is no file.

    Raises:
        ClickException: it is no TOML, or has a name that is neither a setting nor one of
            the commands.
    """
    named = os.environ.get(VARIABLE)
    path = Path(named or FILE)
    if not path.is_file():
        if named:
            raise click.ClickException(
                f"{VARIABLE} names {path}, and there is no such file; correct the variable"
            )
        return {}
    import tomllib

    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path} is not TOML: {error}") from error
    tables = set(commands)
    return {
        **_parameters(found, path, passed_over=tables),
        **{
            name: _parameters(cast("Defaults", table), path)
            for name, table in found.items()
            if name in tables and isinstance(table, dict)
        },
    }


def below(defaults: Defaults, commands: Iterable[str]) -> Defaults:
    """Return the defaults of a group as those of its commands.

    What holds for the group holds for each of them, unless it has a table of its own.
    """
    values = {
        name: value for name, value in defaults.items() if not isinstance(value, dict)
    }
    return {name: {**values, **defaults.get(name, {})} for name in commands}


def _parameters(
    table: Defaults, path: Path, *, passed_over: Iterable[str] = ()
) -> dict[str, object]:
    skipped = set(passed_over)
    found: dict[str, object] = {}
    for name, value in table.items():
        if name in skipped and isinstance(value, dict):
            continue
        if name not in NAMES or not isinstance(value, str | int | float):
            near = difflib.get_close_matches(name, [*NAMES, *skipped], n=1)
            hint = (
                f"did you mean {near[0]}?" if near else f"there are {', '.join(NAMES)}"
            )
            raise click.ClickException(f"{path} has no setting {name!r}; {hint}")
        found[NAMES[name]] = value
    return found
