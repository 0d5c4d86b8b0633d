"""API keys over REST: list, create, show, rotate and revoke them."""

from typing import Any, Final, cast

import msgspec

from ironflow.errors import ConfigurationError
from ironflow.policy.duration import parse_duration
from ironflow.transport.handlers.endpoint import JSON, Call, Endpoint, Nothing
from ironflow.transport.http.messages import HttpError, Response
from ironflow.transport.keyring import Keyring
from ironflow.wire.answers import moment
from ironflow.wire.keys import ApiKey


class KeyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its text: `key_prefix` is how that begins."""

    id: str
    name: str
    key_prefix: str
    role_ids: list[str]
    environment_id: str
    created_at: str | None
    rotated_at: str | None
    expires_at: str | None


class NewKeyDocument(KeyDocument, frozen=True, kw_only=True):
    """A key with its text, which is not shown again."""

    key: str


class CreateKeyBody(msgspec.Struct, frozen=True, kw_only=True):
    """A key to create. `expires_in` is a duration ("30d"), empty for never.

    `role_ids` are admin, developer, viewer and worker; `env_id` is the only environment
    that the key is for, empty for any.
    """

    name: str
    role_ids: list[str] = msgspec.field(default_factory=lambda: ["viewer"])
    env_id: str = ""
    expires_in: str = ""


class RolesBody(msgspec.Struct, frozen=True, kw_only=True):
    """The roles that a key has from now on, in place of those before."""

    role_ids: list[str]


async def list_keys(call: Call[Nothing, Nothing]) -> Response:
    """Return all keys: a bare list, as published clients read it."""
    found = [key_document(each) for each in await call.operations.keys.all()]
    return Response(200, [JSON], msgspec.json.encode(found))


async def create(call: Call[Nothing, CreateKeyBody]) -> NewKeyDocument:
    """Create a key."""
    return await create_in(call.operations.keys, call.body)


async def create_in(keyring: Keyring, body: CreateKeyBody) -> NewKeyDocument:
    """Create a key and show it.

    Raises:
        ConfigurationError: something in it is wrong, or there are too many.
    """
    lasts_us = 0
    if body.expires_in:
        lasts_us = parse_duration(body.expires_in, option="expires_in")
        if lasts_us <= 0:
            raise ConfigurationError(f"expires_in={body.expires_in!r} must be above 0")
    key, text = await keyring.create(
        name=body.name,
        roles=body.role_ids,
        environment=body.env_id,
        lasts_us=lasts_us,
    )
    return new_key_document(key, text)


async def get(call: Call[Nothing, Nothing]) -> KeyDocument:
    """Return a key."""
    found = await call.operations.keys.get(call.parameters["id"])
    if found is None:
        raise _unknown(call)
    return key_document(found)


async def rotate(call: Call[Nothing, Nothing]) -> NewKeyDocument:
    """Give a key another text."""
    found = await call.operations.keys.rotate(call.parameters["id"])
    if found is None:
        raise _unknown(call)
    return new_key_document(*found)


async def set_roles(call: Call[Nothing, RolesBody]) -> KeyDocument:
    """Give a key other roles; they hold from the next request on."""
    found = await call.operations.keys.set_roles(
        call.parameters["id"], call.body.role_ids
    )
    if found is None:
        raise _unknown(call)
    return key_document(found)


async def revoke(call: Call[Nothing, Nothing]) -> None:
    """Forget a key."""
    if not await call.operations.keys.revoke(call.parameters["id"]):
        raise _unknown(call)


def _unknown(call: Call[Nothing, Any]) -> HttpError:
    return HttpError(
        404, "not_found", f"there is no API key {call.parameters['id'][:80]!r}"
    )


def key_document(key: ApiKey) -> KeyDocument:
    """Return a key as it is shown."""
    return KeyDocument(
        id=key.id,
        name=key.name,
        key_prefix=key.shown,
        role_ids=list(key.roles),
        environment_id=key.environment,
        created_at=moment(key.created_at),
        rotated_at=moment(key.rotated_at),
        expires_at=moment(key.expires_at),
    )


def new_key_document(key: ApiKey, text: str) -> NewKeyDocument:
    """Return a key with its text, the only time that it is shown."""
    return NewKeyDocument(key=text, **msgspec.structs.asdict(key_document(key)))


_PATH: Final = "/api/v1/apikeys"

ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path=_PATH,
        summary="List API keys.",
        answer=list_keys,
        returns=cast("Any", list[KeyDocument]),  # no object, as everywhere else
        query=Nothing,
        body=Nothing,
    ),
    Endpoint(
        method="POST",
        path=_PATH,
        summary="Create an API key.",
        answer=create,
        returns=NewKeyDocument,
        query=Nothing,
        body=CreateKeyBody,
    ),
    Endpoint(
        method="GET",
        path=f"{_PATH}/{{id}}",
        summary="Get an API key.",
        answer=get,
        returns=KeyDocument,
        query=Nothing,
        body=Nothing,
    ),
    Endpoint(
        method="POST",
        path=f"{_PATH}/{{id}}/rotate",
        summary="Give an API key another text.",
        answer=rotate,
        returns=NewKeyDocument,
        query=Nothing,
        body=Nothing,
    ),
    Endpoint(
        method="PUT",
        path=f"{_PATH}/{{id}}/roles",
        summary="Give an API key other roles.",
        answer=set_roles,
        returns=KeyDocument,
        query=Nothing,
        body=RolesBody,
    ),
    Endpoint(
        method="DELETE",
        path=f"{_PATH}/{{id}}",
        summary="Revoke an API key.",
        answer=revoke,
        returns=None,
        status=204,
        query=Nothing,
        body=Nothing,
    ),
)
