"""``python -m parity template``: an engine in PyTorch to start from."""

import argparse
import sys
from pathlib import Path

import parity
from gru4rec.files import write_text


def add(commands) -> None:
    parser = commands.add_parser(
        "template",
        help="write an engine in PyTorch to start from",
        description="Prints an engine in PyTorch that runs as it stands; the places for a program of one's own are "
        "marked HOOK. PyTorch is not needed to write it.",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write it there (default: the standard output)")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE where it is there")
    parser.set_defaults(execute=execute)


def text() -> str:
    """The template: a module of this package that nobody imports."""
    return Path(parity.__file__).with_name("template.py").read_text(encoding="utf-8")


def execute(options: argparse.Namespace) -> int:
    if options.out is None:
        sys.stdout.write(text())
        return 0
    out = options.out
    if out.suffix != ".py" or not out.stem.isidentifier():
        raise ValueError(f"--out {out}: a name that can be imported, such as my_gru4rec.py, is accepted")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"--out {out}: no folder {out.parent}")
    if out.exists() and not options.overwrite:
        raise FileExistsError(f"--out {out}: it is there; --overwrite replaces it")
    write_text(out, text())
    print(f"template: {out}. Next, in its folder: python -m parity doctor {out.stem}:GRU4Rec", flush=True)
    return 0
