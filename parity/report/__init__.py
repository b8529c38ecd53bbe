"""The report of a run: ``report.json``, whose form is :file:`schema.json`, and ``report.html``, one page made of it."""

import json
import math
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from parity import engines
from parity.checks.training import Training
from parity.compare import Result
from parity.files import written_together
from parity.measure import CHECKS, Check, Comparison
from parity.report.page import page

VERSION = 1
TENSORS_KEPT = 6  # the worst tensors of a check


def schema() -> dict[str, Any]:
    """The JSON Schema of ``report.json``."""
    return json.loads(files("parity.report").joinpath("schema.json").read_text(encoding="utf-8"))


def build(
    results: list[Result],
    command: str,
    started: datetime,
    seconds: float,
    device: dict[str, str],
    determinism: dict[str, str],
) -> dict[str, Any]:
    """The report of ``results`` as plain JSON values. Errors that are not finite are written as text, 'infinite'."""
    made = {
        "schema_version": VERSION,
        "verdict": _verdict([result.checks.status for result in results]),
        "command": command,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "reference": results[0].reference,
        "device": device,
        "determinism": determinism,
        "environment": engines.environment(),
        "data": results[0].scenario.dataset.describe(),
        "comparisons": [_comparison(result) for result in results],
    }
    made["citation"] = citation(made)
    return made


def _verdict(statuses: list[str]) -> str:
    return next((status for status in ("failed", "not covered") if status in statuses), "held")


def write(made: dict[str, Any], folder: Path) -> None:
    """``report.json`` and ``report.html`` in ``folder``, each of them whole or not there."""
    texts = {"report.json": json.dumps(made, indent=1, allow_nan=False) + "\n", "report.html": page(made)}
    with written_together({name: folder / name for name in texts}) as temporary:
        for name, text in texts.items():
            temporary[name].write_text(text, encoding="utf-8")


def citation(made: dict[str, Any]) -> str:
    """One paragraph with the figures, ready to paste into a paper."""
    comparisons = made["comparisons"]
    checks = [check for comparison in comparisons for check in comparison["checks"]]
    count = {
        status: sum(check["verdict"] == status for check in checks) for status in ("held", "failed", "not covered")
    }
    forced = [
        check["worst"]["relative"]
        for check in checks
        if check["name"] in ("forward", "loss", "gradients", "update") and check["worst"]
    ]
    worst = max(forced, key=_sortable, default=None)
    figures = f" The largest relative error of a teacher-forced step was {_short(worst)}." if worst is not None else ""
    names = ", ".join(dict.fromkeys(comparison["candidate"] for comparison in comparisons))
    settings = ", ".join(dict.fromkeys(comparison["setting"] for comparison in comparisons))
    compared = sum(check["compared"] for check in checks)
    version = made["environment"].get("gru4rec-parity", "")
    return (
        f"We compared the GRU4Rec implementation {names} with {made['reference']} using the parity harness"
        f"{' ' + version if version else ''} on {_data_text(made['data'])}, in {comparisons[0]['dtype']}, "
        f"for the settings {settings} (seed {comparisons[0]['seed']}). Of {len(checks)} checks with {compared:,} "
        f"comparisons {count['held']} held, {count['failed']} failed and {count['not covered']} were not covered."
        f"{figures}"
    )


def _data_text(data: dict[str, Any]) -> str:
    synthetic = "synthetic data" if "SYNTHETIC" in data["title"] else data["title"]
    events = f"{data['train_events']:,} training events, {data['items']:,} items, {data['test_events']:,} test events"
    return f"{synthetic} ({events})"


def _comparison(result: Result) -> dict[str, Any]:
    scenario = result.scenario
    return {
        "setting": scenario.name,
        "candidate": result.candidate,
        "verdict": result.checks.status,
        "params": scenario.params,
        "dtype": scenario.dtype,
        "seed": scenario.seed,
        "dropout_seed": scenario.dropout_seed,
        "sample_store": scenario.store,
        "modes": list(result.modes),
        "steps": result.steps,
        "computed_on": result.devices,
        "checks": [_check(result.checks[name]) for name in CHECKS],
        "curves": {name: [_number(value) for value in values] for name, values in result.curves.items()},
        "training": {name: _run(trained) for name, trained in result.training.items()},
        "reruns": [_run(trained) for trained in result.reruns],
    }


def _run(trained: Training) -> dict[str, Any]:
    return {
        "loss": [_number(value) for value in trained.losses],
        "metrics": {str(N): {"recall": pair[0], "mrr": pair[1]} for N, pair in trained.metrics.items()},
    }


def _check(check: Check) -> dict[str, Any]:
    worst = sorted(check.by_tensor.values(), key=lambda c: (c.excess, c.error.relative), reverse=True)
    return {
        "name": check.name,
        "compares": CHECKS[check.name],
        "verdict": check.status,
        "compared": check.compared,
        "worst": None if check.worst is None else _place(check.worst),
        "first_failure": None if check.first_failure is None else _place(check.first_failure),
        "worst_tensors": [_place(comparison) for comparison in worst[:TENSORS_KEPT]],
        "by_step": [[step, _number(value)] for step, value in sorted(check.by_step.items())[:2000]],
        "notes": list(dict.fromkeys(check.notes)),
        "not_covered": list(dict.fromkeys(check.not_covered)),
        "error": check.broken,
    }


def _place(comparison: Comparison) -> dict[str, Any]:
    return {
        "tensor": comparison.tensor,
        "step": comparison.step,
        "relative": _number(comparison.error.relative),
        "absolute": _number(comparison.error.absolute),
        "tolerance": comparison.tolerance,
        "held": comparison.held,
    }


def _number(value: float) -> float | str:
    return float(value) if math.isfinite(value) else "infinite"


def _sortable(value: float | str) -> float:
    return math.inf if value == "infinite" else value


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else "0" if value == 0 else f"{value:.1e}"
