"""Scores, files, ``fit``, evaluation: what people call."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from parity.checks.ranking import MODES, check_ranking, expected_ranking, level_items
from parity.doctor.findings import STORE, Doctor, Outcome
from parity.doctor.forms import DOCUMENTED, Form, advice_on, distance, equal, form_of
from parity.doctor.options import PUBLISHED
from parity.doctor.steps import case_of
from parity.evaluator import read_events
from parity.measure import Checks
from parity.protocol import Engine
from parity.walk import lanes_in_step


def scored(doctor: Doctor) -> None:
    """Scores of all items and of some, in order, without a trace."""
    say, engine, own = doctor.say, doctor.prepared(), doctor.plain()
    case, random = case_of(own, doctor.base["batch_size"]), np.random.default_rng(3)
    for each in (engine, own):
        each.set_weights(case.weights)
        each.set_hidden(case.hidden)
    before = engine.get_weights(), engine.get_optimizer_state(), engine.get_hidden()
    X, hidden = case.batch.X.copy(), [random.uniform(-0.5, 0.5, H.shape).astype(doctor.dtype) for H in case.hidden]
    given = [H.copy() for H in hidden]
    scores, following = engine.scores(X, given)
    wanted, then = own.scores(X, hidden)
    say("scores", "shape", np.shape(scores) == wanted.shape, "(M, n_items), a column an item", f"{np.shape(scores)}")
    right = len(following) == len(then) and all(distance(a, b) < doctor.close for a, b in zip(following, then))
    form: Form | None = DOCUMENTED
    if not right and len(following) == len(then):
        form = form_of(case.weights, X, hidden[0], following[0], doctor.base["hidden_act"], doctor.close)
    advice = f"one (M, L) array a layer, after these items. {'' if form == DOCUMENTED else advice_on(form)}"
    say("scores", "next hidden state", right, advice, "" if form == DOCUMENTED else str(form or "unknown"))
    say(
        "scores",
        "values",
        distance(scores, wanted) < doctor.close,
        "h·Wy' + By, then final_act; softmax over all items (softmax_logit predicts a softmax, too); no dropout",
    )
    items = random.permutation(engine.n_items)[:7]
    some = engine.scores(X, given, items)[0]
    softmax = str(doctor.base["final_act"]).startswith("softmax")
    say(
        "scores",
        "of given items",
        np.shape(some) == (len(X), 7) and (softmax or distance(some, wanted[:, items]) < doctor.close),
        "(M, len(items)), columns in the order of `items`, which are indices",
        f"{np.shape(some)}",
    )
    after = engine.get_weights(), engine.get_optimizer_state(), engine.get_hidden()
    same = equal(after[0], before[0]) and equal(after[1], before[1]) and all(map(np.array_equal, after[2], before[2]))
    same = same and all(map(np.array_equal, given, hidden)) and np.array_equal(X, case.batch.X)
    say(
        "scores", "nothing changes", same, "scores changes weights, states or the arrays given: it is to leave no trace"
    )


def files(doctor: Doctor) -> None:
    """Saved, loaded, the same."""
    engine = doctor.prepared()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        engine.save(path)
        loaded = doctor.spec.cls.load(path)
    doctor.say("files", "weights read back", equal(loaded.get_weights(), engine.get_weights()), "to the last bit")
    doctor.say(
        "files",
        "itemidmap read back",
        loaded.itemidmap.index.equals(engine.itemidmap.index),
        "ids in order, and of the same type",
    )
    X, hidden = np.arange(3), [np.full((3, L), 0.1, doctor.dtype) for L in doctor.base["layers"]]
    scores = [each.scores(X, [H.copy() for H in hidden])[0] for each in (engine, loaded)]
    doctor.say(
        "files", "scores of the loaded engine", distance(*scores) < doctor.close, "they differ: save the options"
    )


def fitted(doctor: Doctor) -> None:
    """fit against the engine's own steps: losses and weights of two epochs."""
    if not callable(getattr(doctor.spec.cls, "fit", None)):
        raise NotImplementedError("no fit")
    engine, given = doctor.create(), doctor.data.train.copy()
    losses: list[tuple[int, float]] = []
    engine.fit(given, STORE, on_epoch_end=lambda epoch, loss: losses.append((epoch, float(loss))))
    say = doctor.say
    say(
        "fit",
        "on_epoch_end",
        [epoch for epoch, _ in losses] == [0, 1],
        "called with (epoch, loss), epoch from 0, after each epoch",
        f"called for epochs {[epoch for epoch, _ in losses]}",
    )
    say("fit", "the caller's frame", given.equals(doctor.data.train), "fit changes it: work on a copy")
    stepped = doctor.prepared()
    costs: dict[int, list[tuple[float, int]]] = {}
    for epoch, batch in lanes_in_step(stepped, doctor.base, 2):
        cost, _ = stepped.train_step(batch.X, batch.Y, batch.R, masks=[])
        costs.setdefault(epoch, []).append((float(cost), len(batch.X)))
    wanted = [_average(each) for each in costs.values()]
    say(
        "fit",
        "loss of an epoch",
        len(wanted) == len(losses) and np.allclose([loss for _, loss in losses], wanted, rtol=1e-5),
        "the mean of the steps' costs weighted by their lanes",
        ", ".join(f"{loss:.6f}" for _, loss in losses),
    )
    final, own = engine.get_weights(), stepped.get_weights()
    worst = max(own, key=lambda name: distance(final.get(name), own[name]))
    say(
        "fit",
        "weights after it",
        distance(final.get(worst), own[worst]) < 1e-4,
        f"fit and the engine's own steps end apart ({worst}): states zero at the start of an epoch and where R, lanes "
        "that end leave, samples go on from epoch to epoch",
    )


def _average(costs: list[tuple[float, int]]) -> float:
    return float(np.average([cost for cost, _ in costs], weights=[lanes for _, lanes in costs]))


def evaluated(doctor: Doctor) -> None:
    """Which keyword arguments the evaluation takes, what it returns, and the ranks of every mode."""
    evaluation, topic = doctor.spec.evaluation, "evaluation"
    if evaluation is None:
        raise NotImplementedError("no evaluation with ranks and evaluate_gpu")
    engine, test = doctor.prepared(), doctor.data.test
    items = np.asarray(engine.itemidmap.index)[::2]
    keywords: dict[str, tuple[pd.DataFrame, dict]] = {
        "items": (test, dict(items=items)),
        "batch_size": (test, dict(batch_size=7)),
        **{f"mode={mode!r}": (test, dict(mode=mode)) for mode in MODES},
        **{
            key: (test.rename(columns={PUBLISHED[key]: "other"}), {key: "other"})
            for key in ("session_key", "item_key", "time_key")
        },
    }
    for name in ("ranks", "evaluate_gpu"):
        function: Any = getattr(evaluation, name, None)
        if not doctor.say(
            topic, name, callable(function), "needed for the checks ranks and metrics", "", Outcome.MISSING
        ):
            continue
        lacking = []
        for keyword, (frame, options) in keywords.items():
            try:
                function(engine, frame.copy(), **options)
            except Exception as problem:  # an engine under test may raise anything
                lacking.append(f"{keyword} ({type(problem).__name__}: {problem})")
        renaming = all("_key" in each for each in lacking)
        doctor.say(
            topic,
            f"{name}: keyword arguments",
            not lacking,
            "column names are needed for data of other columns only"
            if renaming
            else "the harness gives items, batch_size and mode by these names",
            f"refused: {'; '.join(lacking)}" if lacking else ", ".join(keywords),
            Outcome.MISSING if renaming else Outcome.WRONG,
        )
    doctor.probe(topic, "what is returned", _returned, engine, evaluation)


def _returned(doctor: Doctor, engine: Engine, evaluation: Any) -> None:
    test, topic = doctor.data.test, "evaluation"
    ids = np.asarray(engine.itemidmap.index)
    given = test.copy()
    found = evaluation.ranks(engine, given, batch_size=50, mode="standard")
    doctor.say(topic, "the caller's frame", given.equals(test), "evaluation changes it: work on a copy")
    events = len(read_events(test, ids).predicted)
    right = isinstance(found, pd.DataFrame) and "rank" in found and len(found) == events
    doctor.say(
        topic,
        "ranks: what is returned",
        right,
        f"a frame with the column rank and a row for each of the {events} "
        "events after their session's first, unknown items left out before",
        f"{type(found).__name__}, {len(found)} rows",
    )
    metrics = evaluation.evaluate_gpu(engine, given, cut_off=[1, 20], batch_size=50, mode="standard")
    right = (
        isinstance(metrics, Mapping) and set(metrics) == {1, 20} and all(len(pair) == 2 for pair in metrics.values())
    )
    doctor.say(
        topic,
        "evaluate_gpu: what is returned",
        right,
        "for a list of cut-offs {N: (Recall@N, MRR@N)}",
        type(metrics).__name__,
    )
    checks = Checks()
    levelled = level_items(doctor.plain().get_weights())
    wanted = expected_ranking(levelled, ids, doctor.base, test, doctor.dtype)
    check_ranking(checks, wanted, engine, evaluation, test)
    for name in ("ranks", "metrics"):
        check = checks[name]
        first = check.first_failure.where if check.first_failure else ""
        doctor.say(
            topic,
            f"{name} in every tie mode",
            not (check.broken or first),
            "standard: above + 1; conservative: above + level; median: halfway; tiebreaking: noise of 1e-10. "
            "Recall@N counts ranks <= N, MRR@N the mean of 1/rank up to N",
            f"first other: {first or check.broken}" if check.broken or first else f"{check.compared} compared",
        )
