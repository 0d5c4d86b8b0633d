"""Any request gets an answer that is as the description says, and none is our fault.

Schemathesis makes requests from the description, right ones and wrong ones.
"""

from typing import Any, cast
from urllib.parse import quote, urlencode

import msgspec
import pytest
import schemathesis
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode

from ironflow.transport import openapi
from ironflow.transport.handlers.endpoint import Endpoint
from ironflow.transport.rest import ENDPOINTS
from ironflow.wire.answers import FailureDocument
from tests.transport.conftest import Answered, open_server

SCHEMA = schemathesis.openapi.from_dict(openapi.described(ENDPOINTS))
OPERATIONS = {
    (found.method.upper(), found.path): found
    for found in (cast("Any", each).ok() for each in SCHEMA.get_all_operations())
}
EXAMPLES = 15


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing moves the clock of these servers, so nobody may wait for a run."""
    monkeypatch.setattr("ironflow.limits.RESULT_WAIT_US_MAX", 0)


def can_be_wrong(endpoint: Endpoint[Any, Any]) -> bool:
    description = openapi.described(ENDPOINTS)["paths"][endpoint.path]
    operation = description[endpoint.method.lower()]
    queries = [each for each in operation["parameters"] if each["in"] == "query"]
    return bool(queries or "requestBody" in operation)


CASES = [
    pytest.param(endpoint, mode, id=f"{endpoint.answer.__name__}-{mode.value}")
    for endpoint in ENDPOINTS
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if mode is GenerationMode.POSITIVE or can_be_wrong(endpoint)
]


@pytest.mark.slow
@pytest.mark.parametrize(("endpoint", "mode"), CASES)
def test_a_request_by_the_description_is_answered(
    endpoint: Endpoint[Any, Any], mode: GenerationMode
) -> None:
    operation = OPERATIONS[endpoint.method, endpoint.path]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode), st.booleans())
    def check(case: Case[Any], of_a_run: bool) -> None:  # noqa: FBT001  hypothesis gives it
        found = trio.run(send, case, of_a_run)
        check_answer(endpoint, found)

    check()


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from(["GET", "POST", "DELETE", "HEAD"]),
    st.sampled_from([each.path for each in ENDPOINTS] + ["", "/api/v1/%ff", "//", "*"]),
    st.text(),
    st.binary(),
)
def test_any_bytes_are_answered(
    method: str, path: str, query: str, body: bytes
) -> None:
    async def main() -> Answered:
        async with open_server() as server:
            return await server.request(method, f"{path}?{query}", body)

    found = trio.run(main)

    assert found.status < 500


async def send(case: Case[Any], of_a_run: bool) -> Answered:  # noqa: FBT001  see above
    """Send a generated request to a server that has a run; perhaps to that run."""
    async with open_server() as server:
        run_id = await server.emit("approval.asked")
        path = case.path
        for name, value in (case.path_parameters or {}).items():
            text = run_id if of_a_run else str(value)
            path = path.replace(f"{{{name}}}", quote(text, safe=""))
        query = urlencode(case.query or {}, doseq=True)
        with trio.fail_after(5):
            return await server.request(
                case.method.upper(), f"{path}?{query}", body_of(case)
            )


def body_of(case: Case[Any]) -> bytes:
    if isinstance(case.body, bytes):
        return case.body
    if type(case.body).__name__ == "NotSet":
        return b""
    return msgspec.json.encode(case.body)


def check_answer(endpoint: Endpoint[Any, Any], found: Answered) -> None:
    """The answer is a document of the kind that the description names."""
    assert found.status < 500
    kinds = {endpoint.status: endpoint.returns, **endpoint.other_answers}
    kind = kinds.get(found.status, FailureDocument)
    if found.status == 404 and endpoint.method == "GET" and b"nothing at" in found.body:
        kind = FailureDocument
    document = msgspec.json.decode(found.body, type=kind)
    if isinstance(document, FailureDocument):
        assert document.message
        assert document.error == document.message
