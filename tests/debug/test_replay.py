"""What a replay says of code that is the same, goes on, or is another."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ironflow
from ironflow import codec, values
from ironflow.debug.asked import shown
from ironflow.debug.replay import Replay
from ironflow.debug.verdict import Verdict
from ironflow.records import (
    CancelRequested,
    DeadlinePassed,
    Draft,
    Entry,
    EventReceived,
    Payload,
    Record,
    Redaction,
    Rewound,
    SleepFired,
    StepPatched,
)
from tests.debug.recording import RUN, Function, Recording, event, program_of


def charge(total: int) -> dict[str, int]:
    return {"paid": total}


def ship(item: str) -> str:
    return f"parcel of {item}"


@ironflow.function(id="order")
async def order(ctx: ironflow.Context[Any]) -> dict[str, Any]:
    paid = await ctx.step.run("charge", charge, 10)
    await ctx.step.sleep("cool-off", "1h")
    return {"paid": paid, "parcel": await ctx.step.run("ship", ship, "book")}


def replayed(
    function: Function, entries: Sequence[Entry], *, page: int = 1000, **options: Any
) -> Verdict:
    replay = Replay(program_of(function), RUN, **options)
    while True:
        for start in range(0, len(entries), page):
            replay.take(entries[start : start + page])
        verdict = replay.verdict()
        if verdict is not None:
            return verdict
        replay = replay.closer()


def complete() -> list[Entry]:
    return Recording(order).happen(Draft(SleepFired(id="cool-off:0"))).entries


def test_the_same_code_asks_for_the_same() -> None:
    verdict = replayed(order, complete())

    assert verdict == Verdict(kind="same", records=6)


@pytest.mark.parametrize("page", [1, 1000])
def test_code_is_not_run_over_what_was_redacted(page: int) -> None:
    """The verdict names the first such record; what comes behind is counted only."""
    history = complete()
    for place in (2, 4):
        fact = Redaction(1, "ann", "a wish")
        history[place] = codec.redacted(history[place], b"\xc0", fact)

    verdict = replayed(order, history, page=page)

    assert (verdict.kind, verdict.records, verdict.sequence) == ("redacted", 6, 3)
    assert "payloads were redacted" in verdict.message


def test_an_open_run_that_waits_as_recorded_is_the_same() -> None:
    assert replayed(order, Recording(order).entries).kind == "same"


def test_an_open_run_whose_code_goes_on_extends() -> None:
    history = complete()[:4]

    verdict = replayed(order, history)

    assert verdict.kind == "extends"
    [ask] = verdict.asks_next
    assert ask.startswith("step 'ship:0' (debug/test_replay.py:")


def test_a_command_that_is_not_recorded_yet_extends() -> None:
    verdict = replayed(order, complete()[:2])

    assert verdict.kind == "extends"
    assert verdict.asks_next[0].startswith("sleep 'cool-off:0' (debug/test_replay.py:")


def test_another_step_diverges_with_both_lines() -> None:
    @ironflow.function(id="order")
    async def renamed(ctx: ironflow.Context[Any]) -> None:
        await ctx.step.run("charge", charge, 10)
        await ctx.step.sleep("pause", "1h")

    verdict = replayed(renamed, complete())

    assert (verdict.kind, verdict.cause) == ("diverges", "order")
    assert (verdict.sequence, verdict.step) == (3, "cool-off:0")
    assert verdict.recorded.startswith("sleep 'cool-off:0' (debug/test_replay.py:")
    assert verdict.asked.startswith("sleep 'pause:0' (debug/test_replay.py:")
    assert "patches" in verdict.message


def test_another_output_diverges_at_the_end_with_the_values() -> None:
    @ironflow.function(id="order")
    async def rounded(ctx: ironflow.Context[Any]) -> dict[str, Any]:
        await ctx.step.run("charge", charge, 10)
        await ctx.step.sleep("cool-off", "1h")
        return {
            "paid": {"paid": 11},
            "parcel": await ctx.step.run("ship", ship, "book"),
        }

    verdict = replayed(rounded, complete())

    assert (verdict.kind, verdict.cause, verdict.sequence) == ("diverges", "outcome", 6)
    [found] = verdict.differences
    assert (found.path, found.recorded, found.today) == ("$.paid.paid", 10, 11)


def test_parameters_that_differ_are_notes() -> None:
    @ironflow.function(id="order")
    async def longer(ctx: ironflow.Context[Any]) -> dict[str, Any]:
        paid = await ctx.step.run("charge", charge, 10)
        await ctx.step.sleep("cool-off", timedelta(hours=2))
        return {"paid": paid, "parcel": await ctx.step.run("ship", ship, "book")}

    verdict = replayed(longer, complete())

    assert verdict.kind == "same"
    [note] = verdict.notes
    assert (note.sequence, note.part) == (3, "until")
    assert note.recorded == "2023-11-14T23:13:22+00:00"
    assert note.today == "2023-11-15T00:13:22+00:00"


def test_arguments_of_steps_are_compared_on_request() -> None:
    @ironflow.function(id="order")
    async def dearer(ctx: ironflow.Context[Any]) -> dict[str, Any]:
        paid = await ctx.step.run("charge", charge, 12)
        await ctx.step.sleep("cool-off", "1h")
        return {"paid": paid, "parcel": await ctx.step.run("ship", ship, "book")}

    verdict = replayed(dearer, complete(), inputs=True)

    assert replayed(dearer, complete()).notes == ()
    assert verdict.kind == "same"
    [note] = verdict.notes
    assert (note.sequence, note.part, note.today) == (2, "arguments", "(12,)")


def test_code_that_raises_before_the_end_diverges_there() -> None:
    @ironflow.function(id="order")
    async def broken(ctx: ironflow.Context[Any]) -> None:
        paid = await ctx.step.run("charge", charge, 10)
        print(paid["total"])

    verdict = replayed(broken, complete())

    assert (verdict.kind, verdict.cause) == ("diverges", "raises")
    assert (verdict.sequence, verdict.step) == (3, "cool-off:0")
    assert verdict.asked.startswith("KeyError: 'total' (debug/test_replay.py:")


def test_code_that_raises_at_the_end_of_the_history_stops() -> None:
    @ironflow.function(id="order")
    async def broken(ctx: ironflow.Context[Any]) -> None:
        paid = await ctx.step.run("charge", charge, 10)
        print(paid["total"])

    verdict = replayed(broken, Recording(broken).entries)

    assert (verdict.kind, verdict.cause, verdict.sequence) == ("stops", "raises", 2)
    assert "raises KeyError: 'total'" in verdict.message


@pytest.mark.parametrize("page", [1, 2, 3])
def test_what_follows_the_bug_is_found_on_any_page(page: int) -> None:
    @ironflow.function(id="order")
    async def broken(ctx: ironflow.Context[Any]) -> None:
        raise KeyError("at once")

    verdict = replayed(broken, complete(), page=page)

    assert (verdict.kind, verdict.sequence, verdict.step) == ("diverges", 2, "charge:0")


def test_a_recorded_value_that_no_longer_fits_diverges() -> None:
    class Paid(msgspec.Struct):
        total: int

    def charge(total: int) -> Paid:
        return Paid(total)

    @ironflow.function(id="order")
    async def typed(ctx: ironflow.Context[Any]) -> None:
        await ctx.step.run("charge", charge, 10)

    verdict = replayed(typed, complete())

    assert (verdict.kind, verdict.cause) == ("diverges", "value")
    assert (verdict.sequence, verdict.step) == (2, "charge:0")
    assert "no longer fits" in verdict.message


def test_code_that_fails_where_the_history_goes_on_says_why() -> None:
    @ironflow.function(id="order")
    async def strict(ctx: ironflow.Context[Any]) -> None:
        raise ironflow.NonRetryableError("no orders on Sundays")

    verdict = replayed(strict, complete())

    assert (verdict.kind, verdict.cause, verdict.sequence) == ("diverges", "order", 2)
    assert verdict.asked == "the end of the run [failed]"
    assert "no orders on Sundays" in verdict.message


def test_code_that_fails_before_a_recorded_command_says_why() -> None:
    @ironflow.function(id="order")
    async def strict(ctx: ironflow.Context[Any]) -> None:
        await ctx.step.run("charge", charge, 10)
        raise ironflow.NonRetryableError("no orders on Sundays")

    verdict = replayed(strict, complete())

    assert (verdict.cause, verdict.sequence) == ("order", 3)
    assert "no orders on Sundays" in verdict.message


def test_errors_are_compared_without_their_tracebacks() -> None:
    def failing(message: str) -> Function:
        @ironflow.function(id="order")
        async def order(ctx: ironflow.Context[Any]) -> None:
            raise ironflow.NonRetryableError(message)

        return order

    def moved() -> Function:
        @ironflow.function(id="order")
        async def order(ctx: ironflow.Context[Any]) -> None:
            raise ironflow.NonRetryableError("sold out")

        return order

    history = Recording(failing("sold out")).entries

    assert replayed(moved(), history).kind == "same"
    [found] = replayed(failing("closed"), history).differences
    assert (found.path, found.recorded, found.today) == (
        "$.message",
        "sold out",
        "closed",
    )


def test_waits_and_children_and_messages_are_compared() -> None:
    def version(wait: str, amount: int) -> Function:
        @ironflow.function(id="order")
        async def order(ctx: ironflow.Context[Any]) -> None:
            await ctx.step.publish("orders", {"amount": amount})
            await ctx.step.invoke_async("score", {"amount": amount})
            await ctx.step.wait_for_event("approval", "approved", timeout=wait)

        return order

    history = Recording(version("1d", 1)).entries
    received = EventReceived(id="approval:0", event_id="evt_" + "1" * 32)
    payload: Payload = msgspec.msgpack.encode(event(name="approved"))
    history = Recording(version("1d", 1)).happen(Draft(received, payload)).entries

    verdict = replayed(version("2d", 2), history)

    assert verdict.kind == "same"
    assert [(note.sequence, note.part) for note in verdict.notes] == [
        (2, "data.amount"),
        (3, "input.amount"),
        (4, "timeout at"),
    ]


def test_a_rewound_history_is_folded_before_it_is_judged() -> None:
    history = complete()
    rewound = Rewound(sequence=7, to=2)
    history.append(Entry(1, rewound, b""))

    verdict = replayed(order, history, page=2)

    assert verdict.kind == "extends"
    assert verdict.asks_next[0].startswith("sleep 'cool-off:0'")


def test_a_patched_result_is_what_the_code_sees() -> None:
    history = Recording(order).entries
    patched = StepPatched(sequence=4, id="charge:0")
    history.append(Entry(1, patched, b"", values.encode({"total": 1})))

    @ironflow.function(id="order")
    async def demanding(ctx: ironflow.Context[Any]) -> None:
        paid = await ctx.step.run("charge", charge, 10)
        assert paid == {"total": 1}
        await ctx.step.sleep("cool-off", "1h")

    assert replayed(demanding, history, page=1).kind == "same"


@ironflow.function(id="fan")
async def fan(ctx: ironflow.Context[Any]) -> list[str]:
    async def one(item: int, step: ironflow.StepClient, index: int) -> str:
        await step.publish("items", item)
        await step.sleep("rest", 1)
        return await step.run("ship", ship, str(item))

    return await ctx.step.map("all", [1, 2, 3], one)


@given(page=st.integers(1, 20), inputs=st.booleans(), locate=st.booleans())
def test_pages_and_closeness_change_no_verdict(
    *, page: int, inputs: bool, locate: bool
) -> None:
    recording = Recording(fan)
    for index in (2, 0, 1):
        recording.happen(Draft(SleepFired(id=f"all:{index}:rest:0")))

    verdict = replayed(fan, recording.entries, page=page, inputs=inputs, locate=locate)

    assert verdict == Verdict(kind="same", records=len(recording.entries))


def test_code_that_completes_where_the_history_goes_on_diverges() -> None:
    @ironflow.function(id="order")
    async def brief(ctx: ironflow.Context[Any]) -> None:
        await ctx.step.run("charge", charge, 10)

    verdict = replayed(brief, complete())

    assert (verdict.cause, verdict.sequence) == ("order", 3)
    assert verdict.asked == "the end of the run [completed]"
    assert "fails" not in verdict.message


def test_of_many_branches_only_open_steps_are_asked_next() -> None:
    @ironflow.function(id="wide")
    async def wide(ctx: ironflow.Context[Any]) -> None:
        async def one(item: int, step: ironflow.StepClient, index: int) -> None:
            await step.run("ship", ship, str(item))

        await ctx.step.map("all", list(range(1_100)), one)

    history = Recording(wide).entries

    assert replayed(wide, history[:1]).asks_next[0].startswith("step 'all:0:ship:0'")
    assert len(replayed(wide, history[:1099], page=7).asks_next) == 2
    assert replayed(wide, history).kind == "same"


def test_a_payload_that_is_no_value_is_said_to_be() -> None:
    assert "cannot be read" in str(shown(b"\xc1"))
    assert shown(b"") is None


@ironflow.function(id="order")
async def mistaken(ctx: ironflow.Context[Any]) -> dict[str, Any]:
    paid = await ctx.step.run("charge", charge, 10)
    await ctx.step.sleep("cool-off", "1h")
    return {"paid": paid["price"]}


def ended_broken(request: Record) -> list[Entry]:
    recording = Recording(mistaken).happen(Draft(SleepFired(id="cool-off:0")))
    return recording.end_broken(Draft(request)).entries


@pytest.mark.parametrize("page", [1, 2, 1000])
@pytest.mark.parametrize("request_", [CancelRequested(), DeadlinePassed()])
def test_a_run_that_was_ended_with_broken_code_is_the_same(
    request_: Record, page: int
) -> None:
    verdict = replayed(mistaken, ended_broken(request_), page=page)

    assert (verdict.kind, verdict.sequence, verdict.records) == ("same", 6, 6)
    assert "nothing was undone" in verdict.message
    assert (
        "stops there, too: KeyError: 'price' (debug/test_replay.py" in verdict.message
    )


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_corrected_code_says_how_such_a_run_would_have_gone_on(page: int) -> None:
    verdict = replayed(order, ended_broken(CancelRequested()), page=page)

    assert (verdict.kind, verdict.cause) == ("same", "")
    assert "today's code comes through" in verdict.message


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_code_that_would_have_asked_for_more_says_for_what(page: int) -> None:
    @ironflow.function(id="order")
    async def published(ctx: ironflow.Context[Any]) -> None:
        await ctx.step.run("charge", charge, 10)
        await ctx.step.sleep("cool-off", "1h")
        await ctx.step.publish("orders", 1)

    verdict = replayed(published, ended_broken(CancelRequested()), page=page)

    assert verdict.kind == "same"
    assert "would go on with publish 'publish:orders:0'" in verdict.message


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_code_that_differs_before_such_an_end_diverges(page: int) -> None:
    @ironflow.function(id="order")
    async def renamed(ctx: ironflow.Context[Any]) -> None:
        await ctx.step.run("charge", charge, 10)
        await ctx.step.sleep("pause", "1h")

    @ironflow.function(id="order")
    async def raises(ctx: ironflow.Context[Any]) -> None:
        await ctx.step.run("charge", charge, 10)
        raise KeyError("price")

    history = ended_broken(CancelRequested())

    found = [replayed(each, history, page=page) for each in (renamed, raises)]
    assert [(each.kind, each.sequence) for each in found] == [("diverges", 3)] * 2
