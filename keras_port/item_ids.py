"""Item ids: whole numbers or texts, compared and kept without loss."""

from collections.abc import Iterable, Mapping, Sized
from typing import Any

import numpy as np
import pandas as pd


def item_map(ids: Any, name: str) -> pd.Series:
    """A Series whose index are the item ``ids`` in index order, with the values 0..n-1."""
    return pd.Series(np.arange(len(ids)), index=pd.Index(ids, name=name), name="ItemIdx")


def factorized(values: np.ndarray, sort: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(codes (N,), ids): by first appearance, or with ``sort`` ascending."""
    if values.dtype.kind != "O" or not any(isinstance(value, str) and "\0" in value for value in values):
        return pd.factorize(values, sort=sort)
    # to pandas a text ends at its first NUL
    ids = list(dict.fromkeys(values))
    ids = sorted(ids) if sort else ids
    codes = {value: code for code, value in enumerate(ids)}
    return np.array([codes[value] for value in values], np.int64), np.array([*ids, None], object)[:-1]


def given_by_user(values: Any) -> np.ndarray:
    """Item ids as an array that holds them as they are: ``[1, 'a']`` is not made texts."""
    if isinstance(values, np.ndarray) and values.dtype.kind != "O":
        return values
    return pd.Index(np.array([*values, None], object)[:-1]).to_numpy()


def find(known: pd.Index, ids: np.ndarray) -> np.ndarray:
    """(N,) indices of ``ids`` in ``known``, -1 where they are not. Numbers of different types are compared exactly."""
    wanted, given = known.dtype.kind, ids.dtype.kind
    if wanted == given or not {wanted, given} <= set("iuf"):
        return known.get_indexer(pd.Index(ids))
    # pandas compares int64, uint64 and float64 as floats, to which whole numbers above 2^53 are equal that are not
    least = {"i": -(2.0**63), "u": 0.0, "f": -np.inf}[wanted]
    most = {"i": np.uint64(2**63) if given == "u" else 2.0**63, "u": 2.0**64, "f": np.inf}[wanted]
    fits = (ids == np.trunc(ids)) & (ids >= least) & (ids < most)
    with np.errstate(invalid="ignore"):
        cast = np.where(fits, ids, 0).astype(known.to_numpy().dtype)
        exact = fits & (cast.astype(ids.dtype) == ids)
    return np.where(exact, known.get_indexer(pd.Index(cast)), -1)


def indices_of(known: pd.Index, ids: Any, name: str) -> np.ndarray:
    """Indices of ids given by a user in ``known``. Raises ValueError naming the first unknown one."""
    several = isinstance(ids, Iterable) and isinstance(ids, Sized) and not isinstance(ids, (str, bytes))
    if not several or not len(ids):
        raise ValueError(f"{name}={ids!r}: a list of one or more item ids is accepted")
    ids = given_by_user(ids)
    try:
        indices = find(known, ids)
    except TypeError:  # of what cannot be hashed
        raise ValueError(f"{name}={ids!r}: a list of item ids is accepted") from None
    if (indices < 0).any():
        unknown = ids[int((indices < 0).argmax())]
        raise ValueError(f"{name}: item {unknown!r} is not among the {len(known)} items of the model")
    return indices


def joined(known: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Known ids and new ones as one array, of the type of the known ones where it holds all.

    Raises:
        ValueError: no type holds them all exactly.
    """
    if not len(new) or known.dtype == new.dtype or known.dtype.kind == "O":
        return np.concatenate([known, new.astype(known.dtype)])
    whole = [int(value) for value in (*known, *new)]
    for dtype in (known.dtype, np.dtype(np.int64), np.dtype(np.uint64)):
        if dtype.kind in "iu" and not np.iinfo(dtype).min <= min(whole) <= max(whole) <= np.iinfo(dtype).max:
            continue
        ids = np.array(whole, dtype)
        if [int(value) for value in ids] == whole:
            return ids
    raise ValueError(f"data: new items of type {new.dtype} do not fit the model's, of type {known.dtype}")


def same_numbers_same_type(ids: np.ndarray) -> np.ndarray:
    """Ids of whole numbers as int64, or as uint64 where they need it, so that equal ones are the same bytes."""
    if ids.dtype.kind == "f":
        return ids.astype(np.int64) if (np.abs(ids) < 2.0**63).all() else ids.astype(np.float64)
    if ids.dtype.kind in "iu":
        return ids.astype(np.uint64 if ids.dtype.kind == "u" and len(ids) and ids.max() >= 2**63 else np.int64)
    return ids


def check_same_type(ids: np.ndarray, known: pd.Index, where: str) -> None:
    """Raise ValueError where numbers are given and the model's items are texts, or the other way round."""
    if not len(ids) or not len(known):
        return
    given, wanted = ("numbers" if pd.api.types.is_numeric_dtype(values.dtype) else "texts" for values in (ids, known))
    if given != wanted:
        raise ValueError(f"{where} holds {given}, but the model's items are {wanted}")


def to_arrays(ids: np.ndarray) -> dict[str, np.ndarray]:
    """Ids as arrays for a file: numbers as they are, texts as their UTF-8 bytes and the offsets of each."""
    if ids.dtype.kind in "iuf":
        return {"item_ids": np.asarray(ids)}
    encoded = [text.encode("utf-8", "surrogatepass") for text in ids]
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in encoded], dtype=np.int64)])
    return {"item_ids/utf8": np.frombuffer(b"".join(encoded), np.uint8), "item_ids/offsets": offsets}


def from_arrays(arrays: Mapping[str, np.ndarray], n_items: int) -> np.ndarray:
    """The ids of :func:`to_arrays`. Raises ValueError unless they are ``n_items`` different ones."""
    if "item_ids" in arrays:
        ids = arrays["item_ids"]
        if ids.ndim != 1 or ids.dtype.kind not in "iuf":
            raise ValueError(f"item_ids has shape {ids.shape} and type {ids.dtype}; a vector of numbers is accepted")
    elif {"item_ids/utf8", "item_ids/offsets"} <= arrays.keys():
        text, offsets = arrays["item_ids/utf8"], arrays["item_ids/offsets"]
        ends = offsets.ndim == 1 and offsets.dtype == np.int64 and len(offsets) and (offsets[0], offsets[-1])
        if text.dtype != np.uint8 or not ends or ends != (0, text.size) or (np.diff(offsets) < 0).any():
            raise ValueError("item_ids/offsets do not fit item_ids/utf8")
        whole = text.tobytes()
        parts = (whole[a:b].decode("utf-8", "surrogatepass") for a, b in zip(offsets, offsets[1:]))
        ids = np.array([*parts, None], object)[:-1]
    else:
        raise ValueError("there are no item ids")
    check_complete(ids, n_items)
    return ids


def check_complete(ids: Any, n_items: int) -> None:
    """Raise ValueError unless ``ids`` are as many different ones as there are items."""
    if len(ids) != n_items:
        raise ValueError(f"{len(ids)} item ids for {n_items} items")
    codes, different = factorized(ids)
    if len(different) < n_items:
        repeated = different[np.bincount(codes).argmax()]
        raise ValueError(f"item id {repeated!r} stands for more than one item")
