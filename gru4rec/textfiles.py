"""Text files of sessions: how one is written, found by a look at all of its bytes before anything is parsed.

What a parser would take in silence, or choke on, is refused here with its line: blank lines, quotation marks that
swallow the lines after them, lines without an end.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from gru4rec import files, parquet
from gru4rec.terminal import plain, quoted

_SEPARATORS = ("\t", ",", ";", "|")
_BLANK = " "  # separates where a header has none of the others
_BLOCK = 16 * 2**20
_LONGEST_LINE = 2**20
_STRAY_CR = re.compile(rb"\r(?!\n)")


@dataclass(frozen=True)
class TextFile:
    """How a text file of sessions is written: the names in its header, its separator, whether it has quotation marks.

    rows: lines of it below the header, without blank ones at the end. sha256: of its content.
    """

    path: Path
    names: tuple[str, ...]
    separator: str
    quote: str | None
    rows: int
    sha256: str

    def scan(self, types: Mapping[str, Any] = MappingProxyType({})) -> pl.LazyFrame:
        """All columns as texts, but for those of other Polars ``types``."""
        lines = pl.scan_csv(
            parquet.source(self.path), separator=self.separator, quote_char=self.quote, has_header=False, skip_lines=1,
            schema=dict.fromkeys(self.names, pl.String) | dict(types), missing_columns="insert", glob=False,
        )  # fmt: skip
        return lines.head(self.rows)


def look(path: Path, columns: Sequence[str]) -> TextFile:
    """How a text file is written, after one look at all of its bytes.

    Raises:
        ValueError: naming file and line where lines end with CR alone, where a line is longer than 1 MiB, blank (the
            last may be) or has an unclosed quotation mark, where it is no UTF-8 text, or has no such columns.
        OSError: where it cannot be read.
    """
    files.check_finished(path)
    digest, lines, last, quotes, rest = hashlib.sha256(), 0, 0, False, b""
    names: tuple[str, ...] = ()
    separator = "\t"
    with path.open("rb") as file:
        while True:
            block = file.read(_BLOCK)
            digest.update(block)
            at_end = not block
            block = rest + (block or (b"\n" if rest else b""))
            end = block.rfind(b"\n") + 1
            block, rest = block[:end], block[end:]
            _check_line_length(path, block, rest, lines)
            if block:
                if not names:
                    names, separator = _header(path, block, columns)
                _check_characters(path, block, lines)
                _check_blank(path, block, lines, last)
                if separator != "\t" and b'"' in block:
                    quotes = True
                    _check_quotes(path, block, lines)
                if held := block.rstrip(b"\r\n"):
                    last = lines + held.count(b"\n") + 1
                lines += block.count(b"\n")
            if at_end:
                break
    if not names:
        raise ValueError(f"{path} is empty")
    return TextFile(path, names, separator, '"' if quotes else None, last - 1, digest.hexdigest())


def check_line_lengths(path: Path) -> None:
    """Raise ValueError for a file with a line longer than 1 MiB, as one that is no text has, or lines that CR ends."""
    lines, rest = 0, b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            block = rest + block
            end = block.rfind(b"\n") + 1
            block, rest = block[:end], block[end:]
            _check_line_length(path, block, rest, lines)
            lines += block.count(b"\n")
    if not lines:
        _refuse_cr(path, rest)


def _check_line_length(path: Path, block: bytes, rest: bytes, lines: int) -> None:
    start = 0
    while start < len(block):
        end = block.rfind(b"\n", start, start + _LONGEST_LINE)
        if end < 0:
            _refuse_cr(path, block[start : start + _LONGEST_LINE])
            line = lines + block.count(b"\n", 0, start) + 1
            raise ValueError(f"{path}, line {line}: longer than {_LONGEST_LINE:,} bytes; it is no file of sessions")
        start = end + 1
    if len(rest) > _LONGEST_LINE:
        if not lines and not block:
            _refuse_cr(path, rest[:_LONGEST_LINE])
        line = lines + block.count(b"\n") + 1
        raise ValueError(f"{path}, line {line}: longer than {_LONGEST_LINE:,} bytes; it is no file of sessions")


def _refuse_cr(path: Path, start: bytes) -> None:
    if b"\r" in start.rstrip(b"\r\n"):
        raise ValueError(f"{path}: its lines end with CR alone; LF or CR LF is needed")


def _header(path: Path, block: bytes, columns: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """(names, separator)."""
    line = block.partition(b"\n")[0]
    try:
        text = line.decode("utf-8-sig").rstrip("\r")
    except UnicodeDecodeError:
        raise ValueError(f"{path}, line 1: no text in UTF-8") from None
    _refuse_cr(path, line)
    if "\0" in text:
        raise ValueError(f"{path}, line 1: a NUL byte; a text in UTF-8 is needed")
    if not text.strip():
        raise ValueError(f"{path}, line 1: a blank line; the names of the columns are needed there")
    separator = max(_SEPARATORS, key=text.count)
    if separator not in text and _BLANK in text:
        separator = _BLANK
    cells = text.split(separator)
    if separator != "\t":
        cells = [cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell for cell in cells]
    for name in columns:
        if name not in cells:
            raise ValueError(f"{path} has no column {name!r}; its columns are {_listed(cells)}")
        if cells.count(name) > 1:
            raise ValueError(f"{path}: {cells.count(name)} columns are named {name!r}; one is accepted")
    # the others' names must differ too, for Polars; none of them is read
    return tuple(cell if cell in columns else f"{cell}\0{k}" for k, cell in enumerate(cells)), separator


def _check_characters(path: Path, block: bytes, lines: int) -> None:
    """Raise ValueError for what no text of lines holds: NUL bytes, as damaged files have, and a CR within a line."""
    if (found := block.find(b"\0")) >= 0:
        line = lines + block.count(b"\n", 0, found) + 1
        raise ValueError(f"{path}, line {line}: a NUL byte; the file is damaged, or no text in UTF-8")
    if block.count(b"\r") != block.count(b"\r\n") and (stray := _STRAY_CR.search(block)):
        line = lines + block.count(b"\n", 0, stray.start()) + 1
        raise ValueError(f"{path}, line {line}: a CR within the line; lines end with LF or CR LF")


def _listed(names: list[str]) -> str:
    text = ", ".join(names)
    return plain(text) if len(text) <= 80 else quoted(text)


def _check_blank(path: Path, block: bytes, lines: int, last: int) -> None:
    """Raise ValueError for a blank line that others follow. lines: before the block. last: of them, not blank."""
    held = block.rstrip(b"\r\n")
    blank = lines if held and last < lines else 0
    if not blank and held.startswith((b"\n", b"\r\n")):
        blank = lines + 1
    for pattern in (b"\n\n", b"\n\r\n"):
        found = held.find(pattern)
        if not blank and found >= 0:
            blank = lines + held.count(b"\n", 0, found) + 2
    if blank:
        raise ValueError(f"{path}, line {blank}: a blank line")


def _check_quotes(path: Path, block: bytes, lines: int) -> None:
    """Raise ValueError for a line whose quotation marks are odd in number: it would swallow the lines after it."""
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    seen = np.searchsorted(np.flatnonzero(data == ord('"')), ends)
    odd = np.flatnonzero(np.diff(seen, prepend=0) % 2)
    if len(odd):
        raise ValueError(f"{path}, line {lines + odd[0] + 1}: a quotation mark that this line does not close")


def ragged_line(text: TextFile) -> str | None:
    """File, line and fault of the first line that is no UTF-8 or has more fields than the header; slow."""
    with text.path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                found = line.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                return f"{text.path}, line {number}: no text in UTF-8"
            outside = re.sub(r'"(?:[^"]|"")*"', "", found) if text.quote else found
            if outside.count(text.separator) >= len(text.names):
                fields = outside.count(text.separator) + 1
                return f"{text.path}, line {number}: {fields} fields, the header has {len(text.names)}: {quoted(found)}"
            if text.quote and '"' in outside:
                return f"{text.path}, line {number}: a quotation mark within a field: {quoted(found)}"
    return None
