"""keras_port/ over 1, 2 and 4 processes: memory, traffic and speed; and on paper what a host of 8 GPUs carries.

    python -m benchmarks.distributed [--items 37483 --units 100 --processes 1 2 4]

Each process has one device of JAX, a CPU, and the processes speak over the loopback device. "device, MiB" is what one
of them holds of weights and optimizer state; "item tensors, MiB" is the part that is split. "sent a step" is read from
the compiled program: the results of its collective operations inside the loop over the steps, and in brackets what a
ring moves for them through each device, 2(D-1)/D for an all-reduce. Processes share the cores of this machine: steps/s
is the price of the exchange, no gain can show.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import keras_data

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
_COLLECTIVE = re.compile(
    r"= (?P<shape>\(.*?\)|\S+) (?P<kind>all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(-start)?\("
)
_SHAPE = re.compile(r"(\w+)\[([\d,]*)\]")
# bytes/s: of NVLink 4 within a host of H100 (450 GB/s a direction), of one 400 Gb/s and one 10 Gb/s network port
NETWORKS = {"NVLink, 450 GB/s": 450e9, "400 Gb/s": 50e9, "10 Gb/s": 1.25e9}
H100_BYTES, H100_FLOPS = 0.9 * 80e9, 60e12  # a tenth is left to the runtime; float32 without tensor cores
# of an exchange among 8 GPUs, however small, in seconds: the order of magnitude that NCCL reaches
LATENCY = 25e-6


def collectives(text: str) -> Iterator[tuple[bool, str, int]]:
    """(inside a loop, kind, bytes of the result) of each collective operation of a compiled program."""
    bodies: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if head := re.match(r"(?:ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            name = head[1]
        bodies.setdefault(name, []).append(line)
    inside = {found for lines in bodies.values() for line in lines for found in re.findall(r"body=%?([\w.\-]+)", line)}
    waiting = list(inside)
    while waiting:
        for line in bodies.get(waiting.pop(), ()):
            for found in re.findall(r"(?:calls|to_apply|body|true_computation|false_computation)=%?([\w.\-]+)", line):
                if found not in inside:
                    inside.add(found)
                    waiting.append(found)
    for name, lines in bodies.items():
        for line in lines:
            if found := _COLLECTIVE.search(line):
                yield name in inside, found["kind"], _size(found["shape"])


def _size(shape: str) -> int:
    sizes = (
        _BYTES[kind] * int(np.prod([int(d) for d in dims.split(",") if d])) for kind, dims in _SHAPE.findall(shape)
    )
    return sum(sizes)


def through_a_ring(kind: str, size: int, devices: int) -> float:
    """Bytes that each device sends for a collective operation whose result has ``size`` bytes."""
    return size * (devices - 1) / devices * (2 if kind == "all-reduce" else 1)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Figures of this process, with one device for each of them."""
    import jax

    from keras_port import GRU4Rec, step
    from keras_port.callbacks import as_list

    devices = jax.device_count()
    options = {**keras_data.SETTINGS[arguments.config], "layers": [arguments.units], "n_sample": arguments.samples}
    gru = GRU4Rec(**options, batch_size=arguments.batch, devices=devices)
    gru.prepare(keras_data.events(arguments.items, max(20000, arguments.items // 4)), sample_store=2_000_000)
    trainer, callbacks = gru.trainer, as_list(None, gru.model, 0, 1)
    callbacks.on_train_begin()
    trainer.epoch(0, callbacks, 64)  # compiles
    rates = []
    for _ in range(arguments.rounds):
        begin = time.perf_counter()
        trainer.epoch(0, callbacks, arguments.steps)
        rates.append(arguments.steps / (time.perf_counter() - begin))
    values = {name: variable.value for name, variable in trainer.state.variables().items()}
    trainer.batches.start_epoch()
    chunk = trainer.batches.chunk(0)
    compiled = jax.jit(lambda state, inputs: step.run_steps(gru.model, state, inputs)).lower(values, chunk).compile()
    found = list(collectives(compiled.as_text()))
    held = {name: value.addressable_shards[0].data.nbytes for name, value in values.items()}
    split = {name for name in held if name.split("/")[-1] in gru.model.read_at}
    return {
        "devices": devices,
        "device_mib": sum(held.values()) / 2**20,
        "split_mib": sum(held[name] for name in split) / 2**20,
        "steps_per_s": float(np.median(rates)),
        "operations": sum(inside for inside, *_ in found),
        "sent": sum(size for inside, _, size in found if inside),
        "ring": sum(through_a_ring(kind, size, devices) for inside, kind, size in found if inside),
        "once": sum(size for inside, _, size in found if not inside),
    }


def run(processes: int, argv: list[str]) -> dict[str, Any]:
    """:func:`measure` in so many processes."""
    command = [sys.executable, "-m", "keras_port.launch", "--processes", str(processes), "-m", "benchmarks.distributed"]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([*command, *argv, "--one"], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{processes} processes: exit status {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def bytes_an_item(units: int, constrained: bool = False, tensors: int = 3) -> int:
    """Of weights, adagrad's sums and velocities in float32: rows of Wx0 (3L), Wy (L) and By (1)."""
    return 4 * tensors * ((1 if constrained else 4) * units + 1)


def bytes_a_step(units: int, batch: int, samples: int) -> int:
    """That every device is brought: rows of Wx0 for the inputs, of Wy and By for the scored items, in float32."""
    return 4 * (batch * 3 * units + (batch + samples) * (units + 1))


def on_paper(console: Console) -> None:
    """Print what 8 GPUs of 80 GB carry, and what an exchange costs them."""
    table = Table("units", "bytes an item", "1 GPU, million items", "8 GPUs", "constrained, 8 GPUs",
                  title="On paper: items that H100s of 80 GB carry (adagrad, momentum, a tenth left free)")  # fmt: skip
    for units in (100, 512, 1000):
        each, tied = bytes_an_item(units), bytes_an_item(units, constrained=True)
        table.add_row(str(units), f"{each:,}", *(f"{n * H100_BYTES / size / 1e6:,.1f}"
                      for n, size in ((1, each), (8, each), (8, tied))))  # fmt: skip
    console.print(table)
    console.print(
        "bytes an item = 3 tensors x 4 bytes x (4L + 1), constrained (L + 1); items = GPUs x 72e9 / bytes an item"
    )
    table = Table("lanes", "units", "brought a step, MB", "products, us", *(f"{name}, us" for name in NETWORKS),
                  title="On paper: a step with 2,048 samples on 8 devices")  # fmt: skip
    for batch, units in ((32, 100), (240, 512), (2048, 512)):
        size = bytes_a_step(units, batch, 2048)
        products = 6 * batch * (batch + 2048) * units / H100_FLOPS
        wires = (LATENCY + 2 * 7 / 8 * size / speed for speed in NETWORKS.values())
        table.add_row(str(batch), str(units), f"{size / 1e6:.2f}", f"{products * 1e6:.0f}",
                      *(f"{seconds * 1e6:,.0f}" for seconds in wires))  # fmt: skip
    console.print(table)
    console.print(f"brought = 4 (3LM + (L + 1)(M + 2048)); network = {LATENCY * 1e6:.0f} us + 2 x 7/8 x brought / "
                  "speed; products = 6 M (M + 2048) L / 60e12")  # fmt: skip
    for name, speed in NETWORKS.items():
        lanes = 2 * 7 / 8 * 4 / speed * H100_FLOPS / 6
        console.print(f"{name}: the wire takes longer than the products below {lanes:,.0f} lanes "
                      "(2 x 7/8 x 4 (L + 1) N / speed = 6 M N L / 60e12)")  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=37483)
    parser.add_argument("--units", type=int, default=100)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--samples", type=int, default=2048)
    parser.add_argument("--config", choices=list(keras_data.SETTINGS), default="bpr-max")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--steps", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--paper", action="store_true", help="print the estimates alone")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    argv = sys.argv[1:] if argv is None else argv
    if arguments.one:
        print(json.dumps(measure(arguments)))
        return
    console = Console(width=140)
    if not arguments.paper:
        table = Table(
            *("processes", "device, MiB", "item tensors, MiB", "operations a step", "sent a step, KiB", "steps/s"),
            title=f"{arguments.config}, n = {arguments.items:,}, {arguments.units} units, {arguments.batch} lanes, "
            f"{arguments.samples:,} samples, float32: CPUs of one machine",
        )
        for processes in arguments.processes:
            row = run(processes, argv)
            sent = f"{row['sent'] / 1024:,.0f} ({row['ring'] / 1024:,.0f})"
            table.add_row(str(processes), f"{row['device_mib']:.1f}", f"{row['split_mib']:.1f}",
                          str(row["operations"]), sent, f"{row['steps_per_s']:.0f}")  # fmt: skip
        console.print(table)
    on_paper(console)


if __name__ == "__main__":
    main()
