"""Commands whose disk is full, read-only or missing: what they say, and what they leave.

Run as ``python -m tests.attacks.bad_disks``. A full disk is a limit on the size of a file, at many sizes up to that of
what a command writes; with the right to mount, also a small file system in memory and one that is read-only. Asked of
every command:

* exit status 2, or 0 where all of it fitted;
* one line, ``error: ...``, which names a file or an option, and no traceback;
* what was there before is whole; nothing that looks finished is there, and no temporary file.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.attacks.interruption import TOY, environment, make_inputs

SMALL = "n_epochs=2,layers=16,n_sample=16,batch_size=8"
COMMANDS = {
    "train-toy": ["train", "train.tsv", "--engine", TOY, "-ps", "n_epochs=2", "-s", "{out}/model"],
    "train-keras": ["train", "train.tsv", "--engine", "keras", "-d", "cpu", "-ps", SMALL, "-ss", "500", "-s",
                    "{out}/model"],
    "train-original-jax": ["train", "train.tsv", "--engine", "original-jax", "-d", "cpu", "-ps", SMALL, "-ss", "500",
                           "-s", "{out}/model"],
    "results-json": ["train", "train.tsv", "-t", "test.tsv", "--engine", TOY, "-ps", "n_epochs=2", "-o",
                     "{out}/r.json"],
    "results-parquet": ["train", "train.tsv", "-t", "test.tsv", "--engine", TOY, "-ps", "n_epochs=2", "-o",
                        "{out}/r.parquet"],
    "tune": ["tune", "train.tsv", "-t", "test.tsv", "--space", "space.json", "--engine", TOY, "-nt", "2", "-ps",
             "n_epochs=2", "--out", "{out}"],
    "prepare-rsc15": ["prepare", "rsc15", "clicks.dat", "--out", "{out}"],
    "augment": ["augment", "train.tsv", "--threshold", "1", "--out", "{out}"],
    "sample": ["sample", "rsc15", "--clicks", "5000", "--out", "{out}/clicks.dat"],
}  # fmt: skip


@dataclass
class Ended:
    """How a command ended."""

    status: int
    shown: str
    problem: str


def run(folder: Path, out: str, command: list[str], limit: int | None = None) -> Ended:
    """A command, with a limit of bytes to the files it writes."""

    def set_limit() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    # Python itself leaves a truncated module in its cache at such a limit, which breaks the next start.
    cacheless = environment({"PYTHONDONTWRITEBYTECODE": "1"})
    arguments = [sys.executable, "-P", "-m", "gru4rec", *(each.replace("{out}", out) for each in command)]
    done = subprocess.run(
        arguments, cwd=folder, env=cacheless, capture_output=True, text=True, preexec_fn=set_limit, timeout=600
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def content(folder: Path) -> dict[str, bytes]:
    """Of all files of a folder, by their names."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def fault(out: str, ended: Ended, before: dict[str, bytes], after: dict[str, bytes], wanted: set[str]) -> str | None:
    """What is wrong with an end; None where nothing is. wanted: the names of files that a finished command leaves."""
    said = f"{ended.problem[-400:]!r}"
    if ended.status == 0:
        return None if wanted <= set(after) else f"done, and {sorted(wanted - set(after))} are missing"
    if ended.status != 2:
        return f"status {ended.status}: {said}"
    if "Traceback" in ended.problem or not ended.problem.startswith("error: ") or ended.problem.count("\n") > 1:
        return f"no clear line: {said}"
    if not any(word in ended.problem for word in (out, "--out", "-s:", "-o:", "--storage")):
        return f"it names no file: {said}"
    if lost := [name for name, value in before.items() if after.get(name) != value and name != "study.db"]:
        return f"{lost} changed"
    if left := [name for name in after if name.endswith(".part") or ".unfinished" in name]:
        return f"{left} left"
    return None


def sizes(whole: dict[str, bytes], count: int) -> list[int]:
    """Limits from nothing to just below the largest file."""
    largest = max(len(value) for value in whole.values())
    return sorted({int((largest - 1) * k / max(1, count - 1)) for k in range(count)})


def attack_limits(name: str, folder: Path, count: int) -> Counter:
    """A command at ``count`` sizes that are too small."""
    outcomes: Counter = Counter()
    command = COMMANDS[name]
    (folder / f"{name}-whole").mkdir()
    ended = run(folder, f"{name}-whole", command)
    if ended.status:
        raise RuntimeError(f"{name} by itself ends with {ended.status}: {ended.problem}")
    whole = content(folder / f"{name}-whole")
    for limit in sizes(whole, count):
        out = folder / f"{name}-{limit}"
        out.mkdir()
        ended = run(folder, out.name, command, limit)
        found = fault(out.name, ended, {}, content(out), set(whole))
        outcomes[f"FAULT at {limit} bytes: {found}" if found else f"status {ended.status}"] += 1
        if ended.status == 2:  # the disk has room again
            more = ["--resume"] if "-s" in command else []
            again = run(folder, out.name, [*command, *more])
            if again.status or not set(whole) <= set(content(out)):
                outcomes[f"FAULT at {limit} bytes: it does not go on: {again.problem[-300:]}"] += 1
    return outcomes


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[bool]:
    """A file system at ``folder``; gives whether there is the right to it."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *arguments, str(folder)], capture_output=True)
    try:
        yield not done.returncode
    finally:
        if not done.returncode:
            subprocess.run(["umount", str(folder)], check=True)


def attack_mounts(name: str, folder: Path) -> Counter:
    """A command on a full file system, and on one that is read-only."""
    outcomes: Counter = Counter()
    for kind, options in (("full", "size=12k"), ("read-only", "size=1m,ro")):
        out = folder / f"{name}-{kind}"
        with mounted(out, "-t", "tmpfs", "-o", options, "tmpfs") as allowed:
            if not allowed:
                outcomes["no right to mount"] += 1
                continue
            ended = run(folder, out.name, COMMANDS[name])
            found = fault(out.name, ended, {}, content(out), set())
            outcomes[f"FAULT, {kind}: {found}" if found else f"{kind}: status {ended.status}"] += 1
    return outcomes


def attack_places(name: str, folder: Path) -> Counter:
    """A command whose folder is missing or a file, or whose output is a folder, a link or a device."""
    outcomes: Counter = Counter()
    command, target = COMMANDS[name], next(each for each in COMMANDS[name] if "{out}" in each)
    file = folder / "a-file"
    file.write_text("mine")
    places: dict[str, Callable[[Path], str]] = {"below a file": lambda out: str(file)}
    if target != "{out}":
        places["missing folder"] = lambda out: str(out / "missing")
        base = target.removeprefix("{out}/")

        def as_folder(out: Path) -> str:
            (out / base).mkdir()
            return str(out)

        def as_link(out: Path) -> str:
            (out / base).symlink_to(file)
            return str(out)

        places |= {"a folder": as_folder, "a link": as_link}
    for kind, place in places.items():
        out = folder / f"{name}-{kind.replace(' ', '-')}"
        out.mkdir()
        where = place(out)
        before = content(out)
        ended = run(folder, where, command)
        found = fault(out.name, ended, before, content(out), set())
        if not found and (ended.status != 2 or file.read_text() != "mine"):
            found = f"status {ended.status}, and the file holds {file.read_text()[:20]!r}"
        outcomes[f"FAULT, {kind}: {found}" if found else f"{kind}: status {ended.status}"] += 1
    return outcomes


def main() -> int:
    """Print what came of every command; 1 where there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--count", type=int, default=8, help="of sizes of a file")
    given = parser.parse_args()
    bad = False
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_inputs(folder)
        for command in given.command:
            for attack in (attack_places, attack_mounts):
                outcomes = attack(command, folder)
                bad |= any(each.startswith("FAULT") for each in outcomes)
                print(f"{command}: {dict(outcomes)}", flush=True)
            outcomes = attack_limits(command, folder, given.count)
            bad |= any(each.startswith("FAULT") for each in outcomes)
            print(f"{command}, a limit to the size of a file: {dict(outcomes)}", flush=True)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
