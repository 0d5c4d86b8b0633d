"""Every error has its place in the table of what clients are told."""

import pytest

from ironflow import errors
from ironflow.errors import IronflowError, JournalDamaged, JournalFull, RunNotFound
from ironflow.limits import ERROR_MESSAGE_CHARS_MAX
from ironflow.wire.failures import STATUS_OF, failure, failure_of, is_mapped, is_passing

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, IronflowError)
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_has_a_line_of_its_own(kind: type[IronflowError]) -> None:
    assert is_mapped(kind)


def test_a_code_has_the_status_of_connect() -> None:
    found = failure_of(RunNotFound("there is no run run_1"))

    assert (found.code, found.status) == ("not_found", 404)
    assert found.message == "there is no run run_1"
    assert not found.retryable


def test_an_error_of_a_user_is_what_its_base_is() -> None:
    class CardDeclined(errors.NonRetryableError):
        pass

    assert failure_of(CardDeclined("no money")).code == "failed_precondition"


def test_what_is_only_for_now_may_be_tried_again() -> None:
    assert failure_of(JournalFull("no space")).retryable
    assert failure_of(errors.EngineClosed("closing")).status == 503


@pytest.mark.parametrize(
    "error", [JournalDamaged("/var/lib/secret is broken"), KeyError("/var/lib/secret")]
)
def test_the_insides_of_the_server_are_nobody_s_business(error: Exception) -> None:
    found = failure_of(error)

    assert found.status == 500
    assert "secret" not in found.message


@pytest.mark.parametrize(
    "kind", [errors.JournalFull, errors.JournalFailed, errors.JournalOwned]
)
def test_what_a_journal_cannot_do_now_names_no_files(kind: type[IronflowError]) -> None:
    found = failure_of(kind("no space for /var/lib/secret/data.mdb"))

    assert (found.code, found.reason) == ("unavailable", kind.code)
    assert found.retryable
    assert "secret" not in found.message
    assert "try again" in found.message


def test_a_message_can_always_be_encoded_and_is_short() -> None:
    found = failure("invalid_argument", "\ud800" + "x" * ERROR_MESSAGE_CHARS_MAX * 2)

    assert found.message.encode().startswith(b"\\ud800xx")
    assert len(found.message) == ERROR_MESSAGE_CHARS_MAX


def test_what_is_refused_for_now_only_may_be_sent_again() -> None:
    passing = {code for code in STATUS_OF if is_passing(code)}

    assert passing == {"unavailable", "aborted", "resource_exhausted"}


def test_statuses_are_those_of_http() -> None:
    assert all(400 <= status < 600 for status in STATUS_OF.values())
