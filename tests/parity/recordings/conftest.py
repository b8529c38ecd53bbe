"""A small recording, made by the NumPy example engine, and the arrays of shipped ones."""

import numpy as np
import pandas as pd
import pytest

from gru4rec import engines
from parity.recordings import recorder
from parity.recordings.archive import read_arrays
from parity.recordings.reading import SHIPPED
from parity.recordings.writing import arrays_of, write

NUMPY = "numpy_gru4rec:GRU4Rec"
PARAMS = dict(
    loss="cross-entropy", final_act="softmax", layers=[2], batch_size=2, n_epochs=2, n_sample=3, learning_rate=0.05
)


def frame(sessions, first=0, ids=lambda item: item):
    """A frame of lists of items, a session each, one event a second."""
    rows = [(first + s, ids(item), 100.0 * s + t) for s, items in enumerate(sessions) for t, item in enumerate(items)]
    return pd.DataFrame(rows, columns=["SessionId", "ItemId", "Time"])


@pytest.fixture(scope="session")
def frames():
    return frame([[7, 8, 9], [8, 9], [9, 7, 8, 7], [7, 9]]), frame([[7, 8], [9, 9, 5]], first=10)


@pytest.fixture(scope="session")
def made(frames):
    """The small recording, as it was made."""
    spec = engines.named(NUMPY)
    return recorder.record(spec, PARAMS, *frames, sample_store=0, keep=[0, 3], meta={"who": "a test"})


@pytest.fixture(scope="session")
def small(made):
    """Its arrays. To be copied before a change."""
    return arrays_of(made)


@pytest.fixture(scope="session")
def small_file(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "small.npz"
    write(made, path)
    return path


@pytest.fixture(scope="session")
def shipped():
    """The arrays of a shipped recording, by name; to be copied before a change."""
    kept: dict[str, dict[str, np.ndarray]] = {}

    def arrays(name):
        if name not in kept:
            kept[name] = read_arrays(SHIPPED / f"{name}.npz")
        return dict(kept[name])

    return arrays
