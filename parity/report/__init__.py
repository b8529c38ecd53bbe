"""The report of a run: ``report.json``, whose form is :file:`schema.json`, and ``report.html``, one page made of it."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from gru4rec import engines
from gru4rec.files import written_together
from parity import bounds
from parity.compare import Result
from parity.measure import CHECKS, Check, Comparison, Verdict
from parity.report import machine
from parity.report.rendering import page, short
from parity.tables import sentence

__all__ = ["VERSION", "build", "citation", "page", "schema", "write"]

VERSION = 2
STEP_CHECKS = ("forward", "loss", "gradients", "update")  # each step from the reference's state

_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}  # as both Python and JavaScript read them
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # engines colour their messages


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
    """The report of a run as plain JSON values.

    Args:
        results: at least one. command: as it was typed. started: with a time zone. seconds: how long it took.
        device: what was ``asked``, what is ``used``, and a ``remark``. determinism: what was set, by program.

    Returns:
        What :func:`schema` describes. A figure that is not finite is a text: Infinity, -Infinity or NaN.
    """
    comparisons = [_comparison(result) for result in results]
    checks = [check for comparison in comparisons for check in comparison["checks"]]
    verdict = Verdict.of(result.checks.verdict for result in results)
    candidates = list(dict.fromkeys(result.candidate for result in results))
    made = {
        "schema_version": VERSION,
        "verdict": str(verdict),
        "sentence": sentence(verdict),
        "claim": _claim(results[0].reference, candidates),
        "counts": {
            "compared": sum(check["compared"] for check in checks),
            "checks": {str(one): sum(check["verdict"] == one for check in checks) for one in Verdict},
        },
        "cause": _cause(results),
        "symptom": _symptom(results),
        "command": command,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "commit": machine.commit(),
        "reference": results[0].reference,
        "device": device,
        "determinism": determinism,
        "environment": engines.environment(),
        "blas": machine.blas(),
        "variables": machine.variables(),
        "bounds": {
            "ulps": bounds.ULPS,
            "unit": bounds.UNIT,
            "one_step": {dtype: bounds.forced(dtype) for dtype in bounds.UNIT},
            "trajectory_cap": bounds.TRAJECTORY_CAP[results[0].scenario.dtype],
        },
        "data": results[0].scenario.dataset.describe(),
        "comparisons": comparisons,
    }
    made = _plain(made)
    made["citation"] = citation(made)
    return made


def write(made: dict[str, Any], folder: Path) -> None:
    """``report.json`` and ``report.html`` in ``folder``, each of them whole or not there."""
    texts = {"report.json": json.dumps(made, indent=1, allow_nan=False) + "\n", "report.html": page(made)}
    with written_together({name: folder / name for name in texts}) as temporary:
        for name, text in texts.items():
            # half a surrogate pair, as in the name of a file that is no UTF-8, has no form in UTF-8
            temporary[name].write_text(text, encoding="utf-8", errors="backslashreplace")


def citation(made: dict[str, Any]) -> str:
    """One paragraph with the figures of a report, ready to paste into a paper."""
    comparisons, count = made["comparisons"], made["counts"]["checks"]
    names = ", ".join(dict.fromkeys(comparison["candidate"] for comparison in comparisons))
    settings = ", ".join(dict.fromkeys(comparison["setting"] for comparison in comparisons))
    version = made["environment"].get("gru4rec-parity", "")
    each = ", ".join(f"{number} {verdict}" for verdict, number in count.items() if number)
    return (
        f"We compared the GRU4Rec implementation {names} with {made['reference']} using the parity harness"
        f"{' ' + version if version else ''} on {_data_text(made['data'])}, in {comparisons[0]['dtype']}, for the "
        f"settings {settings} (seed {comparisons[0]['seed']}). Of {sum(count.values())} checks with "
        f"{made['counts']['compared']:,} comparisons: {each}.{_largest(comparisons)}"
    )


def _claim(reference: str, candidates: list[str]) -> str:
    others, verb = ", ".join(candidates), "is" if len(candidates) == 1 else "are"
    return (
        f"Given the same data, batches and seeds, {others} {verb} the same algorithm as {reference}: same batches and "
        "samples, same scores, costs, gradients and updates at every step, same weights after fit, same ranks."
    )


def _largest(comparisons: list[dict[str, Any]]) -> str:
    """The largest error of a step in units of its bound, as a sentence; empty where no step was compared."""
    found = [
        check["worst"]
        for comparison in comparisons
        for check in comparison["checks"]
        if check["name"] in STEP_CHECKS and check["worst"]
    ]
    worst = max(found, key=_excess, default=None)
    if worst is None:
        return ""
    if not math.isfinite(_excess(worst)):
        return f" A teacher-forced step gave no error that is a number: {worst['tensor']}."
    return (
        f" The largest relative error of a teacher-forced step was {short(worst['relative'])}, its bound "
        f"{short(worst['bound'])}."
    )


def _excess(place: dict[str, Any]) -> float:
    relative = float(place["relative"])
    return math.inf if math.isnan(relative) or place["bound"] == 0 else relative / place["bound"]


def _data_text(data: dict[str, Any]) -> str:
    synthetic = "synthetic data" if "SYNTHETIC" in data["title"] else data["title"]
    events = f"{data['train_events']:,} training events, {data['items']:,} items, {data['test_events']:,} test events"
    return f"{synthetic} ({events})"


def _cause(results: list[Result]) -> dict[str, Any] | None:
    """The first comparison past its bound, of the first result that has one; else the first exception."""
    for result in results:
        if result.checks.first_failure:
            return _finding(result, *result.checks.first_failure)
    for result in results:
        for check in result.checks.in_order():
            if check.broken:
                return _finding(result, check, None)
    return None


def _symptom(results: list[Result]) -> dict[str, Any] | None:
    worst = None
    for result in results:
        found = result.checks.worst
        if found and found[1].worse_than(worst and worst[2]):
            worst = result, *found
    return _finding(*worst) if worst else None


def _finding(result: Result, check: Check, comparison: Comparison | None) -> dict[str, Any]:
    return {
        "setting": result.scenario.name,
        "candidate": result.candidate,
        "check": check.name,
        "place": _place(comparison),
        "error": check.broken if comparison is None else None,
    }


def _comparison(result: Result) -> dict[str, Any]:
    scenario = result.scenario
    return {
        "setting": scenario.name,
        "candidate": result.candidate,
        "verdict": str(result.checks.verdict),
        "compared": result.checks.compared,
        "params": scenario.params,
        "dtype": scenario.dtype,
        "seed": scenario.seed,
        "dropout_seed": scenario.dropout_seed,
        "sample_store": scenario.store,
        "modes": list(result.modes),
        "steps": result.steps,
        "computed_on": result.devices,
        "checks": [_check(check) for check in result.checks.in_order()],
        "curves": result.curves,
    }


def _check(check: Check) -> dict[str, Any]:
    tensors = sorted(check.by_tensor.values(), key=lambda c: (c.excess, _ordered(c.error.relative)), reverse=True)
    return {
        "name": check.name,
        "compares": CHECKS[check.name],
        "verdict": str(check.verdict),
        "compared": check.compared,
        "worst": _place(check.worst),
        "first_failure": _place(check.first_failure),
        "tensors": [_place(comparison) for comparison in tensors],
        "by_step": [[step, value] for step, value in sorted(check.by_step.items())],
        "notes": list(dict.fromkeys(check.notes)),
        "not_covered": _counted(check.not_covered or ["nothing was compared"] * (check.verdict == Verdict.NOT_COVERED)),
        "not_applicable": _counted(check.not_applicable),
        "error": check.broken,
        "traceback": check.traceback,
    }


def _counted(reasons: Iterable[str]) -> list[dict[str, Any]]:
    """Each reason once, with the number of times."""
    return [{"reason": reason, "times": times} for reason, times in Counter(reasons).items()]


def _place(comparison: Comparison | None) -> dict[str, Any] | None:
    if comparison is None:
        return None
    return {
        "tensor": comparison.tensor,
        "row": comparison.error.row,
        "step": comparison.step,
        "relative": comparison.error.relative,
        "absolute": comparison.error.absolute,
        "bound": comparison.bound,
        "held": comparison.held,
        "why": comparison.error.why,
    }


def _ordered(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _plain(value: Any) -> Any:
    """``value`` as JSON has it. What has no form in JSON becomes a text, so that no run ends without its report."""
    if isinstance(value, dict):
        return {_text(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _NOT_FINITE[str(value)]
    return _text(value)


def _text(value: Any) -> str:
    return _TERMINAL_CODES.sub("", str(value))
