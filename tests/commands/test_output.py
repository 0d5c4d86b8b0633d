"""What commands print fits where it is printed, and does nothing to a terminal."""

import pytest

from ironflow.commands import output
from ironflow.transport.rendering import shown
from ironflow.wire.answers import moment


def test_a_text_is_cut_to_columns_not_characters() -> None:
    assert output.short("注文処理", 5) == "注文…"


@pytest.mark.parametrize("room", range(12))
def test_what_is_cut_never_takes_more_room(room: int) -> None:
    for text in ("abcdefghijkl", "注文処理注文処理", "e\u0301" * 8):
        assert output.columns(output.short(text, room)) <= max(room, 3)


def test_control_characters_are_shown_not_obeyed() -> None:
    assert output.plain("a\x1b[31mred\n\u202e") == "a\\x1b[31mred\\n\\u202e"
    assert output.plain_lines("a\nb\x07") == "a\nb\\x07"
    assert output.one_line({"a": "\x1b]0;title"}) == '{"a": "\\u001b]0;title"}'


def test_what_cannot_be_shown_is_said_to_be() -> None:
    assert shown(b"") is None
    assert "$unreadable" in str(shown(b"\xc1"))


def test_times_are_utc_for_programs() -> None:
    assert moment(1_700_000_000_000_001) == "2023-11-14T22:13:20.000001Z"
    assert moment(0) is None
    assert output.local(0) == "-"


def test_long_texts_are_wrapped_where_somebody_looks() -> None:
    text = "one two three four five six"

    assert output.wrapped(text, output.UNLIMITED) == [text]
    assert output.wrapped(text, 20) == ["one two three four", "five six"]
    assert output.wrapped("", 20) == [""]


def test_a_table_keeps_what_it_may_not_drop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    rows = [["n" * 20, "x" * 30, "d" * 90]]

    output.table(("NAME", "EXTRA", "DATA"), rows, dropped=("EXTRA",), cuttable=True)

    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == ["NAME", "DATA"]
    assert len(line) == 40
    assert line.startswith("n" * 20 + "  ddd")
