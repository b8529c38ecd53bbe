"""keras_port/ against original/ in float64: every step of the published settings from a common state, then ranks.

    python -m benchmarks.keras_against_original --train train_full.txt --test test.txt [--steps 200]

Before each step keras_port/ is set to original's weights, optimizer state and hidden state. Both then train the same
batch; the batches, samples and dropout masks that each draws from its own streams have to be equal. keras_port/ takes
the step twice: op by op, for the gradients, and through the program that ``fit`` runs. At the end both are evaluated
with original's weights. The command fails where an error exceeds 1e-10, or where a Recall or MRR differs by more than
the rounding of a sum (1e-12).
"""

import argparse
import sys

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import keras_data

LIMIT = 1e-10
MODES = ("standard", "conservative", "median")
CUT_OFFS = [1, 5, 10, 20]


def worst(found, wanted):
    """(error, name) of the array with the largest relative error ||a - b|| / ||b|| of two dicts of arrays."""
    if set(found) != set(wanted):
        raise ValueError(f"names {sorted(found)} and {sorted(wanted)} differ")

    def error(name):
        return np.linalg.norm(found[name] - wanted[name]) / max(np.linalg.norm(wanted[name]), 1e-30)

    return max(((float(error(name)), name) for name in wanted), default=(0.0, ""))


def _state(engine):
    return {
        "weight": engine.get_weights(),
        "optimizer state": engine.get_optimizer_state(),
        "hidden state": {f"H{k}": H for k, H in enumerate(engine.get_hidden())},
    }


def _set_state(engine, state):
    engine.set_weights(state["weight"])
    engine.set_optimizer_state(state["optimizer state"])
    engine.set_hidden(list(state["hidden state"].values()))


def steps(reference, port, count):
    """Train ``count`` steps of an epoch from common states; yields a dict what -> (error, name) a step.

    Both engines have been given the same data by ``prepare``. Raises AssertionError where batches or masks differ.
    """
    lanes = np.arange(reference.batch_size)
    reference.set_hidden([np.zeros((len(lanes), units)) for units in reference.layers])
    for _, batch, own in zip(range(count), reference.batches(), port.batches()):
        for part in ("X", "Y", "R", "lanes"):
            np.testing.assert_array_equal(getattr(own, part), getattr(batch, part), err_msg=part)
        masks, own_masks = (engine.draw_masks(len(batch.X)) for engine in (reference, port))
        for mask, own_mask in zip(masks, own_masks, strict=True):
            np.testing.assert_array_equal(own_mask, mask)
        if len(lanes) != len(batch.lanes):
            reference.set_hidden([H[np.isin(lanes, batch.lanes)] for H in reference.get_hidden()])
        lanes, before = batch.lanes, _state(reference)
        wanted = reference.train_step(*batch[:3], masks=masks, gradients=True)
        after = _state(reference)
        errors = {}
        for gradients in (True, False):
            _set_state(port, before)
            found = port.train_step(*batch[:3], masks=masks, gradients=gradients)
            run = "op by op" if gradients else "compiled"
            errors[f"cost, {run}"] = abs(found.cost - wanted.cost) / abs(wanted.cost), "cost"
            if gradients:
                errors["gradient"] = worst(found.gradients, wanted.gradients)
            for what, values in _state(port).items():
                errors[f"{what}, {run}"] = worst(values, after[what])
        yield errors


def metrics(reference, port, test, items):
    """(mode, listed, original's, keras_port's) figures by N of an evaluation with original's weights."""
    import keras_port.evaluation
    import original.evaluation

    port.set_weights(reference.get_weights())
    for mode in MODES:
        for listed in (None, items):
            pair = ((original.evaluation, reference), (keras_port.evaluation, port))
            yield (
                mode,
                listed is not None,
                *(module.evaluate_gpu(engine, test, listed, cut_off=CUT_OFFS, mode=mode) for module, engine in pair),
            )


def compare(setting, train, test, count, console):
    """Print the worst errors of one setting; returns whether all are within bounds."""
    import keras_port
    import original.gru4rec

    options = {"layers": [100], "batch_size": 32, "n_sample": 2048, "dtype": "float64", **keras_data.SETTINGS[setting]}
    pair = original.gru4rec.GRU4Rec(**options), keras_port.GRU4Rec(**options)
    for engine in pair:
        engine.prepare(train)
    same_start = worst(pair[1].get_weights(), pair[0].get_weights())[0] == 0
    largest, done = {}, 0
    for errors in steps(*pair, count):
        for what, (error, name) in errors.items():
            largest[what] = max(largest.get(what, (-1.0, "", 0)), (error, name, done))
        done += 1
    table = Table("compared", "largest error", "of", "step", title=f"{setting}: {done} steps, n = {pair[0].n_items:,}")
    for what, (error, name, step) in largest.items():
        table.add_row(what, f"{error:.1e}", name, str(step))
    console.print(table)
    console.print(f"initial weights equal to the last bit: {same_start}")
    figures = list(metrics(*pair, test, list(pair[0].itemidmap.index[::3])))
    difference = max(np.abs(np.subtract(wanted[N], found[N])).max() for _, _, wanted, found in figures for N in wanted)
    for mode, listed, wanted, found in figures:
        (recall, mrr), (own_recall, own_mrr) = wanted[20], found[20]
        console.print(
            f"{mode}, {'a third of the' if listed else 'all'} items: Recall@20 {recall:.6f} and {own_recall:.6f}, "
            f"MRR@20 {mrr:.6f} and {own_mrr:.6f}"
        )
    console.print(f"largest difference of a Recall or MRR at {CUT_OFFS}: {difference:.1e}")
    return same_start and difference <= 1e-12 and max(error for error, _, _ in largest.values()) <= LIMIT


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train", help="prepared training file; synthetic events without it")
    parser.add_argument("--test", help="prepared test file")
    parser.add_argument("--setting", nargs="+", choices=list(keras_data.SETTINGS), default=list(keras_data.SETTINGS))
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args(argv)
    if (args.train is None) != (args.test is None):
        parser.error("--train and --test go together")
    train = keras_data.read(args.train) if args.train else keras_data.events(2933, 17794)
    test = keras_data.read(args.test) if args.test else keras_data.events(2933, 3500, seed=2)
    console = Console(width=120)
    sound = [compare(setting, train, test, args.steps, console) for setting in args.setting]
    if not all(sound):
        console.print("[red]the engines differ[/red]")
        sys.exit(1)


if __name__ == "__main__":
    main()
