"""From the arrays of a file to a :class:`~parity.recordings.recording.Recording`, or to the reason why it is none.

FORMAT.md tells the rules; ``schema.json`` holds those that JSON Schema can say (the spec, the keys, kinds and numbers
of axes), this module the others. Every message is ``PATH: KEY: what is wrong``.
"""

import json
import math
import re
from functools import cache
from pathlib import Path
from typing import Any, Callable, Mapping

import jsonschema
import numpy as np
import pandas as pd

from parity.recordings import archive
from parity.recordings.recording import (
    WHATS,
    Declared,
    Evaluation,
    Evaluations,
    Kept,
    Metric,
    Prediction,
    Recording,
    Spec,
    Step,
    step_key,
)  # fmt: skip

SHIPPED = Path(__file__).parent
VERSION = 1
_MOST_TEXT = 1 << 20  # characters of spec and of meta
_MOST_EPOCHS = 1_000_000
_COLUMNS = ("SessionId", "ItemId", "Time")
_WHOLE = ("n_epochs", "batch_size", "embedding", "n_sample", "dwell_time")
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
    except _Wrong as wrong:
        raise ValueError(f"{path}: {wrong}") from None


class _Wrong(Exception):
    """KEY: what is wrong."""

    def __init__(self, key: str, what: str):
        super().__init__(f"{key}: {what}")


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of a recording, as it stands in ``schema.json``."""
    return json.loads((SHIPPED / "schema.json").read_text(encoding="utf-8"))


@cache
def _validator(part: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema()["$defs"][part])


def _arrays_schema() -> dict[str, Any]:
    return schema()["properties"]["arrays"]


class _Reader:
    """The arrays not yet looked at; what is left at the end is what does not belong there."""

    def __init__(self, arrays: dict[str, np.ndarray], path: Path):
        self.arrays, self.path = arrays, path
        self.left = dict.fromkeys(arrays)

    def recording(self) -> Recording:
        self._version()
        content = self._json("spec")
        meta = self._json("meta") if "meta" in self.arrays else {}
        self._inventory()
        self.spec = _spec(content)
        self.kind = np.dtype(self.spec.dtype)
        n_steps = self._number("n_steps", 1)
        if self.scalar("error_during_train"):
            raise _Wrong("error_during_train", "a run that ended in an error is no recording")
        self.itemidmap = self._ids("itemidmap")
        if not len(self.itemidmap) or len(np.unique(self.itemidmap)) != len(self.itemidmap):
            raise _Wrong("itemidmap", "no id, or one that is there twice")
        train, test = self._frame("train"), self._frame("test")
        self._check_items(train, test)
        self.shapes = self.spec.tensors(len(self.itemidmap))
        init = self._weights("init/")
        steps = tuple(self._step(number) for number in range(n_steps))
        if not any(step.kept for step in steps):
            raise _Wrong("spec", f"keep={list(self.spec.keep)}: at least one of the {n_steps} steps has to be kept")
        recording = Recording(
            self.path, self.spec, train, test, self.itemidmap, init, steps, self._losses(), self._weights("final/"),
            self._evaluations(), tuple(self._prediction(j) for j in range(self.spec.n_predictions)), meta, VERSION,
        )  # fmt: skip
        if self.left:
            raise _Wrong(next(iter(self.left)), f"does not belong into a recording of these settings, {n_steps} steps")
        _check_transitions(recording)
        _check_losses(recording)
        return recording

    # one part

    def take(self, key: str) -> np.ndarray:
        if key not in self.arrays:
            raise _Wrong(key, "missing")
        self.left.pop(key, None)
        return self.arrays[key]

    def scalar(self, key: str) -> Any:
        value = self.take(key)
        if value.shape:
            raise _Wrong(key, f"{value.ndim} axes; one value is accepted")
        return value.item()

    def _number(self, key: str, least: int) -> int:
        value = self.scalar(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise _Wrong(key, f"{value!r}; a whole number of at least {least} is accepted")
        return value

    def floats(self, key: str, shape: tuple[int, ...], dtype: np.dtype | None = None) -> np.ndarray:
        """Finite values of the recording's dtype and of ``shape``."""
        values, dtype = self.take(key), dtype or self.kind
        if values.dtype != dtype:
            raise _Wrong(key, f"{values.dtype}; {dtype} is accepted")
        if values.shape != shape:
            raise _Wrong(key, f"shape {values.shape}; {shape} is accepted")
        if not np.isfinite(values).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise _Wrong(key, f"{values[where]} at {where}; finite values are accepted")
        return values

    def _ids(self, key: str) -> np.ndarray:
        values = self.take(key)
        if values.ndim != 1:
            raise _Wrong(key, f"{values.ndim} axes; 1 is accepted")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise _Wrong(key, "ids that are not finite")
        return values

    def _json(self, key: str) -> dict[str, Any]:
        text = self.take(key)
        if text.dtype.kind != "U" or text.shape:
            raise _Wrong(key, "one text is accepted")
        if text.dtype.itemsize > 4 * _MOST_TEXT:
            raise _Wrong(key, f"a text of {text.dtype.itemsize // 4} characters; at most {_MOST_TEXT} are accepted")
        try:
            content = json.loads(str(text), parse_constant=_no_constant, object_pairs_hook=_once)
            error = next(_validator(key).iter_errors(content), None)
        except (ValueError, RecursionError) as problem:
            raise _Wrong(key, str(problem)[:300] or type(problem).__name__) from None
        if error:
            raise _Wrong(key, _told(error))
        return content

    def _version(self) -> None:
        if "format" in self.arrays and self._number("format", 1) != VERSION:
            raise _Wrong("format", f"{self.arrays['format']}; version {VERSION} is accepted")

    def _inventory(self) -> None:
        """The keys, kinds and numbers of axes, as the schema has them."""
        accepted = {re.compile(pattern): part for pattern, part in _arrays_schema()["patternProperties"].items()}
        for key, values in self.arrays.items():
            part = next((part for pattern, part in accepted.items() if pattern.search(key)), None)
            if part is None:
                raise _Wrong(key, "no part of a recording")
            kinds, ndim = part["properties"]["kind"]["enum"], part["properties"]["ndim"]["const"]
            kind = _KINDS.get(values.dtype.kind)
            if kind not in kinds or values.ndim != ndim:
                raise _Wrong(key, f"{kind}, {values.ndim} axes; {' or '.join(kinds)}, {ndim} axes is accepted")
        for key in _arrays_schema()["required"]:
            if key not in self.arrays:
                raise _Wrong(key, "missing")

    # groups of parts

    def _frame(self, part: str) -> pd.DataFrame:
        values = [self._ids(f"{part}/{what}") for what in _PARTS]
        for what, column in zip(_PARTS, values):
            if len(column) != len(values[0]) or not len(column):
                raise _Wrong(f"{part}/{what}", f"{len(column)} events, {part}/session has {len(values[0])}")
        return pd.DataFrame(dict(zip(self.spec.columns, values)))

    def _check_items(self, train: pd.DataFrame, test: pd.DataFrame) -> None:
        trained = train[self.spec.columns[1]].to_numpy()
        for key, ids in (("train/item", trained), ("test/item", test[self.spec.columns[1]].to_numpy())):
            self._same_type(key, ids)
        if not np.array_equal(np.unique(trained.astype(self.itemidmap.dtype)), np.sort(self.itemidmap)):
            raise _Wrong("itemidmap", "its ids are not those of train/item")

    def _same_type(self, key: str, ids: np.ndarray) -> None:
        if (ids.dtype.kind in "iuf") != (self.itemidmap.dtype.kind in "iuf"):
            raise _Wrong(key, "ids of another type than itemidmap's")

    def _known(self, key: str) -> np.ndarray:
        """Ids that itemidmap holds."""
        ids = self._ids(key)
        self._same_type(key, ids)
        unknown = ids[~np.isin(ids, self.itemidmap)]
        if len(unknown):
            raise _Wrong(key, f"{unknown[0]!r} is no id of itemidmap")
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
            raise _Wrong(key("X"), f"{M} lanes; 1 to {spec.batch_size}, the batch_size, are accepted")
        for part, values, length in (("Y", Y, M + spec.n_sample), ("R", R, M)):
            if len(values) != length:
                raise _Wrong(key(part), f"{len(values)} values; {length} are accepted, X has {M}")
        for part, values in (("X", X), ("Y", Y)):
            outside = values[(values < 0) | (values >= n)]
            if len(outside):
                raise _Wrong(key(part), f"item {outside[0]}; 0 to {n - 1} is accepted")
        masks = tuple(self.take(key(f"mask{j}")) for j in range(len(spec.mask_widths())))
        for j, (mask, width) in enumerate(zip(masks, spec.mask_widths())):
            if mask.shape != (M, width):
                raise _Wrong(key(f"mask{j}"), f"shape {mask.shape}; {(M, width)} is accepted")
        cost = float(self.floats(key("cost"), ()))
        kept = self._kept(key, M) if number in spec.keep else None
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
        scales = {name: float(self.floats(key(f"scale/{name}"), (), _FLOAT64)) for name in found}
        for name, scale in scales.items():
            if scale < 0:
                raise _Wrong(key(f"scale/{name}"), f"{scale}; a number of at least 0 is accepted")
        return scales

    def _losses(self) -> np.ndarray:
        return self.floats("epoch_loss", (self.spec.n_epochs,), _FLOAT64)

    def _evaluations(self) -> Evaluations:
        found: dict[tuple[str, str], dict[int, str]] = {}
        for key in self.arrays:
            if key.startswith("eval/") and key.count("/") == 3:
                _, what, mode, N = key.split("/")
                if len(N) > 9:
                    raise _Wrong(key, "N of at most 9 digits is accepted")
                found.setdefault((what, mode), {})[int(N)] = key
        declared = self.spec.evaluations is not None
        owed = {
            (what, mode): each.cut_offs for what, each in self.spec.owed_evaluations().items() for mode in each.modes
        }
        if declared and (undeclared := found.keys() - owed.keys()):
            raise _Wrong("spec", f"evaluations does not declare {'/'.join(min(undeclared))}")
        every_N = {N for by_N in found.values() for N in by_N}
        for what, mode in [*owed, *found]:
            cut_offs = owed.get((what, mode), ())
            for N in sorted(cut_offs if declared else every_N | set(cut_offs)):
                if N not in found.get((what, mode), {}):
                    raise _Wrong(f"eval/{what}/{mode}/{N}", "missing")
        if not found:
            return Evaluations()
        batch_size = self._number("eval/batch_size", 1)
        items = (
            self._known("eval/items") if "eval/items" in self.arrays or any(w == "subset" for w, _ in found) else None
        )
        if items is not None and not len(items):
            raise _Wrong("eval/items", "no id")
        records = tuple(
            Evaluation(what, mode, {N: self._metric(key, what, mode) for N, key in sorted(by_N.items())})
            for (what, mode), by_N in found.items()
        )
        return Evaluations(records, batch_size, items)

    def _metric(self, key: str, what: str, mode: str) -> Metric:
        """Recall and MRR, which is infinite where the reference ranks a target that is not listed at 0."""
        values = self.take(key)
        if values.dtype != _FLOAT64 or values.shape != (2,):
            raise _Wrong(key, f"{values.dtype} of shape {values.shape}; float64 of shape (2,) is accepted")
        recall, mrr = map(float, values)
        if not 0 <= recall <= 1 + 1e-12:
            raise _Wrong(key, f"Recall {recall}; 0 to 1 is accepted")
        if not (0 <= mrr <= recall + 1e-6 or (mrr == math.inf and (what, mode) == ("subset", "conservative"))):
            raise _Wrong(key, f"MRR {mrr}; 0 to the Recall, {recall}, is accepted")
        return Metric(recall, mrr)

    def _prediction(self, j: int) -> Prediction:
        sessions = self._ids(f"predict{j}/session_ids")
        items = self._known(f"predict{j}/input_item_ids")
        if len(items) != len(sessions) or not len(items):
            raise _Wrong(f"predict{j}/input_item_ids", f"{len(items)} lanes, session_ids has {len(sessions)}")
        before = self.arrays.get(f"predict{j - 1}/session_ids", sessions)
        if len(sessions) != len(before):
            raise _Wrong(f"predict{j}/session_ids", f"{len(sessions)} lanes, the call before has {len(before)}")
        scores = self.floats(f"predict{j}/scores", (len(self.itemidmap), len(sessions)))
        return Prediction(sessions, items, scores)


_FLOAT64 = np.dtype(np.float64)


def _spec(content: dict[str, Any]) -> Spec:
    """What the schema cannot say of it, and the whole as a value."""
    params, columns = content["params"], tuple(content["columns"])
    for option, default, column in zip(("session_key", "item_key", "time_key"), _COLUMNS, columns):
        if params.get(option, default) != column:
            raise _Wrong("spec", f"columns={list(columns)}: {option}={params.get(option, default)!r} of params differs")
    for name, value in params.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise _Wrong("spec", f"params.{name}: {value}; finite numbers are accepted")
    evaluations, absent = content.get("evaluations"), content.get("absent", {})
    if evaluations is None and absent:
        raise _Wrong("spec", "absent: accepted with evaluations only")
    if evaluations is not None and {*evaluations, *absent} != set(WHATS) or evaluations and {*evaluations} & {*absent}:
        raise _Wrong("spec", f"evaluations, absent: each of {', '.join(WHATS)} is to stand in one of the two")
    keep, epoch_steps = content["keep"], content.get("epoch_steps")
    if any(a >= b for a, b in zip(keep, keep[1:])):
        raise _Wrong("spec", f"keep={keep}: ascending numbers are accepted")
    whole = {
        name: int(value) if isinstance(value, float) and name in _WHOLE else value for name, value in params.items()
    }
    whole |= {"layers": [int(units) for units in params["layers"]]} if "layers" in params else {}
    spec = Spec(
        whole,
        int(content["sample_store"]),
        content["dtype"],
        columns,
        tuple(map(int, keep)),
        int(content.get("n_predictions", 4)),
        None if evaluations is None else {what: _declared(each) for what, each in evaluations.items()},
        absent,
        None if epoch_steps is None else tuple(map(int, epoch_steps)),
        int(content.get("seed", 42)),
        int(content.get("dropout_seed", 12345)),
        content,
    )
    if epoch_steps is not None and len(epoch_steps) != spec.n_epochs:
        raise _Wrong("spec", f"epoch_steps: {len(epoch_steps)} epochs, n_epochs is {spec.n_epochs}")
    if spec.n_epochs > _MOST_EPOCHS:
        raise _Wrong("spec", f"n_epochs={spec.n_epochs}; at most {_MOST_EPOCHS} are accepted")
    return spec


def _declared(content: dict[str, Any]) -> Declared:
    return Declared(tuple(content["modes"]), tuple(int(N) for N in content["cut_offs"]))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _told(error: jsonschema.ValidationError) -> str:
    where = ".".join(map(str, error.absolute_path))
    return f"{where[:100]}: {error.message[:200]}" if where else error.message[:300]


def _check_transitions(recording: Recording) -> None:
    """Inputs and targets are neighbours in a session, R its last one, none taken more often than there are epochs."""
    spec, n = recording.spec, recording.n_items
    session, item, time = (recording.train[column].to_numpy() for column in spec.columns)
    order = np.lexsort((time, session))  # stable, as the training sorts
    session = session[order]
    index = pd.Index(recording.itemidmap).get_indexer(item[order])
    follows = np.flatnonzero(session[1:] == session[:-1])
    last = np.append(session[1:] != session[:-1], True)

    def code(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
        return (x.astype(np.int64) * n + y) * 2 + r

    codes, there = np.unique(code(index[follows], index[follows + 1], last[follows + 1]), return_counts=True)
    steps = recording.steps
    taken = np.concatenate([code(step.X, step.targets, step.R) for step in steps])
    number = np.repeat([step.number for step in steps], [step.lanes for step in steps])
    lane = np.concatenate([np.arange(step.lanes) for step in steps])
    place = np.minimum(np.searchsorted(codes, taken), len(codes) - 1)
    if not len(codes):
        raise _Wrong("train/session", "no session has two events")
    for at in np.flatnonzero(codes[place] != taken)[:1]:
        same = np.isin(taken[at] ^ 1, codes)
        part = "R" if same else "Y"
        what = "is not what train says" if same else "is not the item that follows X's in a session of train"
        raise _Wrong(
            step_key(number[at], part),
            f"lane {lane[at]}: {steps[number[at]].targets[lane[at]]} {what}"
            if not same
            else f"lane {lane[at]}: {bool(taken[at] & 1)} {what}",
        )
    counted = np.bincount(place, minlength=len(codes))
    for at in np.flatnonzero(counted > there * spec.n_epochs)[:1]:
        step = number[np.flatnonzero(place == at)[-1]]
        raise _Wrong(step_key(step, "X"), "events that were trained more often than there are epochs")


def _check_losses(recording: Recording) -> None:
    """No step is missing, and the loss of an epoch is the mean of its costs weighted by lanes."""
    spec, epochs = recording.spec, recording.epochs
    if spec.epoch_steps is not None and sum(spec.epoch_steps) != recording.n_steps:
        raise _Wrong("n_steps", f"{recording.n_steps}; epoch_steps of spec has {sum(spec.epoch_steps)}")
    if epochs is None:
        if spec.n_sample > 0:
            raise _Wrong(
                "n_steps", f"{recording.n_steps} steps do not train every event of train {spec.n_epochs} times"
            )
        if not spec.random_order:
            raise _Wrong("n_steps", f"{recording.n_steps} steps are not {spec.n_epochs} epochs of one length")
        return
    for epoch, (numbers, loss) in enumerate(zip(epochs, recording.epoch_loss)):
        steps = recording.steps[numbers.start : numbers.stop]
        found = np.average([step.cost for step in steps], weights=[step.lanes for step in steps])
        rounding = 1e-5 if spec.dtype == "float32" else 1e-9  # of the mean, in which order ever it was summed
        if not abs(found - loss) <= 5.1e-7 + rounding * abs(loss):
            raise _Wrong("epoch_loss", f"{loss} in epoch {epoch}; the costs of its steps give {found:.6f}")
