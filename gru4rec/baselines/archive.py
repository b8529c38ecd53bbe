"""A baseline in a file: safetensors, with the options and a checksum in its header."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from gru4rec import files
from gru4rec.frames import Columns

FORMAT = "gru4rec-baseline 1"
_HEADER = "gru4rec-baseline"
_NUMBERS, _TEXTS, _LENGTHS, _SUPPORT = "item_ids", "item_ids.utf8", "item_ids.lengths", "support"
_IDS = (_NUMBERS, _TEXTS, _LENGTHS, _SUPPORT)


class Content(NamedTuple):
    """What a file holds."""

    name: str
    options: dict[str, Any]
    columns: Columns
    item_ids: pd.Index
    support: np.ndarray
    arrays: dict[str, np.ndarray]


def write(
    path: Path, name: str, options: Mapping[str, Any], columns: Columns, item_ids: pd.Index, support: Any,
    arrays: Mapping[str, np.ndarray],
) -> None:  # fmt: skip
    """Write a file, whole or not at all. Raises OSError where it cannot be written."""
    tensors = {key: np.ascontiguousarray(value) for key, value in arrays.items()} | {_SUPPORT: np.asarray(support)}
    if item_ids.dtype.kind in "iuf":
        tensors[_NUMBERS] = item_ids.to_numpy()
    else:
        texts = [each.encode("utf-8", "surrogatepass") for each in item_ids.tolist()]
        tensors[_TEXTS] = np.frombuffer(b"".join(texts), np.uint8)
        tensors[_LENGTHS] = np.array([len(each) for each in texts], np.int64)
    header = {"format": FORMAT, "name": name, "options": dict(options), "columns": list(columns)}
    header["sha256"] = _digest(tensors)
    with files.written_whole(path) as temporary:
        save_file(tensors, temporary, {_HEADER: json.dumps(header)})


def header(path: Path) -> dict[str, Any] | None:
    """The header of a baseline's file, None where it is none. Raises ValueError for a damaged file."""
    try:
        with safe_open(path, framework="numpy") as file:
            found = json.loads((file.metadata() or {}).get(_HEADER, "null"))
    except (SafetensorError, ValueError, RecursionError) as problem:
        raise ValueError(f"{path} is damaged, or no saved model: {str(problem)[:200]}") from None
    return found if isinstance(found, dict) and found.get("format") == FORMAT else None


def read(path: Path) -> Content:
    """Read a file of :func:`write`. Raises FileNotFoundError, or ValueError for one that is damaged or another."""
    if not path.is_file():
        raise FileNotFoundError(f"no model file {path}")
    found = header(path)
    if found is None:
        raise ValueError(f"{path} is no file of a baseline")
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}
        if _digest(tensors) != found["sha256"]:
            raise ValueError("its content is not what was written")
        return Content(
            found["name"], dict(found["options"]), Columns(*found["columns"]), _ids(tensors), tensors[_SUPPORT],
            {key: value for key, value in tensors.items() if key not in _IDS},
        )  # fmt: skip
    except (SafetensorError, ValueError, KeyError, TypeError) as problem:
        raise ValueError(f"{path} is damaged: {str(problem)[:200]}") from None


def _ids(tensors: Mapping[str, np.ndarray]) -> pd.Index:
    if _NUMBERS in tensors:
        return pd.Index(tensors[_NUMBERS])
    content, ends = tensors[_TEXTS].tobytes(), tensors[_LENGTHS].cumsum().tolist()
    starts = [0, *ends[:-1]]
    return pd.Index([content[a:b].decode("utf-8", "surrogatepass") for a, b in zip(starts, ends)])


def _digest(tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        digest.update(np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()
