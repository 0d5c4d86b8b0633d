"""What a client learns of a server: its functions, its workers, how it stands."""

from collections.abc import Sequence
from typing import Any

from ironflow.client import calls
from ironflow.client.answers import (
    FunctionInfo,
    FunctionVersion,
    Health,
    Readiness,
    RunCount,
    ServerCapabilities,
    WorkerInfo,
)
from ironflow.client.asynchronous.connection import AsyncConnection


class AsyncFunctions:
    """Functions of a server, and the server itself."""

    _connection: AsyncConnection

    async def list_functions(self) -> list[FunctionInfo]:
        """Return the functions that the server knows, by id."""
        return list((await self._connection.send(calls.list_functions())).functions)

    async def get_function(self, function_id: str) -> FunctionInfo:
        """Return a function.

        Raises:
            FunctionNotFound: nobody has registered it.
        """
        return await self._connection.send(calls.get_function(function_id))

    async def function_versions(self, function_id: str) -> list[FunctionVersion]:
        """Return what a function was, newest first, as far as that is kept.

        There are none of one whose code the server, or a worker, has.

        Raises:
            FunctionNotFound: nobody has registered it.
        """
        call = calls.function_versions(function_id)
        return list((await self._connection.send(call)).versions)

    async def register_function(
        self,
        function_id: str,
        *,
        triggers: Sequence[str] = (),
        endpoint_url: str = "",
        **options: Any,
    ) -> FunctionInfo:
        """Make a function known whose code lives elsewhere.

        With an `endpoint_url` the server calls that for each run; without one, a worker
        asks for them. `options` are further members of the request, such as `name`,
        `description`, `retry`, `concurrency`, `timeout_ms` and `metadata`.

        Raises:
            ConfigurationError: an option is wrong, or the server's own app has a function
                of this id.
        """
        document = {
            "id": function_id,
            "triggers": [{"event": each} for each in triggers],
            "preferred_mode": "push" if endpoint_url else "pull",
            "endpoint_url": endpoint_url,
            **options,
        }
        return await self._connection.send(calls.register_function(document))

    async def workers(self) -> list[WorkerInfo]:
        """Return the workers that are connected."""
        return list((await self._connection.send(calls.list_workers())).workers)

    async def count_runs(self) -> list[RunCount]:
        """Return how many runs there are of each function and status."""
        return list((await self._connection.send(calls.count_runs())).counts)

    async def health(self) -> Health:
        """Return the server's version and time, if it answers."""
        return await self._connection.send(calls.health())

    async def ready(self) -> Readiness:
        """Return whether the server takes work, and why it does not."""
        return await self._connection.send(calls.ready())

    async def capabilities(self) -> ServerCapabilities:
        """Return what may be expected of the server."""
        return await self._connection.send(calls.capabilities())
