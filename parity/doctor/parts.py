"""Parts that settings may have: a constrained embedding, dropout."""

from typing import Any

import numpy as np

from parity.doctor.findings import Doctor
from parity.doctor.forms import distance, shapes_of
from parity.doctor.options import MEMBERS
from parity.doctor.steps import case_of, take
from parity.protocol import Engine


def constrained(doctor: Doctor) -> None:
    """The order of the rows in the gradient of a constrained embedding."""
    params: dict[str, Any] = dict(constrained_embedding=True)
    engine, own = doctor.prepared(**params), doctor.plain(**params)
    case = case_of(own, doctor.base["batch_size"])
    M = len(case.batch.X)
    names = {n: np.shape(w) for n, w in engine.get_weights().items()}
    shapes = {n: w.shape for n, w in case.weights.items()}
    if not doctor.say(
        "constrained embedding",
        "names and shapes of weights",
        names == shapes,
        f"no E; Wx0 is (L_last, 3*L_0); wanted: {shapes_of(shapes)}",
        shapes_of(names),
    ):
        return
    wanted, found = take(own, case, True), take(engine, case, True)
    own_rows = (wanted.gradients or {})["Wy"]
    rows = np.asarray((found.gradients or {}).get("Wy", np.zeros(0)))
    swapped = np.vstack([own_rows[M:], own_rows[:M]])
    if distance(rows, own_rows) < doctor.close:
        order, advice = "X, then Y", ""
    elif distance(rows, swapped) < doctor.close:
        order, advice = "Y, then X", "put the M input rows first: gradient and update are of Wy[concat(X, Y)]"
    else:
        order, advice = (
            f"shape {rows.shape}",
            (
                f"wanted: {own_rows.shape}, the gradients of the M input rows, then of the N output rows, none of them "
                "summed"
            ),
        )
    doctor.say("constrained embedding", "row order of the gradient", not advice, advice, order)
    away = distance(found.weights["Wy"], wanted.weights["Wy"])
    doctor.say(
        "constrained embedding",
        "update of Wy",
        away < doctor.close,
        "input and output rows are looked up jointly and are updated as one list of occurrences, X then Y",
    )


def dropout(doctor: Doctor) -> None:
    """Sites, draws, and a step given masks."""
    params: dict[str, Any] = dict(dropout_p_hidden=0.4)
    say, engine, own = doctor.say, doctor.prepared(**params), doctor.plain(**params)
    M, close = doctor.base["batch_size"], doctor.close
    sites: list[tuple[Any, ...]] = [tuple(site) for site in engine.dropout_sites()]
    wanted_sites = own.dropout_sites()
    right = [s[:2] for s in sites] == [s[:2] for s in wanted_sites] and np.allclose(
        [s[2] for s in sites], [s[2] for s in wanted_sites]
    )
    if not say("dropout", "sites", right, f"(name, width, retain probability): {wanted_sites}", f"{sites}"):
        return
    case = case_of(own, M)
    all_true = [np.ones_like(mask) for mask in case.masks]
    wanted, found, kept = (take(e, case, False, m) for e, m in ((own, None), (engine, None), (engine, all_true)))
    scaled = take(own, case, False, all_true)
    honoured = distance(found.hidden[0], kept.hidden[0]) > 1e-6
    say("dropout", "masks given are honoured", honoured, "two masks gave one outcome: train_step draws its own instead")
    keep = ~case.batch.R
    away = distance(kept.hidden[0][keep], scaled.hidden[0][keep])
    plain = distance(kept.hidden[0][keep], (1 - params["dropout_p_hidden"]) * scaled.hidden[0][keep])
    say(
        "dropout",
        "masks that keep all",
        away < close,
        "kept values are divided by the retain probability"
        + (": they are not" if plain < close else "; the state that goes on is the dropped-out one"),
    )
    say(
        "dropout",
        "masks that drop",
        distance(found.hidden[0], wanted.hidden[0]) < close,
        "true = kept; output and next recurrent state are both h * mask / retain",
    )
    doctor.probe("dropout", "draw_masks", _drawn, engine, params, M, costs=MEMBERS["draw_masks"])


def _drawn(doctor: Doctor, engine: Engine, params: dict, M: int) -> None:
    masks = doctor.prepared(**params).draw_masks(M)
    again = doctor.prepared(**params).draw_masks(M)
    right = all(np.asarray(m).dtype == bool and np.shape(m) == (M, L) for m, L in zip(masks, doctor.base["layers"]))
    doctor.say(
        "dropout",
        "draw_masks",
        right and len(masks) == len(doctor.base["layers"]),
        "one (M, width) bool array a site, true = kept; whether it is the published stream is golden's to say",
        ", ".join(f"{np.asarray(m).dtype} {np.shape(m)}" for m in masks),
    )
    doctor.say("draws", "masks of one seed", all(map(np.array_equal, masks, again)), "they follow from dropout_seed")
