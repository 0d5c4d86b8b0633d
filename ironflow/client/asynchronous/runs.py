"""What a client does with runs."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import UNSET

from ironflow import codec, limits
from ironflow.client import calls
from ironflow.client.answers import EmittedAnswer, Redacted, RunAnswer, Step
from ironflow.client.asynchronous.connection import AsyncConnection
from ironflow.client.patience import Patience, patience
from ironflow.client.pausing import async_now
from ironflow.handles import Run
from ironflow.policy.attributes import Attributes, filter_texts
from ironflow.policy.duration import Duration
from ironflow.records import Entry

_OPEN: Final = frozenset({"queued", "running", "waiting"})


class AsyncRuns:
    """Runs of a server."""

    _connection: AsyncConnection

    async def get_run(self, run_id: str) -> Run:
        """Return a run as it is now.

        Raises:
            RunNotFound: there is none with this id.
        """
        return self._shown(await self._connection.send(calls.get_run(run_id)))

    async def result(self, run_id: str, timeout: Duration | None = None) -> Run:
        """Return a run when it has ended or is paused; follows continue_as_new.

        After `timeout` (seconds, or "5m") it returns the run as it then is.

        Raises:
            RunNotFound: there is none with this id.
        """
        until = patience(timeout, now=async_now())
        call = calls.get_run(run_id, wait=until.slice(async_now()))
        return self._shown(
            await self._followed(await self._connection.send(call), until)
        )

    async def list_runs(
        self,
        *,
        status: str = "",
        function_id: str = "",
        attributes: Attributes | Iterable[str] = (),
        cursor: str = "",
        limit: int = 50,
    ) -> list[Run]:
        """Return runs, newest first; `cursor` is the id of the last one seen.

        `attributes` are values (`{"customer": "c1"}`), or texts that may also compare
        (`["customer=c1", "total>=100"]`); a run passes all of them.
        """
        filters = filter_texts(attributes)
        found: list[Run] = []
        while True:
            call = calls.list_runs(
                statuses=(status,) if status else (),
                function_id=function_id,
                attributes=filters,
                cursor=cursor,
                limit=limit - len(found),
                is_detailed=True,
            )
            page = await self._connection.send(call)
            found += [self._shown(each) for each in page.runs]
            cursor = page.next_cursor
            # A page has fewer runs than were asked for if their values are large.
            if not cursor or len(found) >= min(limit, limits.PAGE_RUNS_MAX):
                return found

    async def history(
        self, run_id: str, *, after: int = 0, limit: int = limits.PAGE_RECORDS_MAX
    ) -> Sequence[Entry]:
        """Return the records of a run, in order, with their payloads as stored.

        Raises:
            RunNotFound: there is none with this id.
        """
        found: list[Entry] = []
        has_next = True
        while has_next and len(found) < limit:
            call = calls.get_records(
                run_id, after=after + len(found), limit=limit - len(found)
            )
            page = await self._connection.send(call)
            found += [codec.decode(each.record) for each in page.records]
            has_next = page.has_next and bool(page.records)
        return found

    async def steps(self, run_id: str) -> list[Step]:
        """Return what a run has done and waits for, in the order in which it was asked.

        Raises:
            RunNotFound: there is none with this id.
        """
        return list((await self._connection.send(calls.get_steps(run_id))).steps)

    async def cancel_run(self, run_id: str, *, reason: str = "") -> Run:
        """Ask a run to cancel; return it as it is now. It may take a while to end.

        Raises:
            RunNotFound: there is none with this id.
        """
        call = calls.cancel_run(run_id, reason=reason)
        return self._shown(await self._connection.send(call))

    async def pause_run(self, run_id: str, *, reason: str = "") -> Run:
        """Let a run stand still until it is resumed; return it as it is now.

        Raises:
            RunNotFound: there is none with this id.
        """
        call = calls.pause_run(run_id, reason=reason)
        return self._shown(await self._connection.send(call))

    async def resume_run(
        self,
        run_id: str,
        *,
        from_step: str = "",
        output: Any = UNSET,
        force: bool = False,
        reason: str = "",
    ) -> Run:
        """Let a paused or failed run go on; return it as it is now.

        With `from_step`, a step's id or name, that step is performed again, and so is all
        that is on record after it; with `output` it gives this instead. A step with
        `once="at_most"` is called again only with `force`.

        Raises:
            RunNotFound: there is none with this id.
            MisusedOperation: it is neither, or cannot go on.
            ValueRejected: `output` cannot be stored or sent; the message names the path.
        """
        call = calls.resume_run(
            run_id, from_step=from_step, output=output, force=force, reason=reason
        )
        return self._shown(await self._connection.send(call))

    async def retry_run(self, run_id: str, *, reason: str = "") -> Run:
        """Let a paused or a failed run try again; return it as it is now.

        A failed one goes on at the step that failed, as its next attempt.

        Raises:
            RunNotFound: there is none with this id.
            MisusedOperation: it is neither, or cannot go on.
        """
        call = calls.retry_run(run_id, reason=reason)
        return self._shown(await self._connection.send(call))

    async def delete_run(self, run_id: str) -> None:
        """Forget a run that has ended, with all its records.

        Raises:
            RunNotFound: there is none with this id.
            MisusedOperation: it, or the run that it is a child of, has not ended.
        """
        await self._connection.send(calls.delete_run(run_id))

    async def patch_step(
        self, run_id: str, step: str, output: Any, *, reason: str = ""
    ) -> Run:
        """Replace the result of a step, by its id; what it was stays in the history.

        The run has to wait, to be paused or to have failed. Code that has seen the old
        result sees the new one when the run goes on, from its start.

        Raises:
            RunNotFound: there is none with this id.
            LeaseLost: the run is being carried on; pause it first.
            MisusedOperation: the step has no result; the message says so.
            ValueRejected: `output` cannot be stored or sent; the message names the path.
        """
        await self._connection.send(
            calls.patch_step(run_id, step, output, reason=reason)
        )
        return await self.get_run(run_id)

    async def redact_run(self, run_id: str, *, reason: str = "") -> Redacted:
        """Take away all payloads of a run that has ended, for ever.

        A marker stands in their place. What the run told its parent and its children goes
        on both sides; the event that started it stays.

        Raises:
            RunNotFound: there is none with this id.
            MisusedOperation: it, or a run that has a copy, has not ended.
        """
        return await self._connection.send(calls.redact_run(run_id, reason=reason))

    async def redact_step(
        self, run_id: str, step: str, *, reason: str = ""
    ) -> Redacted:
        """Take away what a step gave, by its id: its results and errors, for ever.

        Raises:
            RunNotFound: there is none with this id.
            MisusedOperation: it has no such step, or has not ended.
        """
        call = calls.redact_step(run_id, step, reason=reason)
        return await self._connection.send(call)

    # --- inside -------------------------------------------------------------------------

    async def _ended(self, found: EmittedAnswer, until: Patience) -> list[Run]:
        """Return the runs of an event when all have ended, or when time is up."""
        known = {run.id: run for run in found.runs}
        first = list(found.runs)
        if len(first) != len(found.run_ids):  # nobody was waited for
            first = [
                known.get(run_id) or await self._connection.send(calls.get_run(run_id))
                for run_id in found.run_ids
            ]
        return [self._shown(await self._followed(each, until)) for each in first]

    async def _followed(self, run: RunAnswer, until: Patience) -> RunAnswer:
        while True:
            wait = until.slice(async_now())
            if run.status == "continued" and run.continued_to:
                call = calls.get_run(run.continued_to, wait=wait)
            elif run.status in _OPEN and wait:
                call = calls.get_run(run.id, wait=wait)
            else:
                return run
            run = await self._connection.send(call)

    def _shown(self, run: RunAnswer) -> Run:
        return Run(**run.facts(), _follow=self.result)
