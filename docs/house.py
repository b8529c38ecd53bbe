"""Measures the plan of the house, and draws it: python docs/house.py [--commit OLD] [--out docs/_static/house.svg].

Printed are a package's files, lines, longest file and longest class, beside those of an older commit. The drawing has
the packages as rooms, from the bottom up, and an arrow from each to those that it imports, with the number of importing
files beside it; arrows that run down are red.
"""

import argparse
import ast
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
# {package: its place (column, floor) in the drawing}; what is named first may be imported by what is named later
PLACES = {
    "original": (0, 0),
    "keras_port": (2, 0),
    "gru4rec": (1, 1),
    "parity": (2, 2),
    "benchmarks": (0, 3),
    "examples": (1, 3),
    "tests": (2, 3),
}


class Room(NamedTuple):
    """What a package holds."""

    files: int
    lines: int
    longest_file: tuple[int, str]
    longest_class: tuple[int, str]
    imports: Mapping[str, int]  # {package: files that import it}


def sources(commit: str | None) -> dict[str, str]:
    """{path: text} of the tracked Python files, of a commit or of the folder."""

    def git(*command: str) -> str:
        return subprocess.run(["git", *command], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    names = git("ls-tree", "-r", "--name-only", commit) if commit else git("ls-files")
    paths = [path for path in names.splitlines() if path.endswith(".py")]
    return {path: git("show", f"{commit}:{path}") if commit else (ROOT / path).read_text("utf-8") for path in paths}


def imported(tree: ast.AST) -> set[str]:
    """The top-level names that a file imports by statement."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {each.name.split(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
    return found


def measure(texts: Mapping[str, str], package: str, packages: list[str]) -> Room:
    """The room of one package among ``packages``."""
    own = {path: text for path, text in texts.items() if path.startswith(f"{package}/")}
    trees = {path: ast.parse(text) for path, text in own.items()}
    classes = [
        (node.end_lineno - node.lineno + 1, f"{path}: {node.name}")
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.end_lineno
    ]
    names = [imported(tree) for tree in trees.values()]
    others = {each: sum(each in found for found in names) for each in packages if each != package}
    lengths = [(len(text.splitlines()), path) for path, text in own.items()]
    return Room(len(own), sum(length for length, _ in lengths), max(lengths), max(classes, default=(0, "")), others)


def rooms_of(commit: str | None) -> dict[str, Room]:
    """Every package that has files, of a commit or of the folder."""
    texts = sources(commit)
    packages = list(dict.fromkeys(path.split("/")[0] for path in texts if "/" in path and not path.startswith("docs/")))
    return {package: measure(texts, package, packages) for package in packages}


def draw(rooms: Mapping[str, Room], path: Path) -> None:
    """The drawing, as SVG."""
    mpl.rcParams["svg.hashsalt"] = "house"
    figure, axes = plt.subplots(figsize=(9, 6.4))
    center = {name: (3.4 * column, 2.0 * floor) for name, (column, floor) in PLACES.items()}
    floors = {name: floor for name, (_, floor) in PLACES.items()}
    for name, (x, y) in center.items():
        room = rooms[name]
        axes.text(
            x, y, f"{name}\n{room.files} files, {room.lines:,} lines", ha="center", va="center", fontsize=10,
            bbox={"boxstyle": "round,pad=0.6", "facecolor": "#eef3f8", "edgecolor": "#33506b"},
        )  # fmt: skip
        for other, count in room.imports.items():
            if not count or other not in center or (name == "tests" and other not in ("parity", "gru4rec")):
                continue  # tests import all that they test
            axes.annotate(
                "", xy=center[other], xytext=(x, y),
                arrowprops={
                    "arrowstyle": "-|>", "shrinkA": 28, "shrinkB": 28, "linewidth": 0.8 + count**0.5 / 4,
                    "color": "#33506b" if floors[other] < floors[name] else "#c0392b",
                },
            )  # fmt: skip
    axes.set_xlim(-1.6, 8.4)
    axes.set_ylim(-0.9, 6.9)
    axes.axis("off")
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def table(before: Mapping[str, Room], after: Mapping[str, Room], commit: str) -> Table:
    """Both plans, a row a package."""
    made = Table(title=f"before ({commit}) and now", pad_edge=False)
    for name in ("package", "files", "lines", "longest file", "longest class"):
        made.add_column(name)
    for package in dict.fromkeys((*before, *after)):
        sides = [rooms.get(package) for rooms in (before, after)]
        made.add_row(
            package,
            " / ".join(str(room.files) if room else "-" for room in sides),
            " / ".join(f"{room.lines:,}" if room else "-" for room in sides),
            " / ".join(f"{room.longest_file[0]}" if room else "-" for room in sides),
            " / ".join(f"{room.longest_class[0]}" if room else "-" for room in sides),
        )
    return made


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commit", default="f871708", help="the plan of before (f871708)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "_static" / "house.svg", help="the drawing")
    args = parser.parse_args()
    after = rooms_of(None)
    Console().print(table(rooms_of(args.commit), after, args.commit))
    draw(after, args.out)


if __name__ == "__main__":
    main()
