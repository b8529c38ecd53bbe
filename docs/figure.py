"""Draws the figure of the README: python docs/figure.py [--out docs/_static/agreement.svg].

Two engines on the same batches, in float64: how far the costs of a step are apart where every step starts from a common
state, and where each engine goes on from its own; and the latter for one engine against itself, moved by one unit.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
import numpy as np

from gru4rec import engines
from gru4rec.published import RSC15
from parity import data

OUT = Path(__file__).parent / "_static" / "agreement.svg"
UNIT = 2.0**-53


def made(name: str, train: Any, options: dict[str, Any]) -> Any:
    """A prepared engine, by its name in the registry."""
    spec = engines.named(name)
    engine = spec.cls(**options, **spec.options)
    engine.prepare(train)
    return engine


def apart(a: Sequence[float], b: Sequence[float]) -> np.ndarray:
    """Relative differences (steps,), at least a unit, which is what a logarithmic axis can show of none."""
    first, second = np.array(a), np.array(b)
    return np.maximum(np.abs(first - second) / np.abs(first), UNIT)


def forced(pair: Sequence[Any], batches: Sequence[Any]) -> np.ndarray:
    """Differences of the costs, the second engine starting every step from the state of the first."""
    costs = []
    for batch in batches:
        pair[1].set_weights(pair[0].get_weights())
        pair[1].set_optimizer_state(pair[0].get_optimizer_state())
        pair[1].set_hidden(pair[0].get_hidden())
        costs.append([float(engine.train_step(batch.X, batch.Y, batch.R).cost) for engine in pair])
    return apart(*zip(*costs, strict=True))


def main() -> None:
    """Compute and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--steps", type=int, default=200, metavar="N")
    args = parser.parse_args()
    names = ["original-jax", "keras"]
    engines.choose_device("cpu", names)
    train = data.embedded(2500, 400, 400).train
    options = {**RSC15["bpr-max"], "dtype": "float64", "n_sample": 256}
    reference, port = (made(name, train, options) for name in names)
    batches = [batch for batch, _ in zip(reference.batches(), range(args.steps), strict=False)]
    curves = {"each step from a common state": forced((reference, port), batches)}

    def run(name: str, nudge: float = 0.0) -> list[float]:
        engine, rng = made(name, train, options), np.random.default_rng(0)
        weights = engine.get_weights()
        engine.set_weights({key: w * (1 + nudge * rng.choice([-1, 1], w.shape)) for key, w in weights.items()})
        return [float(engine.train_step(batch.X, batch.Y, batch.R).cost) for batch in batches]

    own = run("keras")
    curves["each engine on its own"] = apart(run("original-jax"), own)
    curves["keras_port against itself, one unit moved at the start"] = apart(own, run("keras", UNIT))
    mpl.rcParams["svg.hashsalt"] = "agreement"
    figure, axes = plt.subplots(figsize=(8, 3.6))
    for (label, values), color in zip(curves.items(), ("#1a7f5a", "#33506b", "#c98a1b"), strict=True):
        axes.semilogy(values, label=label, color=color, linewidth=1.4)
    axes.set(xlabel="training step", ylabel="relative difference of the cost", ylim=(UNIT / 2, 1))
    axes.set_title("original (JAX) and keras_port: bpr-max of RSC15, embedded data, float64", fontsize=10)
    axes.legend(fontsize=8, loc="center right", frameon=False)
    axes.grid(alpha=0.25)
    figure.savefig(args.out, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
