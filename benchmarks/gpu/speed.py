"""Steps per second and evaluation of one engine at one size, as a user meets them: by ``fit`` and ``evaluate_gpu``.

    python -m benchmarks.gpu.speed --engine original-jax --items 37483 --units 100 --device gpu

Synthetic events, bpr-max, batch 32, 2048 samples, float32. ``fit`` includes all that the host does: batches, samples,
padding. The first epoch compiles and is left out. Prints one line of JSON.
"""

import argparse
import json
import time

import numpy as np

from benchmarks import keras_data
from gru4rec import engines

BATCH, SAMPLES = 32, 2048
NAMES = {"original-jax": "original-jax", "keras-jax": "keras", "keras-torch": "keras"}


def measure(engine: str, n_items: int, units: int, device: str, epochs: int) -> dict:
    """Figures of one size. steps_per_s: predicted events a second by 32; the best epoch but the first."""
    name = NAMES[engine]
    chosen, remark = engines.choose_device(device, [name])
    engines.make_deterministic([name], chosen)
    spec = engines.for_device(engines.named(name), chosen)
    # Enough events that every item occurs, and not less than some seconds of training on a GPU.
    frame = keras_data.events(n_items, max(20_000, n_items // 3))
    params = keras_data.SETTINGS["bpr-max"] | {
        "layers": [units], "batch_size": BATCH, "n_sample": SAMPLES, "n_epochs": epochs,
    }  # fmt: skip
    gru = spec.create(params, "float32", 42, 12345)
    ends = [time.perf_counter()]
    gru.fit(frame, 10_000_000, on_epoch_end=lambda epoch, loss: ends.append(time.perf_counter()))
    predicted = len(frame) - frame["SessionId"].nunique()
    seconds = np.diff(ends)
    test = frame[frame["SessionId"] < 3000]
    spec.evaluation.evaluate_gpu(gru, test[test["SessionId"] < 300], cut_off=[20], batch_size=200)  # compiles
    start = time.perf_counter()
    spec.evaluation.evaluate_gpu(gru, test, cut_off=[20], batch_size=200)
    spent = time.perf_counter() - start
    return {
        "engine": engine,
        "items": len(gru.itemidmap),
        "units": units,
        "steps_per_s": predicted / BATCH / min(seconds[1:]),
        "first_epoch_s": seconds[0],
        "epoch_s": list(seconds[1:]),
        "evaluated_events_per_s": (len(test) - test["SessionId"].nunique()) / spent,
        "computed_on": engines.device_of(gru),
        "device": f"{chosen} ({remark})",
    }


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    made.add_argument("--engine", choices=NAMES, required=True, help="the backend of Keras is that of KERAS_BACKEND")
    made.add_argument("--items", type=int, required=True)
    made.add_argument("--units", type=int, required=True)
    made.add_argument("--device", choices=("cpu", "gpu", "auto"), default="auto")
    made.add_argument("--epochs", type=int, default=3)
    return made


def main(argv: list[str] | None = None) -> None:
    given = parser().parse_args(argv)
    engines.expect_odd_settings()
    print(json.dumps(measure(given.engine, given.items, given.units, given.device, given.epochs)), flush=True)


if __name__ == "__main__":
    main()
