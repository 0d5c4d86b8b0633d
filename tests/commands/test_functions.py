"""What `ironflow functions show` says of an endpoint."""

from ironflow.commands import output
from ironflow.commands.functions import circuit_line

AT = 1_893_456_000_000_000


def test_a_function_without_an_endpoint_has_no_circuit() -> None:
    assert circuit_line({}) == ""


def test_an_endpoint_that_is_called_says_so() -> None:
    assert circuit_line({"state": "closed", "consecutive_fails": 1}) == "closed"


def test_one_that_is_left_alone_says_until_when_and_why() -> None:
    found = {
        "state": "half_open",
        "consecutive_fails": 6,
        "last_error": "it answered 503",
        "open_until": "2030-01-01T00:00:00Z",
    }

    assert circuit_line(found) == (
        f"half open, left alone until {output.local(AT)} after 6 failures in a row;"
        " the last: it answered 503"
    )
