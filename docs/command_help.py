"""Writes the helps of all commands into docs/command.md: ``python docs/command_help.py``, after an option is new."""

import contextlib
import io
import os
from pathlib import Path

from gru4rec import cli

PAGE = Path(__file__).with_name("command.md")
MARK = "## Every command and its options\n"


def helps() -> str:
    """A section for each command."""
    os.environ["COLUMNS"] = "110"
    sections = []
    for words in ([], *([name] for name in cli.COMMANDS if name != "train")):
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
            cli.main([*words, "--help"])
        lines = "\n".join(line.rstrip() for line in shown.getvalue().splitlines())
        sections.append(f"### {' '.join(['gru4rec', *(words or ['PATH'])])}\n\n```text\n{lines}\n```\n")
    return "\n".join(sections)


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(f"{text.partition(MARK)[0]}{MARK}\n{helps()}", encoding="utf-8")
