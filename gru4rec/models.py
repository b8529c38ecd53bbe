"""Models of an engine: made with given options, or loaded from a file, which says itself which engine wrote it."""

import importlib
import inspect
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from gru4rec import baselines, engines
from gru4rec.baselines import archive
from gru4rec.engines import EngineSpec
from gru4rec.frames import Columns
from gru4rec.options import OPTIONS
from gru4rec.published import Params

# where and how a model computes: no result follows from them
COMPUTED = ("backend", "device", "steps_per_call", "jit_compile", "devices")
_NEEDED = ("sample_store", "on_step", "on_epoch_end")


@dataclass(frozen=True)
class Maker:
    """An engine, and the options that do not belong to a parameter file."""

    spec: EngineSpec
    dtype: str = "float32"
    seed: int = 42

    def create(self, params: Params, columns: Columns = Columns()) -> Any:
        """A new model. Raises ValueError for an option that the engine does not accept."""
        return self.spec.create(params | column_options(columns), self.dtype, self.seed)


def engine(name: str, device: str) -> tuple[EngineSpec, str]:
    """(engine, cpu or gpu) of a name and of cpu, gpu or auto. To be called before an engine is imported.

    On a GPU ``original`` computes through JAX, its only way to one.

    Raises:
        ValueError, ImportError, RuntimeError: where there is no such engine or device, or the engine lacks what an
            experiment needs.
    """
    if name in baselines.ENGINES:
        if device == "gpu":
            raise RuntimeError(f"--device gpu: {name} computes on the CPU alone")
        return baselines.spec(name), "cpu"
    chosen, _ = engines.choose_device(device, [name])
    spec = engines.named(name)
    check_interface(spec)
    if chosen == "gpu" and name == "original":
        # not engines.for_device: the device would be written into the model's file, which then needs a GPU to load
        spec = spec.with_options(backend="jax")
    return spec, chosen


def named(name: str) -> EngineSpec:
    """The engine or the baseline of this name; errors as of :func:`gru4rec.engines.named`."""
    return baselines.spec(name) if name in baselines.ENGINES else engines.named(name)


def check_interface(spec: EngineSpec) -> None:
    """Raise ImportError where an engine lacks what training and evaluation here need."""
    fit = getattr(spec.cls, "fit", None)
    if fit is None:
        raise ImportError(f"--engine {spec.name}: {spec.cls.__name__} has no fit")
    takes = inspect.signature(fit).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in takes.values())
    if missing := [name for name in _NEEDED if name not in takes and not takes_any]:
        raise ImportError(f"--engine {spec.name}: {spec.cls.__name__} has a fit without {', '.join(missing)}")
    if spec.evaluation is None:
        raise ImportError(f"--engine {spec.name}: {spec.cls.__name__} has no evaluation")


def written_by(path: Path) -> str:
    """'original' or 'keras', the engine that wrote a model file, or the name of a baseline.

    Raises FileNotFoundError, or ValueError for a file of another kind.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no model file {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
        if str(header.get("format", "")).startswith("keras_port.GRU4Rec"):
            return "keras"
        if str(json.loads(header.get("gru4rec", "{}")).get("format", "")).startswith("gru4rec-original"):
            return "original"
        if (found := archive.header(path)) and found.get("name") in baselines.ENGINES:
            return found["name"]
    except (SafetensorError, ValueError, AttributeError, RecursionError) as problem:
        raise ValueError(f"{path} is damaged, or no saved model: {str(problem)[:200]}") from None
    raise ValueError(f"{path} is no model that original, keras_port or a baseline saved")


def check_writer(path: Path, name: str) -> None:
    """Raise ValueError where ``path`` is a file of another shipped engine, or another baseline, than ``name``."""
    writer = written_by(path)
    if engines.base(name).partition("-")[0] != writer:
        raise ValueError(f"--engine {name}: {path} was saved by {writer}, and no other engine reads it")


def load(spec: EngineSpec, path: Path) -> Any:
    """A saved model that computes as ``spec`` says, whatever it was saved with."""
    takes = inspect.signature(spec.cls.load).parameters.values()
    if any(each.kind is each.VAR_KEYWORD or each.name in spec.options for each in takes):
        return spec.cls.load(path, **spec.options)
    gru = spec.cls.load(path)
    changed = {name: value for name, value in spec.options.items() if getattr(gru, name, value) != value}
    if not changed:
        return gru
    gru.set_params(**changed)
    with TemporaryDirectory() as folder:  # loading alone builds a network with all the state that training goes on with
        copy = Path(folder) / "model"
        gru.save(copy)
        return spec.cls.load(copy)


def options_of(gru: Any) -> Params:
    """The options of GRU4Rec, the dtype and the seed, as far as the engine has them."""
    if not hasattr(gru, "train_step"):  # a baseline
        return gru.get_params()
    return {name: getattr(gru, name) for name in (*OPTIONS, "dtype", "seed") if hasattr(gru, name)}


def every_option(gru: Any) -> Params:
    """All constructor options, as far as the engine lists them; those alone that a result follows from."""
    if hasattr(gru, "get_params"):
        found = dict(gru.get_params())
    elif hasattr(gru, "settings"):
        found = asdict(gru.settings())
    else:
        found = options_of(gru) | {
            name: getattr(gru, name) for name in column_options(Columns()) if hasattr(gru, name)
        }
    found = {name: value for name, value in found.items() if name not in COMPUTED}
    return json.loads(json.dumps(found, default=str))  # as a file gives it back


def column_options(columns: Columns) -> dict[str, str]:
    """The three constructor options that name them."""
    return dict(zip(("session_key", "item_key", "time_key"), columns))


def columns_of(gru: Any) -> Columns:
    """The columns that a model was trained on."""
    return Columns(gru.session_key, gru.item_key, gru.time_key)


def not_finite(gru: Any) -> str | None:
    """The name of the first weight that holds a NaN or an infinity; None where all are numbers."""
    if hasattr(getattr(gru, "model", None), "named_weights"):  # of keras_port, which may lie on many devices
        return importlib.import_module("keras_port.prediction").first_not_finite(gru.model)
    for name, value in (gru.get_weights() or {}).items():
        if not np.isfinite(value).all():
            return name
    return None


def check_finite(gru: Any, path: Path, what: str = "evaluated") -> None:
    """Raise RuntimeError for a model whose training diverged: its figures would be those of no model."""
    if name := not_finite(gru):
        raise RuntimeError(f"{path}: the model's weights are not finite (first: {name}): it cannot be {what}")
    if getattr(gru, "error_during_train", False):
        raise RuntimeError(f"{path}: the model's training diverged: it cannot be {what}")
