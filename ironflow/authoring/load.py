"""Finds the app that a command names: `module:name` or `path/file.py:name`."""

import difflib
import importlib
import sys
import sysconfig
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from ironflow.authoring.app import App
from ironflow.authoring.arguments import shown
from ironflow.authoring.definition import Function
from ironflow.errors import ConfigurationError

_NEAR_MAX: Final = 3


def load_app(target: str) -> App:
    """Import a module and return the app in it; a single function becomes an app.

    `target` is `module:name` or `path/file.py:name`. The current directory is put
    on `sys.path` for a module, the file's directory for a file.

    Raises:
        ConfigurationError: there is no such module, file or name, the name is
            something else, or the module cannot be imported; then the message has
            the user's own line, and the error is the cause.
    """
    place, separator, name = target.rpartition(":")
    if not (separator and place and name):
        raise ConfigurationError(
            f"--app {target!r}: write module:name, such as shop:app, or"
            " path/to/shop.py:app"
        )
    if place.endswith(".py"):
        module = _module_in_file(Path(place).absolute())
    else:
        module = _module_named(place)
    return _app(module, name, target=target)


def _module_named(name: str) -> ModuleType:
    directory = str(Path.cwd())
    _put_on_path(directory)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _import_failed(name, error) from error
        raise ConfigurationError(
            f"there is no module {error.name!r} in {directory} or among what is"
            f" installed{_near(error.name, _modules_in(directory))}"
        ) from error
    except Exception as error:
        raise _import_failed(name, error) from error


def _module_in_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigurationError(
            f"there is no file {path}{_near(path.stem, _modules_in(path.parent))}"
        )
    _put_on_path(str(path.parent))
    known = sys.modules.get(path.stem)
    if known is not None and _is_file_of(known, path):
        return known
    # The file's own name, so that its classes are called as in an import; but never
    # in the place of another module.
    name = path.stem if known is None else f"{path.stem} ({path})"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _import_failed(path.name, error) from error
    return module


def _app(module: ModuleType, name: str, *, target: str) -> App:
    found: object = getattr(module, name, None)
    if isinstance(found, App):
        return found
    if isinstance(found, Function):
        return App(functions=[cast("Function[Any, Any]", cast("object", found))])
    public = [each for each in vars(module) if not each.startswith("_")]
    if not hasattr(module, name):
        raise ConfigurationError(
            f"{target!r}: {module.__name__} has no {name!r}{_near(name, public)}"
        )
    apps = [each for each in public if isinstance(vars(module)[each], App | Function)]
    hint = f"did you mean {apps[0]!r}?" if apps else "make one: App(functions=[...])"
    raise ConfigurationError(
        f"{target!r} is {shown(found)}, which is neither an ironflow.App nor a"
        f" function of ironflow; {hint}"
    )


def _put_on_path(directory: str) -> None:
    if directory not in sys.path:
        sys.path.insert(0, directory)


def _is_file_of(module: ModuleType, path: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).absolute() == path


def _modules_in(directory: str | Path) -> list[str]:
    return [
        path.stem
        for path in Path(directory).glob("*")
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    ]


def _near(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=_NEAR_MAX)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


def _import_failed(name: str, error: Exception) -> ConfigurationError:
    line = _own_line(error)
    where = f" ({line})" if line else ""
    return ConfigurationError(
        f"{name!r} cannot be imported: {type(error).__name__}: {error}{where}"
    )


def _own_line(error: Exception) -> str:
    """The last line of the user's own code that the error went through."""
    if isinstance(error, SyntaxError):  # its message has the line
        return ""
    foreign = tuple(
        str(Path(directory))
        for directory in (
            sysconfig.get_path("stdlib"),
            sysconfig.get_path("purelib"),
            sysconfig.get_path("platlib"),
            Path(__file__).parent.parent,
        )
    )
    lines = (
        f"{frame.filename}:{frame.lineno}: {frame.line}"
        for frame in reversed(traceback.extract_tb(error.__traceback__))
        if not frame.filename.startswith((*foreign, "<"))
    )
    return next(lines, "")
