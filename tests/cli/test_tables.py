"""Tables fit the terminal, and what other people have written cannot steer it."""

import pytest

from app.commands import terminal
from app.commands.terminal import clean, one_line, print_table
from app.commands.wording import brief

UUID = "01a20e72-6497-798b-8169-12547112175a"


@pytest.fixture
def of_80_columns(monkeypatch):
    monkeypatch.setattr(terminal, "_WIDE", 80)


def test_a_narrow_terminal_cuts_the_flexible_column_and_keeps_the_others_whole(of_80_columns, capsys):
    print_table("uuid, name, status, age", [(UUID, "a very long name " * 9, "completed", "3 min")], flexible="name")
    header, row = capsys.readouterr().out.splitlines()
    assert len(header) <= 80
    assert len(row) <= 80
    assert row.startswith(UUID)
    assert row.rstrip().endswith("completed  3 min")
    assert "…" in row


def test_where_there_is_room_nothing_is_cut(capsys):
    print_table("uuid, name", [(UUID, "long " * 60)], flexible="name")
    assert ("long " * 60).strip() in capsys.readouterr().out


def test_markup_is_text_and_control_characters_are_gone(capsys):
    print_table("name", [("[bold]x[/bold] \x1b[31mred\x1b[0m\x1b]0;title\x07\nnext\x9b",)])
    assert capsys.readouterr().out.splitlines()[1].rstrip() == "[bold]x[/bold] red next"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a\x1b[2Jb", "ab"),
        ("a\x00b\rc", "abc"),
        ("two\nlines\tkept", "two\nlines\tkept"),
        ("\x1b]8;;x\x1b\\link", "link"),
    ],
)
def test_clean_strips_what_steers_a_terminal(text: str, left: str):
    assert clean(text) == left
    assert one_line(text) == " ".join(left.split())


def test_brief_durations_have_one_unit():
    assert [brief(s) for s in (None, 0.25, 42, 60, 3_700, 90_000)] == ["", "0.2 s", "42 s", "1 min", "1 h", "1 d"]
