"""What is sent again, what never, and what its caller is told."""

import asyncio
import json
from typing import Any

import httpx
import pytest
import trio
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import format_trace_id
from trio.testing import MockClock

import ironflow
from ironflow import limits
from ironflow.client.settings import URL_DEFAULT
from tests.client.conftest import URL, Scene, Scripted, answer, scripted

RUN = "run_" + "0" * 32
QUICK = ironflow.Retry(max_attempts=4, initial_delay=0, max_delay=0)
EMITTED = {"event_id": "evt_1", "run_ids": ["run_1"], "duplicate": False}
STOOD: dict[str, Any] = {"id": RUN, "function_id": "f", "status": "waiting"}
REFUSED = httpx.ConnectError("refused")
CUT = httpx.ReadError("cut off")


async def test_an_event_that_is_sent_again_is_stored_once() -> None:
    """Its key is the same, and that it was there before is nobody's business."""
    duplicate = answer({**EMITTED, "duplicate": True})
    client, transport = scripted(CUT, duplicate, retry=QUICK)

    receipt = await client.emit("order.placed", 1)

    keys = {json.loads(each.content)["idempotency_key"] for each in transport.requests}
    assert len(transport.requests) == 2
    assert len(keys) == 1
    assert not receipt.duplicate


async def test_every_event_of_a_batch_has_a_key_of_its_own() -> None:
    client, transport = scripted(
        answer({}, 503), answer({"events": [EMITTED, EMITTED]}), retry=QUICK
    )

    await client.emit_batch([ironflow.Emission("a"), ironflow.Emission("a")])

    first, second = (json.loads(each.content) for each in transport.requests)
    assert first == second
    assert len({each["idempotency_key"] for each in first["events"]}) == 2


async def test_a_deletion_that_was_carried_out_before_is_done() -> None:
    gone = answer({"code": "not_found", "reason": "RUN_NOT_FOUND"}, 404)
    client, transport = scripted(CUT, gone, retry=QUICK)

    await client.delete_run(RUN)

    assert len(transport.requests) == 2


async def test_a_deletion_of_nothing_is_an_error() -> None:
    gone = answer({"code": "not_found", "reason": "RUN_NOT_FOUND"}, 404)
    client, _ = scripted(gone, retry=QUICK)

    with pytest.raises(ironflow.RunNotFound):
        await client.delete_run(RUN)


@pytest.mark.parametrize(
    "scene",
    [CUT, answer({"message": "no"}, 503), httpx.ReadTimeout("late")],
    ids=["cut", "503", "late"],
)
async def test_what_may_have_been_carried_out_is_not_repeated(scene: Scene) -> None:
    client, transport = scripted(scene, retry=QUICK)

    with pytest.raises(ironflow.ServerUnavailable) as caught:
        await client.resume_run(RUN)

    assert len(transport.requests) == 1
    assert caught.value.is_sent


async def test_the_sentence_says_that_nobody_knows() -> None:
    client, _ = scripted(CUT, retry=QUICK)

    with pytest.raises(ironflow.ServerUnavailable, match="nobody knows whether"):
        await client.patch_step(RUN, "a:0", 1)


@pytest.mark.parametrize("scene", [REFUSED, answer({}, 429)], ids=["refused", "429"])
async def test_what_was_not_carried_out_is_sent_again(scene: Scene) -> None:
    client, transport = scripted(scene, answer(STOOD), retry=QUICK)

    assert (await client.resume_run(RUN)).status == "waiting"
    assert len(transport.requests) == 2


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
async def test_a_passing_failure_of_a_read_is_tried_again(status: int) -> None:
    client, _ = scripted(httpx.Response(status), answer(STOOD), retry=QUICK)

    assert (await client.get_run(RUN)).id == RUN


@pytest.mark.parametrize("status", [301, 400, 404, 409, 500, 501])
async def test_a_failure_that_stays_is_told_at_once(status: int) -> None:
    client, transport = scripted(answer({"error": "no"}, status), retry=QUICK)

    with pytest.raises(ironflow.ServerError, match="no") as caught:
        await client.get_run(RUN)

    assert caught.value.status == status
    assert len(transport.requests) == 1


async def test_tries_come_to_an_end() -> None:
    client, transport = scripted(*[REFUSED] * 4, retry=QUICK)

    with pytest.raises(ironflow.ServerUnavailable, match="ironflow serve") as caught:
        await client.get_run(RUN)

    assert len(transport.requests) == 4
    assert not caught.value.is_sent


async def test_the_time_between_tries_grows(autojump_clock: MockClock) -> None:
    policy = ironflow.Retry(max_attempts=3, initial_delay=1, factor=3, jitter=0)
    client, _ = scripted(REFUSED, REFUSED, answer(STOOD), retry=policy)

    await client.get_run(RUN)

    assert trio.current_time() == pytest.approx(4)


async def test_what_the_server_says_is_waited_for(autojump_clock: MockClock) -> None:
    client, _ = scripted(answer({}, 429, retry_after="7"), answer(STOOD), retry=QUICK)

    await client.get_run(RUN)

    assert trio.current_time() == pytest.approx(7)


async def test_nobody_waits_for_an_hour() -> None:
    client, _ = scripted(answer({}, 429, retry_after="3600"), retry=QUICK)

    with pytest.raises(ironflow.ServerError) as caught:
        await client.get_run(RUN)

    assert caught.value.status == 429


async def test_a_long_wait_goes_in_slices(autojump_clock: MockClock) -> None:
    """Each shorter than what proxies allow, until the run has ended."""
    ended = answer({**STOOD, "status": "completed", "output": 1})
    client, transport = scripted(answer(STOOD), answer(STOOD), ended)

    run = await client.result(RUN, timeout="30s")

    assert run.unwrap() == 1
    waits = [each.url.params["wait"] for each in transport.requests]
    assert waits == ["20.000", "20.000", "20.000"]  # this server does not wait


async def test_a_wait_ends_when_its_time_is_up() -> None:
    client, transport = scripted(answer(STOOD))

    run = await client.result(RUN, timeout=0)

    assert run.status == "waiting"
    assert transport.asked == [f"GET /api/v1/runs/{RUN}"]


async def test_a_run_that_goes_on_in_another_is_followed() -> None:
    first = {**STOOD, "status": "continued", "continued_to": "run_" + "1" * 32}
    client, transport = scripted(answer(first), answer({**STOOD, "status": "paused"}))

    run = await client.result(RUN, timeout=0)

    assert run.status == "paused"
    assert transport.asked[1] == "GET /api/v1/runs/run_" + "1" * 32


async def test_a_key_and_an_environment_go_with_every_request() -> None:
    client, transport = scripted(
        answer(STOOD), api_key="ifkey_1", environment="staging"
    )

    await client.get_run(RUN)

    headers = transport.requests[0].headers
    assert headers["authorization"] == "Bearer ifkey_1"
    assert headers["x-ironflow-environment"] == "staging"


async def test_a_call_names_the_span_in_which_it_is_made() -> None:
    client, transport = scripted(answer(STOOD), answer(STOOD))
    tracer = TracerProvider().get_tracer("shop")

    with tracer.start_as_current_span("checkout") as span:
        await client.get_run(RUN)
    await client.get_run(RUN)

    inside, outside = (each.headers for each in transport.requests)
    trace_id = format_trace_id(span.get_span_context().trace_id)
    assert inside["traceparent"].split("-")[1] == trace_id
    assert "traceparent" not in outside
    assert inside["user-agent"] == f"ironflow-python/{ironflow.__version__}"


async def test_a_server_that_asks_for_a_key_is_told_of() -> None:
    client, _ = scripted(answer({"message": "no key", "code": "unauthenticated"}, 401))

    with pytest.raises(ironflow.ServerError, match="IRONFLOW_API_KEY") as caught:
        await client.get_run(RUN)

    assert (caught.value.status, caught.value.server_code) == (401, "unauthenticated")


@pytest.mark.parametrize("text", ["<html>", "[]", '{"id": 1}'])
async def test_something_else_at_the_address_is_told_of(text: str) -> None:
    client, _ = scripted(httpx.Response(200, text=text))

    with pytest.raises(ironflow.ServerError, match="not as a server of ironflow"):
        await client.get_run(RUN)


async def test_an_answer_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CLIENT_ANSWER_BYTES_MAX", 10)
    client, _ = scripted(answer(STOOD))

    with pytest.raises(ironflow.ServerError, match="ask for less"):
        await client.get_run(RUN)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"url": "localhost:9123"}, "no address of a server"),
        ({"url": "http://"}, "no address of a server"),
        ({"url": "http://a:b"}, "no address of a server"),
        ({"api_key": "a\nb"}, "api_key has characters"),
        ({"environment": "prüf"}, "environment has characters"),
        ({"timeout": "soon"}, "timeout="),
    ],
)
def test_a_wrong_option_is_an_error_where_it_is_given(
    options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ironflow.ConfigurationError, match=says):
        ironflow.AsyncClient(**options)


def test_what_is_not_given_comes_from_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SERVER_URL", "API_KEY", "ENVIRONMENT"):
        monkeypatch.delenv(f"IRONFLOW_{name}", raising=False)
    assert ironflow.Client().url == URL_DEFAULT

    monkeypatch.setenv("IRONFLOW_SERVER_URL", "https://flow.example.com/base/")
    monkeypatch.setenv("IRONFLOW_API_KEY", "ifkey_1")
    monkeypatch.setenv("IRONFLOW_ENVIRONMENT", "staging")
    transport = Scripted([answer({"status": "ok"})])
    with ironflow.Client(transport=transport) as client:
        client.health()

    [request] = transport.requests
    assert str(request.url) == "https://flow.example.com/base/health"
    assert request.headers["authorization"] == "Bearer ifkey_1"
    assert request.headers["x-ironflow-environment"] == "staging"


def test_a_client_works_on_asyncio() -> None:
    """Its pauses between tries, too."""
    policy = ironflow.Retry(max_attempts=2, initial_delay="1ms")

    async def main() -> ironflow.Run:
        client, _ = scripted(CUT, answer(STOOD), answer(STOOD), retry=policy)
        async with client:
            run = await client.get_run(RUN)
            return await run.result(timeout=0)

    assert asyncio.run(main()).id == RUN


def test_a_sync_client_sends_again_as_well() -> None:
    policy = ironflow.Retry(max_attempts=2, initial_delay="1ms")
    transport = Scripted([CUT, answer(EMITTED)])

    with ironflow.Client(URL, transport=transport, retry=policy) as client:
        receipt = client.emit("order.placed")

    assert receipt.run_ids == ("run_1",)
