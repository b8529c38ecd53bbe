"""What commands show: results on the standard output, progress and problems on the standard error.

No text that comes from a file or a name reaches the terminal with control characters in it.
"""

import errno
import sys
import unicodedata
from collections.abc import Iterable
from typing import Any

from rich import box, table
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

WIDTH = 140  # of tables, where the output is a file
_LONGEST = 80  # characters of a file that a message shows
_KEPT = "\n\t"


def plain(text: str) -> str:
    r"""``text`` with control characters, and what no terminal can show, written as escapes: ``\x1b``."""
    return "".join(
        char if char in _KEPT or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else _escape(char)
        for char in text
    )


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quoted(text: str, most: int = _LONGEST) -> str:
    """A piece of a file as a message shows it: in quotation marks, escaped, and cut where it is long."""
    cut = text[:most]
    shown = repr(plain(cut)) if plain(cut) == cut and "\n" not in cut and "\t" not in cut else f"'{_one_line(cut)}'"
    return shown if len(text) <= most else f"{shown}..."


def shortened(text: str, most: int = _LONGEST) -> str:
    """The same without quotation marks."""
    return _one_line(text[:most]) + ("..." if len(text) > most else "")


def _one_line(text: str) -> str:
    return plain(text).replace("\n", "\\n").replace("\t", "\\t")


class _SafeConsole(Console):
    """A console whose texts are escaped by :func:`plain`."""

    def on_broken_pipe(self) -> None:
        """Leave the exit status to the command: Rich's own would be the one of a training that diverged."""
        raise BrokenPipeError(errno.EPIPE, "the reader of the output is gone")

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(plain(each) if isinstance(each, str) else each for each in objects), **options)


class _SafeTable(table.Table):
    """A table whose cells and headings are escaped by :func:`plain`."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        super().add_row(*(Text(plain(each)) if isinstance(each, str) else each for each in cells), **options)

    def add_column(self, header: Any = "", *rest: Any, **options: Any) -> None:
        super().add_column(Text(plain(header)) if isinstance(header, str) else header, *rest, **options)


def console(stderr: bool = False) -> Console:
    """Wide enough for the tables where the output is a file."""
    options: dict[str, Any] = dict(stderr=stderr, markup=False, highlight=False, soft_wrap=True)
    found = _SafeConsole(**options)
    return found if found.is_terminal else _SafeConsole(**options, width=WIDTH)


def make_table(title: str, *columns: str, right: Iterable[str] = (), **options: Any) -> table.Table:
    """A table without columns' lines. right: headings of columns of numbers. options: further ones of Rich."""
    style: dict[str, Any] = dict(box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left")
    made = _SafeTable(title=Text(plain(title), style="bold"), **style | options)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def bar_options() -> dict[str, Any]:
    """Of Rich's bars: on the standard error, leaving nothing behind, and none where it is no terminal."""
    shown = console(stderr=True)
    return {"console": shown, "transient": True, "disable": not shown.is_terminal}


def progress() -> Progress:
    """A bar of a training."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(compact=True),
        **bar_options(),
        # a standard output that goes to a file stays there, while the bar is in the terminal
        redirect_stdout=sys.stdout.isatty(),
    )
