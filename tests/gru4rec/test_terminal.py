"""No control character of a file or a name reaches the terminal."""

import io
import os
import sys

import pytest

from gru4rec import terminal


@pytest.mark.parametrize(
    "text, shown",
    [
        ("plain, ä€ 日本", "plain, ä€ 日本"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\rb\x9bc\x7f", "a\\x0db\\x9bc\\x7f"),
        ("right\u202eleft", "right\\u202eleft"),
        (os.fsdecode(b"caf\xe9.tsv"), "caf\\xe9.tsv"),
    ],
)
def test_control_characters_are_written_out(text, shown):
    assert terminal.plain(text) == shown


def test_pieces_of_files_are_short_and_of_one_line():
    assert terminal.quoted("a\tb\nc") == "'a\\tb\\nc'"
    assert terminal.quoted("x" * 1000) == f"'{'x' * 80}'..."
    assert terminal.shortened("x" * 1000) == "x" * 80 + "..."


def test_what_is_printed_and_what_stands_in_tables_is_escaped(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    console = terminal.console()
    console.print("\x1b[2J text [bold]")
    table = terminal.make_table("\x1b title", "\x1b heading")
    table.add_row("\x1b cell")
    console.print(table)
    shown = stream.getvalue()
    assert "\x1b" not in shown and "text [bold]" in shown
    assert all(f"\\x1b {word}" in shown for word in ("title", "heading", "cell"))


def test_there_is_no_bar_where_the_standard_error_is_no_terminal(capsys):
    with terminal.progress() as bar:
        bar.add_task("training", total=3, figures="")
    assert capsys.readouterr() == ("", "")
