"""What a published client gets of a server: run by the Python that has that SDK.

    .interop/bin/python tests/interop/client.py URL KEY

It prints one JSON object: what each call gave, as plain data.
"""

import json
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

# Not the package of this checkout, although it has the same name.
published: Any = import_module("ironflow")
v1: Any = import_module("ironflow.rpc.v1")
wkt: Any = import_module("protobuf.wkt")


def struct(value: dict[str, Any]) -> Any:
    return wkt.Struct.from_python(value)


def plain(message: Any) -> Any:
    return json.loads(message.to_json())


def refused(call: Callable[[], object]) -> str:
    """Return the code with which a call fails."""
    try:
        call()
    except published.IronflowError as error:
        code = getattr(error, "code", "")
        return str(getattr(code, "value", code))
    return ""


def rpc(url: str, key: str) -> dict[str, Any]:
    """Events, functions, runs and messages over Connect, in binary and gzip."""
    found: dict[str, Any] = {}
    with published.IronflowRPC(
        url, api_key=key, environment="default", timeout=10
    ) as r:
        order = v1.TriggerRequest(
            event="order.created", data=struct({"orderId": "o1"}), idempotency_key="k"
        )
        first, again = r.events.emit(order), r.events.emit(order)
        found["emitted"], found["same"] = plain(first), plain(first) == plain(again)
        sync = v1.TriggerSyncRequest(
            event="order.created", data=struct({"orderId": "o2"})
        )
        found["sync"] = plain(r.runs.trigger_sync(sync))
        lost = v1.TriggerSyncRequest(event="order.lost", data=struct({"orderId": "o3"}))
        found["lost"] = plain(r.runs.trigger_sync(lost))
        batch = v1.TriggerBatchRequest(
            events=[order, v1.TriggerRequest(event="nobody.asks")]
        )
        found["batch"] = plain(r.runs.trigger_batch(batch))
        invoked = v1.InvokeFunctionSyncRequest(
            function_id="order", data=struct({"orderId": "o4"})
        )
        found["invoked"] = plain(r.runs.invoke_function_sync(invoked))
        found["run"] = plain(r.runs.get(v1.GetRunRequest(id=first.run_ids[0])))
        steps = r.runs.get_steps(v1.GetRunStepsRequest(run_id=first.run_ids[0]))
        found["steps"] = plain(steps)
        found["runs"] = plain(r.runs.list(v1.ListRunsRequest(limit=2)))
        found["failed"] = plain(
            r.runs.list(v1.ListRunsRequest(status=v1.RunStatus.FAILED))
        )
        found |= functions(r) | steering(r)
        found["unknown"] = refused(
            lambda: r.runs.get(v1.GetRunRequest(id="run_" + "0" * 32))
        )
        found["absent"] = refused(
            lambda: r.projections.list(v1.ListProjectionsRequest())
        )
    with published.IronflowRPC(url, api_key="ifkey_" + "0" * 32, timeout=10) as r:
        found["stranger"] = refused(lambda: r.runs.list(v1.ListRunsRequest()))
    return found


def functions(r: Any) -> dict[str, Any]:
    request = v1.RegisterFunctionRequest(
        id="far",
        triggers=[v1.Trigger(event="far.*")],
        preferred_mode=v1.ExecutionMode.PULL,
        retry=v1.RetryConfig(max_attempts=3),
    )
    return {
        "registered": plain(r.functions.register(request)),
        "function": plain(r.functions.get(v1.GetFunctionRequest(id="far"))),
        "functions": plain(r.functions.list(v1.ListFunctionsRequest())),
    }


def steering(r: Any) -> dict[str, Any]:
    """A run that waits: paused, corrected, resumed, given its message, and deleted."""
    found: dict[str, Any] = {}
    asked = r.runs.trigger(v1.TriggerRequest(event="approval.asked"))
    [run_id] = asked.run_ids
    waiting = v1.InvokeFunctionSyncRequest(function_id="approval", timeout_ms=300)
    late = r.runs.invoke_function_sync(waiting)
    found["late"] = plain(late)
    cancel = v1.CancelRunRequest(id=late.result.run_id, reason="enough")
    found["cancelled"] = plain(r.runs.cancel(cancel))
    found["paused"] = plain(r.runs.pause(v1.PauseRunRequest(run_id=run_id)))
    found["state"] = plain(
        r.runs.get_paused_state(v1.GetPausedStateRequest(run_id=run_id))
    )
    inject = v1.InjectStepOutputRequest(
        run_id=run_id, step_id="ask:0", new_output=b'"now"', reason="test"
    )
    found["before"] = r.runs.inject_step_output(inject).previous_output.decode()
    found["resumed"] = plain(r.runs.resume(v1.ResumeRunRequest(run_id=run_id)))
    answer = v1.PublishRequest(
        topic="answers", data=struct({"yes": True}), idempotency_key="step-1"
    )
    found["published"] = plain(r.pubsub.publish(answer))
    found["repeated"] = plain(r.pubsub.publish(answer))
    found["run_id"] = run_id
    return found


def rest(url: str, key: str) -> dict[str, Any]:
    """The server, its events, workers and keys, over REST."""
    client = published.IronflowClient(url, api_key=key)
    stranger = published.IronflowClient(url)
    made = client.api_keys_create({"name": "ci", "role_ids": ["viewer"]})
    listed = client.api_keys_list()
    rotated = client.api_keys_rotate(made["id"])
    client.api_keys_delete(made["id"])
    events = client.events_list(limit=5)
    return {
        "health": client.health()["status"],
        "ready": client.ready()["status"],
        "capabilities": client.capabilities()["auth_required"],
        "workers": len(client.workers_list()["workers"]),
        "events": [each["name"] for each in events["events"]],
        "event": client.events_get(events["events"][0]["id"])["id"]
        == events["events"][0]["id"],
        "keys": sorted(each["name"] for each in listed),
        "rotated": rotated["id"] == made["id"] and rotated["key"] != made["key"],
        "left": [each["name"] for each in client.api_keys_list()],
        "unauthenticated": refused(stranger.workers_list),
    }


if __name__ == "__main__":
    server, secret = sys.argv[1:]
    print(json.dumps({"rpc": rpc(server, secret), "rest": rest(server, secret)}))
