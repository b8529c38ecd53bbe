"""What each shipped recording is, to the byte, and how many comparisons a recording owes."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gru4rec.files import written_whole
from parity.recordings.reading import SHIPPED, find, read
from parity.recordings.recording import Recording

PATH = SHIPPED / "manifest.json"


@dataclass(frozen=True)
class Entry:
    """One shipped file: its SHA-256, its bytes, and the comparisons that it owes, by check."""

    sha256: str
    bytes: int
    owes: dict[str, int]


def owed(recording: Recording) -> dict[str, int]:
    """The comparisons that a replay of ``recording`` owes, by check, from what it holds; no check without any.

    One comparison is one named value of the recording, whatever its size, against the one replay:

    * batches: 1 for ``itemidmap``; for each step 1 for X, 1 for the targets (the first M of Y), 1 for R; 1 for the
      number of steps
    * negatives: 1 for each step with samples (Y after the targets)
    * initial-weights: 1 for each tensor of ``init``
    * dropout: 1 for each mask of each step
    * loss: 1 for each step's cost, 1 for each recorded epoch loss
    * forward: 1 for each ``Hnext`` of each kept step, 1 for each recorded prediction (its scores)
    * gradients: 1 for each tensor, dense or row, of each kept step
    * update: 1 for each tensor of ``after`` of each kept step
    * trajectory: 1 for each ``H`` of each kept step, 1 for each tensor of ``final``
    * metrics: 2 for each (kind, mode, N) of the evaluation records, Recall and MRR; the MRR counts also where the
      reference gives an infinite one, which a replay can only pass or refuse as such

    What a replay does more than once (a second program, ``fit``) counts once.
    """
    kept = [step.kept for step in recording.kept if step.kept is not None]
    counted = {
        "batches": 1 + 3 * recording.n_steps + 1,
        "negatives": sum(len(step.samples) > 0 for step in recording.steps),
        "initial-weights": len(recording.init),
        "dropout": sum(len(step.masks) for step in recording.steps),
        "loss": recording.n_steps + len(recording.epoch_loss),
        "forward": sum(len(each.Hnext) for each in kept) + len(recording.predictions),
        "gradients": sum(len(each.gradients) for each in kept),
        "update": sum(len(each.after) for each in kept),
        "trajectory": sum(len(each.H) for each in kept) + len(recording.final),
        "metrics": 2 * sum(len(evaluation.by_cut_off) for evaluation in recording.evaluations),
    }
    return {check: number for check, number in counted.items() if number}


def entry(path: Path) -> Entry:
    """Of the file as it lies there. Raises as :func:`~parity.recordings.reading.read` does."""
    return Entry(sha256_of(path), path.stat().st_size, owed(read(path)))


def sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def manifest() -> dict[str, Entry]:
    """The shipped recordings by file name."""
    content = json.loads(PATH.read_text(encoding="utf-8"))
    return {name: Entry(**each) for name, each in content["recordings"].items()}


def is_shipped(path: Path) -> bool:
    """Whether ``path`` lies where the shipped recordings lie."""
    return Path(path).resolve().parent == SHIPPED.resolve()


def check_shipped(path: Path) -> None:
    """Raises ValueError where a file among the shipped ones is not, byte by byte, the one that the manifest has.

    A file elsewhere is a user's own, of which the manifest knows nothing: it passes.
    """
    if not is_shipped(path):
        return
    known = manifest().get(Path(path).name)
    if known is None:
        raise ValueError(f"{path}: no shipped recording; manifest.json does not have it")
    if Path(path).stat().st_size != known.bytes or sha256_of(path) != known.sha256:
        raise ValueError(f"{path}: its SHA-256 is not the one in manifest.json; the shipped file was changed")


def check_complete() -> None:
    """Raises ValueError for a recording that the manifest has and that is not there."""
    missing = [name for name in manifest() if not (SHIPPED / name).is_file()]
    if missing:
        raise ValueError(f"{SHIPPED / missing[0]}: missing; manifest.json has it")


def write(paths: Iterable[Path] = ()) -> None:
    """Write the manifest of ``paths``, by default of all shipped recordings."""
    entries = {path.name: vars(entry(path)) for path in paths or find([])}
    content = {"format": 1, "recordings": entries}
    with written_whole(PATH) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    manifest.cache_clear()
