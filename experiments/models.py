"""Engines: made by name with given options, or with a saved model, which says itself which engine wrote it."""

import inspect
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Mapping

from safetensors import SafetensorError, safe_open

from experiments.parameters import Params
from experiments.sessions import Columns, Events
from parity import engines, settings
from parity.engines import EngineSpec

MODES = ("standard", "conservative", "median", "tiebreaking")
EVALUATION_LANES = 100

Metrics = dict[int, tuple[float, float]]  # N -> (Recall@N, MRR@N)


@dataclass(frozen=True)
class Maker:
    """An engine, and the options that do not belong to a parameter file."""

    spec: EngineSpec
    dtype: str = "float32"
    seed: int = 42

    def create(self, params: Params, columns: Columns) -> Any:
        """A new model. Raises ValueError for an option that the engine does not accept."""
        keys = dict(zip(("session_key", "item_key", "time_key"), columns))
        return self.spec.create(params | keys, self.dtype, self.seed)


def engine(name: str, device: str) -> tuple[EngineSpec, str]:
    """(engine, cpu or gpu) of a name and of cpu, gpu or auto. To be called before an engine is imported.

    On a GPU ``original`` computes through JAX, its only way to one. Raises ValueError, ImportError or RuntimeError
    where there is no such engine or device, or the engine lacks what an experiment needs.
    """
    chosen, _ = engines.choose_device(device, [name])
    spec = engines.named(name)
    _check_interface(spec)
    if chosen == "gpu" and name == "original":
        # not engines.for_device: the device would be written into the model's file, which then needs a GPU to load
        spec = spec.with_options(backend="jax")
    return spec, chosen


def _check_interface(spec: EngineSpec) -> None:
    needed = {"sample_store", "on_step", "on_epoch_end"}
    fit = getattr(spec.cls, "fit", None)
    if fit is None or (missing := needed - set(inspect.signature(fit).parameters)):
        what = "no fit" if fit is None else f"a fit without {', '.join(sorted(missing))}"
        raise ImportError(f"--engine {spec.name}: {spec.cls.__name__} has {what}")
    if spec.evaluation is None:
        raise ImportError(f"--engine {spec.name}: {spec.cls.__name__} has no evaluation")


def written_by(path: Path) -> str:
    """'original' or 'keras', the engine that wrote a model file.

    Raises FileNotFoundError, or ValueError for a file of another kind.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no model file {path}")
    try:
        header = _header(path)
        if str(header.get("format", "")).startswith("keras_port.GRU4Rec"):
            return "keras"
        if str(json.loads(header.get("gru4rec", "{}")).get("format", "")).startswith("gru4rec-original"):
            return "original"
    except (SafetensorError, ValueError) as problem:
        raise ValueError(f"{path} is damaged, or no saved model: {problem}") from None
    raise ValueError(f"{path} is no model that original or keras_port saved")


def _header(path: Path) -> dict[str, str]:
    with safe_open(path, framework="numpy") as file:
        return file.metadata() or {}


def check_writer(path: Path, name: str) -> None:
    """Raise ValueError where ``path`` is a file of one shipped engine, and ``name`` is the other."""
    writer = written_by(path)
    if name.partition("-")[0] != writer:
        raise ValueError(f"--engine {name}: {path} was saved by {writer}, and no other engine reads it")


def load(spec: EngineSpec, path: Path) -> Any:
    """A saved model that computes as ``spec`` says, whatever it was saved with."""
    gru = spec.cls.load(path)
    changed = {name: value for name, value in spec.options.items() if getattr(gru, name) != value}
    if not changed:
        return gru
    gru.set_params(**changed)
    with TemporaryDirectory() as folder:  # loading alone builds a network with all the state that training goes on with
        copy = Path(folder) / "model"
        gru.save(copy)
        return spec.cls.load(copy)


def options_of(gru: Any) -> Params:
    """Every option of a model, its dtype and its seed."""
    return {name: getattr(gru, name) for name in (*settings.OPTIONS, "dtype", "seed") if hasattr(gru, name)}


def check_same_options(saved: Any, wanted: Any, path: Path) -> None:
    """Raise ValueError unless two models differ at most in the number of epochs, and in where they compute."""
    before, now = (_everything(gru) for gru in (saved, wanted))
    for name in before | now:
        if before.get(name) != now.get(name) and name not in ("n_epochs", "device"):
            raise ValueError(f"--resume: {path} was made with {name}={before.get(name)!r}, not {now.get(name)!r}")


def _everything(gru: Any) -> Params:
    """All constructor options, as far as the engine lists them."""
    if hasattr(gru, "get_params"):
        return gru.get_params()
    if hasattr(gru, "settings"):
        return asdict(gru.settings())
    return options_of(gru) | columns_of(gru)._asdict()


def check_same_store(path: Path, sample_store: int) -> None:
    """Raise ValueError where ``original`` saved a model that began with another sample store, which it then keeps."""
    if written_by(path) != "original":
        return  # keras_port compares it itself
    before = json.loads(_header(path)["gru4rec"]).get("sample_store", sample_store)
    if before != sample_store:
        raise ValueError(f"-ss {sample_store} with --resume: {path} was begun with -ss {before}, which is needed")


def columns_of(gru: Any) -> Columns:
    """The columns that a model was trained on."""
    return Columns(gru.session_key, gru.item_key, gru.time_key)


def evaluate(spec: EngineSpec, gru: Any, test: Events, cut_offs: list[int], mode: str) -> Metrics:
    """Recall@N and MRR@N at each cut-off."""
    found: Mapping[int, tuple[float, float]] = spec.evaluation.evaluate_gpu(
        gru,
        test.frame,
        session_key=test.columns.session,
        item_key=test.columns.item,
        time_key=test.columns.time,
        cut_off=cut_offs,
        batch_size=EVALUATION_LANES,
        mode=mode,
    )
    return {N: (float(recall), float(mrr)) for N, (recall, mrr) in found.items()}
