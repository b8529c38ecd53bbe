"""The report as one HTML page: no script, no file beside it, nothing fetched."""

from html import escape
from importlib.resources import files
from typing import Any

from parity.report.figures import Line, figure


def page(report: dict[str, Any]) -> str:
    """The page of a report of :func:`parity.report.build`."""
    style = files("parity.report").joinpath("style.css").read_text(encoding="utf-8")
    names = dict.fromkeys(c["candidate"] for c in report["comparisons"])
    title = f"GRU4Rec parity: {', '.join(names)} against {report['reference']}"
    body = [
        f"<h1>{escape(title)}</h1>",
        _verdict(report),
        f"<blockquote>{escape(report['citation'])}</blockquote>",
        _overview(report),
        _not_compared(report),
        *(_section(c, report["reference"]) for c in report["comparisons"]),
        _environment(report),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>'
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _verdict(report) -> str:
    checks = [(c, check) for c in report["comparisons"] for check in c["checks"]]
    count = {v: sum(check["verdict"] == v for _, check in checks) for v in ("held", "failed", "not covered")}
    compared = sum(check["compared"] for _, check in checks)
    if report["verdict"] != "failed":
        what = f"Every check that could be made held: {count['held']} checks, {compared:,} comparisons."
    else:
        broken = "; ".join(f"{check['name']} ({c['setting']})" for c, check in checks if check["verdict"] == "failed")
        what = f"{count['failed']} of {count['held'] + count['failed']} checks failed: {broken}."
    if report["verdict"] == "not covered":
        what += " Some settings are not supported by an engine, and were not covered at all."
    left = f" Not covered: {count['not covered']}." if count["not covered"] else ""
    verdict = report["verdict"]
    return f'<p class="verdict {_css(verdict)}"><strong>{verdict.capitalize()}.</strong> {escape(what + left)}</p>'


def _overview(report) -> str:
    """Check by setting: the worst error of each, or its verdict."""
    comparisons = report["comparisons"]
    head = "".join(f'<th class="n">{escape(_label(c, comparisons))}</th>' for c in comparisons)
    rows = []
    for at, check in enumerate(comparisons[0]["checks"]):
        cells = []
        for comparison in comparisons:
            each = comparison["checks"][at]
            shown = _error(each["worst"]["relative"]) if each["worst"] else each["verdict"]
            shown = "equal" if each["verdict"] == "held" and each["worst"]["relative"] == 0 else shown
            cells.append(f'<td class="n {_css(each["verdict"])}">{escape(shown)}</td>')
        rows.append(f"<tr><td>{check['name']}</td>{''.join(cells)}</tr>")
    return (
        "<h2>Worst error of each check</h2>"
        f'<div class="wide"><table><thead><tr><th>check</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="small">Relative error of a tensor: ||a - b|| / ||b||. Metrics after full runs: plain difference. '
        '<span class="held">green</span>: within its bound, <span class="failed">red</span>: past it.</p>'
    )


def _label(comparison, comparisons) -> str:
    several = len({c["candidate"] for c in comparisons}) > 1
    return f"{comparison['setting']}, {comparison['candidate']}" if several else comparison["setting"]


def _not_compared(report) -> str:
    missing = {}
    for comparison in report["comparisons"]:
        for check in comparison["checks"]:
            for reason in check["not_covered"]:
                missing.setdefault((check["name"], reason), []).append(comparison["setting"])
    if not missing:
        return "<h2>What was not compared</h2><p>Every check was made in every setting.</p>"
    items = "".join(
        f"<tr><td>{name}</td><td>{escape(reason)}</td><td>{escape(', '.join(dict.fromkeys(where)))}</td></tr>"
        for (name, reason), where in missing.items()
    )
    head = "<thead><tr><th>check</th><th>reason</th><th>settings</th></tr></thead>"
    return f'<h2>What was not compared</h2><div class="wide"><table>{head}<tbody>{items}</tbody></table></div>'


def _section(comparison, reference) -> str:
    title = f"{comparison['setting']}: {comparison['candidate']} against {reference}"
    params = ", ".join(f"{name}={_value(value)}" for name, value in comparison["params"].items())
    about = (
        f"{comparison['dtype']}, seed {comparison['seed']}, dropout seed {comparison['dropout_seed']}, sample store "
        f"{comparison['sample_store']:,}, {comparison['steps']} steps, {' and '.join(comparison['modes'])}"
    )
    notes = dict.fromkeys(note for check in comparison["checks"] for note in check["notes"])
    return "".join(
        [
            f"<h2>{escape(title)}</h2>",
            f'<p class="small">{escape(params)}<br>{escape(about)}</p>',
            _checks(comparison["checks"]),
            _figures(comparison, reference),
            _training(comparison),
            _tensors(comparison["checks"]),
            "".join(f'<p class="small">{escape(note)}</p>' for note in notes),
        ]
    )


def _checks(checks) -> str:
    rows = []
    for check in checks:
        worst = check["worst"]
        where = check["error"] or (_where(worst) if worst else "; ".join(check["not_covered"]))
        error, bound = (_error(worst["relative"]), _bound(worst["tolerance"])) if worst else ("", "")
        rows.append(
            f'<tr><td>{check["name"]}</td><td class="{_css(check["verdict"])}">{check["verdict"]}</td>'
            f'<td class="n" data-label="compared">{check["compared"]:,}</td>'
            f'<td class="n" data-label="worst error">{error}</td>'
            f'<td class="n" data-label="bound">{bound}</td><td data-label="where">{escape(where)}</td>'
            f'<td data-label="compares">{escape(check["compares"])}</td></tr>'
        )
    head = (
        '<thead><tr><th>check</th><th>verdict</th><th class="n">compared</th><th class="n">worst error</th>'
        '<th class="n">bound</th><th>where it is worst</th><th>what it compares</th></tr></thead>'
    )
    return f'<table class="checks">{head}<tbody>{"".join(rows)}</tbody></table>'


def _figures(comparison, reference) -> str:
    drawn = []
    by_name = {check["name"]: check for check in comparison["checks"]}
    stepwise = [by_name[name] for name in ("forward", "loss", "gradients", "update") if by_name[name]["by_step"]]
    if stepwise:
        lines = [Line(check["name"], [(s, _float(e)) for s, e in check["by_step"]]) for check in stepwise]
        bound = stepwise[0]["worst"]["tolerance"]
        drawn.append(
            (
                figure("Error by step", lines, "step", "relative error", True, bound),
                "Teacher-forced: the largest error of each step.",
            )
        )
    curves = comparison["curves"]
    if curves.get("weights_error"):
        lines = [Line("weights", list(enumerate(map(_float, curves["weights_error"]))))]
        svg = figure("Error of free-running weights", lines, "step", "relative error", True)
        drawn.append((svg, "Free-running: how far rounding carries, the largest error of any weight tensor."))
        names = (reference, comparison["candidate"])
        lines = [Line(n, list(enumerate(map(_float, curves[k])))) for n, k in zip(names, ("reference", "candidate"))]
        drawn.append(
            (figure("Cost of each step", lines, "step", "cost"), "Free-running: the cost of each step, both engines.")
        )
    if comparison["training"]:
        lines = [Line(n, list(enumerate(map(_float, t["loss"]), 1))) for n, t in comparison["training"].items()]
        if any(len(line.points) > 1 for line in lines):
            drawn.append(
                (figure("Loss by epoch", lines, "epoch", "loss"), "Full runs: the loss of each epoch, both engines.")
            )
    shown = "".join(
        f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>" for svg, caption in drawn if svg
    )
    return f'<div class="figures">{shown}</div>' if shown else ""


def _training(comparison) -> str:
    if not comparison["training"]:
        return ""
    cuts = list(next(iter(comparison["training"].values()))["metrics"])
    again = {f"{next(iter(comparison['training']))} again, {k}": t for k, t in enumerate(comparison["reruns"], 1)}
    head = "".join(f'<th class="n">{what}@{N}</th>' for what in ("Recall", "MRR") for N in cuts)
    rows = "".join(
        f"<tr><td>{escape(name)}</td>"
        + "".join(f'<td class="n">{t["metrics"][N][key]:.4f}</td>' for key in ("recall", "mrr") for N in cuts)
        + f'<td class="n">{", ".join(f"{_float(x):.4f}" for x in t["loss"])}</td></tr>'
        for name, t in {**comparison["training"], **again}.items()
    )
    head = f'<thead><tr><th>engine</th>{head}<th class="n">loss by epoch</th></tr></thead>'
    note = (
        "<p>Runs that are called again start from a learning rate some 1e-7 away: they show how far apart two correct "
        "runs may be. A figure in which they are further apart than the bound of the check training is not judged.</p>"
        if again
        else ""
    )
    table = f'<div class="wide"><table>{head}<tbody>{rows}</tbody></table></div>'
    return f"<h3>After full runs from one seed</h3>{table}{note}"


def _tensors(checks) -> str:
    rows = []
    for check in checks:
        if check["name"] in ("forward", "gradients", "update", "trajectory"):
            for place in check["worst_tensors"][:3]:
                rows.append(
                    f"<tr><td>{check['name']}</td><td>{escape(_where(place))}</td>"
                    f'<td class="n">{_error(place["relative"])}</td><td class="n">{_error(place["absolute"])}</td>'
                    f'<td class="n">{_bound(place["tolerance"])}</td></tr>'
                )
    if not rows:
        return ""
    head = (
        '<thead><tr><th>check</th><th>tensor</th><th class="n">relative</th><th class="n">largest difference</th>'
        '<th class="n">bound</th></tr></thead>'
    )
    return f'<h3>Worst tensors</h3><div class="wide"><table>{head}<tbody>{"".join(rows)}</tbody></table></div>'


def _environment(report) -> str:
    data, device = report["data"], report["device"]
    facts = {
        "data": f"{data['title']}: {data['train_events']:,} training events in {data['train_sessions']:,} sessions, "
        f"{data['items']:,} items; {data['test_events']:,} test events in {data['test_sessions']:,} sessions",
        "data, SHA-256": data["sha256"],
        "device": f"{device['used']} (asked: {device['asked']}; {device['remark']})",
        **{f"{name} computed on": where for c in report["comparisons"][:1] for name, where in c["computed_on"].items()},
        **{f"set: {name}": value for name, value in report["determinism"].items()},
        **report["environment"],
        "started": f"{report['started']}, took {report['seconds']:.0f} s",
    }
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<h2>How it was made</h2><pre>{escape(report['command'])}</pre><dl>{listed}</dl>"


def _where(place) -> str:
    return place["tensor"] if place["step"] is None else f"{place['tensor']}, step {place['step']}"


def _error(value) -> str:
    return value if isinstance(value, str) else "0" if value == 0 else f"{value:.1e}"


def _bound(value) -> str:
    return "equal" if value == 0 else f"{value:.0e}"


def _float(value) -> float:
    return float("inf") if value == "infinite" else float(value)


def _value(value) -> str:
    return "/".join(map(str, value)) if isinstance(value, list) else str(value)


def _css(verdict: str) -> str:
    return verdict.replace(" ", "-")
