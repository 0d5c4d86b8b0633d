"""Figures for Prometheus."""

from prometheus_client.parser import text_string_to_metric_families

from ironflow import limits
from ironflow.journal.base import RunCount
from ironflow.transport.metrics import OTHERS, bounded, surface_of
from tests.transport.conftest import Server


async def samples(server: Server) -> dict[tuple[str, ...], float]:
    """Every figure by its name and the values of its labels, sorted."""
    found = await server.request("GET", "/metrics")
    assert found.status == 200
    assert (found.headers.get("content-type") or "").startswith("text/plain")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(found.body.decode())
        for sample in family.samples
    }


async def test_requests_and_runs_are_counted(server: Server) -> None:
    await server.emit("order.placed", {"id": "o1"})
    await server.emit("order.placed", {"id": "o2"})
    await server.request("GET", "/api/v1/runs/run_1")

    found = await samples(server)

    assert found["ironflow_http_requests_total", "200", "POST", "events"] == 2
    assert found["ironflow_http_requests_total", "404", "GET", "runs"] == 1
    assert found["ironflow_http_request_seconds_count", "events"] == 2
    assert found["ironflow_runs", "completed", "process-order"] == 2
    assert found["ironflow_workers",] == 0


async def test_runs_that_are_gone_are_not_shown(server: Server) -> None:
    run_id = await server.emit("approval.asked")
    before = await samples(server)
    await server.post(f"/api/v1/runs/{run_id}/cancel")
    await server.harness.settle()
    after = await samples(server)

    assert ("ironflow_runs", "ask", "waiting") in before
    assert ("ironflow_runs", "ask", "waiting") not in after
    assert after["ironflow_runs", "ask", "cancelled"] == 1


async def test_what_clients_invent_makes_no_labels(server: Server) -> None:
    for number in range(5):
        await server.request(f"BREW{number}", f"/coffee/{number}")

    found = await samples(server)

    assert found["ironflow_http_requests_total", "404", "other", "other"] == 5


def test_functions_with_the_most_runs_have_their_own_lines() -> None:
    most = limits.METRICS_FUNCTIONS_MAX
    counts = [RunCount(f"f{n}", "completed", n + 1) for n in range(most + 2)]

    found = bounded(counts)

    assert len(found) == most + 1
    assert found[OTHERS, "completed"] == 1 + 2
    assert found[f"f{most + 1}", "completed"] == most + 2


def test_a_path_has_one_of_a_few_surfaces() -> None:
    paths = {
        "/api/v1/events": "events",
        "/api/v1/runs/run_1/steps": "runs",
        "/api/v1/made-up": "other",
        "/ironflow.v1.IronflowService/Trigger": "connect",
        "/health": "health",
        "/": "other",
        "/metrics/x": "other",
    }

    assert {path: surface_of(path) for path in paths} == paths
