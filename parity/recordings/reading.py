"""From the arrays of a file to a :class:`~parity.recordings.recording.Recording`, or to the reason why it is none.

FORMAT.md tells the rules; ``schema.json`` holds those that JSON Schema can say (the spec, the keys, kinds and numbers
of axes), this module the others. Every message is ``PATH: KEY: what is wrong``.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from parity.recordings import archive
from parity.recordings.consistency import Wrong, check_losses, check_transitions
from parity.recordings.recording import Evaluation, Evaluations, Kept, Metric, Prediction, Recording, Step, step_key
from parity.recordings.texts import arrays_schema, decoded, spec_of

SHIPPED = Path(__file__).parent
VERSION = 1
FLOAT64 = np.dtype(np.float64)
_PARTS = ("session", "item", "time")
_KINDS = {"b": "bool", "i": "whole number", "u": "whole number", "f": "float", "U": "text"}


def read(path: Path, limit: int = archive.LIMIT) -> Recording:
    """A recording, whole and consistent in itself.

    Args:
        path: a ``.npz`` file, from anyone.
        limit: bytes that its arrays may take together.

    Raises:
        OSError: the file cannot be read.
        ValueError: ``PATH: KEY: what is wrong`` where a part is missing, unknown, damaged, of the wrong type or shape,
            not finite, or contradicts another one.
    """
    path = Path(path)
    return recording_of(archive.read_arrays(path, limit), path)


def find(paths: list[Path]) -> list[Path]:
    """The recordings at ``paths``, folders included; by default the shipped ones. FileNotFoundError for none."""
    found = []
    for path in paths or [SHIPPED]:
        inside = sorted(path.glob("*.npz")) if path.is_dir() else [path] if path.exists() else []
        if not inside:
            raise FileNotFoundError(f"{path}: no recording (.npz) there")
        found += inside
    return found


def recording_of(arrays: Mapping[str, np.ndarray], path: Path) -> Recording:
    """The recording that ``arrays`` are, for :func:`read`. Raises ValueError as it does."""
    reader = _Reader(dict(arrays), Path(path))
    try:
        return reader.recording()
    except Wrong as wrong:
        raise ValueError(f"{path}: {wrong}") from None


class _Reader:
    """The arrays not yet looked at; what is left at the end is what does not belong there."""

    def __init__(self, arrays: dict[str, np.ndarray], path: Path):
        self.arrays, self.path = arrays, path
        self.left = dict.fromkeys(arrays)

    def recording(self) -> Recording:
        self._version()
        content = decoded("spec", self.take("spec"))
        meta = decoded("meta", self.take("meta")) if "meta" in self.arrays else {}
        self._inventory()
        self.spec = spec_of(content)
        self.kind = np.dtype(self.spec.dtype)
        n_steps = self._number("n_steps", 1)
        if self.scalar("error_during_train"):
            raise Wrong("error_during_train", "a run that ended in an error is no recording")
        self.itemidmap = self._ids("itemidmap")
        if not len(self.itemidmap) or len(np.unique(self.itemidmap)) != len(self.itemidmap):
            raise Wrong("itemidmap", "no id, or one that is there twice")
        train, test = self._frame("train"), self._frame("test")
        if not np.array_equal(np.unique(self.arrays["train/item"]), np.sort(self.itemidmap)):
            raise Wrong("itemidmap", "its ids are not those of train/item")
        self.kept = frozenset(self.spec.keep)
        self.shapes = self.spec.tensors(len(self.itemidmap))
        init = self._weights("init/")
        steps = tuple(self._step(number) for number in range(n_steps))
        if not any(step.kept for step in steps):
            raise Wrong("spec", f"keep: at least one of the {n_steps} steps has to be kept")
        recording = Recording(
            self.path, self.spec, train, test, self.itemidmap, init, steps, self._losses(), self._weights("final/"),
            self._evaluations(), tuple(self._prediction(j) for j in range(self.spec.n_predictions)), meta, VERSION,
        )  # fmt: skip
        if self.left:
            raise Wrong(next(iter(self.left)), f"does not belong into a recording of these settings, {n_steps} steps")
        check_transitions(recording)
        check_losses(recording)
        return recording

    # one part

    def take(self, key: str) -> np.ndarray:
        if key not in self.arrays:
            raise Wrong(key, "missing")
        self.left.pop(key, None)
        return self.arrays[key]

    def scalar(self, key: str) -> Any:
        value = self.take(key)
        if value.shape:
            raise Wrong(key, f"{value.ndim} axes; one value is accepted")
        return value.item()

    def _number(self, key: str, least: int) -> int:
        value = self.scalar(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise Wrong(key, f"{value!r}; a whole number of at least {least} is accepted")
        return value

    def floats(self, key: str, shape: tuple[int, ...], dtype: np.dtype | None = None) -> np.ndarray:
        """Finite values of the recording's dtype and of ``shape``."""
        values, dtype = self.take(key), dtype or self.kind
        if values.dtype != dtype:
            raise Wrong(key, f"{values.dtype}; {dtype} is accepted")
        if values.shape != shape:
            raise Wrong(key, f"shape {values.shape}; {shape} is accepted")
        if not np.isfinite(values).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise Wrong(key, f"{values[where]} at {where}; finite values are accepted")
        return values

    def _ids(self, key: str) -> np.ndarray:
        values = self.take(key)
        if values.ndim != 1:
            raise Wrong(key, f"{values.ndim} axes; 1 is accepted")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise Wrong(key, "ids that are not finite")
        return values

    def _version(self) -> None:
        if "format" in self.arrays and self._number("format", 1) != VERSION:
            raise Wrong("format", f"{self.arrays['format']}; version {VERSION} is accepted")

    def _inventory(self) -> None:
        """The keys, kinds and numbers of axes, as the schema has them."""
        accepted = {re.compile(pattern): part for pattern, part in arrays_schema()["patternProperties"].items()}
        for key, values in self.arrays.items():
            part = next((part for pattern, part in accepted.items() if pattern.search(key)), None)
            if part is None:
                raise Wrong(key, "no part of a recording")
            kinds, ndim = part["properties"]["kind"]["enum"], part["properties"]["ndim"]["const"]
            kind = _KINDS.get(values.dtype.kind)
            if kind not in kinds or values.ndim != ndim:
                raise Wrong(key, f"{kind}, {values.ndim} axes; {' or '.join(kinds)}, {ndim} axes is accepted")
        for key in arrays_schema()["required"]:
            if key not in self.arrays:
                raise Wrong(key, "missing")

    # groups of parts

    def _frame(self, part: str) -> pd.DataFrame:
        values = [self._ids(f"{part}/{what}") for what in _PARTS]
        self._same_type(f"{part}/item", values[1])
        for what, column in zip(_PARTS, values):
            if len(column) != len(values[0]) or not len(column):
                raise Wrong(f"{part}/{what}", f"{len(column)} events, {part}/session has {len(values[0])}")
        return pd.DataFrame(dict(zip(self.spec.columns, values)))

    def _same_type(self, key: str, ids: np.ndarray) -> None:
        if ids.dtype.kind != self.itemidmap.dtype.kind:
            raise Wrong(key, f"ids of type {ids.dtype}, those of itemidmap are {self.itemidmap.dtype}")

    def _known(self, key: str) -> np.ndarray:
        """Ids that itemidmap holds."""
        ids = self._ids(key)
        self._same_type(key, ids)
        unknown = ids[~np.isin(ids, self.itemidmap)]
        if len(unknown):
            raise Wrong(key, f"{unknown[0]!r} is no id of itemidmap")
        return ids

    def _weights(self, prefix: str) -> dict[str, np.ndarray]:
        return {name: self.floats(prefix + name, shape) for name, (shape, _) in self.shapes.items()}

    def _step(self, number: int) -> Step:
        spec, n = self.spec, len(self.itemidmap)

        def key(part: str) -> str:
            return step_key(number, part)

        X, Y, R = (self.take(key(part)) for part in "XYR")
        M = len(X)
        if not 1 <= M <= spec.batch_size:
            raise Wrong(key("X"), f"{M} lanes; 1 to {spec.batch_size}, the batch_size, are accepted")
        for part, values, length in (("Y", Y, M + spec.n_sample), ("R", R, M)):
            if len(values) != length:
                raise Wrong(key(part), f"{len(values)} values; {length} are accepted, X has {M}")
        for part, values in (("X", X), ("Y", Y)):
            outside = values[(values < 0) | (values >= n)]
            if len(outside):
                raise Wrong(key(part), f"item {outside[0]}; 0 to {n - 1} is accepted")
        masks = tuple(self.take(key(f"mask{j}")) for j in range(len(spec.mask_widths())))
        for j, (mask, width) in enumerate(zip(masks, spec.mask_widths())):
            if mask.shape != (M, width):
                raise Wrong(key(f"mask{j}"), f"shape {mask.shape}; {(M, width)} is accepted")
        cost = float(self.floats(key("cost"), ()))
        kept = self._kept(key, M) if number in self.kept else None
        return Step(number, X, Y, R, cost, masks, kept, self._scales(key, kept is not None))

    def _kept(self, key: Callable[[str], str], M: int) -> Kept:
        spec, layers = self.spec, self.spec.layers
        H, Hnext = (
            tuple(self.floats(key(f"{state}{j}"), (M, units)) for j, units in enumerate(layers))
            for state in ("H", "Hnext")
        )
        dense = {name: self.floats(key(f"grad/{name}"), t.shape) for name, t in self.shapes.items() if not t.rows}
        rows = {
            name: self.floats(key(f"grad_rows/{name}"), (spec.occurrences(name, M), t.shape[1]))
            for name, t in self.shapes.items()
            if t.rows
        }
        return Kept(H, Hnext, dense, rows, self._weights(key("after/")))

    def _scales(self, key: Callable[[str], str], kept: bool) -> dict[str, float]:
        states = [f"{state}{j}" for state in ("H", "Hnext") for j in range(len(self.spec.layers))]
        names = ("cost", *self.shapes, *states) if kept else ("cost",)
        found = [name for name in names if key(f"scale/{name}") in self.arrays]
        scales = {name: float(self.floats(key(f"scale/{name}"), (), FLOAT64)) for name in found}
        for name, scale in scales.items():
            if scale < 0:
                raise Wrong(key(f"scale/{name}"), f"{scale}; a number of at least 0 is accepted")
        return scales

    def _losses(self) -> np.ndarray:
        return self.floats("epoch_loss", (self.spec.n_epochs,), FLOAT64)

    def _evaluations(self) -> Evaluations:
        found: dict[tuple[str, str], dict[int, str]] = {}
        for key in self.arrays:
            if key.startswith("eval/") and key.count("/") == 3:
                _, what, mode, N = key.split("/")
                if len(N) > 9:
                    raise Wrong(key, "N of at most 9 digits is accepted")
                found.setdefault((what, mode), {})[int(N)] = key
        self._check_owed(found)
        if not found:
            return Evaluations()
        batch_size = self._number("eval/batch_size", 1)
        has_items = "eval/items" in self.arrays or any(what == "subset" for what, _ in found)
        items = self._known("eval/items") if has_items else None
        if items is not None and not len(items):
            raise Wrong("eval/items", "no id")
        records = tuple(
            Evaluation(what, mode, {N: self._metric(key, what, mode) for N, key in sorted(by_N.items())})
            for (what, mode), by_N in found.items()
        )
        return Evaluations(records, batch_size, items)

    def _check_owed(self, found: dict[tuple[str, str], dict[int, str]]) -> None:
        """Every record that is owed is there, and every mode has the N of the others; declared ones and no more."""
        owed = {
            (what, mode): set(each.cut_offs)
            for what, each in self.spec.owed_evaluations().items()
            for mode in each.modes
        }
        if self.spec.evaluations is None:
            every_N = {N for by_N in [*found.values(), *owed.values()] for N in by_N}
            owed = dict.fromkeys([*owed, *found], every_N)
        for record, by_N in found.items():
            if undeclared := by_N.keys() - owed.get(record, set()):
                raise Wrong(by_N[min(undeclared)], "evaluations of spec does not declare it")
        for (what, mode), cut_offs in owed.items():
            if missing := cut_offs - found.get((what, mode), {}).keys():
                raise Wrong(f"eval/{what}/{mode}/{min(missing)}", "missing")

    def _metric(self, key: str, what: str, mode: str) -> Metric:
        """Recall and MRR, which is infinite where the reference ranks a target that is not listed at 0."""
        values = self.take(key)
        if values.dtype != FLOAT64 or values.shape != (2,):
            raise Wrong(key, f"{values.dtype} of shape {values.shape}; float64 of shape (2,) is accepted")
        recall, mrr = map(float, values)
        if not 0 <= recall <= 1 + 1e-12:
            raise Wrong(key, f"Recall {recall}; 0 to 1 is accepted")
        if not (0 <= mrr <= recall + 1e-6 or (mrr == math.inf and (what, mode) == ("subset", "conservative"))):
            raise Wrong(key, f"MRR {mrr}; 0 to the Recall, {recall}, is accepted")
        return Metric(recall, mrr)

    def _prediction(self, j: int) -> Prediction:
        sessions = self._ids(f"predict{j}/session_ids")
        items = self._known(f"predict{j}/input_item_ids")
        if len(items) != len(sessions) or not len(items):
            raise Wrong(f"predict{j}/input_item_ids", f"{len(items)} lanes, session_ids has {len(sessions)}")
        before = self.arrays.get(f"predict{j - 1}/session_ids", sessions)
        if len(sessions) != len(before):
            raise Wrong(f"predict{j}/session_ids", f"{len(sessions)} lanes, the call before has {len(before)}")
        scores = self.floats(f"predict{j}/scores", (len(self.itemidmap), len(sessions)))
        return Prediction(sessions, items, scores)
