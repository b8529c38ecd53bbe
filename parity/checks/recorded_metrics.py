"""Recorded metrics against the harness's own ranks, and an engine's evaluation against the recorded metrics.

The reference looked scores up twice where a list of items was given, so one event near a tie may stand elsewhere in its
metrics; one assignment of such events has to explain every figure at once (:mod:`parity.checks.assignment`).
"""

from typing import Any

import numpy as np

from parity.checks.assignment import fewest_moved
from parity.checks.ranking import Intervals, intervals
from parity.evaluator import metrics
from parity.measure import Check, Checks
from parity.protocol import Engine
from parity.recordings.recording import Evaluation, Recording

MRR = {"float64": 1e-12, "float32": 1e-6}  # the reference summed reciprocal ranks in its own type
MOST_MOVED = 0.02  # of the events: where the recorded metrics need more of them moved within rounding, they say nothing


def check_recorded_metrics(checks: Checks, recording: Recording, engine: Engine, evaluation: Any) -> None:
    """Recorded metrics against the harness's own ranks, and the engine's evaluation against the recorded metrics."""
    s, evaluations = recording.spec, recording.evaluations
    for what, reason in s.absent.items():
        checks["metrics"].notes.append(f"not recorded: {what} ({reason})")
    engine.set_weights(recording.final)
    known: dict[str, dict[str, Intervals]] = {}
    for each in evaluations:
        listed = evaluations.items if each.what == "subset" else None
        if each.what not in known:
            positions = None if listed is None else _positions(recording, listed)
            known[each.what] = intervals(
                recording.final,
                recording.itemidmap,
                {**s.params, **s.column_options},
                recording.test,
                s.dtype,
                positions,
            )
        _compare_metrics(
            checks["metrics"], recording, each, known[each.what][each.mode], listed is not None, engine, evaluation
        )
    if evaluation is None:
        checks["metrics"].not_covered.append("the engine has no evaluation with ranks and evaluate_gpu")


def _positions(recording: Recording, ids: np.ndarray) -> np.ndarray:
    place = {item: position for position, item in enumerate(recording.itemidmap.tolist())}
    return np.array([place[item] for item in np.asarray(ids).tolist() if item in place])


def _compare_metrics(
    check: Check,
    recording: Recording,
    each: Evaluation,
    ranks: Intervals,
    listed: bool,
    engine: Engine,
    evaluation: Any,
) -> None:
    s, label = recording.spec, f"{each.what} {each.mode}"
    # Where the reference ranks a listed target at 0 its MRR is infinite; here every rank is at least 1, and the
    # harness's own ranks say what it then is.
    recorded = {
        N: (float(recall), float(mrr) if np.isfinite(mrr) else metrics(ranks.low, [N])[N][1])
        for N, (recall, mrr) in each.by_cut_off.items()
    }
    if each.mode == "tiebreaking":
        _compare_noisy(check, recording, each, ranks, listed, engine, evaluation)
        return
    widened = _with_own_copy(ranks, each.mode) if listed else ranks
    moved = fewest_moved(ranks.low, widened.low, widened.high, recorded, MRR[s.dtype])
    if moved:
        check.notes.append(f"{label}: explained by {moved} of {len(ranks.low)} events within rounding of a tie")
    if moved is None:
        own = metrics(ranks.low, list(recorded))
        for N, (recall, mrr) in recorded.items():
            check.within(f"Recall@{N}, {label}: recorded against the harness", recall, own[N][0], 1e-12)
            check.within(f"MRR@{N}, {label}: recorded against the harness", mrr, own[N][1], MRR[s.dtype])
    elif moved > max(1, MOST_MOVED * len(ranks.low)):
        check.not_covered.append(f"{label}: {moved} of {len(ranks.low)} events are within rounding of a tie")
        return
    if evaluation is None:
        return
    found = _evaluated(check, recording, each, listed, engine, evaluation)
    if found is None:
        return
    alike = all(np.allclose(found[N], pair, rtol=0, atol=MRR[s.dtype]) for N, pair in recorded.items())
    explained = (
        not alike
        and fewest_moved(ranks.low, ranks.low, ranks.high, found, MRR[s.dtype]) is not None
        and moved is not None
    )
    for N, wanted in recorded.items():
        wanted = found[N] if explained else wanted
        check.within(f"Recall@{N}, {label}", found[N][0], wanted[0], 1e-12)
        check.within(f"MRR@{N}, {label}", found[N][1], wanted[1], MRR[s.dtype])


def _compare_noisy(
    check: Check,
    recording: Recording,
    each: Evaluation,
    ranks: Intervals,
    listed: bool,
    engine: Engine,
    evaluation: Any,
) -> None:
    """Tie-breaking draws its noise anew: recorded and found metrics lie where the noise can bring them."""
    found = None if evaluation is None else _evaluated(check, recording, each, listed, engine, evaluation)
    for N, metric in each.by_cut_off.items():
        bounds = (metrics(of, [N])[N] for of in (ranks.high, ranks.low))
        for what, recorded, own, least, most in zip(
            ("Recall", "MRR"), metric, found[N] if found else metric, *bounds, strict=True
        ):
            label, slack = f"{what}@{N}, {each.what} tiebreaking", MRR[recording.spec.dtype]
            check.within(f"{label}: recorded", recorded, float(np.clip(recorded, least, most)), slack)
            check.within(label, own, float(np.clip(own, least, most)), slack)


def _with_own_copy(ranks: Intervals, mode: str) -> Intervals:
    """The reference takes a target's score and its copy in the list from two look-ups; they may differ in the last bit.

    So the copy may stand above its own target (standard: one rank more), or not reach it (conservative: one less).
    """
    if mode == "conservative":
        return Intervals(np.maximum(ranks.low - 1, 1.0), ranks.high)
    return Intervals(ranks.low, ranks.high + 1)


def _evaluated(
    check: Check, recording: Recording, each: Evaluation, listed: bool, engine: Engine, evaluation: Any
) -> dict[int, tuple[float, float]] | None:
    """The engine's own metrics; None, with a note, where it lacks the function of a kind."""
    options = dict(
        cut_off=sorted(each.by_cut_off), batch_size=recording.evaluations.batch_size, mode=each.mode,
        **recording.spec.column_options,
    )  # fmt: skip
    if each.what == "sessions_batch":
        if not hasattr(evaluation, "evaluate_sessions_batch"):
            check.notes.append(
                "evaluate_sessions_batch: the engine has none; the records were held against its weights"
            )
            return None
        found = evaluation.evaluate_sessions_batch(engine, recording.test, **options)
    else:
        items = recording.evaluations.items if listed else None
        found = evaluation.evaluate_gpu(engine, recording.test, items=items, **options)
    return {N: (float(recall), float(mrr)) for N, (recall, mrr) in found.items()}
