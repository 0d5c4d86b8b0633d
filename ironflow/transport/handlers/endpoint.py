"""An endpoint of the REST surface: what it takes and gives, and its handler.

Lenient in what is taken: unknown fields are passed over, names may be camelCase, numbers
may be text, null is the same as absent. Exact in what is given.
"""

import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar, cast, final
from urllib.parse import parse_qsl

import msgspec

from ironflow import limits
from ironflow.errors import ConfigurationError
from ironflow.transport.http.messages import Request, Response
from ironflow.transport.http.router import Parameters, RoutedHandler, Router
from ironflow.transport.operations import Operations

_B = TypeVar("_B")
_Q = TypeVar("_Q")

JSON: Final = ("content-type", "application/json")
_decode_json = msgspec.json.Decoder().decode
_encode_json = msgspec.json.Encoder().encode


class Nothing(msgspec.Struct, frozen=True):
    """A query or body of which nothing is read."""


class Call(msgspec.Struct, Generic[_Q, _B], frozen=True):
    """A request to an endpoint, with its query and body read.

    One is made for every request: a frozen dataclass costs six times as much.
    """

    operations: Operations
    request: Request
    parameters: Parameters
    query: _Q
    body: _B


Answering = Callable[[Call[_Q, _B]], Awaitable[msgspec.Struct | Response | None]]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Generic[_Q, _B]):
    """One method at one path. `returns` is the document that it gives with `status`.

    Where it gives none, `returns` is None and `status` 204.

    `described_body` is what the description says of a body that `answer` reads itself.
    """

    method: str
    path: str
    summary: str
    answer: Answering[_Q, _B]
    returns: type[msgspec.Struct] | None
    query: type[_Q]
    body: type[_B]
    status: int = 200
    described_body: type[msgspec.Struct] | None = None
    other_answers: Mapping[int, type[msgspec.Struct]] = field(
        default_factory=dict[int, type[msgspec.Struct]]
    )

    def handler(self, operations: Operations) -> RoutedHandler:
        """Return what the router calls."""
        read_query = reader(self.query)
        read_body = reader(self.body)
        reads_body = self.body is not Nothing
        reads_query = self.query is not Nothing
        many = _lists_of(self.query)
        answer = self.answer
        nothing = Nothing()
        default_query: object = read_query({}) if reads_query else nothing

        async def handle(request: Request, parameters: Parameters) -> Response:
            query = default_query
            if reads_query and request.query:
                query = read_query(query_of(request, many))
            body: object = nothing
            if reads_body:
                body = read_body(body_of(await request.read()))
            call: Call[Any, Any] = Call(operations, request, parameters, query, body)
            found = await answer(call)
            if found is None:
                return Response(self.status)
            return found if isinstance(found, Response) else reply(found, self.status)

        return handle


def reply(document: msgspec.Struct, status: int = 200) -> Response:
    """Return a document as a response."""
    return Response(status, [JSON], _encode_json(document))


def add(
    router: Router, operations: Operations, endpoints: Sequence[Endpoint[Any, Any]]
) -> None:
    """Let a router know endpoints."""
    for endpoint in endpoints:
        router.add(endpoint.method, endpoint.path, endpoint.handler(operations))


# --- what requests hold ---------------------------------------------------------------


def query_of(request: Request, many: frozenset[str] = frozenset()) -> dict[str, object]:
    """Return the query; of a name that is there twice the last, of an empty one none.

    Of names in `many` it has a list of all.

    Raises:
        ConfigurationError: there are too many parameters.
    """
    try:
        pairs = parse_qsl(
            request.query, max_num_fields=limits.HTTP_QUERY_PARAMETERS_MAX
        )
    except ValueError as error:
        raise ConfigurationError(
            "the query has too many parameters; at most"
            f" {limits.HTTP_QUERY_PARAMETERS_MAX} are read"
        ) from error
    found: dict[str, object] = dict(pairs)
    for name in many & found.keys():
        found[name] = [value for key, value in pairs if key == name]
    return found


def _lists_of(query: type) -> frozenset[str]:
    """The parameters that may be there several times."""
    hints = typing.get_type_hints(query)
    return frozenset(name for name, hint in hints.items() if hint == list[str])


def body_of(data: bytes) -> dict[str, object]:
    """Return a JSON object; an empty body is an empty one.

    Raises:
        ConfigurationError: the body is something else.
    """
    if not data.strip():
        return {}
    try:
        found = _decode_json(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(
            f"the body is not JSON: {error}; send one JSON object in UTF-8"
        ) from error
    if not isinstance(found, dict):
        raise ConfigurationError(
            f"the body is {_kind(found)} and must be a JSON object, such as {{}}"
        )
    return cast("dict[str, object]", found)


def reader(kind: type[_B]) -> Callable[[dict[str, object]], _B]:
    """Return what makes a Struct of a lenient object.

    The function raises ConfigurationError for what does not fit.
    """
    fields: list[str] = list(getattr(kind, "__struct_fields__", ()))
    names = {_camel(name): name for name in fields} | {name: name for name in fields}
    exact = frozenset(fields)

    def read(given: dict[str, object]) -> _B:
        known = given
        # As mostly: nothing has to be renamed or left out.
        if not exact.issuperset(given) or None in given.values():
            known = {
                names[key]: value
                for key, value in given.items()
                if key in names and value is not None
            }
        try:
            return msgspec.convert(known, kind, strict=False)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"the request does not fit: {error}") from error

    return read


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each.capitalize() for each in others)


def _kind(value: object) -> str:
    match value:
        case list():
            return "a list"
        case str():
            return "text"
        case None:
            return "null"
        case bool():
            return "true or false"
        case _:
            return "a number"
