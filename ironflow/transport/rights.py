"""Which right each route asks for.

A request to a route that is not here needs the rights of an administrator, so that one
that was forgotten is open to nobody else. A test holds that none is forgotten.
"""

from collections import defaultdict
from typing import Final
from urllib.parse import unquote

from ironflow.transport.rpc.routes import ABSENT, PACKAGE, SERVED
from ironflow.wire.keys import Right
from ironflow.wire.message import Service
from ironflow.wire.proto.worker import WorkerService

_ANY: Final = "{}"  # in place of a parameter
# Who may know nothing else may know these.
PUBLIC: Final = frozenset(
    {
        ("GET", "/health"),
        ("GET", "/ready"),
        ("GET", "/metrics"),
        ("GET", "/api/v1/capabilities"),
    }
)
_REST: Final[dict[tuple[str, str], Right]] = {
    ("GET", "/api/v1/openapi.json"): Right.READ,
    ("GET", "/api/v1/events"): Right.READ,
    ("GET", "/api/v1/events/log"): Right.READ,
    ("GET", "/api/v1/events/names"): Right.READ,
    ("GET", "/api/v1/events/{id}"): Right.READ,
    ("POST", "/api/v1/events"): Right.EMIT,
    ("GET", "/api/v1/functions"): Right.READ,
    ("GET", "/api/v1/functions/{id}"): Right.READ,
    ("GET", "/api/v1/functions/{id}/versions"): Right.READ,
    ("POST", "/api/v1/functions"): Right.REGISTER,
    ("POST", "/api/v1/functions/{id}/invoke"): Right.EMIT,
    ("POST", "/api/v1/events/batch"): Right.EMIT,
    ("GET", "/api/v1/circuit-breakers"): Right.READ,
    ("POST", "/api/v1/circuit-breakers/{key}/reset"): Right.STEER,
    ("GET", "/api/v1/runs"): Right.READ,
    ("GET", "/api/v1/runs/counts"): Right.READ,
    ("GET", "/api/v1/runs/{id}/records"): Right.READ,
    ("GET", "/api/v1/runs/{id}"): Right.READ,
    ("GET", "/api/v1/runs/{id}/steps"): Right.READ,
    ("GET", "/api/v1/runs/{id}/streams"): Right.READ,
    ("DELETE", "/api/v1/runs/{id}"): Right.STEER,
    ("POST", "/api/v1/runs/{id}/cancel"): Right.STEER,
    ("POST", "/api/v1/runs/{id}/pause"): Right.STEER,
    ("POST", "/api/v1/runs/{id}/resume"): Right.STEER,
    ("POST", "/api/v1/runs/{id}/retry"): Right.STEER,
    ("POST", "/api/v1/runs/resume"): Right.STEER,
    ("POST", "/api/v1/steps/patch"): Right.STEER,
    ("POST", "/api/v1/runs/{id}/redact"): Right.REDACT,
    ("POST", "/api/v1/steps/redact"): Right.REDACT,
    ("POST", "/api/v1/events/{id}/redact"): Right.REDACT,
    ("GET", "/api/v1/workers"): Right.READ,
    ("GET", "/api/v1/workers/{id}/jobs"): Right.WORK,
    ("GET", "/api/v2/worker"): Right.WORK,
    ("GET", "/api/v2/endpoints"): Right.READ,
    ("POST", "/api/v2/endpoints"): Right.REGISTER,
    ("GET", "/api/v1/apikeys"): Right.KEYS,
    ("POST", "/api/v1/apikeys"): Right.KEYS,
    ("GET", "/api/v1/apikeys/{id}"): Right.KEYS,
    ("DELETE", "/api/v1/apikeys/{id}"): Right.KEYS,
    ("POST", "/api/v1/apikeys/{id}/rotate"): Right.KEYS,
    ("PUT", "/api/v1/apikeys/{id}/roles"): Right.KEYS,
}
_WORKER_WRITES: Final = (
    "/api/v1/workers/{id}/register",
    "/api/v1/workers/{id}/heartbeat",
    "/api/v1/workers/{id}/jobs/{job}/ack",
    "/api/v1/workers/{id}/jobs/{job}",
)
_METHODS: Final[dict[str, Right]] = {
    "Health": Right.READ,
    "Info": Right.READ,
    "GetCapabilities": Right.READ,
    "RegisterFunction": Right.REGISTER,
    "Trigger": Right.EMIT,
    "Emit": Right.EMIT,
    "TriggerSync": Right.EMIT,
    "TriggerBatch": Right.EMIT,
    "InvokeFunction": Right.EMIT,
    "InvokeFunctionSync": Right.EMIT,
    "Publish": Right.EMIT,
    "RedactEvent": Right.REDACT,
    "RedactStep": Right.REDACT,
    "RedactRun": Right.REDACT,
}


def right_of(method: str, path: str) -> Right | None:
    """Return the right that a request asks for; None if it needs no key.

    `path` is as it was sent, and is read as the router reads it: segment by segment, each
    decoded by itself.
    """
    method = "GET" if method == "HEAD" else method
    if (method, path) in PUBLIC:
        return None
    try:
        segments = tuple(unquote(part, errors="strict") for part in path.split("/"))
    except UnicodeDecodeError:
        return Right.KEYS
    found = _FIXED.get((method, segments))
    if found is not None:
        return found
    for pattern, right in _PATTERNS.get((method, len(segments)), ()):
        if all(
            part in {_ANY, sent} for part, sent in zip(pattern, segments, strict=True)
        ):
            return right
    return Right.KEYS


def _calls(name: str, service: Service) -> dict[tuple[str, str], Right]:
    """Return the right that each method of a service asks for."""
    found = {
        each.name: Right.STEER if each.has_side_effects else Right.READ
        for each in service.values()
    }
    found |= {name: right for name, right in _METHODS.items() if name in service}
    return {("POST", f"/{PACKAGE}{name}/{each}"): found[each] for each in found}


def _table() -> dict[tuple[str, str], Right]:
    table = dict(_REST)
    for path in _WORKER_WRITES:
        table |= {("POST", path): Right.WORK, ("PUT", path): Right.WORK}
    for name, (service, _) in SERVED.items():
        table |= _calls(name, service)
    # What is not there may be asked for by anyone with a key: the answer tells nothing.
    for name in (*SERVED, *ABSENT, "WorkerService"):
        table["POST", f"/{PACKAGE}{name}/{{method}}"] = Right.NOTHING
    table["POST", f"/{PACKAGE}IronflowService/GetCapabilities"] = Right.READ
    table |= dict.fromkeys(
        (("POST", f"/{PACKAGE}WorkerService/{each}") for each in WorkerService),
        Right.WORK,
    )
    return table


TABLE: Final = _table()
_FIXED: Final = {
    (method, tuple(path.split("/"))): right
    for (method, path), right in TABLE.items()
    if "{" not in path
}
_PATTERNS: Final[dict[tuple[str, int], list[tuple[list[str], Right]]]] = defaultdict(
    list
)
for (_method, _path), _right in TABLE.items():
    if "{" in _path:
        _parts = [_ANY if part.startswith("{") else part for part in _path.split("/")]
        _PATTERNS[_method, len(_parts)].append((_parts, _right))
