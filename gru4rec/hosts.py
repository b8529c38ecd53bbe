"""One training by several processes, on one host or on many, and one engine over several devices."""

import argparse
import importlib
import sys
from typing import Any

from gru4rec import engines
from gru4rec.engines import EngineSpec


def add_arguments(group: argparse._ArgumentGroup, positive: Any, not_negative: Any) -> None:
    """``--devices``, and what joins processes."""
    group.add_argument(
        "--devices", type=positive, metavar="N",
        help="split the rows of the item tensors over N devices of JAX, of all processes together; keras with "
        "KERAS_BACKEND=jax",
    )  # fmt: skip
    group.add_argument(
        "--hosts", metavar="HOST:PORT",
        help="train together with other processes, which are given the same command: where process 0 is to be found",
    )  # fmt: skip
    group.add_argument("--process", type=not_negative, metavar="I", help="the number of this process, from 0")
    group.add_argument("--processes", type=positive, metavar="P", help="how many there are in all")


def check(given: argparse.Namespace) -> None:
    """Raise ValueError for options at odds with each other."""
    joining = {"--hosts": given.hosts, "--process": given.process, "--processes": given.processes}
    missing = [name for name, value in joining.items() if value is None]
    if missing and len(missing) < len(joining):
        there = next(name for name, value in joining.items() if value is not None)
        raise ValueError(f"{there} without {missing[0]}: all of {', '.join(joining)} are accepted, or none")
    if given.hosts is not None and given.devices is None:
        raise ValueError("--hosts without --devices: what several processes share is the devices; give how many")


def join(given: argparse.Namespace) -> bool:
    """Join the other processes, where there are any; returns whether this is the one that prints and writes."""
    if given.hosts is None:
        return True
    if given.device == "cpu":
        engines.choose_device("cpu", [])  # before JAX is imported; to look for GPUs would start it, which is for later
    importlib.import_module("keras_port.distribution").join(given.hosts, given.process, given.processes)
    return given.process == 0


def over_devices(spec: EngineSpec, given: argparse.Namespace) -> EngineSpec:
    """The engine over as many devices as are asked for. Raises ValueError where it cannot be, or they are not there."""
    if given.devices is None:
        return spec
    if engines.base(spec.name) != "keras":
        raise ValueError(f"--devices {given.devices} with --engine {spec.name}: it is accepted with keras")
    if spec.options.get("devices", given.devices) != given.devices:
        raise ValueError(f"--devices {given.devices} with --engine {spec.name}: two numbers of devices")
    importlib.import_module("keras_port.distribution").check(given.devices)
    return spec.with_options(devices=given.devices)


def _joined() -> Any:
    """The module of the processes, where it is in use: nothing is imported to find out."""
    return sys.modules.get("keras_port.distribution")


def is_first() -> bool:
    """Whether this process writes what one of them has to write."""
    module = _joined()
    return module is None or module.process_index() == 0


def lost(problem: BaseException) -> str | None:
    """In words, if a program failed because another process is gone; None otherwise."""
    module = _joined()
    return None if module is None else module.lost(problem)


def leave(status: int) -> int:
    """``status``; a process that computes with others ends here where it is not 0, as they may wait for each other."""
    module = _joined()
    if module is not None and status and module.process_count() > 1:
        module.leave(status)
    return status
