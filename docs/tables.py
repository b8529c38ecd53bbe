"""Prints the tables of the pages anew, or checks that they are what the commands print.

python docs/tables.py docs/bounds.md     runs every command of a page and puts what it prints into the page
python docs/tables.py --check            runs the fast commands of all pages; exit status 1 where a page says otherwise

In a page a table stands between two lines, a command's output and nothing else:

    <!-- printed: python -m parity smallest (fast) -->
    <!-- /printed -->

``(fast)`` commands take seconds and are checked by the tests. ``(lines TEXT)`` keeps the lines that begin with TEXT.
Sizes of errors, 2.1e-16, are those of a processor: the check takes them for the same within a factor of ten.
"""

import argparse
import difflib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "parity" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"<!-- printed: (?P<command>.+?)(?P<fast> \(fast\))?(?: \(lines (?P<start>.+?)\))? -->\n"
    r"(?P<body>.*?)<!-- /printed -->",
    re.DOTALL,
)
SIZE = re.compile(r"\b\d(?:\.\d+)?e[-+]\d+\b")
WIDTH = 110


class Printed(NamedTuple):
    """One block of a page."""

    command: str
    fast: bool
    start: str | None
    body: str


def blocks(text: str) -> list[Printed]:
    """The blocks of a page."""
    found = BLOCK.finditer(text)
    return [Printed(one["command"], bool(one["fast"]), one["start"], one["body"]) for one in found]


def output(block: Printed) -> str:
    """What the command prints now, as a block's body.

    Raises:
        RuntimeError: where it cannot be run: exit status 2 or of a signal.
    """
    program, *arguments = shlex.split(block.command)
    command = [sys.executable if program == "python" else program, *arguments]
    environment = {**os.environ, "COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1, 3):
        raise RuntimeError(f"{block.command}: exit status {done.returncode}: {done.stderr[-500:]}")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    if block.start:
        lines = [line for line in lines if line.lstrip().startswith(block.start)]
    return "\n".join(["```text", *lines, "```", ""])


def same(wanted: str, found: str) -> bool:
    """Whether two bodies say the same."""
    if SIZE.sub("#", wanted) != SIZE.sub("#", found):
        return False
    pairs = zip(SIZE.findall(wanted), SIZE.findall(found), strict=True)
    return all(float(a) / 10 <= float(b) <= float(a) * 10 for a, b in pairs)


def renew(page: Path) -> None:
    """Run every command of a page and write what they print into it."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(text):
        text = text.replace(f" -->\n{block.body}<!--", f" -->\n{output(block)}<!--", 1)
    page.write_text(text, encoding="utf-8")


def check(page: Path) -> str:
    """The differences of a page's fast tables to what the commands print now, as text; '' where there are none."""
    said = []
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.fast and not same(block.body, now := output(block)):
            both = (block.body.splitlines(), now.splitlines())
            said += difflib.unified_diff(*both, str(page), block.command, lineterm="")
    return "\n".join(said)


def main() -> int:
    """Renew or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, help="pages (with --check: all)")
    parser.add_argument("--check", action="store_true", help="compare the fast tables, write nothing")
    args = parser.parse_args()
    pages = args.pages or (PAGES if args.check else [])
    if not pages:
        parser.error("name the pages whose commands are to be run")
    differences = ""
    for page in pages:
        if args.check:
            differences += check(page)
        else:
            renew(page)
    sys.stdout.write(differences)
    return bool(differences)


if __name__ == "__main__":
    sys.exit(main())
