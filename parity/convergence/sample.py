"""A stored sample: ``NAME.npz``, the runs, and ``NAME.json``, who and what made them and on which data.

Arrays of the ``.npz``, R runs of E epochs, K prefixes: ``prefixes`` (K,) int32, numbers of the test predictions whose
lists are kept; and for every setting ``SETTING/seeds`` (R,) int64, ``/losses`` (R, E) float64, ``/metrics`` (R, 4, 2)
float64, Recall and MRR at 1, 5, 10, 20, ``/lists`` (R, K, 20) of a signed integer type, the best items by index in the
order of first appearance in the training data, and ``/scores`` (R, K, 20) float32. The JSON holds the file's SHA-256.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from gru4rec.files import written_together
from parity.evaluator import CUT_OFFS

FOLDER = Path(__file__).parent
LENGTH = 20  # of a list
PREFIXES = 100
LIMIT = 1 << 27  # bytes that a sample may unpack to
_NEEDED = ("format", "data", "epochs", "dtype", "settings", "file", "made_by")


@dataclass(frozen=True)
class Runs:
    """R full runs of one setting, E epochs each, with the lists of K prefixes."""

    seeds: np.ndarray  # (R,) int64
    losses: np.ndarray  # (R, E) float64
    metrics: np.ndarray  # (R, 4, 2) float64: Recall, MRR at CUT_OFFS
    lists: np.ndarray  # (R, K, LENGTH) integer
    scores: np.ndarray  # (R, K, LENGTH) float32

    def __len__(self) -> int:
        return len(self.seeds)

    def take(self, which: Sequence[int] | np.ndarray) -> "Runs":
        return Runs(**{field.name: getattr(self, field.name)[np.asarray(which)] for field in fields(self)})

    @classmethod
    def joined(cls, parts: Sequence["Runs"]) -> "Runs":
        return cls(**{field.name: np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(cls)})

    @property
    def finite(self) -> np.ndarray:
        """(R,) bool: runs all of whose figures are finite."""
        return np.isfinite(self.losses).all(axis=1) & np.isfinite(self.metrics).all(axis=(1, 2))


@dataclass(frozen=True)
class Sample:
    """Runs by setting, on one data set."""

    name: str
    about: dict[str, Any]  # the JSON
    prefixes: np.ndarray  # (K,)
    runs: dict[str, Runs]

    @property
    def sha256(self) -> str:
        """Fingerprint of the data, as :func:`parity.data.fingerprint` gives it."""
        return self.about["data"]["sha256"]

    @property
    def epochs(self) -> int:
        return self.about["epochs"]

    def params(self, setting: str) -> dict[str, Any]:
        return self.about["settings"][setting]


def dropout_seed(seed: int) -> int:
    """The seed of the dropout stream that goes with ``seed`` in every run, stored or drawn: the default, moved on."""
    return 12345 + seed


def shipped() -> dict[str, Sample]:
    """The samples of the package by name."""
    return {path.stem: read(path) for path in sorted(FOLDER.glob("*.json"))}


def read(path: Path) -> Sample:
    """The sample of the JSON file ``path`` and the ``.npz`` beside it.

    Raises ValueError naming the file and what is wrong, OSError where one cannot be read. Nothing is unpickled.
    """
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise ValueError(f"{path}: {problem}") from None
    missing = [key for key in _NEEDED if not isinstance(about, dict) or key not in about]
    if missing:
        raise ValueError(f"{path}: no {', '.join(missing)}; this is no sample of runs")
    if about["format"] != 1:
        raise ValueError(f"{path}: format {about['format']!r}; 1 is accepted")
    if not isinstance(about["settings"], dict) or not about["settings"]:
        raise ValueError(f"{path}: settings: a table of one or more settings is accepted")
    for key in ("data", "made_by", "file"):
        if not isinstance(about[key], dict):
            raise ValueError(f"{path}: {key}: a table is accepted")
    if "sha256" not in about["data"]:
        raise ValueError(f"{path}: data: no sha256")
    arrays = _arrays(path.with_suffix(".npz"), about["file"])
    prefixes = arrays.pop("prefixes", None)
    if prefixes is None or prefixes.ndim != 1 or prefixes.dtype.kind != "i":
        raise ValueError(f"{path.with_suffix('.npz')}: prefixes: (K,) numbers are needed")
    runs = {name: _runs(arrays, name, about["epochs"], len(prefixes), path) for name in about["settings"]}
    if arrays:
        raise ValueError(f"{path.with_suffix('.npz')}: {', '.join(sorted(arrays))}: of no setting of {path.name}")
    return Sample(path.stem, about, prefixes, runs)


def _arrays(path: Path, file: dict[str, Any]) -> dict[str, np.ndarray]:
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if file.get("sha256") != found:
        raise ValueError(f"{path}: its SHA-256 is {found}, not that of the JSON beside it")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
            if size > LIMIT:
                raise ValueError(f"unpacks to {size:,} bytes; at most {LIMIT:,} are accepted")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, zipfile.BadZipFile, EOFError, KeyError) as problem:
        raise ValueError(f"{path}: {problem}") from None


def _runs(arrays: dict[str, np.ndarray], name: str, epochs: int, prefixes: int, path: Path) -> Runs:
    count = len(arrays.get(f"{name}/seeds", ()))
    shapes = {
        "seeds": ((count,), "i"),
        "losses": ((count, epochs), "f"),
        "metrics": ((count, len(CUT_OFFS), 2), "f"),
        "lists": ((count, prefixes, LENGTH), "i"),
        "scores": ((count, prefixes, LENGTH), "f"),
    }
    for part, (shape, kind) in shapes.items():
        found = arrays.get(f"{name}/{part}")
        if found is None or found.shape != shape or found.dtype.kind != kind:
            what = "missing" if found is None else f"{found.dtype} {found.shape}"
            raise ValueError(f"{path.with_suffix('.npz')}: {name}/{part}: {what}, not of shape {shape}")
    made = Runs(**{part: arrays.pop(f"{name}/{part}") for part in shapes})
    if count < 2 or len(np.unique(made.seeds)) < count or not made.finite.all():
        raise ValueError(f"{path.with_suffix('.npz')}: {name}: two or more finite runs of different seeds are needed")
    return made


def write(folder: Path, name: str, about: Mapping[str, Any], prefixes: np.ndarray, runs: Mapping[str, Runs]) -> Path:
    """Write ``NAME.npz`` and ``NAME.json`` into ``folder``, both whole or neither; returns the JSON's path.

    Raises ValueError for a run with a figure that is not finite.
    """
    for setting, part in runs.items():
        if not part.finite.all():
            raise ValueError(f"{setting}: seeds {part.seeds[~part.finite].tolist()} diverged; they are no reference")
    small = np.int16 if max(int(part.lists.max()) for part in runs.values()) <= np.iinfo(np.int16).max else np.int32
    arrays = {"prefixes": np.asarray(prefixes, np.int32)}
    for setting, part in runs.items():
        arrays |= {f"{setting}/{field.name}": getattr(part, field.name) for field in fields(part)}
        arrays[f"{setting}/lists"] = part.lists.astype(small)
        arrays[f"{setting}/scores"] = part.scores.astype(np.float32)
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    content = packed.getvalue()
    file = {"name": f"{name}.npz", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    text = json.dumps({"format": 1, **about, "file": file}, indent=2, ensure_ascii=False) + "\n"
    paths = {"runs": folder / f"{name}.npz", "about": folder / f"{name}.json"}
    with written_together(paths) as temporary:
        temporary["runs"].write_bytes(content)
        temporary["about"].write_text(text, encoding="utf-8")
    return paths["about"]
