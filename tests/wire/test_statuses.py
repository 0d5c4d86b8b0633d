"""Words for how a run stands."""

import pytest

from ironflow.errors import ConfigurationError
from ironflow.wire.statuses import RUN_STATUSES, run_status


@pytest.mark.parametrize("word", RUN_STATUSES)
@pytest.mark.parametrize("form", ["{}", " {} ", "RUN_STATUS_{}"])
def test_our_words_are_taken_in_every_form(word: str, form: str) -> None:
    assert run_status(form.format(word).upper()) == word


@pytest.mark.parametrize(
    ("published", "ours"),
    [
        ("pending", "queued"),
        ("WAITING_FOR_CAPACITY", "queued"),
        ("canceled", "cancelled"),
    ],
)
def test_published_words_are_taken_for_ours(published: str, ours: str) -> None:
    assert run_status(published) == ours


def test_another_word_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ConfigurationError, match=r"'done' is no status.*queued, running"
    ):
        run_status("done")
