"""What functions, steps, events, topics and environments may be called.

Names become parts of ids, of keys in a store and of addresses, so each kind has
its own alphabet. Every check returns the name, or raises with the reason.
"""

import re
from typing import Final

from ironflow import limits
from ironflow.errors import ConfigurationError

# Namespaces of the engine; what users publish is put below them.
TOPIC: Final = "topic:"
RESERVED_PREFIXES: Final = ("events:", TOPIC, "entity:", "system.")
RESERVED_STEP_PREFIXES: Final = ("compensate:", "publish:")

# C0 and C1 controls, line and paragraph separators, halves of surrogate pairs:
# they break lines of logs, or cannot be written as UTF-8 at all.
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_SEGMENT: Final = re.compile(r"[^\s.*>]+")


def check_step_name(name: object, *, option: str = "name") -> str:
    """Return the name of a step, wait, sleep or branch.

    Raises:
        ConfigurationError: empty, too long, with control characters, or with a
            prefix that the engine uses for its own steps.
    """
    text = check_text(name, option=option)
    for prefix in RESERVED_STEP_PREFIXES:
        if text.startswith(prefix):
            raise ConfigurationError(
                f"{option}={text!r} begins with {prefix!r}, which the engine uses for"
                " its own steps; choose another name"
            )
    return text


def check_function_id(name: object, *, option: str = "id") -> str:
    """Return the id of a function.

    Raises:
        ConfigurationError: it has other characters than ASCII letters, digits,
            "-" and "_", or begins with one of the last two.
    """
    return _identifier(name, option=option, example="process-order")


def check_environment(name: object, *, option: str = "environment") -> str:
    """Return the name of an environment.

    Raises:
        ConfigurationError: as for the id of a function.
    """
    return _identifier(name, option=option, example="production")


def check_event_name(name: object, *, option: str = "event") -> str:
    """Return the name of an event that a user publishes.

    Raises:
        ConfigurationError: it is not segments joined by dots ("order.created"),
            has wildcards, or lies in a namespace of the engine.
    """
    text = check_text(name, option=option)
    check_segments(text.split("."), text, option=option)
    for prefix in RESERVED_PREFIXES:
        if text.startswith(prefix):
            raise ConfigurationError(
                f"{option}={text!r} begins with {prefix!r}, a namespace of the engine;"
                " publish under a name without it"
            )
    return text


def check_topic(name: object, *, option: str = "topic") -> str:
    """Return the name of a topic that a user publishes to, without "topic:".

    Raises:
        ConfigurationError: as for the name of an event.
    """
    return check_event_name(name, option=option)


def check_awaited_name(name: object, *, option: str = "event") -> str:
    """Return the name of an event that a run waits for: a user's, or "topic:...".

    Raises:
        ConfigurationError: as for the name of an event.
    """
    if isinstance(name, str) and name.startswith(TOPIC):
        return TOPIC + check_topic(name.removeprefix(TOPIC), option=option)
    return check_event_name(name, option=option)


def check_text(name: object, *, option: str) -> str:
    """Return a name that can be shown: not blank, not too long, printable.

    Raises:
        ConfigurationError: it cannot.
    """
    if not isinstance(name, str):
        raise ConfigurationError(
            f"{option} must be a str, not {type(name).__qualname__}"
        )
    if len(name) > limits.NAME_CHARS_MAX:
        raise ConfigurationError(
            f"{option}={name[:40]!r}... has {len(name)} characters; the limit is"
            f" {limits.NAME_CHARS_MAX}"
        )
    if not name.strip():
        raise ConfigurationError(f"{option}={name!r} is empty; give it a name")
    if _UNPRINTABLE.search(name):
        raise ConfigurationError(
            f"{option}={name!r} has characters that cannot be shown; leave them out"
        )
    return name


def check_segments(segments: list[str], text: str, *, option: str) -> None:
    """Refuse segments of a dotted name that are empty or have spaces or wildcards.

    Raises:
        ConfigurationError: a segment is wrong; the message shows the whole `text`.
    """
    if all(_SEGMENT.fullmatch(segment) for segment in segments):
        return
    raise ConfigurationError(
        f'{option}={text!r} is not a name: write segments joined by dots ("order.created")'
        ' without spaces; "*" and ">" are wildcards, and stand for whole segments'
    )


def _identifier(name: object, *, option: str, example: str) -> str:
    text = check_text(name, option=option)
    if not _IDENTIFIER.fullmatch(text):
        raise ConfigurationError(
            f'{option}={text!r} may have letters, digits, "-" and "_" only, and begins'
            f' with a letter or digit, such as "{example}"'
        )
    return text
