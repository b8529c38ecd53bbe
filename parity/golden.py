"""Recorded reference runs, and engines replayed against them.

A recording is one ``.npz`` file of arrays, without pickles:

* ``spec``: JSON: constructor ``params``, ``sample_store``, ``dtype``, ``columns``, ``keep``
* ``train/session``, ``/item``, ``/time``; ``test/...``: the two frames, rows as given to fit and to evaluation
* ``itemidmap``: item ids in index order
* ``init/NAME``: weights before the first step
* ``stepKKK/X``, ``/Y``, ``/R``, ``/cost``: every step's input ids, scored ids, ends of sessions, cost
* ``stepKKK/maskJ``: mask of the J-th dropout site, true = kept
* ``stepKKK/HJ``, ``/HnextJ``: hidden state before and after; like the next three, in the steps of ``keep`` only
* ``stepKKK/grad_rows/NAME``: gradient per occurrence of a row tensor, before the cap
* ``stepKKK/grad/NAME``: gradient of a dense tensor, before the cap
* ``stepKKK/after/NAME``: weights after the step
* ``n_steps``, ``epoch_loss``, ``final/NAME``: steps in all, losses (6 digits), last weights
* ``eval/WHAT/MODE/N``: (Recall@N, MRR@N); WHAT: ``all``, ``subset`` (``eval/items``), ``sessions_batch``
* ``predictJ/...``: successive calls of predict_next_batch with batch=2: session_ids, input_item_ids, scores
"""

import json
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from parity.protocol import Engine
from parity.engines import EngineSpec
from parity.measure import Checks
from parity.walk import lanes_in_step

SHIPPED = Path(__file__).resolve().parents[1] / "tests" / "golden"

COST = {"float64": 1e-12, "float32": 1e-4}
TENSOR = {"float64": 1e-10, "float32": 1e-4}
MRR = {"float64": 1e-12, "float32": 1e-6}
ALL = ("batches", "negatives", "initial-weights", "forward", "loss", "gradients", "update", "trajectory")


class Recording:
    """One recorded run. Raises OSError for a file that cannot be read, ValueError for one that is no recording."""

    def __init__(self, path: Path):
        self.path, self.name = Path(path), Path(path).stem
        try:
            with np.load(path, allow_pickle=False) as file:
                self.arrays = {key: file[key] for key in file.files}
            self.spec = json.loads(str(self.arrays["spec"]))
            self.params, self.dtype = self.spec["params"], self.spec["dtype"]
            self.n_steps = int(self.arrays["n_steps"])
            self.columns = dict(zip(("session_key", "item_key", "time_key"), self.spec["columns"]))
        except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as problem:
            raise ValueError(f"{path} is no recording of a reference run: {problem}") from None

    def frame(self, part: str) -> pd.DataFrame:
        what = ("session", "item", "time")
        return pd.DataFrame({column: self.arrays[f"{part}/{key}"] for column, key in zip(self.spec["columns"], what)})

    @cached_property
    def train(self) -> pd.DataFrame:
        return self.frame("train")

    @cached_property
    def test(self) -> pd.DataFrame:
        return self.frame("test")

    def named(self, prefix: str) -> dict[str, np.ndarray]:
        """Arrays whose key begins with ``prefix``, by the rest of the key."""
        return {key.removeprefix(prefix): value for key, value in self.arrays.items() if key.startswith(prefix)}

    def numbered(self, prefix: str) -> list[np.ndarray]:
        """Arrays PREFIX0, PREFIX1, ..."""
        found = []
        while f"{prefix}{len(found)}" in self.arrays:
            found.append(self.arrays[f"{prefix}{len(found)}"])
        return found


def find(paths: list[Path]) -> list[Path]:
    """The recordings at ``paths``, folders included; by default the shipped ones. FileNotFoundError for none."""
    found = []
    for path in paths or [SHIPPED]:
        inside = sorted(path.glob("*.npz")) if path.is_dir() else [path] if path.is_file() else []
        if not inside:
            raise FileNotFoundError(f"{path}: no recording (.npz) there")
        found += inside
    return found


def replay(recording: Recording, spec: EngineSpec) -> Checks:
    """Run an engine from its seeds as it was recorded, free-running, and compare all that was recorded."""
    checks = Checks()
    checks.attempt(ALL, _replay, recording, spec)
    return checks


def _replay(checks: Checks, recording: Recording, spec: EngineSpec) -> None:
    engine = spec.create(recording.params, recording.dtype)
    engine.prepare(recording.train, recording.spec["sample_store"])
    checks["batches"].equal("itemidmap", np.asarray(engine.itemidmap.index), recording.arrays["itemidmap"])
    weights = engine.get_weights()
    for name, wanted in recording.named("init/").items():
        checks["initial-weights"].equal(name, weights.get(name, np.nan), wanted)
    _steps(checks, recording, engine)
    checks["trajectory"].close_all(
        engine.get_weights(), recording.named("final/"), TENSOR[recording.dtype], prefix="final "
    )
    checks.attempt(["forward"], _predictions, recording, engine)
    checks.attempt(["metrics"], _metrics, recording, engine, spec.evaluation)


def _steps(checks: Checks, recording: Recording, engine: Engine) -> None:
    costs, lanes, steps = [], [], 0
    epochs = recording.params["n_epochs"]
    for step, batch in enumerate(lanes_in_step(engine, recording.params, epochs)):
        steps = step + 1
        at = f"step{step:03d}/"
        if f"{at}X" not in recording.arrays:
            break
        _batch(checks, recording, batch, step)
        masks = _masks(checks, recording, engine, step)
        hidden = engine.get_hidden()
        cost, gradients = engine.train_step(batch.X, batch.Y, batch.R, masks=masks, gradients=True)
        checks["loss"].close("cost", cost, recording.arrays[f"{at}cost"], COST[recording.dtype], step)
        costs, lanes = [*costs, cost], [*lanes, len(batch.X)]
        if step in recording.spec["keep"]:
            _tensors(checks, recording, engine, hidden, gradients, step)
    checks["batches"].equal("number of steps", steps, recording.n_steps)
    if not recording.params.get("train_random_order") and len(costs) == recording.n_steps:
        by_epoch = np.array_split(
            np.arange(len(costs)), epochs
        )  # epochs are of one length unless their order is random
        losses = [np.average(np.take(costs, part), weights=np.take(lanes, part)) for part in by_epoch]
        for epoch, (found, wanted) in enumerate(zip(losses, recording.arrays["epoch_loss"])):
            past_rounding = max(0.0, abs(found - wanted) - 5e-7)  # recorded to 6 digits
            checks["loss"].within(f"loss of epoch {epoch}", past_rounding, 0.0, TENSOR[recording.dtype])


def _batch(checks, recording, batch, step) -> None:
    M = len(batch.X)
    wanted = {part: recording.arrays[f"step{step:03d}/{part}"] for part in "XYR"}
    checks["batches"].equal("X", batch.X, wanted["X"], step)
    checks["batches"].equal("Y", batch.Y[:M], wanted["Y"][: len(wanted["X"])], step)
    checks["batches"].equal("R", np.asarray(batch.R, bool), wanted["R"].astype(bool), step)
    if len(wanted["Y"]) > M:
        checks["negatives"].equal("samples", batch.Y[M:], wanted["Y"][M:], step)


def _masks(checks, recording, engine, step) -> list[np.ndarray]:
    """The recorded masks; the engine's own stream is compared with them where it has one."""
    wanted = [mask.astype(bool) for mask in recording.numbered(f"step{step:03d}/mask")]

    def compare(checks):
        for j, (mask, found) in enumerate(zip(wanted, engine.draw_masks(len(wanted[0])), strict=True)):
            checks["dropout"].equal(f"mask {j}", np.asarray(found, bool), mask, step)

    if wanted and not checks["dropout"].not_covered:
        checks.attempt(["dropout"], compare)
    return wanted


def _tensors(checks, recording, engine, hidden, gradients, step) -> None:
    at, tolerance = f"step{step:03d}/", TENSOR[recording.dtype]
    after = engine.get_hidden()
    for j, wanted in enumerate(recording.numbered(f"{at}Hnext")):
        checks["forward"].close(f"H{j}", after[j], wanted, tolerance, step)
    for j, wanted in enumerate(recording.numbered(f"{at}H")):
        checks["trajectory"].close(f"H{j}", hidden[j], wanted, tolerance, step)
    wanted = {**recording.named(f"{at}grad/"), **recording.named(f"{at}grad_rows/")}
    checks["gradients"].close_all(gradients, wanted, tolerance, step)
    checks["update"].close_all(engine.get_weights(), recording.named(f"{at}after/"), tolerance, step)


def _predictions(checks: Checks, recording: Recording, engine: Any) -> None:
    """Four successive predictions, through ``scores``: a lane whose session changes starts from zeros."""
    before, j = None, 0
    while f"predict{j}/scores" in recording.arrays:
        sessions, ids = (recording.arrays[f"predict{j}/{part}"] for part in ("session_ids", "input_item_ids"))
        if before is None:
            hidden = [np.zeros((len(sessions), units)) for units in recording.params.get("layers", [100])]
        else:
            hidden = [np.where((before == sessions)[:, None], H, 0) for H in hidden]
        scores, hidden = engine.scores(engine.itemidmap.index.get_indexer(ids), hidden)
        wanted = recording.arrays[f"predict{j}/scores"].T
        checks["forward"].close(f"scores of prediction {j}", scores, wanted, TENSOR[recording.dtype])
        before, j = sessions, j + 1


def _metrics(checks: Checks, recording: Recording, engine: Engine, evaluation: Any) -> None:
    if evaluation is None:
        raise NotImplementedError("the engine has no evaluation with ranks and evaluate_gpu")
    recorded = {tuple(key.split("/")[1:]): value for key, value in recording.arrays.items() if key.count("/") == 3}
    batch_size = int(recording.arrays["eval/batch_size"])
    for what, mode in dict.fromkeys(key[:2] for key in recorded):
        by_N = {int(N): value for (w, m, N), value in recorded.items() if (w, m) == (what, mode)}
        options = dict(cut_off=sorted(by_N), batch_size=batch_size, mode=mode, **recording.columns)
        if what == "sessions_batch":
            if not hasattr(evaluation, "evaluate_sessions_batch"):
                checks["metrics"].not_covered.append("evaluate_sessions_batch")
                continue
            found = evaluation.evaluate_sessions_batch(engine, recording.test, **options)
        else:
            items = recording.arrays["eval/items"] if what == "subset" else None
            found = evaluation.evaluate_gpu(engine, recording.test, items=items, **options)
        for N, (recall, mrr) in by_N.items():
            checks["metrics"].within(f"Recall@{N}, {what} {mode}", found[N][0], recall, 1e-12)
            if np.isfinite(mrr):  # the reference's rank of a target that is not listed can be 0
                checks["metrics"].within(f"MRR@{N}, {what} {mode}", found[N][1], mrr, MRR[recording.dtype])
