"""Engines by name, and what each of them computes on."""

import importlib
import logging
import os
import platform
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any, Iterator

from parity.protocol import Engine

log = logging.getLogger(__name__)

_SHIPPED = {
    "original": ("original.gru4rec:GRU4Rec", {"backend": "c"}),
    "original-jax": ("original.gru4rec:GRU4Rec", {"backend": "jax"}),
    "keras": ("keras_port:GRU4Rec", {}),
}
NAMES = tuple(_SHIPPED)
# options that the release of 2018 lacks, as other engines may; off, no engine is told of them
_LATER = {"logq": 0.0, "dwell_time": 0, "dwell_weight": 0.0}


@dataclass(frozen=True)
class EngineSpec:
    """How to make an engine.

    name: as given by the user. cls: the class. options: constructor options that belong to the program, not to GRU4Rec.
    evaluation: the module (or object) with ``ranks`` and ``evaluate_gpu``, None where the engine has none.
    """

    name: str
    cls: type
    options: dict[str, Any] = field(default_factory=dict)
    evaluation: Any = None

    def create(
        self, params: dict[str, Any], dtype: str = "float64", seed: int = 42, dropout_seed: int = 12345
    ) -> Engine:
        """An engine of these options. Raises NotImplementedError for one that it does not support or does not know."""
        params = {name: value for name, value in params.items() if name not in _LATER or value != _LATER[name]}
        try:
            return self.cls(**params, **self.options, dtype=dtype, seed=seed, dropout_seed=dropout_seed)
        except TypeError as problem:
            unknown = re.search(r"unexpected keyword argument '(\w+)'", str(problem))
            if unknown and unknown[1] in params:
                raise NotImplementedError(f"the engine has no option {unknown[1]}") from problem
            raise

    def with_options(self, **options: Any) -> "EngineSpec":
        return EngineSpec(self.name, self.cls, self.options | options, self.evaluation)


def named(name: str) -> EngineSpec:
    """The engine ``original`` (compiled C), ``original-jax``, ``keras``, or any ``package.module:Class``.

    Raises ValueError for a name of another form, ImportError where the module cannot be imported or lacks the class.
    """
    path, options = _SHIPPED.get(name, (name, {}))
    module_name, colon, class_name = path.partition(":")
    if not colon or not module_name or not class_name:
        raise ValueError(f"--engine {name}: {', '.join(NAMES)} or package.module:Class is accepted")
    try:
        with _quiet():
            module = importlib.import_module(module_name)
    except ImportError as problem:
        raise ImportError(f"--engine {name}: {module_name} cannot be imported: {problem}") from problem
    cls = getattr(module, class_name, None)
    if not isinstance(cls, type):
        raise ImportError(f"--engine {name}: {module_name} has no class {class_name}")
    missing = [method for method in ("prepare", "get_weights", "set_weights", "train_step") if not hasattr(cls, method)]
    if missing:
        raise ImportError(f"--engine {name}: {class_name} does not follow the protocol, it has no {', '.join(missing)}")
    return EngineSpec(name, cls, dict(options), _evaluation_of(cls))


def _evaluation_of(cls: type) -> Any:
    """``cls.evaluation``, or the module ``evaluation`` of the class's package; None where neither is there."""
    if hasattr(cls, "evaluation"):
        return cls.evaluation
    package = cls.__module__.rpartition(".")[0]
    try:
        module: ModuleType = importlib.import_module(f"{package}.evaluation") if package else None
    except ImportError:
        return None
    return module if hasattr(module, "ranks") else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Within, nothing reaches the standard error, where TensorFlow's C++ greets before it reads any setting."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


# ---- devices


def choose_device(wanted: str, engines: list[str]) -> tuple[str, str]:
    """(device, remark): 'cpu' or 'gpu' for the wanted 'cpu', 'gpu' or 'auto'; what was found, where 'auto' fell back.

    To be called before an engine is imported: it hides the GPUs from the programs when the device is the CPU.
    Raises RuntimeError where a GPU is wanted and an engine's program sees none.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if wanted == "cpu":  # an engine imported from here on sees no GPU
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        return "cpu", "as asked"
    found = {name: sees() for name, sees in _PROBES.items() if _needed(name, engines)}
    if found and all(gpus for gpus, _ in found.values()):
        return "gpu", "; ".join(f"{name}: {what}" for name, (_, what) in found.items())
    seen = "; ".join(f"{name} sees {what}" for name, (_, what) in found.items()) or "no engine that can use one"
    if wanted == "gpu":
        raise RuntimeError(f"--device gpu: no GPU for every engine; {seen}")
    return "cpu", f"auto: no GPU for every engine ({seen}), so the CPU"


def _needed(program: str, engines: list[str]) -> bool:
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if program == "TensorFlow":
        return "keras" in engines and backend == "tensorflow"
    return any(name.startswith("original") for name in engines) or ("keras" in engines and backend == "jax")


def _tensorflow_gpus() -> tuple[int, str]:
    with _quiet():
        import tensorflow as tf

        tf.config.list_physical_devices()
    gpus = tf.config.list_physical_devices("GPU")
    return len(gpus), ", ".join(device.name for device in gpus or tf.config.list_physical_devices())


def _jax_gpus() -> tuple[int, str]:
    try:
        import jax
    except ImportError:
        return 0, "nothing: JAX is not installed"
    gpus = [device for device in jax.devices() if device.platform == "gpu"]
    return len(gpus), ", ".join(map(str, gpus or jax.devices()))


_PROBES = {"TensorFlow": _tensorflow_gpus, "JAX": _jax_gpus}


def for_device(spec: EngineSpec, device: str) -> EngineSpec:
    """On a GPU ``original`` goes through JAX, the only way it has to one."""
    if spec.name.startswith("original"):
        backend = "jax" if device == "gpu" else spec.options["backend"]
        return spec.with_options(backend=backend, device=device)
    return spec


def expect_odd_settings() -> None:
    """Keep engines from warning of unusual pairs of options, which a sweep and a recording contain on purpose."""
    warnings.filterwarnings("ignore", message=".*(is meant with|has no learning rate)")
    logging.getLogger("keras_port").setLevel(logging.ERROR)


def make_deterministic(engines: list[str], device: str) -> dict[str, str]:
    """Turn on each program's determinism, turn off TF32; returns what was set, by program.

    TensorFlow's op determinism rules out XLA, which is deterministic on a CPU, so it is turned on for a GPU only.
    """
    set_to = {"NVIDIA_TF32_OVERRIDE": os.environ.get("NVIDIA_TF32_OVERRIDE", "")}
    if "keras" in engines and os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
        with _quiet():
            import tensorflow as tf

        if device == "gpu":
            tf.config.experimental.enable_op_determinism()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        set_to["TensorFlow"] = f"op determinism {'on' if device == 'gpu' else 'off (XLA on the CPU)'}, TF32 off"
    if any(name == "original-jax" for name in engines) or os.environ.get("KERAS_BACKEND") == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")
        set_to["JAX"] = "matmul precision highest"
    return set_to


def device_of(engine: Engine) -> str:
    """The device and the program that really hold and compute the weights of a built engine, in words.

    An engine of a third party says it by an attribute ``computed_on``.
    """
    if hasattr(engine, "computed_on"):
        return str(engine.computed_on)
    backend = getattr(engine, "_backend", None)
    if hasattr(backend, "description"):
        return backend.description
    model = getattr(engine, "model", None)
    if hasattr(model, "named_weights"):
        import keras

        value = model.named_weights["Wy"].value
        where = getattr(value, "device", "") or "the CPU"
        return f"Keras {keras.__version__}, {keras.backend.backend()} {_version(keras.backend.backend())} on {where}"
    return "not stated by the engine"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def environment() -> dict[str, str]:
    """Versions of what computes, and the machine."""
    packages = ("numpy", "scipy", "pandas", "aesara", "tensorflow", "keras", "jax", "torch", "gru4rec-parity")
    found = {name: _version(name) for name in packages}
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        **{name: number for name, number in found.items() if number},
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(
                (line.partition(":")[2].strip() for line in file if line.startswith("model name")), platform.machine()
            )
    except OSError:
        return platform.processor() or platform.machine()
