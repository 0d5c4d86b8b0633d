"""A holiday that waits up to a week for an approval, played in virtual time.

    python examples/approval.py

The harness of `ironflow.testing` runs functions in memory and lets days pass in
milliseconds. The same function, unchanged, waits a real week in `open_engine`.
"""

from dataclasses import dataclass

import trio

import ironflow
from ironflow.testing import Harness, HarnessRun, open_harness


@dataclass(frozen=True)
class Request:
    """The data of the event `holiday.requested`."""

    id: str
    employee: str
    days: int


def remind(employee: str) -> str:
    """Send mail, in a real program."""
    return f"mail to the boss of {employee}"


@ironflow.function(id="holiday", triggers=["holiday.requested"])
async def holiday(ctx: ironflow.Context[Request]) -> str:
    """Wait three days, remind, and wait until the week is over."""
    request = ctx.event.data
    for reminder, patience in ((True, "3d"), (False, "4d")):
        answer = await ctx.step.wait_for_event(
            "answer",  # a name may be used again: the second use is its own wait
            "holiday.answered",
            match="data.id",  # the answer to this request, not to another
            timeout=patience,
            default=None,
        )
        if answer is not None:
            verdict = "approved" if answer.data["yes"] else "refused"
            return f"{verdict} by {answer.data['boss']} on {ctx.now():%A}"
        if reminder:
            await ctx.step.run("remind", remind, request.employee)
    return "not answered in a week"


app = ironflow.App(functions=[holiday])


async def show(harness: Harness, run: HarnessRun) -> None:
    """Print how a run stands."""
    state = run.waits_for() or (await run.result()).output
    print(f"  {harness.now:%a %d %b %H:%M}  {run.status:<9}  {state}")


async def story(title: str, answer_after: str | None) -> None:
    """Play one request to its end."""
    print(title)
    async with open_harness(app) as harness:
        request = Request("h1", "ada", days=10)
        run = await harness.emit("holiday.requested", request)
        await show(harness, run)
        if answer_after is not None:
            await harness.advance(answer_after)
            await show(harness, run)
            answer = {"id": "h1", "boss": "grace", "yes": True}
            await harness.emit("holiday.answered", answer)
        else:
            await harness.advance("7d")
        await show(harness, run)


async def main() -> None:
    """Play three requests."""
    await story("answered at once", "2h")
    await story("answered after the reminder", "5d")
    await story("never answered", None)


if __name__ == "__main__":
    trio.run(main)
