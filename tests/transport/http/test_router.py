"""Methods and paths to handlers."""

import pytest

from ironflow.transport.http.messages import HttpError, Request, Response
from ironflow.transport.http.router import Parameters, RoutedHandler, Router


def answering(text: str) -> RoutedHandler:
    async def handler(request: Request, parameters: Parameters) -> Response:
        values = ",".join(f"{name}={value}" for name, value in parameters.items())
        return Response(200, body=f"{text} {values}".strip().encode())

    return handler


def example() -> Router:
    router = Router()
    for method, path in [
        ("GET", "/"),
        ("GET", "/runs"),
        ("POST", "/runs"),
        ("GET", "/runs/{id}"),
        ("GET", "/runs/latest"),
        ("GET", "/runs/{id}/steps/{step}"),
        ("DELETE", "/runs/{id}"),
        ("GET", "/kv/{key...}"),
        ("GET", "/kv/{bucket}/keys"),
        ("GET", "/ironflow.v1.IronflowService/GetRun"),
    ]:
        router.add(method, path, answering(path))
    return router


async def answer(router: Router, method: str, path: str) -> str:
    response = await router.handle(Request(method, path))
    assert isinstance(response, Response)
    assert isinstance(response.body, bytes)
    return response.body.decode()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("/runs", "/runs"),
        ("/runs/r1", "/runs/{id} id=r1"),
        ("/runs/latest", "/runs/latest"),
        ("/runs/latest/steps/s", "/runs/{id}/steps/{step} id=latest,step=s"),
        ("/runs/a%2Fb", "/runs/{id} id=a/b"),
        ("/runs/%C3%A4", "/runs/{id} id=ä"),
        ("/run%73", "/runs"),
        ("/runs/50%", "/runs/{id} id=50%"),
        ("/kv/a", "/kv/{key...} key=a"),
        ("/kv/a/b/c", "/kv/{key...} key=a/b/c"),
        ("/kv/a%2Fb/c", "/kv/{key...} key=a/b/c"),
        ("/kv/a/keys", "/kv/{bucket}/keys bucket=a"),
        (
            "/ironflow.v1.IronflowService/GetRun",
            "/ironflow.v1.IronflowService/GetRun",
        ),
    ],
)
async def test_a_path_leads_to_its_most_exact_handler(path: str, expected: str) -> None:
    assert await answer(example(), "GET", path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "",
        "*",
        "runs",
        "/nothing",
        "/runs/",
        "//runs",
        "/runs/.",
        "/runs/..",
        "/runs/%2e%2E",
        "/runs//steps/s",
        "/runs/r1/steps",
        "/kv",
        "/kv/",
        "/kv/a//b",
        "/kv/a/../b",
        "/kv/a%2F..%2Fb",
        "/kv/a%2F",
        "/Runs",
    ],
)
def test_a_path_that_leads_nowhere_is_404(path: str) -> None:
    with pytest.raises(HttpError) as raised:
        example().route("GET", path)

    assert (raised.value.status, raised.value.code) == (404, "not_found")


def test_a_method_that_nobody_answers_is_405_with_those_that_are_answered() -> None:
    with pytest.raises(HttpError) as raised:
        example().route("PATCH", "/runs/latest")

    assert raised.value.status == 405
    assert raised.value.headers == (("allow", "DELETE, GET"),)


async def test_a_method_of_a_less_exact_path_is_found() -> None:
    assert await answer(example(), "DELETE", "/runs/latest") == "/runs/{id} id=latest"


async def test_get_answers_head() -> None:
    assert await answer(example(), "HEAD", "/runs/r1") == "/runs/{id} id=r1"
    assert await answer(example(), "HEAD", "/runs") == "/runs"


def test_a_parameter_that_is_no_text_is_400() -> None:
    with pytest.raises(HttpError) as raised:
        example().route("GET", "/runs/%ff")

    assert raised.value.status == 400


@pytest.mark.parametrize(
    "path",
    ["runs", "/runs/", "/runs", "/runs/{other}", "/{a...}/b", "/{a}/{a}", "/a/../b"],
)
def test_a_path_that_cannot_be_added_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|twice"):
        example().add("GET", path, answering("second"))
