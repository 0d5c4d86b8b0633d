"""Names: what functions, steps, events, topics and environments may be called."""

from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow import limits
from ironflow.errors import ConfigurationError
from ironflow.policy import names


class Check(Protocol):
    """All checks are called alike."""

    def __call__(self, name: object, *, option: str = ...) -> str: ...


CHECKS: list[Check] = [
    names.check_step_name,
    names.check_function_id,
    names.check_environment,
    names.check_event_name,
    names.check_topic,
]
LONGEST = "a" * limits.NAME_CHARS_MAX


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", ["a", "charge-card_2", LONGEST])
def test_a_plain_name_is_a_name_of_anything(check: Check, name: str) -> None:
    """Letters, digits, - and _ are fine everywhere."""
    assert check(name) == name


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        (LONGEST + "a", "201 characters; the limit is 200"),
        ("a\nb", "cannot be shown"),
        ("a\x00", "cannot be shown"),
        ("a\x85", "cannot be shown"),
        ("a\u2028b", "cannot be shown"),
        ("a\ud800", "cannot be shown"),
        (None, "must be a str, not NoneType"),
        (b"a", "must be a str, not bytes"),
    ],
)
def test_what_cannot_be_shown_is_not_a_name_of_anything(
    check: Check, name: object, reason: str
) -> None:
    """The message begins with the option and ends with the reason."""
    with pytest.raises(ConfigurationError, match=rf"^called\b.*{reason}"):
        check(name, option="called")


@pytest.mark.parametrize("name", ["Charge the card", "größe: 3", "a.b/c\\d#1", "🙂"])
def test_a_step_may_have_any_readable_name(name: str) -> None:
    """Steps are named for people."""
    assert names.check_step_name(name) == name


@pytest.mark.parametrize("name", ["compensate:charge", "publish:orders"])
def test_a_step_may_not_take_a_name_of_the_engine(name: str) -> None:
    """Undo steps and publications have these."""
    with pytest.raises(ConfigurationError, match="uses for its own steps"):
        names.check_step_name(name)


@pytest.mark.parametrize("check", [names.check_function_id, names.check_environment])
@pytest.mark.parametrize("name", ["-a", "_a", "a.b", "a b", "a/b", "größe", "a:b"])
def test_an_identifier_has_letters_digits_and_two_signs(
    check: Check, name: str
) -> None:
    """It stands in addresses and keys, so its alphabet is small."""
    with pytest.raises(ConfigurationError, match="may have letters, digits"):
        check(name)


@pytest.mark.parametrize("check", [names.check_event_name, names.check_topic])
@pytest.mark.parametrize(
    "name", ["order.created", "order:eu.paid", "a.b.c.d", "systems.up"]
)
def test_an_event_has_segments(check: Check, name: str) -> None:
    """Joined by dots, with almost any sign in between."""
    assert check(name) == name


@pytest.mark.parametrize("check", [names.check_event_name, names.check_topic])
@pytest.mark.parametrize(
    "name", [".a", "a.", "a..b", ".", "a b", "order.*", "order.>", "*", "a*"]
)
def test_an_event_has_no_empty_segments_spaces_or_wildcards(
    check: Check, name: str
) -> None:
    """Otherwise a pattern could not tell them apart."""
    with pytest.raises(ConfigurationError, match="is not a name: write segments"):
        check(name)


@pytest.mark.parametrize("check", [names.check_event_name, names.check_topic])
@pytest.mark.parametrize("prefix", ["events:", "topic:", "entity:", "system."])
def test_an_event_may_not_lie_in_a_namespace_of_the_engine(
    check: Check, prefix: str
) -> None:
    """What the engine says cannot be said by others."""
    with pytest.raises(ConfigurationError, match="a namespace of the engine"):
        check(prefix + "order")


def test_a_run_waits_for_events_of_users_and_for_topics() -> None:
    """Behind the prefix of a topic stands a name like any other."""
    assert names.check_awaited_name("order.paid") == "order.paid"
    assert names.check_awaited_name("topic:prices.eu") == "topic:prices.eu"
    with pytest.raises(ConfigurationError, match="is not a name: write segments"):
        names.check_awaited_name("topic:prices.*")


@given(st.text())
def test_every_text_is_a_name_or_refused(text: str) -> None:
    """No text gets past a check changed, or with another error."""
    for check in CHECKS:
        try:
            assert check(text) == text
        except ConfigurationError:
            continue
        text.encode()
