"""Durations and times: what is accepted, what is refused, and how it is shown."""

import math
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow import limits
from ironflow.errors import ConfigurationError
from ironflow.policy.duration import (
    Duration,
    format_duration,
    parse_duration,
    parse_time,
)

UNIT_US = {
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
DURATIONS_US = st.integers(0, limits.DURATION_US_MAX)


@pytest.mark.parametrize(
    ("written", "expected_us"),
    [
        ("30s", 30_000_000),
        ("5m", 300_000_000),
        ("2h", 7_200_000_000),
        ("7d", 604_800_000_000),
        ("1h30m", 5_400_000_000),
        ("1d2h3m4s5ms6us", 93_784_005_006),
        ("1500ms", 1_500_000),
        ("1.5h", 5_400_000_000),
        ("1h0.5m", 3_630_000_000),
        ("0.1s", 100_000),
        ("0s", 0),
        (0, 0),
        (90, 90_000_000),
        (0.1, 100_000),
        (timedelta(days=1, microseconds=1), 86_400_000_001),
    ],
)
def test_a_duration_is_read_in_every_accepted_form(
    written: Duration, expected_us: int
) -> None:
    """Texts, seconds and timedeltas all become exact microseconds."""
    assert parse_duration(written, option="timeout") == expected_us


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "5",
        "s",
        "5x",
        "5S",
        "-5s",
        "+5s",
        "1m1h",
        "1h1h",
        "1.5h30m",
        "1h 30m",
        "1.s",
        ".5s",
        "5s\n",
        "\u0665s",  # an Arabic five
        "5\u00b5s",
        "9" * 5_000 + "s",
        True,
        math.nan,
        math.inf,
        None,
        [5],
    ],
)
def test_what_is_not_a_duration_is_refused_with_what_is(written: object) -> None:
    """The message names the option and shows the accepted forms."""
    with pytest.raises(
        ConfigurationError, match=r"^timeout=.* is not a duration; .*30s"
    ):
        parse_duration(written, option="timeout")  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("written", [-1, -0.5, timedelta(microseconds=-1)])
def test_a_negative_duration_is_refused(written: Duration) -> None:
    """Nothing waits backwards."""
    with pytest.raises(ConfigurationError, match=r"^delay=.* is negative"):
        parse_duration(written, option="delay")


@pytest.mark.parametrize("written", ["36601d", 1e300, timedelta.max])
def test_a_duration_beyond_the_limit_is_refused(written: Duration) -> None:
    """The message says what the longest one is, even for a number nobody can print."""
    with pytest.raises(
        ConfigurationError, match=r"^delay=.*longest duration is 36600d"
    ):
        parse_duration(written, option="delay")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_that_nobody_can_print_is_refused(sign: int) -> None:
    """Python refuses to show it, so the message does not try."""
    with pytest.raises(ConfigurationError, match=r"^delay=a huge number is "):
        parse_duration(sign * 10**5_000, option="delay")


def test_the_longest_duration_is_accepted() -> None:
    """The limit itself is inside."""
    longest = timedelta(microseconds=limits.DURATION_US_MAX)

    assert parse_duration(longest, option="delay") == limits.DURATION_US_MAX


def test_a_long_wrong_value_is_shown_in_part() -> None:
    """A megabyte given by mistake does not fill the log."""
    with pytest.raises(ConfigurationError) as caught:
        parse_duration("x" * 1_000_000, option="delay")

    assert len(str(caught.value)) < 300


@given(
    st.lists(st.sampled_from(list(UNIT_US)), unique=True, min_size=1).map(
        lambda units: sorted(units, key=list(UNIT_US).index)
    ),
    st.integers(0, 999),
    st.integers(0, 999),
)
def test_a_text_is_the_sum_of_its_parts(
    units: list[str], count: int, thousandths: int
) -> None:
    """Each part counts by its unit; the last one may have a fraction."""
    text = "".join(f"{count}{unit}" for unit in units[:-1])
    text += f"{count}.{thousandths:03}{units[-1]}"
    expected = sum(Fraction(count * UNIT_US[unit]) for unit in units)
    expected += Fraction(thousandths * UNIT_US[units[-1]], 1_000)

    assert parse_duration(text, option="delay") == round(expected)


@pytest.mark.parametrize(
    ("duration_us", "expected"),
    [
        (0, "0s"),
        (850, "850us"),
        (1_200, "1.2ms"),
        (12_345, "12.3ms"),
        (123_456, "123ms"),
        (999_960, "1s"),
        (3_400_000, "3.4s"),
        (59_940_000, "59.9s"),
        (59_960_000, "1m"),
        (90 * 60_000_000, "1h30m"),
        (7 * UNIT_US["d"], "7d"),
        (UNIT_US["d"] + UNIT_US["s"], "1d1s"),
        (-3_400_000, "-3.4s"),
    ],
)
def test_a_duration_is_shown_short(duration_us: int, expected: str) -> None:
    """Three digits under a minute, whole seconds above."""
    assert format_duration(duration_us) == expected


@given(DURATIONS_US)
def test_what_is_shown_reads_back_within_a_hundredth(duration_us: int) -> None:
    """Rounding loses less than one per cent."""
    read_us = parse_duration(format_duration(duration_us), option="delay")

    assert abs(read_us - duration_us) * 100 <= duration_us


@given(DURATIONS_US)
def test_what_is_shown_reads_back_as_what_is_shown(duration_us: int) -> None:
    """Showing, reading and showing again changes nothing."""
    text = format_duration(duration_us)

    assert format_duration(parse_duration(text, option="delay")) == text


@given(
    st.integers(60, limits.DURATION_US_MAX // 1_000_000).map(lambda s: s * 1_000_000)
)
def test_whole_seconds_of_a_minute_or_more_read_back_exactly(duration_us: int) -> None:
    """No rounding where users write durations."""
    assert parse_duration(format_duration(duration_us), option="delay") == duration_us


@given(DURATIONS_US, DURATIONS_US)
def test_a_longer_duration_is_not_shown_shorter(one_us: int, other_us: int) -> None:
    """Rounding keeps the order, also where the unit changes."""
    shorter, longer = sorted([one_us, other_us])

    assert parse_duration(format_duration(shorter), option="a") <= parse_duration(
        format_duration(longer), option="b"
    )


@pytest.mark.parametrize(
    ("written", "expected_us"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01T02:00:00.000001+02:00", 1),
        (datetime(1970, 1, 2, tzinfo=UTC), UNIT_US["d"]),
        (datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 0),
        (datetime(1969, 7, 20, tzinfo=UTC), 0),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), 0),
    ],
)
def test_a_time_becomes_microseconds_since_the_epoch(
    written: datetime | str, expected_us: int
) -> None:
    """Offsets count; what was before the epoch is past all the same."""
    assert parse_time(written, option="until") == expected_us


@pytest.mark.parametrize(
    "written",
    ["2030-01-31", "2030-01-31T09:00:00", datetime(2030, 1, 31)],  # noqa: DTZ001  # the subject
)
def test_a_time_without_a_zone_is_refused_with_advice(written: datetime | str) -> None:
    """Whose nine o'clock it is cannot be guessed."""
    with pytest.raises(ConfigurationError, match=r"^until=.*time zone.*UTC"):
        parse_time(written, option="until")


@pytest.mark.parametrize("written", ["tomorrow", "", 1_700_000_000, None])
def test_what_is_not_a_time_is_refused(written: object) -> None:
    """The message shows what a time looks like."""
    with pytest.raises(ConfigurationError, match=r"^until=.*is not a time; .*2030"):
        parse_time(written, option="until")  # type: ignore[arg-type]  # on purpose


@given(
    st.datetimes(min_value=datetime(1970, 1, 2)),  # noqa: DTZ001  # its zone follows
    st.integers(-23 * 60, 23 * 60),
)
def test_a_time_reads_the_same_as_text_and_as_datetime(
    moment: datetime, offset_minutes: int
) -> None:
    """ISO 8601 text keeps the offset, so both mean one moment."""
    moment = moment.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))

    assert parse_time(moment.isoformat(), option="until") == parse_time(
        moment, option="until"
    )
