"""What the tests over both engines share: the engines side by side, small data, exact words of errors."""

import contextlib
import copy
import importlib
import json
import os
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

KEYS = ("SessionId", "ItemId", "Time")
NO_WEIGHTS = "the model has no weights yet: call fit, prepare, build or load first"
NO_DATA = "the model has no data yet: call fit or prepare first"
MODES = ("standard", "conservative", "median", "tiebreaking")
PUBLISHED = [
    "loss", "final_act", "hidden_act", "layers", "n_epochs", "batch_size", "dropout_p_hidden", "dropout_p_embed",
    "learning_rate", "momentum", "lmbd", "embedding", "n_sample", "sample_alpha", "smoothing",
    "constrained_embedding", "adapt", "adapt_params", "grad_cap", "bpreg", "sigma", "init_as_normal",
    "train_random_order", "time_sort", "session_key", "item_key", "time_key",
]  # fmt: skip
SMALL = {"layers": [4], "batch_size": 3, "n_sample": 4, "n_epochs": 1, "learning_rate": 0.1}


@dataclass(frozen=True)
class Engine:
    """One engine, and the options that make it start fast."""

    name: str
    fast: dict = field(default_factory=dict)

    @property
    def GRU4Rec(self):
        return self.module("gru4rec").GRU4Rec

    @property
    def evaluation(self):
        return self.module("evaluation")

    def module(self, name):
        return importlib.import_module(f"{self.name}.{name}")

    def new(self, **options):
        """A small model, not built."""
        return self.GRU4Rec(**{**SMALL, **self.fast, **options})

    def prepared(self, frame=None, sample_store=0, **options):
        """A small model over ``frame``, not trained."""
        gru = self.new(**options)
        gru.prepare(plain() if frame is None else frame, sample_store)
        return gru


ENGINES = {
    "original": Engine("original", {"backend": "jax"}),
    "keras_port": Engine("keras_port", {"jit_compile": False}),
}


def plain(n_sessions=12, n_items=8, seed=0):
    """Sessions of 2 to 5 events over items 100, 101, ... (each occurs), no two times equal, rows in random order."""
    random = np.random.RandomState(seed)
    session = np.repeat(1000 + random.permutation(n_sessions), random.randint(2, 6, n_sessions))
    n = len(session)
    item = np.r_[np.arange(n_items), random.randint(n_items, size=n - n_items)]
    frame = pd.DataFrame(
        {"SessionId": session, "ItemId": 100 + random.permutation(item), "Time": random.permutation(n) + 10}
    )
    return frame.iloc[random.permutation(n)].reset_index(drop=True)


@contextlib.contextmanager
def refused(kind, words):
    """The block raises exactly ``kind`` or a child of it with exactly these words."""
    with pytest.raises(kind) as caught:
        yield
    assert str(caught.value) == words


@contextlib.contextmanager
def unchanged(frame):
    """The block leaves the frame as it was: values, types, columns, index, and their names."""
    before = copy.deepcopy(frame)
    yield
    if isinstance(frame, pd.DataFrame):
        pd.testing.assert_frame_equal(frame, before, check_exact=True)
        assert frame.index.names == before.index.names and list(frame.columns) == list(before.columns)
    else:
        assert frame.equals(before) and frame.schema == before.schema


def epoch(gru):
    """The batches of the next epoch as plain lists."""
    return [(b.X.tolist(), b.Y.tolist(), np.asarray(b.R, bool).tolist(), b.lanes.tolist()) for b in gru.batches()]


def same_arrays(a, b):
    """Two dicts of arrays are equal to the bit, names and types too; the order of the names is left open."""
    assert sorted(a) == sorted(b)
    for name in a:
        assert a[name].dtype == b[name].dtype, name
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def same_model(a, b):
    """Two models are the same in all that a user can ask them for."""
    assert a.get_params() == b.get_params()
    assert bool(a.error_during_train) == bool(b.error_during_train)
    same_arrays(a.get_weights(), b.get_weights())
    same_arrays(a.get_optimizer_state(), b.get_optimizer_state())
    pd.testing.assert_series_equal(a.itemidmap, b.itemidmap)
    np.testing.assert_array_equal(a.support, b.support)


def both_types(text):
    """Whether a message speaks of numbers and of texts."""
    return re.search("whole|number|int", text) and re.search("text|str", text)


def weights_finite(gru):
    return all(np.isfinite(value).all() for value in gru.get_weights().values())


# Model files: safetensors, a length of 8 bytes, a JSON header, then the tensors.


def split_file(data):
    """(header as JSON, bytes of the tensors)."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def join_file(header, tensors):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + tensors


def unfolded(value):
    """A header in which every text that is itself a JSON object or list is unfolded, marked so that it folds again."""
    if isinstance(value, dict):
        return {name: unfolded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [unfolded(part) for part in value]
    if isinstance(value, str) and value[:1] in ("{", "["):
        with contextlib.suppress(ValueError):
            return Folded(unfolded(json.loads(value)))
    return value


@dataclass
class Folded:
    value: object


def folded(value):
    if isinstance(value, Folded):
        return json.dumps(folded(value.value))
    if isinstance(value, dict):
        return {name: folded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [folded(part) for part in value]
    return value


def places(value, path=()):
    """The paths of all values of an unfolded header, containers too, the root left out."""
    if isinstance(value, Folded):
        if path:
            yield path
        for inner in places(value.value, ()):
            if inner:
                yield (*path, None, *inner)
        return
    if path:
        yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in children:
        yield from places(part, (*path, name))


def value_at(header, path):
    for name in path:
        header = header.value if name is None else header[name]
    return header


def changed_at(header, path, change):
    """A copy of the header in which ``change(container, name)`` was done at ``path``."""
    header = copy.deepcopy(header)
    change(value_at(header, path[:-1]), path[-1])
    return header


def write_changed(target, header, tensors):
    """Write a file of an unfolded header; texts where safetensors wants texts."""
    header = folded(header)
    meta = header.get("__metadata__") if isinstance(header, dict) else None
    if isinstance(meta, dict):  # safetensors takes texts only, and refuses others by itself
        header["__metadata__"] = {k: v if isinstance(v, str) else json.dumps(v) for k, v in meta.items()}
    Path(target).write_bytes(join_file(header, tensors))


def peak_memory():
    """Reset and read the process's highest resident size: a function that gives the bytes added since."""
    Path("/proc/self/clear_refs").write_text("5")

    def peak():
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024

    start = peak()
    return lambda: peak() - start


@contextlib.contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path):
    return os.stat(path).st_mode & 0o777
