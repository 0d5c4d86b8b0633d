"""What changes a run that there is: cancel, pause, resume, patch a step, delete.

Each asks the engine and returns the run as it is then; who asked is the `actor`.
"""

from typing import Any, final

from msgspec import UNSET

from ironflow import ids
from ironflow.engine.engine import Engine
from ironflow.engine.log import log
from ironflow.errors import MisusedOperation
from ironflow.transport.run_reads import RunDetails, RunReads


@final
class Steering:
    """What changes the runs of an engine."""

    def __init__(self, engine: Engine, runs: RunReads) -> None:
        self._engine = engine
        self._runs = runs

    async def cancel(
        self, run_id: str, *, reason: str = "", actor: str = ""
    ) -> RunDetails:
        """Ask a run to cancel; return it as it is now. It may take a while to end.

        Raises:
            RunNotFound: there is none with this id.
        """
        await self._engine.cancel(run_id, reason=reason, actor=actor)
        return await self._runs.get(run_id)

    async def pause(
        self, run_id: str, *, reason: str = "", actor: str = ""
    ) -> RunDetails:
        """Ask a run to stand still; return it as it is now. See `Engine.pause`.

        Raises:
            RunNotFound: there is none with this id.
        """
        await self._engine.pause(run_id, reason=reason, actor=actor)
        return await self._runs.get(run_id)

    async def resume_from(
        self,
        run_id: str,
        step: str,
        *,
        output: Any = UNSET,
        force: bool = False,
        reason: str = "",
        actor: str = "",
    ) -> RunDetails:
        """Let a paused or failed run go on from a step; see `Engine.resume`.

        Raises:
            RunNotFound: there is none with this id.
            MisusedOperation: it is neither, or cannot go on there.
            ValueRejected: `output` cannot be stored; the message names the path.
        """
        await self._engine.resume(
            run_id,
            from_step=step,
            output=output,
            force=force,
            reason=reason,
            actor=actor,
        )
        return await self._runs.get(run_id)

    async def resume(
        self, run_id: str, *, reason: str = "", actor: str = ""
    ) -> RunDetails:
        """Let a paused or failed run try again; return it as it is now.

        A pause that is only asked for is taken back.

        Raises:
            RunNotFound: there is none with this id.
            MisusedOperation: it is neither, or cannot go on.
        """
        summary = await self._runs.summary(run_id)
        if summary.row.asked is not None:
            await self._engine.resume(run_id)
            return await self._runs.get(run_id)
        if summary.status not in {"paused", "failed"}:
            raise MisusedOperation(
                f"run {run_id} is {summary.status}; only a run that is paused or has"
                " failed can be resumed"
            )
        await self._engine.retry(run_id, reason=reason, actor=actor)
        return await self._runs.get(run_id)

    async def patch_step(
        self, run_id: str, step: str, output: Any, *, reason: str = "", actor: str = ""
    ) -> RunDetails:
        """Replace the result of a step, by its id; see `Engine.patch_step`."""
        await self._engine.patch_step(
            ids.check_run_id(run_id), step, output, reason=reason, actor=actor
        )
        return await self._runs.get(run_id)

    async def delete(self, run_id: str, *, actor: str = "") -> None:
        """Forget a run that has ended, with all its records; see `Engine.delete`.

        What is deleted cannot say who did it, so that is logged.
        """
        await self._engine.delete(ids.check_run_id(run_id))
        log.info("run %s was deleted by %s", run_id, actor or "somebody without a key")
