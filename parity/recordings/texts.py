"""The texts of a recording, ``spec`` and ``meta``: JSON that the schema allows, and the typed value of the first."""

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np

from parity.recordings.consistency import Wrong
from parity.recordings.recording import WHATS, Declared, Spec

_SCHEMA = Path(__file__).with_name("schema.json")
_MOST_TEXT = 1 << 20  # characters
_MOST_EPOCHS = 1_000_000
_COLUMNS = ("SessionId", "ItemId", "Time")
_WHOLE = ("n_epochs", "batch_size", "embedding", "n_sample", "dwell_time")


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of a recording, as it stands in ``schema.json``."""
    return json.loads(_SCHEMA.read_text(encoding="utf-8"))


@cache
def _validator(part: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema()["$defs"][part])


def arrays_schema() -> dict[str, Any]:
    return schema()["properties"]["arrays"]


def decoded(key: str, text: np.ndarray) -> dict[str, Any]:
    """The JSON of ``spec`` or ``meta``, as the schema has it. Raises Wrong."""
    if text.dtype.kind != "U" or text.shape:
        raise Wrong(key, "one text is accepted")
    if text.dtype.itemsize > 4 * _MOST_TEXT:
        raise Wrong(key, f"a text of {text.dtype.itemsize // 4} characters; at most {_MOST_TEXT} are accepted")
    try:
        content = json.loads(str(text), parse_constant=_no_constant, object_pairs_hook=_once)
        error = next(_validator(key).iter_errors(content), None)
    except (ValueError, RecursionError) as problem:
        raise Wrong(key, str(problem)[:300] or type(problem).__name__) from None
    if error:
        raise Wrong(key, _told(error))
    return content


def spec_of(content: dict[str, Any]) -> Spec:
    """The value of a decoded ``spec``, after what the schema cannot say. Raises Wrong."""
    params, columns = content["params"], tuple(content["columns"])
    for option, default, column in zip(("session_key", "item_key", "time_key"), _COLUMNS, columns):
        if params.get(option, default) != column:
            raise Wrong("spec", f"columns={list(columns)}: {option}={params.get(option, default)!r} of params differs")
    for name, value in params.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise Wrong("spec", f"params.{name}: {value}; finite numbers are accepted")
    evaluations, absent = content.get("evaluations"), content.get("absent", {})
    lacking = set(absent) - {"predictions"}
    if evaluations is None and lacking:
        raise Wrong("spec", f"absent: {min(lacking)}: accepted with evaluations only")
    if evaluations is not None and (set(evaluations) | lacking != set(WHATS) or set(evaluations) & lacking):
        raise Wrong("spec", f"evaluations, absent: each of {', '.join(WHATS)} is to stand in one of the two")
    if (content.get("n_predictions", 4) == 0) != ("predictions" in absent):
        raise Wrong("spec", "n_predictions: 0 is accepted with a reason for predictions in absent, and only then")
    keep, epoch_steps = content["keep"], content.get("epoch_steps")
    if any(a >= b for a, b in zip(keep, keep[1:])):
        raise Wrong("spec", f"keep={str(keep)[:80]}: ascending numbers are accepted")
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
        raise Wrong("spec", f"epoch_steps: {len(epoch_steps)} epochs, n_epochs is {spec.n_epochs}")
    if spec.n_epochs > _MOST_EPOCHS:
        raise Wrong("spec", f"n_epochs={spec.n_epochs}; at most {_MOST_EPOCHS} are accepted")
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
