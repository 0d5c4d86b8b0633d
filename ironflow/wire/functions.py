"""What a function of a server says of itself when it is registered.

One value for every way to register: JSON of the published SDKs, Protobuf as a document,
our own workers. It is kept in the registry as MessagePack (`to_bytes`), so that what is
shown of a function is what was said, also where this server does not act on it.
"""

from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from ironflow import limits
from ironflow.errors import ConfigurationError
from ironflow.policy.breaker import BreakerPolicy
from ironflow.policy.match import parse_path, parse_pattern
from ironflow.policy.names import check_text
from ironflow.policy.reach import check_endpoint_url
from ironflow.policy.retry import Exhausted, Retry
from ironflow.wire import documents
from ironflow.wire.documents import Document

Mode = Literal["pull", "push"]
Standing = Literal["active", "paused", "archived"]

CODE_HASH: Final = "__ironflow_code_hash"

_MODES: Final[dict[str, Mode]] = {
    "": "pull",
    "pull": "pull",
    "push": "push",
    "execution_mode_unspecified": "pull",
    "execution_mode_push": "push",
    "execution_mode_pull": "pull",
    "0": "pull",
    "1": "push",
    "2": "pull",
}


class TriggerConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """What starts the function: events of a pattern, or a time."""

    event: str = ""
    expression: str = ""
    cron: str = ""


class RetryConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often a run is tried as a whole; the defaults are the published server's."""

    max_attempts: int = 25
    initial_delay_ms: int = 1_000
    backoff_factor: float = 2.0
    max_delay_ms: int = 300_000
    on_exhausted: Exhausted = "pause"

    @property
    def policy(self) -> Retry:
        """Return it as a policy; without jitter, as the published server retries."""
        longest = self.max_delay_ms / 1_000
        return Retry(
            max_attempts=self.max_attempts,
            initial_delay=min(self.initial_delay_ms / 1_000, longest),
            factor=self.backoff_factor,
            max_delay=longest,
            jitter=0.0,
            on_exhausted=self.on_exhausted,
        )


class ConcurrencyConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many runs, of each value at `key`, may be carried on at once; 0: any."""

    limit: int = 0
    key: str = ""


class BreakerConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """When the endpoint of a push function is left alone."""

    failure_threshold: int = 5
    open_duration_ms: int = 60_000
    max_open_duration_ms: int = 600_000

    @property
    def policy(self) -> BreakerPolicy:
        """Return it as a policy."""
        first = self.open_duration_ms * 1_000
        longest = max(self.max_open_duration_ms * 1_000, first)
        return BreakerPolicy(self.failure_threshold, first, longest)


class DebounceConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """Kept, and not acted upon."""

    period_ms: int = 0
    key: str = ""
    max_wait_ms: int = 0


class ThrottleConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """Kept, and not acted upon."""

    limit: int = 0
    period_ms: int = 0
    key: str = ""


class CancelSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """Kept, and not acted upon."""

    event: str = ""
    match: str = ""


class FunctionConfig(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A function as it was registered. Durations are milliseconds, 0 for none.

    `mode` says who begins: `pull`, a worker that asks for jobs; `push`, this server,
    at `endpoint_url`. `timeout_ms` bounds one call or job. `revision` counts changes of
    the rest, from 1; `created_at` and `updated_at` are microseconds. `inactive` names what
    this server keeps without acting upon it.
    """

    id: str
    name: str = ""
    description: str = ""
    triggers: tuple[TriggerConfig, ...] = ()
    mode: Mode = "pull"
    endpoint_url: str = ""
    retry: RetryConfig = RetryConfig()
    timeout_ms: int = 0
    concurrency: ConcurrencyConfig = ConcurrencyConfig()
    circuit_breaker: BreakerConfig = BreakerConfig()
    debounce: DebounceConfig | None = None
    throttle: ThrottleConfig | None = None
    cancel_on: tuple[CancelSpec, ...] = ()
    actor_key: str = ""
    secrets: tuple[str, ...] = ()
    recording: bool = False
    recording_profile: str = ""
    metadata: dict[str, object] = {}
    change_reason: str = ""
    status: Standing = "active"
    revision: int = 1
    created_at: int = 0
    updated_at: int = 0

    @property
    def code_version(self) -> str:
        """Return what names the code: the digest that the SDKs send, or the revision."""
        found = self.metadata.get(CODE_HASH)
        return found if isinstance(found, str) and found else f"r{self.revision}"

    @property
    def patterns(self) -> tuple[str, ...]:
        """Return the patterns of events that start the function."""
        if self.status != "active":
            return ()
        return tuple(each.event for each in self.triggers if each.event)

    @property
    def inactive(self) -> tuple[str, ...]:
        """Return the names of the options that change nothing here."""
        asked = {
            "triggers.cron": any(each.cron for each in self.triggers),
            "debounce": self.debounce,
            "throttle": self.throttle,
            "cancel_on": self.cancel_on,
            "actor_key": self.actor_key,
            "secrets": self.secrets,
            "recording": self.recording,
        }
        return tuple(name for name, value in asked.items() if value)

    def to_bytes(self) -> bytes:
        """Return it as the registry keeps it."""
        return _encode(self)


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(FunctionConfig).decode


def from_bytes(data: bytes) -> FunctionConfig:
    """Return what the registry keeps.

    Raises:
        ConfigurationError: something else wrote it.
    """
    try:
        return _decode(data)
    except msgspec.DecodeError as error:
        raise ConfigurationError(
            f"the registry has a function that cannot be read: {error}; register it again"
        ) from error


def from_document(value: object) -> FunctionConfig:
    """Return the function of a `RegisterFunction` request, read leniently.

    Raises:
        ConfigurationError: something in it is wrong; the message names the field.
    """
    source = documents.document(value, what="the request")
    config = FunctionConfig(
        id=check_text(documents.text(source, "id"), option="id"),
        name=documents.text(source, "name"),
        description=documents.text(source, "description"),
        triggers=tuple(_trigger(each) for each in documents.items(source, "triggers")),
        mode=_mode(source),
        endpoint_url=documents.text(source, "endpoint_url"),
        retry=_retry(documents.inner(source, "retry")),
        timeout_ms=_natural(source, "timeout_ms"),
        concurrency=_concurrency(documents.inner(source, "concurrency")),
        circuit_breaker=breaker_config(documents.inner(source, "circuit_breaker")),
        debounce=_debounce(source),
        throttle=_throttle(source),
        cancel_on=tuple(_cancel(each) for each in documents.items(source, "cancel_on")),
        actor_key=documents.text(source, "actor_key"),
        secrets=documents.texts(source, "secrets"),
        recording=documents.flag(source, "recording"),
        recording_profile=documents.text(source, "recording_profile"),
        metadata=_metadata(source),
        change_reason=documents.text(source, "change_reason"),
    )
    return _checked(config)


def registered(
    config: FunctionConfig, before: FunctionConfig | None, *, now: int
) -> FunctionConfig:
    """Return a function as it is to be kept: the revision grows when it has changed.

    `before` is what the registry has under its id. What nobody changed keeps its times.
    One that was archived is made anew, and its revisions go on.
    """
    if before is None or before.status == "archived":
        revision = 1 if before is None else before.revision + 1
        return replace(config, revision=revision, created_at=now, updated_at=now)
    kept = replace(
        config,
        status=before.status,
        revision=before.revision,
        created_at=before.created_at,
        updated_at=before.updated_at,
        change_reason=before.change_reason,
    )
    if kept == before:
        return before
    return replace(
        kept,
        revision=before.revision + 1,
        updated_at=now,
        change_reason=config.change_reason,
    )


def _checked(config: FunctionConfig) -> FunctionConfig:
    if config.mode == "push" and not config.endpoint_url:
        raise ConfigurationError(
            f"function {config.id!r} is called by the server: give it an endpoint_url"
        )
    if config.endpoint_url:
        check_endpoint_url(config.endpoint_url)
    _ = config.retry.policy, config.circuit_breaker.policy
    return config


def _mode(source: Document) -> Mode:
    said = source.get("preferred_mode", "")
    mode = _MODES.get(str(said).lower())
    if mode is None:
        raise ConfigurationError(
            f'preferred_mode={said!r} must be "EXECUTION_MODE_PULL" or'
            ' "EXECUTION_MODE_PUSH"'
        )
    return mode


def _trigger(value: object) -> TriggerConfig:
    source = documents.document(value, what="a trigger")
    trigger = TriggerConfig(
        event=documents.text(source, "event"),
        expression=documents.text(source, "expression"),
        cron=documents.text(source, "cron"),
    )
    if trigger.expression:
        raise ConfigurationError(
            f"triggers.expression={trigger.expression!r} is not understood by this server,"
            " and without it the function would be started by events that it does not"
            " want; filter in the function"
        )
    if trigger.event:
        parse_pattern(trigger.event, option="triggers.event")
    return trigger


def _retry(source: Document) -> RetryConfig:
    default = RetryConfig()
    exhausted = documents.text(source, "on_exhausted") or default.on_exhausted
    if exhausted not in {"pause", "fail"}:
        raise ConfigurationError(
            f'retry.on_exhausted={exhausted!r} must be "pause" or "fail"'
        )
    return RetryConfig(
        max_attempts=min(
            _natural(source, "max_attempts") or default.max_attempts,
            limits.RETRY_ATTEMPTS_MAX,
        ),
        initial_delay_ms=_natural(source, "initial_delay_ms")
        or default.initial_delay_ms,
        backoff_factor=documents.number(source, "backoff_factor", 0)
        or default.backoff_factor,
        max_delay_ms=_natural(source, "max_delay_ms") or default.max_delay_ms,
        on_exhausted="pause" if exhausted == "pause" else "fail",
    )


def _concurrency(source: Document) -> ConcurrencyConfig:
    config = ConcurrencyConfig(
        limit=_natural(source, "limit"), key=documents.text(source, "key")
    )
    if config.key:
        parse_path(config.key, option="concurrency.key")
    return config


def breaker_config(source: Document) -> BreakerConfig:
    """Return when an endpoint is left alone; what is not there has its default.

    Raises:
        ConfigurationError: a number is none, or less than 0.
    """
    default = BreakerConfig()
    return BreakerConfig(
        failure_threshold=_natural(source, "failure_threshold")
        or default.failure_threshold,
        open_duration_ms=_natural(source, "open_duration_ms")
        or default.open_duration_ms,
        max_open_duration_ms=_natural(source, "max_open_duration_ms")
        or default.max_open_duration_ms,
    )


def _debounce(source: Document) -> DebounceConfig | None:
    found = documents.inner(source, "debounce")
    if not found:
        return None
    return DebounceConfig(
        period_ms=_natural(found, "period_ms"),
        key=documents.text(found, "key"),
        max_wait_ms=_natural(found, "max_wait_ms"),
    )


def _throttle(source: Document) -> ThrottleConfig | None:
    found = documents.inner(source, "throttle")
    if not found:
        return None
    return ThrottleConfig(
        limit=_natural(found, "limit"),
        period_ms=_natural(found, "period_ms"),
        key=documents.text(found, "key"),
    )


def _cancel(value: object) -> CancelSpec:
    source = documents.document(value, what="a member of cancel_on")
    return CancelSpec(
        event=documents.text(source, "event"), match=documents.text(source, "match")
    )


def _metadata(source: Document) -> dict[str, object]:
    """What stands in it belongs to the user: names and values stay as they are."""
    value = source.get("metadata", {})
    if not isinstance(value, dict):
        raise ConfigurationError("metadata must be a JSON object")
    try:
        return msgspec.msgpack.decode(_encode(value), type=dict[str, object])
    except (TypeError, ArithmeticError, RecursionError) as error:
        raise ConfigurationError(f"metadata cannot be kept: {error}") from error


def _natural(source: Document, name: str) -> int:
    value = documents.whole(source, name)
    if value < 0:
        raise ConfigurationError(f"{name}={value} must be 0 or more")
    return value
