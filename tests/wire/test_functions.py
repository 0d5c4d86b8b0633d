"""What the published SDKs and others register, read leniently and kept whole."""

from typing import Any

import msgspec
import pytest

from ironflow.errors import ConfigurationError
from ironflow.policy.breaker import BreakerPolicy
from ironflow.wire import functions
from ironflow.wire.functions import (
    CancelSpec,
    ConcurrencyConfig,
    DebounceConfig,
    FunctionConfig,
    ThrottleConfig,
    TriggerConfig,
)

PYTHON = {
    "id": "hello",
    "name": "hello",
    "description": "greets",
    "triggers": [{"event": "order.*"}, {"event": "", "cron": "0 9 * * *"}],
    "preferredMode": "EXECUTION_MODE_PUSH",
    "endpointUrl": "http://127.0.0.1:18080/x",
    "retry": {
        "maxAttempts": 4,
        "initialDelayMs": "250",
        "backoffFactor": 3,
        "maxDelayMs": 9000.0,
        "onExhausted": "fail",
    },
    "timeoutMs": 5000,
    "concurrency": {"limit": 2, "key": "customer"},
    "circuitBreaker": {"failureThreshold": 3, "openDurationMs": 20},
    "throttle": {"limit": 5, "periodMs": 1000},
    "cancelOn": [{"event": "order.cancelled", "match": "data.id"}],
    "debounce": {"period_ms": 1000, "key": "id", "maxWaitMs": "5000"},
    "secrets": ["TOKEN"],
    "actorKey": "id",
    "recording": True,
    "recordingProfile": "all",
    "metadata": {"__ironflow_code_hash": "0123456789abcdef", "Team": {"aB": 1}},
    "somethingNew": {"x": 1},
}


def made(**changes: Any) -> FunctionConfig:
    return functions.from_document({"id": "hello", **changes})


def test_all_that_is_said_is_kept() -> None:
    config = functions.from_document(PYTHON)

    assert config.mode == "push"
    assert config.endpoint_url == "http://127.0.0.1:18080/x"
    assert config.triggers == (
        TriggerConfig("order.*"),
        TriggerConfig(cron="0 9 * * *"),
    )
    assert config.patterns == ("order.*",)
    assert config.concurrency == ConcurrencyConfig(2, "customer")
    assert config.throttle == ThrottleConfig(5, 1000)
    assert config.debounce == DebounceConfig(1000, "id", 5000)
    assert config.cancel_on == (CancelSpec("order.cancelled", "data.id"),)
    assert config.metadata["Team"] == {"aB": 1}
    assert config.code_version == "0123456789abcdef"
    assert functions.from_bytes(config.to_bytes()) == config


def test_a_retry_is_a_policy_without_jitter() -> None:
    policy = functions.from_document(PYTHON).retry.policy

    assert policy.max_attempts == 4
    assert (policy.initial_delay_us, policy.max_delay_us) == (250_000, 9_000_000)
    assert (policy.factor, policy.jitter, policy.on_exhausted) == (3, 0.0, "fail")


def test_a_factor_of_more_than_64_bits_can_be_kept() -> None:
    config = made(retry={"backoff_factor": 10**24})

    assert functions.from_bytes(config.to_bytes()) == config


def test_nothing_said_is_what_the_published_server_does() -> None:
    config = made(retry={"maxAttempts": 0, "on_exhausted": ""}, concurrency=None)

    policy = config.retry.policy
    assert (policy.max_attempts, policy.initial_delay_us) == (25, 1_000_000)
    assert (policy.max_delay_us, policy.on_exhausted) == (300_000_000, "pause")
    assert config.mode == "pull"
    assert config.concurrency.limit == 0
    assert config.code_version == "r1"
    assert config.inactive == ()


def test_a_first_delay_is_never_longer_than_the_longest() -> None:
    policy = made(retry={"initial_delay_ms": 900_000}).retry.policy

    assert policy.initial_delay_us == policy.max_delay_us == 300_000_000


@pytest.mark.parametrize(
    ("said", "mode"),
    [
        ("push", "push"),
        ("pull", "pull"),
        ("EXECUTION_MODE_PULL", "pull"),
        (1, "push"),
        (2, "pull"),
    ],
)
def test_a_mode_has_many_spellings(said: object, mode: str) -> None:
    config = made(preferred_mode=said, endpoint_url="https://x.example/y")

    assert config.mode == mode


def test_a_breaker_is_a_policy() -> None:
    config = made(circuit_breaker={"failureThreshold": 3, "openDurationMs": 700_000})

    assert config.circuit_breaker.policy == BreakerPolicy(3, 700_000_000, 700_000_000)


def test_what_changes_nothing_is_named() -> None:
    config = functions.from_document(PYTHON)

    assert config.inactive == (
        "triggers.cron",
        "debounce",
        "throttle",
        "cancel_on",
        "actor_key",
        "secrets",
        "recording",
    )


def test_an_archived_function_is_started_by_nothing() -> None:
    config = functions.from_document(PYTHON)

    assert msgspec.structs.replace(config, status="archived").patterns == ()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"triggers": {}}, "triggers"),
        ({"triggers": ["x"]}, "a trigger"),
        ({"triggers": [{"event": "a..b"}]}, "triggers.event"),
        ({"triggers": [{"event": "a", "expression": "x > 1"}]}, "triggers.expression"),
        ({"preferred_mode": "sideways"}, "preferred_mode"),
        ({"preferred_mode": "push"}, "endpoint_url"),
        ({"endpoint_url": "ftp://x"}, "endpoint_url"),
        ({"endpoint_url": "http://" + "x" * 2000}, "endpoint_url"),
        ({"retry": {"on_exhausted": "weep"}}, "on_exhausted"),
        ({"retry": {"backoff_factor": 0.5}}, "factor"),
        ({"retry": {"backoff_factor": "2"}}, "backoff_factor"),
        ({"retry": {"backoff_factor": float("inf")}}, "backoff_factor"),
        ({"retry": {"backoff_factor": 10**400}}, "backoff_factor"),
        ({"retry": {"max_attempts": -1}}, "max_attempts"),
        ({"timeout_ms": 1.5}, "timeout_ms"),
        ({"timeout_ms": True}, "timeout_ms"),
        ({"timeout_ms": 2**63}, "timeout_ms"),
        ({"concurrency": {"limit": 1, "key": "a..b"}}, "concurrency.key"),
        ({"recording": "yes"}, "recording"),
        ({"secrets": [1]}, "secrets"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"n": 2**70}}, "metadata"),
        ({"metadata": {"n": object()}}, "metadata"),
        ({"description": "\ud800"}, "description"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        made(**changes)


def test_a_request_is_an_object() -> None:
    with pytest.raises(ConfigurationError, match="the request"):
        functions.from_document([1])


def test_a_registration_that_changes_nothing_keeps_its_revision() -> None:
    first = functions.registered(made(), None, now=5)
    again = functions.registered(made(change_reason="again"), first, now=9)

    assert (first.revision, first.created_at, first.updated_at) == (1, 5, 5)
    assert again == first


def test_a_change_is_a_new_revision() -> None:
    first = functions.registered(made(), None, now=5)
    changed = made(description="new", change_reason="because")
    second = functions.registered(changed, first, now=9)

    assert (second.revision, second.created_at, second.updated_at) == (2, 5, 9)
    assert second.change_reason == "because"
    assert second.code_version == "r2"


def test_other_bytes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="register it again"):
        functions.from_bytes(b"\x91\x01")
