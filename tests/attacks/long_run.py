"""Memory of one process that makes many models, recommends and evaluates many times.

Run as ``python -m tests.attacks.long_run keras_port``; it prints the resident memory after each part, in MiB.
"""

import argparse
import gc
import importlib
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

OPTIONS = {"layers": [16], "batch_size": 8, "n_sample": 32, "n_epochs": 1}
N_ITEMS = 300


def resident() -> float:
    """MiB in memory, after what nothing refers to is gone."""
    gc.collect()
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def frame(seed: int = 0) -> pd.DataFrame:
    """Sessions of 4 events over all items."""
    draw = np.random.RandomState(seed)
    items = np.r_[np.arange(N_ITEMS), draw.randint(N_ITEMS, size=N_ITEMS)]
    return pd.DataFrame(
        {"SessionId": np.repeat(np.arange(len(items) // 4), 4), "ItemId": items, "Time": np.arange(len(items))}
    )


def models(make: Any, count: int) -> Any:
    """Train ``count`` models of one shape, one after the other; gives the last."""
    for seed in range(count):
        gru = make(seed=seed, learning_rate=0.05 + 0.001 * seed)
        gru.fit(frame(seed), sample_store=1000)
    return gru


def recommends(gru: Any, count: int, draw: random.Random) -> None:
    """Ask ``count`` times, with lists of other lengths and other k, or other lanes, every time."""
    for call in range(count):
        if hasattr(gru, "recommend"):
            session = [draw.randrange(N_ITEMS) for _ in range(draw.randint(1, 12))]
            many = [session] * draw.randint(1, 5) if call % 3 == 0 else session
            gru.recommend(many, k=draw.randint(1, N_ITEMS))
        else:
            lanes, listed = draw.randint(1, 5), draw.sample(range(N_ITEMS), draw.randint(1, N_ITEMS))
            gru.predict_next_batch(np.arange(lanes), np.arange(lanes), listed, batch=lanes)


def evaluations(gru: Any, evaluation: Any, count: int, draw: random.Random) -> None:
    """Evaluate ``count`` times, with other batch sizes and lists."""
    for call in range(count):
        items = draw.sample(range(N_ITEMS), draw.randint(20, N_ITEMS)) if call % 2 else None
        mode = ("standard", "conservative", "median", "tiebreaking")[call % 4]
        evaluation.evaluate_gpu(gru, frame(call % 7), items, batch_size=draw.randint(1, 150), mode=mode)


def main() -> None:
    """Print one JSON object: MiB at the start of each part's second half and at its end, for what a part keeps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=("original", "original-jax", "keras_port"))
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--recommends", type=int, default=5000)
    parser.add_argument("--evaluations", type=int, default=100)
    asked = parser.parse_args()
    package, _, backend = asked.engine.partition("-")
    cls = importlib.import_module(f"{package}.gru4rec").GRU4Rec
    evaluation = importlib.import_module(f"{package}.evaluation")
    more = {"backend": backend or "c"} if package == "original" else {}

    def make(**options: Any) -> Any:
        return cls(**OPTIONS, **more, **options)

    draw, figures = random.Random(0), {}
    gru = make()
    gru.fit(frame(), sample_store=1000)
    parts = {
        "models": lambda count: models(make, count),
        "recommends": lambda count: recommends(gru, count, draw),
        "evaluations": lambda count: evaluations(gru, evaluation, count, draw),
    }
    for name, part in parts.items():
        half, start = max(1, getattr(asked, name) // 2), resident()
        part(half)
        middle = resident()
        part(half)
        figures[name] = [round(mib, 1) for mib in (start, middle, resident())]
    print(json.dumps({"engine": asked.engine, **figures}))


if __name__ == "__main__":
    main()
