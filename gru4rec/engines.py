"""Engines by name, and what each of them computes on.

An engine is a class that follows the protocol of ``parity``: GRU4Rec's options by their published names, ``fit``,
``save``, ``load``, and single steps. No engine, and no library of one, is imported before it is asked for.
"""

import importlib
import inspect
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from gru4rec.environment import environment, package_version

__all__ = [
    "NAMES",
    "EngineSpec",
    "choose_device",
    "device_of",
    "environment",
    "expect_odd_settings",
    "for_device",
    "make_deterministic",
    "named",
]

_SHIPPED: dict[str, tuple[str, dict[str, Any]]] = {
    "original": ("original.gru4rec:GRU4Rec", {"backend": "c"}),
    "original-jax": ("original.gru4rec:GRU4Rec", {"backend": "jax"}),
    "keras": ("keras_port:GRU4Rec", {}),
}
NAMES = tuple(_SHIPPED)
_SYMBOLIC = ("original", "original-jax")  # on Aesara or PyTensor
_PROTOCOL = ("prepare", "get_weights", "set_weights", "train_step")
# options that the release of 2018 lacks, as other engines may; off, no engine is told of them
_LATER = {"logq": 0.0, "dwell_time": 0, "dwell_weight": 0.0}


@dataclass(frozen=True)
class EngineSpec:
    """How to make an engine.

    Attributes:
        name: as given by the user.
        cls: the class.
        options: constructor options that belong to the program, not to GRU4Rec.
        evaluation: the module (or object) with ``ranks`` and ``evaluate_gpu``, None where the engine has none.
        is_trained: whether it has epochs, a seed and a dtype, as GRU4Rec has, and a baseline has not.
    """

    name: str
    cls: type[Any]
    options: dict[str, Any] = field(default_factory=dict)
    evaluation: Any = None
    is_trained: bool = True

    def create(
        self, params: Mapping[str, Any], dtype: str = "float64", seed: int = 42, dropout_seed: int = 12345
    ) -> Any:
        """An engine of these options.

        Raises:
            NotImplementedError: for an option that the engine's constructor has no parameter for, or does not support.
            Exception: whatever else the constructor raises, ValueError for a value that it does not accept.
        """
        if not self.is_trained:
            return self.cls(**params, **self.options)
        params = {name: value for name, value in params.items() if name not in _LATER or value != _LATER[name]}
        if lacking := self.lacks(params):
            raise NotImplementedError(f"engine {self.name} has no option {', '.join(lacking)}")
        return self.cls(**params, **self.options, dtype=dtype, seed=seed, dropout_seed=dropout_seed)

    def lacks(self, names: Iterable[str]) -> list[str]:
        """Those of ``names`` that the constructor has no parameter for. None where it takes any, or does not say."""
        try:
            parameters = inspect.signature(self.cls).parameters.values()
        except (TypeError, ValueError):
            return []
        if any(each.kind is each.VAR_KEYWORD for each in parameters):
            return []
        taken = {each.name for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)}
        return [name for name in names if name not in taken]

    def events_type(self) -> Any:
        """The engine's class of events that were read before, made by ``of_arrays``; None where it has none."""
        package = self.cls.__module__.rpartition(".")[0]
        try:
            found = getattr(importlib.import_module(f"{package}.events"), "Events", None) if package else None
        except ImportError:
            return None
        return found if hasattr(found, "of_arrays") else None

    def with_options(self, **options: Any) -> "EngineSpec":
        """A copy with these of the program's options."""
        return EngineSpec(self.name, self.cls, self.options | options, self.evaluation, self.is_trained)


def named(name: str) -> EngineSpec:
    """The engine ``original`` (compiled C), ``original-jax``, ``keras``, or any ``package.module:Class``.

    ``keras@4`` is keras_port with its item tensors split over 4 devices of JAX.

    Raises:
        ValueError: for a name of another form, or devices that are not there.
        ImportError: where the module cannot be imported, lacks the class, or the class does not follow the protocol.
    """
    engine, devices = _with_devices(name)
    path, options = _SHIPPED.get(engine, (engine, {}))
    module_name, colon, class_name = path.partition(":")
    if not colon or not module_name or not class_name:
        raise ValueError(f"--engine {name}: {', '.join(NAMES)} or package.module:Class is accepted")
    try:
        with _quiet():
            module = importlib.import_module(module_name)
    except Exception as problem:  # an import runs the module's code, which may raise anything
        raise ImportError(f"--engine {name}: {module_name} cannot be imported: {problem}{_backend_file()}") from problem
    cls = getattr(module, class_name, None)
    if not isinstance(cls, type):
        raise ImportError(f"--engine {name}: {module_name} has no class {class_name}")
    missing = [method for method in _PROTOCOL if not hasattr(cls, method)]
    if missing:
        raise ImportError(f"--engine {name}: {class_name} does not follow the protocol, it has no {', '.join(missing)}")
    if devices is not None:
        importlib.import_module("keras_port.distribution").check(devices)
        options = options | {"devices": devices}
    return EngineSpec(name, cls, dict(options), _evaluation_of(cls))


def base(name: str) -> str:
    """The engine of a name without its number of devices: ``keras`` of ``keras@4``."""
    return _with_devices(name)[0]


def _with_devices(name: str) -> tuple[str, int | None]:
    engine, at, number = name.partition("@")
    if not at or ":" in name:
        return name, None
    if engine != "keras" or not number.isdecimal() or not int(number):
        raise ValueError(f"--engine {name}: keras@N with N devices of JAX is accepted")
    return engine, int(number)


def _backend_file() -> str:
    """Words on the file that names Keras' backend, where there is one and no variable wins over it."""
    file = Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser()) / "keras.json"
    if "KERAS_BACKEND" in os.environ:
        return f" (KERAS_BACKEND={os.environ['KERAS_BACKEND']})"
    return f" (Keras' backend is named in {file})" if file.is_file() else ""


def _evaluation_of(cls: type[Any]) -> Any:
    """``cls.evaluation``, or the module ``evaluation`` of the class's package; None where neither is there."""
    if hasattr(cls, "evaluation"):
        return cls.evaluation
    package = cls.__module__.rpartition(".")[0]
    if not package:
        return None
    try:
        module: ModuleType = importlib.import_module(f"{package}.evaluation")
    except ImportError:
        return None
    return module if hasattr(module, "ranks") else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Within, nothing reaches the standard error, where TensorFlow's C++ greets before it reads any setting.

    Unless the user asks for all messages, by TF_CPP_MIN_LOG_LEVEL=0.
    """
    try:
        kept = None if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0" else os.dup(2)
    except OSError:  # there is no standard error
        kept = None
    if kept is None:
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def choose_device(wanted: str, engines: Sequence[str]) -> tuple[str, str]:
    """(device, remark): 'cpu' or 'gpu' for the wanted 'cpu', 'gpu' or 'auto'; what was found, where 'auto' fell back.

    To be called before an engine is imported: it hides the GPUs from the programs when the device is the CPU.

    Raises:
        RuntimeError: where a GPU is wanted and an engine's program sees none.
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
        raise RuntimeError(f"--device gpu: no GPU for every engine ({', '.join(engines)}); {seen}")
    return "cpu", f"auto: no GPU for every engine ({seen}), so the CPU"


def _needed(program: str, engines: Sequence[str]) -> bool:
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if program in ("TensorFlow", "PyTorch"):
        return _is_keras(engines) and backend == {"TensorFlow": "tensorflow", "PyTorch": "torch"}[program]
    return any(name in _SYMBOLIC for name in engines) or (_is_keras(engines) and backend == "jax")


def _is_keras(engines: Sequence[str]) -> bool:
    return any(name == "keras" or name.startswith("keras@") for name in engines)


def _tensorflow_gpus() -> tuple[int, str]:
    try:
        with _quiet():
            import tensorflow as tf

            tf.config.list_physical_devices()
    except ImportError:
        return 0, "nothing: it is not installed"
    gpus = tf.config.list_physical_devices("GPU")
    return len(gpus), ", ".join(device.name for device in gpus or tf.config.list_physical_devices())


def _jax_gpus() -> tuple[int, str]:
    try:
        import jax
    except ImportError:
        return 0, "nothing: it is not installed"
    gpus = [device for device in jax.devices() if device.platform == "gpu"]
    return len(gpus), ", ".join(map(str, gpus or jax.devices()))


def _torch_gpus() -> tuple[int, str]:
    try:
        import torch
    except ImportError:
        return 0, "nothing: it is not installed"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return count, ", ".join(torch.cuda.get_device_name(i) for i in range(count)) or "cpu"


_PROBES = {"TensorFlow": _tensorflow_gpus, "JAX": _jax_gpus, "PyTorch": _torch_gpus}


def for_device(spec: EngineSpec, device: str) -> EngineSpec:
    """On a GPU ``original`` goes through JAX, the only way it has to one."""
    if spec.name not in _SYMBOLIC:
        return spec
    return spec.with_options(backend="jax" if device == "gpu" else spec.options["backend"], device=device)


def expect_odd_settings() -> None:
    """Keep engines from warning of unusual pairs of options, which a sweep and a recording contain on purpose."""
    warnings.filterwarnings("ignore", message=".*(is meant with|has no learning rate)")
    logging.getLogger("keras_port").setLevel(logging.ERROR)


def make_deterministic(engines: Sequence[str], device: str) -> dict[str, str]:
    """Turn on each program's determinism, turn off TF32; returns what was set, by program.

    TensorFlow's op determinism rules out XLA, which is deterministic on a CPU, so it is turned on for a GPU only.
    """
    set_to = {"NVIDIA_TF32_OVERRIDE": os.environ.get("NVIDIA_TF32_OVERRIDE", "")}
    if _is_keras(engines) and os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
        with _quiet():
            import tensorflow as tf

        if device == "gpu":
            tf.config.experimental.enable_op_determinism()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        set_to["TensorFlow"] = f"op determinism {'on' if device == 'gpu' else 'off (XLA on the CPU)'}, TF32 off"
    backend = os.environ.get("KERAS_BACKEND") if _is_keras(engines) else None
    if "original-jax" in engines or backend == "jax" or (device == "gpu" and "original" in engines):
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")
        set_to["JAX"] = "matmul precision highest"
    if backend == "torch":
        import torch

        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        set_to["PyTorch"] = "float32 matmul precision highest, TF32 off"
    return set_to


def device_of(engine: Any) -> str:
    """The device and the program that really hold and compute the weights of a built engine, in words.

    An engine of a third party says it by an attribute ``computed_on``.
    """
    if hasattr(engine, "computed_on"):
        return str(engine.computed_on)
    backend: Any = getattr(engine, "_backend", None)
    if hasattr(backend, "description"):
        return backend.description
    model: Any = getattr(engine, "model", None)
    if hasattr(model, "named_weights"):
        import keras

        program = keras.backend.backend()
        where = getattr(model.named_weights["Wy"].value, "device", "") or "the CPU"
        return f"Keras {keras.__version__}, {program} {package_version(program)} on {where}"
    return "not stated by the engine"
