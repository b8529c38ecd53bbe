"""Reading a ``.keras`` file of a model with the checks of the package's own files, before Keras takes memory for it."""

import io
import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from keras_port import checkpoint, initial_weights

WEIGHTS = "model.weights.h5"


def is_one(path: str | os.PathLike) -> bool:
    """Whether a file begins as the zip archives do that Keras writes."""
    if not Path(path).is_file():
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"PK\3\4"


def load(path: str | os.PathLike) -> checkpoint.Checkpoint:
    """The checkpoint in a ``.keras`` file that ``model.save`` has written.

    Raises:
        ValueError: it is damaged, is of another model, or declares sizes that it does not have.
    """
    try:
        _check_archive(Path(path))
        model = keras.saving.load_model(path, compile=False)
        found = checkpoint.of_keras(model)
    except Exception as fault:  # noqa: BLE001  Keras, h5py and zipfile raise whatever a damaged file leads them to
        text = str(fault).partition("\n")[0][:300]
        raise ValueError(f"{path}: no whole Keras file of this package: {text or type(fault).__name__}") from None
    if model.saved_digest is not None and model.saved_digest != checkpoint.digest_of(found):
        raise ValueError(f"{path}: damaged: its contents do not have the SHA-256 that stands in it")
    return found


def _check_archive(path: Path) -> None:
    """Raise ValueError unless every part is whole and no size is beyond the file's."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if len(set(names)) < len(names) or not {"config.json", WEIGHTS} <= set(names):
            raise ValueError("its parts are not those of a model")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("a part is compressed, which Keras does not do")
        if sum(entry.file_size for entry in entries) > size:
            raise ValueError("its parts declare more bytes than the file has")
        broken = archive.testzip()
        if broken is not None:
            raise ValueError(f"{broken} does not have its checksum")
        _check_config(json.loads(archive.read("config.json")), size)
        _check_weights(archive.read(WEIGHTS))


def _check_config(config: Any, size: int) -> None:
    """Raise ValueError unless the configuration is of a model whose weights the file has room for."""
    inner = config.get("config") if isinstance(config, dict) else None
    if not isinstance(inner, dict) or config.get("registered_name") != "keras_port>SessionModel":
        raise ValueError("its model is none of this package")
    settings, n_items = checkpoint.settings_from(inner.get("settings")), inner.get("n_items")
    if type(n_items) is not int or n_items < 1 or len(settings.layers) > size:
        raise ValueError("its configuration is none of a model")
    numbers = sum(math.prod(shape) for shape in initial_weights.shapes(settings, n_items).values())
    if numbers * np.dtype(settings.dtype).itemsize > size:
        raise ValueError(f"its configuration asks for {numbers} weights, more than the file has")


def _check_weights(data: bytes) -> None:
    """Raise ValueError for HDF5 that points elsewhere, or declares more than it has."""
    total = 0
    with h5py.File(io.BytesIO(data), "r") as file:
        waiting = [file]
        while waiting:
            group = waiting.pop()
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise ValueError(f"{WEIGHTS}: {name} is a link")
                part = group[name]
                if isinstance(part, h5py.Group):
                    waiting.append(part)
                    continue
                if part.external or part.is_virtual or part.compression or part.chunks:
                    raise ValueError(f"{WEIGHTS}: {name} is not stored as Keras stores it")
                total += part.size * part.dtype.itemsize
                if total > len(data):
                    raise ValueError(f"{WEIGHTS} declares more bytes than it has")
