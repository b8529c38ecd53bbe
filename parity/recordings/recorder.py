"""Recording a run of an engine through the public protocol, as the runs of the authors' program were recorded."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gru4rec.engines import EngineSpec
from parity.protocol import Engine
from parity.recordings.consistency import Wrong
from parity.recordings.recording import (
    MODES,
    WHATS,
    Evaluation,
    Evaluations,
    Kept,
    Metric,
    Prediction,
    Recording,
    Spec,
    Step,
)
from parity.recordings.texts import decoded, spec_of
from parity.walk import State, lanes_in_step, state_of, step_with_gradients

_COLUMNS = ("SessionId", "ItemId", "Time")
KEEP = (0, 1, 2, 9, 19)
CUT_OFFS = (1, 5, 10, 20)
EVALUATION_LANES = 4
PREDICTION_LANES = 2
# a lane goes on, then one changes its session
_PREDICTION_SESSIONS = ((1, 2), (1, 2), (1, 3), (1, 3))

Scales = Callable[[Spec, State, Step], Mapping[str, float]]


def record(
    engine_spec: EngineSpec,
    params: Mapping[str, Any],
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    sample_store: int,
    dtype: str = "float64",
    keep: Sequence[int] = KEEP,
    seed: int = 42,
    dropout_seed: int = 12345,
    meta: Mapping[str, Any] | None = None,
    scales: Scales | None = None,
    on_step: Callable[[int], None] = lambda number: None,
) -> Recording:
    """Train an engine for all its epochs, free-running from its seeds, and record what it does.

    Args:
        engine_spec: what to run.
        params: options of the constructor by their published names.
        train, test: frames with the session, item and time columns that ``params`` name.
        sample_store: ``fit``'s option.
        dtype: ``float32`` or ``float64``.
        keep: numbers of the steps of which all tensors are kept.
        seed, dropout_seed: of the two random streams.
        meta: who makes the recording, with what.
        scales: gives for a kept step, from the state before it, the size that the rounding of each of its tensors is
            measured against; None records no scales.
        on_step: called with each step's number when it is done.

    Raises:
        NotImplementedError: the engine lacks an option, or a part without which there is no recording.
        ValueError: the run ended in an error (its cost is not finite), or an option is wrong.
    """
    content: dict[str, Any] = {
        "params": dict(params),
        "sample_store": sample_store,
        "dtype": dtype,
        "columns": [params.get(key, name) for key, name in zip(("session_key", "item_key", "time_key"), _COLUMNS)],
        "keep": sorted(set(keep)),
        "seed": seed,
        "dropout_seed": dropout_seed,
    }
    spec = _spec(content)
    train, test = (frame[list(spec.columns)].reset_index(drop=True) for frame in (train, test))
    engine = engine_spec.create(dict(params), dtype, seed, dropout_seed)
    engine.prepare(train.copy(), sample_store)
    itemidmap, init = np.asarray(engine.itemidmap.index), _copies(engine.get_weights())
    steps: list[Step] = []
    content["epoch_steps"], losses = [], []
    for _ in range(spec.n_epochs):
        epoch = []
        for step in _epoch(engine, spec, len(steps), scales):
            epoch.append(step)
            on_step(len(steps) + len(epoch) - 1)
        steps += epoch
        content["epoch_steps"].append(len(epoch))
        losses.append(np.average([step.cost for step in epoch], weights=[step.lanes for step in epoch]))
    final = _copies(engine.get_weights())
    evaluations, content["absent"] = _evaluations(engine, engine_spec.evaluation, spec, test, itemidmap)
    try:
        predictions = tuple(_predictions(engine, spec, test))
    except NotImplementedError as reason:
        predictions, content["absent"]["predictions"] = (), str(reason) or "the engine's scores are not implemented"
    content["n_predictions"] = len(predictions)
    content["evaluations"] = _declaration(evaluations)
    return Recording(
        Path(engine_spec.name),
        _spec(content),
        train,
        test,
        itemidmap,
        init,
        tuple(steps),
        np.round(losses, 6),
        final,
        evaluations,
        predictions,
        dict(meta or {}),
    )


def _spec(content: Mapping[str, Any]) -> Spec:
    try:
        return spec_of(decoded("spec", np.array(json.dumps(content))))
    except Wrong as wrong:
        raise ValueError(str(wrong)) from None


def _copies(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.array(values) for name, values in tensors.items()}


def _epoch(engine: Engine, spec: Spec, begin: int, scales: Scales | None) -> Iterator[Step]:
    shapes = spec.tensors(engine.n_items)
    for number, (_, batch) in enumerate(lanes_in_step(engine, dict(spec.params)), begin):
        is_kept = number in spec.keep
        before = state_of(engine) if is_kept and scales else None
        H = [np.array(state) for state in engine.get_hidden()] if is_kept else []
        masks = [np.array(mask, bool) for mask in engine.draw_masks(len(batch.X))] if spec.mask_widths() else []
        # gradients every time: an engine that compiles then compiles one program
        cost, gradients = step_with_gradients(engine, batch, masks)
        if not np.isfinite(cost):
            raise ValueError(f"the cost of step {number} is {cost}: a run that ends in an error is not recorded")
        X, Y, R = np.array(batch.X, np.int32), np.array(batch.Y, np.int32), np.array(batch.R, bool)
        step = Step(number, X, Y, R, float(cost), tuple(masks))
        if is_kept:
            gradients = _copies(gradients)
            kept = Kept(
                tuple(H),
                tuple(np.array(state) for state in engine.get_hidden()),
                {name: gradients[name] for name in gradients if name in shapes and not shapes[name].rows},
                {name: gradients[name] for name in gradients if name in shapes and shapes[name].rows},
                _copies(engine.get_weights()),
            )
            step = replace(step, kept=kept)
            step = replace(step, scales=scales(spec, before, step)) if scales and before else step
        yield step


def _predictions(engine: Engine, spec: Spec, test: pd.DataFrame) -> Iterator[Prediction]:
    """Successive calls on a few lanes, through ``scores``: a lane whose session changes starts from zeros."""
    index = pd.Index(engine.itemidmap.index)
    ids = test[spec.columns[1]].to_numpy()
    known = np.asarray(index[np.unique(np.maximum(index.get_indexer(ids), 0))])
    inputs = np.resize(known, (len(_PREDICTION_SESSIONS), PREDICTION_LANES))
    hidden = [np.zeros((PREDICTION_LANES, units), spec.dtype) for units in spec.layers]
    before = _PREDICTION_SESSIONS[0]
    for sessions, items in zip(_PREDICTION_SESSIONS, inputs):
        goes_on = np.equal(sessions, before)[:, None]
        hidden = [np.where(goes_on, H, np.zeros((), spec.dtype)) for H in hidden]
        scores, hidden = engine.scores(index.get_indexer(items), hidden)
        yield Prediction(np.array(sessions), items, np.array(scores).T)
        before = sessions


def _evaluations(
    engine: Engine, evaluation: Any, spec: Spec, test: pd.DataFrame, itemidmap: np.ndarray
) -> tuple[Evaluations, dict[str, str]]:
    """What the engine's own evaluation gives, and for each kind that it lacks the reason."""
    items = itemidmap[::3]
    kinds = {
        "all": ("evaluate_gpu", {}),
        "subset": ("evaluate_gpu", {"items": items}),
        "sessions_batch": ("evaluate_sessions_batch", {}),
    }
    records, absent = [], {}
    for what in WHATS:
        function, arguments = kinds[what]
        if not hasattr(evaluation, function):
            absent[what] = f"the engine has no {function}"
            continue
        options = {"cut_off": list(CUT_OFFS), "batch_size": EVALUATION_LANES, **spec.column_options, **arguments}
        try:
            of_kind = []
            for mode in MODES:
                found = getattr(evaluation, function)(engine, test.copy(), mode=mode, **options)
                of_kind.append(Evaluation(what, mode, {N: Metric(*map(float, found[N])) for N in CUT_OFFS}))
            records += of_kind
        except NotImplementedError as reason:
            absent[what] = str(reason) or f"the engine's {function} is not implemented"
    if not records:
        return Evaluations(), absent
    return Evaluations(tuple(records), EVALUATION_LANES, items if "subset" not in absent else None), absent


def _declaration(evaluations: Evaluations) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in evaluations:
        found.setdefault(each.what, {"modes": [], "cut_offs": list(CUT_OFFS)})["modes"].append(each.mode)
    return found
