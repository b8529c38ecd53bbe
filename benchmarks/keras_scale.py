"""How the cost of a keras_port/ training step grows with the number of items and of units: a table and a figure.

    python -m benchmarks.keras_scale [--items 3000 37483 300000 1000000] [--units 100 256 512] [--out PATH]

Every pair is measured in a process of its own, on synthetic events, with bpr-max, batch 32 and 2048 samples. Peak
memory is the process' largest resident size from the first training call on, beside the size of the tensors that
training needs (weights and optimizer state): a step that copied an item tensor would show in both columns. "near
steps/s" is the speed in the same tables when every step's rows are among the first 3,000: it stays level where the
number of items costs nothing but the way to rows that are in no cache.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

ITEMS, UNITS = (3000, 37483, 300000, 1000000), (100, 256, 512)


def resident():
    """Bytes of this process in memory now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


class PeakMemory:
    """Largest resident size while the block runs, looked at every 2 ms."""

    def __enter__(self):
        self.peak, self._running = resident(), True
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self):
        while self._running:
            self.peak = max(self.peak, resident())
            time.sleep(0.002)

    def __exit__(self, *fault):
        self._running = False
        self._thread.join()


def measure(n_items, units, seconds):
    """Figures of one size, in this process."""
    from benchmarks import keras_data
    from keras_port import GRU4Rec, programs, step

    gru = GRU4Rec(layers=[units], batch_size=32, n_sample=2048, **keras_data.SETTINGS["bpr-max"])
    gru.prepare(keras_data.events(n_items, max(20000, n_items // 4)), sample_store=2_000_000)
    variables, source = gru.trainer.state.variables(), gru.trainer.batches
    tensors = sum(4 * variable.value.shape.num_elements() for variable in variables.values())
    source.start_epoch()
    chunks = [source.chunk(number) for number in range(8)]

    def run(chunk):
        return programs.run(step.run_steps, gru.model, variables, chunk)[0]

    before = resident()
    start = time.perf_counter()
    run(chunks[0]).numpy()
    first = time.perf_counter() - start
    run(chunks[1]).numpy()

    def rate(chunks):
        spent, calls = keras_data.seconds(iter_calls(run, chunks), seconds / 3)
        return calls * gru.steps_per_call / spent

    with PeakMemory() as memory:
        rates = [rate(chunks) for _ in range(3)]
    close = near(chunks, gru.n_items)
    near_per_s = sorted(rate(close) for _ in range(3))[1]
    return {
        "near_per_s": near_per_s,
        "items": gru.n_items,
        "units": units,
        "steps_per_s": sorted(rates)[1],
        "first_call_s": first,
        "tensors_gib": tensors / 2**30,
        "peak_gib": memory.peak / 2**30,
        "growth_gib": (memory.peak - before) / 2**30,
    }


def near(chunks, n_items, among=3000):
    """The same chunks with every item replaced by one of the first ``among``."""
    from keras_port.batches import add_last_occurrences

    folded = [{**chunk, "X": chunk["X"] % among, "Y": chunk["Y"] % among} for chunk in chunks]
    for chunk in folded:
        read_at = [part for part in ("X", "Y") if f"last_{part}" in chunk]
        add_last_occurrences(chunk, read_at, np.zeros(n_items, np.int32))
    return folded


def iter_calls(run, chunks):
    """A function that trains the next chunk, round and round."""
    at = iter(range(10**9))
    return lambda: run(chunks[next(at) % len(chunks)]).numpy()


def figure(rows, path):
    """Steps per second against items, one line for each number of units."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    canvas, axes = plt.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    for units in sorted({row["units"] for row in rows}):
        line = sorted((row for row in rows if row["units"] == units), key=lambda row: row["items"])
        items = [row["items"] for row in line]
        axes[0].plot(items, [row["steps_per_s"] for row in line], marker="o", label=f"{units} units")
        axes[1].plot(items, [row["peak_gib"] for row in line], marker="o", label=f"{units} units, peak")
        axes[1].plot(items, [row["tensors_gib"] for row in line], linestyle=":", color=axes[1].lines[-1].get_color())
    for ax, title in zip(axes, ("training steps per second", "memory, GiB (dotted: the tensors alone)")):
        ax.set(xscale="log", xlabel="items", title=title)
        ax.set_ylim(bottom=0)
        ax.legend()
    canvas.savefig(path, dpi=120)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, nargs="+", default=ITEMS)
    parser.add_argument("--units", type=int, nargs="+", default=UNITS)
    parser.add_argument("--seconds", type=float, default=6.0, help="of measuring, for each size")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/keras_scale"), help="without a suffix")
    parser.add_argument("--memory", type=float, default=12.0, help="GiB; sizes that need more are left out")
    parser.add_argument("--go-on", action="store_true", help="keep what PATH.json holds, measure what it lacks")
    parser.add_argument(
        "--one", nargs=2, type=int, metavar=("ITEMS", "UNITS"), help="measure one size, print it as JSON"
    )
    args = parser.parse_args(argv)
    if args.one:
        print(json.dumps(measure(*args.one, args.seconds)))
        return
    args.out.parent.mkdir(parents=True, exist_ok=True)
    console, file = Console(width=120), args.out.with_suffix(".json")
    rows = json.loads(file.read_text()) if args.go_on and file.exists() else []
    for units in args.units:
        for n_items in args.items:
            if any((row["items"], row["units"]) == (n_items, units) for row in rows):
                continue
            if needed(n_items, units) > args.memory:
                console.print(f"{n_items} items, {units} units: left out, needs {needed(n_items, units):.1f} GiB")
                continue
            command = [sys.executable, "-m", "benchmarks.keras_scale", "--seconds", str(args.seconds)]
            command += ["--one", str(n_items), str(units)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                console.print(f"[red]{n_items} items, {units} units failed:[/red] {done.stderr[-2000:]}")
                continue
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            console.print(f"{n_items} items, {units} units: {rows[-1]['steps_per_s']:.0f} steps/s")
            file.write_text(json.dumps(rows, indent=1))
    if rows:
        rows.sort(key=lambda row: (row["units"], row["items"]))
        figure(rows, args.out.with_suffix(".png"))
        report(rows, args, console)
        with open(args.out.with_suffix(".txt"), "w", encoding="utf-8") as text:
            report(rows, args, Console(file=text, width=120))


def needed(n_items, units):
    """GiB at the largest moment: weights and two slots in float32, and the drawn weights beside them."""
    return 4 * (3 + 1) * n_items * (4 * units + 1) / 2**30


def report(rows, args, console):
    """Print the table, and which sizes were left out."""
    table = Table("items", "units", "steps/s", "near steps/s", "first call s", "tensors GiB", "peak GiB", "growth GiB")
    for row in rows:
        speeds = (f"{row[name]:.0f}" for name in ("steps_per_s", "near_per_s"))
        figures = (f"{row[name]:.2f}" for name in ("first_call_s", "tensors_gib", "peak_gib", "growth_gib"))
        table.add_row(f"{row['items']:,}", str(row["units"]), *speeds, *figures)
    console.print(table)
    for units in args.units:
        for n_items in args.items:
            if needed(n_items, units) > args.memory:
                console.print(f"left out: {n_items:,} items, {units} units ({needed(n_items, units):.1f} GiB)")


if __name__ == "__main__":
    main()
