"""Which handler a method and a path mean: a tree of path segments.

Paths are matched as they were sent, segment by segment, and decoded afterwards: an escaped
slash never divides a segment, and nothing is resolved like a path of files.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, final
from urllib.parse import unquote

from ironflow.transport.http.messages import Answer, HttpError, Request

Parameters = dict[str, str]
RoutedHandler = Callable[[Request, Parameters], Awaitable[Answer]]

_NEVER: Final = frozenset({"", ".", ".."})


@final
@dataclass(frozen=True, slots=True)
class _Route:
    handler: RoutedHandler
    names: tuple[str, ...]  # of the parameters, as they stand in the path


@final
@dataclass(slots=True, eq=False)
class _Node:
    """What stands behind the segments that led here."""

    routes: dict[str, _Route] = field(default_factory=dict[str, _Route])
    fixed: "dict[str, _Node]" = field(default_factory=dict[str, "_Node"])
    parameter: "_Node | None" = None
    rest: "_Node | None" = None


@final
class Router:
    """Handlers by method and path; what is more exact goes first.

    A segment of a path is text, or `{name}` for any text, or, at the end, `{name...}` for
    one segment or more. GET answers HEAD as well.
    """

    def __init__(self) -> None:
        self._root = _Node()
        self._exact: dict[str, _Node] = {}  # by path, of those without parameters

    def add(self, method: str, path: str, handler: RoutedHandler) -> None:
        """Let `handler` answer `method` at `path`, which begins with a slash.

        Raises:
            ValueError: the path cannot be read, or has such a handler.
        """
        names: list[str] = []
        node = self._root
        segments = _segments(path)
        for place, segment in enumerate(segments, start=1):
            node = _grow(node, segment, names, is_last=place == len(segments))
        if method in node.routes or len(set(names)) < len(names):
            raise ValueError(f"{method} {path} is there twice, or a name in it is")
        node.routes[method] = _Route(handler, tuple(names))
        if not names:
            self._exact[path] = node

    def route(self, method: str, path: str) -> tuple[RoutedHandler, Parameters]:
        """Return the handler of a path as it was sent, and what its parameters are.

        Raises:
            HttpError: 404 for an unknown path, 405 with `allow` for an unknown method, 400
                for a parameter that is no UTF-8.
        """
        exact = self._exact.get(path)
        if exact is not None and method in exact.routes:
            return exact.routes[method].handler, {}
        wanted = {"HEAD": ("HEAD", "GET")}.get(method, (method,))
        allowed: set[str] = set()
        for node, values in _matches(self._root, _sent_segments(path), 0):
            for each in wanted:
                if each in node.routes:
                    route = node.routes[each]
                    return route.handler, dict(zip(route.names, values, strict=True))
            allowed |= node.routes.keys()
        if not allowed:
            raise HttpError(404, "not_found", f"there is nothing at {path}")
        raise HttpError(
            405,
            "unimplemented",
            f"{path} does not answer {method}",
            headers=[("allow", ", ".join(sorted(allowed)))],
        )

    async def handle(self, request: Request) -> Answer:
        """Answer a request: the `Handler` to serve.

        Raises:
            HttpError: see `route`; and what the handler raises.
        """
        handler, parameters = self.route(request.method, request.path)
        return await handler(request, parameters)


def _segments(path: str) -> list[str]:
    """Divide a path that is added."""
    first, *segments = path.split("/")
    if first or (segments != [""] and _NEVER.intersection(segments)):
        raise ValueError(f"{path!r} is no path: begin with a slash, end without")
    return segments


def _grow(node: _Node, segment: str, names: list[str], *, is_last: bool) -> _Node:
    """Return the node behind a segment, made if need be, and note its name."""
    if not (segment.startswith("{") and segment.endswith("}")):
        return node.fixed.setdefault(segment, _Node())
    name = segment[1:-1]
    if not name.endswith("..."):
        names.append(name)
        node.parameter = node.parameter or _Node()
        return node.parameter
    if not is_last:
        raise ValueError(f"{segment} takes the rest of a path; nothing can follow it")
    names.append(name.removesuffix("..."))
    node.rest = node.rest or _Node()
    return node.rest


def _sent_segments(path: str) -> list[str]:
    """Divide a path that was sent, and decode each part; none if it leads nowhere."""
    first, *segments = path.split("/")
    if first or not segments:
        return []
    try:
        segments = [unquote(each, errors="strict") for each in segments]
    except UnicodeDecodeError as error:
        raise HttpError(400, "invalid_argument", "the path is no UTF-8") from error
    if segments != [""] and _NEVER.intersection(segments):
        return []
    return segments


def _matches(
    node: _Node, segments: Sequence[str], place: int
) -> Iterator[tuple[_Node, list[str]]]:
    """Yield every node that the segments lead to, the most exact first."""
    if place == len(segments):
        if node.routes:
            yield node, []
        return
    segment = segments[place]
    if segment in node.fixed:
        yield from _matches(node.fixed[segment], segments, place + 1)
    if node.parameter is not None:
        for found, values in _matches(node.parameter, segments, place + 1):
            yield found, [segment, *values]
    if node.rest is not None:
        rest = "/".join(segments[place:])
        if not _NEVER.intersection(rest.split("/")):
            yield node.rest, [rest]
