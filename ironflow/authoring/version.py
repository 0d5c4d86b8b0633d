"""Which code a function is: a digest that changes when its source does."""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any, Final, cast

_DIGEST_BYTES: Final = 8


def code_version(fn: Callable[..., Any], *, function_id: str) -> str:
    """Return 16 hexadecimal digits for the code of a function.

    It is a digest over the id and the source file of the function's module, so it
    is the same wherever the file lies, imported or run as a script. Code without a
    file (typed into a prompt, made by `exec`, from an archive) is known by its
    compiled form, which is another in each version of Python, and by what the
    function itself contains: not by what it calls.
    """
    code = cast("CodeType", inspect.unwrap(fn).__code__)
    digest = hashlib.blake2b(function_id.encode(), digest_size=_DIGEST_BYTES)
    source = _source(code.co_filename)
    digest.update(_constant(code) if source is None else b"\0" + source)
    return digest.hexdigest()


def _source(filename: str) -> bytes | None:
    if filename.startswith("<"):  # "<stdin>", "<string>": no name of a file
        return None
    try:
        return Path(filename).read_bytes()
    except (OSError, ValueError):
        return None


def _code(code: CodeType) -> bytes:
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    parts = (code.co_code, code.co_exceptiontable, repr(names).encode())
    return b"".join(b"%d;%b" % (len(part), part) for part in parts) + b"".join(
        map(_constant, code.co_consts)
    )


def _constant(value: object) -> bytes:
    """Return bytes that are the same in every process, also for sets."""
    kind = type(value).__name__
    match value:
        case CodeType():
            content = _code(value)
        case tuple():
            content = b"".join(map(_constant, cast("tuple[object, ...]", value)))
        case frozenset():
            members = map(_constant, cast("frozenset[object]", value))
            content = b"".join(sorted(members))
        case _:
            content = repr(value).encode("utf-8", "backslashreplace")
    return f"{kind}{len(content)};".encode() + content
