"""What each call of a client sends, and that the server knows it."""

import json
from typing import Any

import pytest

from ironflow.client import calls
from ironflow.client.answers import Answer
from ironflow.client.calls import Call
from ironflow.client.refusals import refusal_of
from ironflow.errors import ConfigurationError, ValueRejected
from ironflow.handles import Emission
from tests.transport.conftest import open_server

RUN = "run_" + "0" * 32


def body(call: Call[Answer]) -> Any:
    return json.loads(call.body)


def test_an_event_is_sent_with_what_it_has() -> None:
    call = calls.emit(
        "order.placed",
        {"id": 1},
        idempotency_key="k",
        metadata={"a": "b"},
        version=2,
        source="cli",
        wait=30,
    )

    assert (call.method, call.path) == ("POST", "/api/v1/events")
    assert call.query == {"wait": "30.000"}
    assert body(call) == {
        "name": "order.placed",
        "data": {"id": 1},
        "version": 2,
        "idempotency_key": "k",
        "metadata": {"a": "b"},
        "source": "cli",
    }


def test_what_an_event_lacks_is_not_sent() -> None:
    call = calls.emit("order.placed")

    assert body(call) == {"name": "order.placed", "data": None, "version": 1}
    assert call.query == {}


def test_a_call_with_a_key_may_be_sent_again() -> None:
    assert calls.emit("a", idempotency_key="k").is_safe
    assert calls.invoke("f", idempotency_key="k").is_safe
    assert not calls.emit("a").is_safe
    assert not calls.resume_run(RUN).is_safe
    assert calls.get_run(RUN).is_safe


def test_no_request_waits_longer_than_one_may() -> None:
    assert calls.get_run(RUN, wait=10_000).query == {"wait": "300.000"}


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_what_a_path_would_lose_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError):
        calls.get_function(name)


def test_a_batch_has_a_bound() -> None:
    with pytest.raises(ConfigurationError, match="send several"):
        calls.emit_batch([Emission("a")] * 1_001)


def test_a_name_cannot_lead_elsewhere() -> None:
    assert calls.get_function("../runs").path == "/api/v1/functions/..%2Fruns"


def test_only_filters_that_are_given_are_sent() -> None:
    call = calls.list_runs(statuses=["failed", "paused"], limit=10)

    assert call.query == {"status": "failed,paused", "limit": "10"}


def test_a_wrong_name_or_value_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ConfigurationError):
        calls.emit("two words")
    with pytest.raises(ValueRejected, match="object"):
        calls.emit("a", object())


@pytest.mark.parametrize(
    ("answer", "code", "message", "retryable"),
    [
        (
            b'{"error":"no","code":"not_found","message":"no run"}',
            "not_found",
            "no run",
            False,
        ),
        (b'{"error":"no run"}', "", "no run", False),
        (b'{"message":"busy","retryable":true}', "", "busy", True),
        (b"<html>", "", "the server answered 502", False),
        (b"[]", "", "the server answered 502", False),
    ],
)
def test_any_refusal_is_read(
    answer: bytes, code: str, message: str, *, retryable: bool
) -> None:
    found = refusal_of(502, answer)

    assert (found.code, found.message, found.retryable) == (code, message, retryable)


@pytest.mark.parametrize(
    "call",
    [
        calls.emit("order.shipped", wait=1),
        calls.list_runs(function_id="ask", since="2030-01-01T00:00:00Z"),
        calls.get_run(RUN),
        calls.get_steps(RUN),
        calls.cancel_run(RUN, reason="r"),
        calls.resume_run(RUN),
        calls.list_functions(),
        calls.get_function("ask"),
        calls.function_versions("ask"),
        calls.register_function({"id": "x"}),
        calls.list_workers(),
        calls.invoke("ask", {"a": 1}),
        calls.emit_batch([Emission("a")]),
        calls.list_runs(is_detailed=True),
        calls.count_runs(),
        calls.list_events("a", after=1),
        calls.event_names(),
        calls.get_records(RUN),
        calls.retry_run(RUN),
        calls.pause_run(RUN),
        calls.delete_run(RUN),
        calls.patch_step(RUN, "a:0", 1),
        calls.redact_run(RUN, reason="r"),
        calls.redact_step(RUN, "a:0"),
        calls.health(),
        calls.ready(),
        calls.capabilities(),
    ],
    ids=lambda call: f"{call.method} {call.path}",
)
async def test_the_server_knows_every_call(call: Call[Answer]) -> None:
    query = "&".join(f"{name}={value}" for name, value in call.query.items())
    async with open_server() as server:
        found = await server.request(call.method, f"{call.path}?{query}", call.body)

        assert found.status == 200 or "there is no run" in found.document["message"]
