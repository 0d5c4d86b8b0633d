"""Exceptions as they are recorded, and as functions get them back."""

import pytest

from ironflow import limits
from ironflow.errors import (
    ConfigurationError,
    Conflict,
    InvokeError,
    NonRetryableError,
    RetryAfterError,
    StepError,
    ValueRejected,
)
from ironflow.interpreter import failures
from ironflow.records import ErrorInfo


class Outer:
    class Refused(Exception):
        """An exception of a module, inside a class."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def raised(error: Exception) -> Exception:
    """Return an exception with the traceback of two frames."""

    def below() -> None:
        raise error

    try:
        below()
    except Exception as caught:  # noqa: BLE001  the one just raised
        return caught
    raise AssertionError


def test_a_class_is_named_with_its_module() -> None:
    """Except those that everybody knows."""
    ours = failures.describe(Outer.Refused("x"))
    builtin = failures.describe(OSError("x"))

    assert ours.type == f"{__name__}.Outer.Refused"
    assert builtin.type == "OSError"


def test_errors_of_the_tree_keep_what_they_say_of_themselves() -> None:
    """Code, whether to try again, and their details."""
    cause = ErrorInfo(type="OSError", message="x")
    step = StepError("x", step="charge", attempts=3, cause=cause)
    child = InvokeError("x", function_id="f", run_id="run_1", cause=cause)

    assert failures.describe(step).details == {"step": "charge", "attempts": 3}
    assert failures.describe(child).details == {"function_id": "f", "run_id": "run_1"}
    assert failures.describe(step).code == "STEP_FAILED"
    assert not failures.describe(step).retryable
    assert failures.describe(OSError()).code == "ERROR"


def test_causes_are_kept_nearest_first_and_bounded() -> None:
    """A chain may be a ring or long; five are enough."""
    error = first = OSError("0")
    for number in range(1, 10):
        following = OSError(str(number))
        first.__cause__ = following
        first = following

    info = failures.describe(error)

    assert [cause.message for cause in info.causes] == ["1", "2", "3", "4", "5"]
    assert len(info.causes) == limits.ERROR_CAUSES_MAX


def test_a_context_is_a_cause_unless_it_was_suppressed() -> None:
    """As Python shows it."""
    kept, suppressed = ValueError("kept"), ValueError("suppressed")
    kept.__context__ = suppressed.__context__ = OSError("before")
    suppressed.__suppress_context__ = True

    assert [each.message for each in failures.describe(kept).causes] == ["before"]
    assert failures.describe(suppressed).causes == ()


def test_a_traceback_leaves_our_own_frame_out() -> None:
    """The first frame is the caller of the step, which tells nobody anything."""
    info = failures.describe(raised(OSError("x")))

    assert "in below" in info.traceback
    assert "in raised" not in info.traceback
    assert failures.describe(OSError("x"), with_traceback=False).traceback == ""


def test_an_exception_that_cannot_be_shown_is_recorded_all_the_same() -> None:
    """A user's __str__ may do anything; text may hold half a surrogate pair."""
    assert failures.describe(Unprintable()).message == (
        "<Unprintable: its __str__ failed>"
    )
    assert failures.describe(OSError("\ud800")).message == "\\ud800"
    long = failures.describe(OSError("x" * 100_000)).message
    assert len(long) == limits.ERROR_MESSAGE_CHARS_MAX


def test_what_is_recorded_is_read_back() -> None:
    """Also the defaults, which are not written."""
    info = failures.describe(raised(OSError("x")))

    assert failures.decode(failures.encode(info)) == info
    assert failures.decode(failures.encode(ErrorInfo("A", "b"))) == ErrorInfo("A", "b")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(), True),
        (RetryAfterError("x", after=1), True),
        (Conflict("x"), True),
        (NonRetryableError("x"), False),
        (ValueRejected("x"), False),
        (ConfigurationError("x"), False),
    ],
)
def test_what_ironflow_raises_says_whether_to_try_again(
    error: Exception, *, expected: bool
) -> None:
    """Anything else is tried again."""
    assert failures.may_retry(error) is expected
