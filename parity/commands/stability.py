"""``python -m parity stability``: the unfaulted engines under other threads, kernels and compilers give no alarm.

Each variation runs in a process of its own, by :func:`main` of this module, since what it sets is read when the
libraries are imported.
"""

import argparse
import ctypes
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gru4rec import engines, terminal
from parity.commands import common
from parity.measure import Checks, Verdict

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
# Of the shipped ones: every loss family, both embeddings, dropout, three optimizers, repeated rows, a float32 one.
RECORDINGS = (
    "dropout-both-separate", "layers-two-constrained", "loss-bpr-max-elu", "loss-cross-entropy-smoothing", "opt-adam",
    "opt-duplicates-momentum", "rsc15-bpr-max",
)  # fmt: skip
# OpenBLAS's kernels by name, each with what a processor needs for it, as Linux calls it.
KERNELS = {
    "Prescott": {"pni"},
    "Nehalem": {"sse4_2"},
    "Sandybridge": {"avx"},
    "Haswell": {"avx2", "fma"},
    "Zen": {"avx2", "fma"},
    "SkylakeX": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
}
_NUMPY_FEATURES = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX2 FMA3"
_NAMES = ("openblas_get_corename", "openblas_get_corename64_")


@dataclass(frozen=True)
class Variation:
    """name: as printed. environment: variables. options: of the engine ``keras``."""

    name: str
    environment: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """What a part of a variation gave.

    part: golden, matrix or run. verdict: of all its checks. compared: how many comparisons.
    used: the error over its bound where that is largest; above 1 it is an alarm. where: there.
    kernel: OpenBLAS's, as it says itself. raised: tracebacks of what engines raised.
    """

    part: str
    dtype: str
    verdict: str
    compared: int = 0
    used: float = 0.0
    where: str = ""
    kernel: str = ""
    raised: tuple[str, ...] = ()


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "stability",
        help="vary threads, kernels and compilers, and see no false alarm",
        description="Runs parts of golden, matrix and run by the unfaulted engines, in float64 and float32, over "
        "threads, BLAS kernels, vector units, XLA and oneDNN. Exit status 0 only without an alarm.",
    )
    common.add_engines(parser, "original and keras; with one engine only golden is run")
    parser.add_argument(
        "--recordings", nargs="*", default=list(RECORDINGS), metavar="NAME", help="default: seven of those shipped"
    )
    parser.add_argument("--configs", type=int, default=4, help="of the matrix, in each dtype (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=6, help="of run, in each dtype; 0: none (default: %(default)s)")
    parser.add_argument("--only", action="append", metavar="NAME", help="a variation by its name; may be repeated")
    parser.add_argument(
        "--python", type=Path, default=Path(sys.executable), metavar="PATH", help="the interpreter (default: this one)"
    )
    parser.set_defaults(execute=execute)


def variations(names: list[str], flags: set[str]) -> list[Variation]:
    """What is varied. names: of the engines. flags: of the processor, as Linux calls them."""
    found = [Variation("as it comes")]
    for number in ("1", "2"):
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        eigen = f"--xla_cpu_multi_thread_eigen={'false' if number == '1' else 'true'}"
        title = f"{number} thread{'' if number == '1' else 's'}"
        found.append(Variation(title, dict.fromkeys(variables, number) | {"XLA_FLAGS": eigen}))
    for kernel, needed in KERNELS.items():
        if needed <= flags:
            found.append(Variation(f"BLAS {kernel}", {"OPENBLAS_CORETYPE": kernel}))
    found.append(Variation("NumPy without vector units", {"NPY_DISABLE_CPU_FEATURES": _NUMPY_FEATURES}))
    for isa, needed in (("SSE4_2", {"sse4_2"}), ("AVX2", {"avx2"}), ("AVX512", {"avx512f"})):
        if needed <= flags:
            found.append(Variation(f"XLA {isa}", {"XLA_FLAGS": f"--xla_cpu_max_isa={isa}"}))
    if "keras" in names:
        tensorflow = {"KERAS_BACKEND": "tensorflow"}
        found.append(Variation("Keras without XLA", tensorflow, {"jit_compile": False}))
        found.append(Variation("oneDNN on", tensorflow | {"TF_ENABLE_ONEDNN_OPTS": "1"}, {"jit_compile": False}))
        found.append(Variation("oneDNN off", tensorflow | {"TF_ENABLE_ONEDNN_OPTS": "0"}, {"jit_compile": False}))
        found.append(Variation("Keras on JAX", {"KERAS_BACKEND": "jax"}))
    return found


def processor_flags() -> set[str]:
    """What the processor can do, as Linux says; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    return set(next((line.partition(":")[2].split() for line in text.splitlines() if line.startswith("flags")), []))


def execute(options: argparse.Namespace) -> int:
    from rich.progress import Progress

    names = options.engine or ["original", "keras"]
    common.check_two(names)
    chosen = variations(names, processor_flags())
    unknown = set(options.only or ()) - {each.name for each in chosen}
    if unknown:
        known = ", ".join(each.name for each in chosen)
        raise ValueError(f"--only {min(unknown)}: {known} are accepted on this machine")
    chosen = [each for each in chosen if not options.only or each.name in options.only]
    console, found = terminal.console(), []
    job = {"engines": names, **{name: getattr(options, name) for name in ("recordings", "configs", "steps")}}
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("variations", total=len(chosen))
        for each in chosen:
            progress.update(bar, description=each.name)
            found.append((each, run(each, job, options.python)))
            progress.advance(bar)
    console.print(_table(found))
    print(_summary(names, found), flush=True)
    verdicts = [Verdict(part.verdict) for _, parts in found for part in parts]
    return {Verdict.FAILED: 1, Verdict.NOT_COVERED: 3}.get(Verdict.of(verdicts), 0)


def run(variation: Variation, job: dict[str, Any], python: Path) -> list[Part]:
    """What a process of its own, with the variation's environment, gave; one failed part where it died."""
    environment = os.environ | variation.environment | {"PYTHONWARNINGS": "ignore", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    with tempfile.TemporaryDirectory(prefix="parity-stability-") as folder:
        out = Path(folder) / "parts.jsonl"
        task = json.dumps({**job, "options": variation.options, "out": str(out)})
        called = [str(python), "-m", "parity.commands.stability"]
        ended = subprocess.run(called, input=task, env=environment, text=True, capture_output=True, check=False)
        lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    parts = [Part(**json.loads(line)) for line in lines]
    common.log_raised(raised for part in parts for raised in part.raised)
    if ended.returncode:
        log.debug("%s: the process wrote:\n%s", variation.name, ended.stderr)
        last = next((line for line in reversed(ended.stderr.splitlines()) if line.strip()), "")
        why = f"exit status {ended.returncode}: {last}"
        parts.append(Part("its process", "", str(Verdict.FAILED), 0, math.inf, why))
    return parts


def main() -> None:
    """In the child: a task from the standard input, a line of the task's file for each part."""
    task = json.load(sys.stdin)
    engines.expect_odd_settings()
    engines.choose_device("cpu", task["engines"])
    specs = [engines.for_device(engines.named(name), "cpu") for name in task["engines"]]
    engines.make_deterministic(task["engines"], "cpu")
    specs = [spec.with_options(**task["options"]) if spec.name == "keras" else spec for spec in specs]
    with open(task["out"], "w", encoding="utf-8") as file:
        for part in _parts(specs, task):
            file.write(json.dumps(asdict(part)) + "\n")
            file.flush()


def _parts(specs: list[engines.EngineSpec], task: dict[str, Any]) -> Iterator[Part]:
    from gru4rec.published import RSC15
    from parity import compare, data, golden, matrix
    from parity.mutants.recorded import few_configs
    from parity.recordings.reading import SHIPPED, read
    from parity.scenario import Scenario

    kernel = blas_kernel()
    by_dtype: dict[str, list[tuple[str, Checks]]] = {}
    for name in task["recordings"]:
        recording = read(SHIPPED / f"{name}.npz")
        for spec in specs:
            checks = golden.replay(recording, spec)
            by_dtype.setdefault(recording.spec.dtype, []).append((f"{name}, {spec.name}", checks))
    for dtype, found in by_dtype.items():
        yield replace(_part("golden", dtype, found), kernel=kernel)
    if len(specs) < 2:
        return
    for dtype in ("float64", "float32"):
        found = []
        for number, config in enumerate(few_configs(task["configs"])):
            found.append((f"configuration {number + 1}", matrix.try_config(config, specs[0], specs[1], dtype).checks))
        if found:
            yield replace(_part("matrix", dtype, found), kernel=kernel)
    for dtype in ("float64", "float32") if task["steps"] else ():
        scenario = Scenario("bpr-max", RSC15["bpr-max"], data.embedded(), dtype)
        checks = compare.compare(scenario, specs[0], specs[1], steps=task["steps"]).checks
        checks.pop("training", None)  # full runs have a command of their own
        yield replace(_part("run", dtype, [("bpr-max", checks)]), kernel=kernel)


def _part(part: str, dtype: str, found: list[tuple[str, Checks]]) -> Part:
    verdict, where, worst = Verdict.of(checks.verdict for _, checks in found), "", None
    for what, checks in found:
        if checks.worst and checks.worst[1].worse_than(worst):
            check, worst = checks.worst
            where = f"{check.name}: {worst.where} ({what})"
        broken = next((f"{c.name}: {c.broken}" for c in checks.values() if c.broken), "")
        missing = next((f"{c.name}: {c.reasons[0]}" for c in checks.values() if c.verdict == Verdict.NOT_COVERED), "")
        if verdict == checks.verdict and (broken or missing):
            where = f"{broken or missing} ({what}); nearest: {where}"
    used = worst.excess if worst else 0.0
    raised = tuple(dict.fromkeys(c.traceback for _, checks in found for c in checks.values() if c.traceback))
    return Part(part, dtype, str(verdict), sum(checks.compared for _, checks in found), used, where, raised=raised)


def blas_kernel() -> str:
    """The name of the kernels that NumPy's OpenBLAS took; '' where it cannot be asked."""
    import numpy

    for path in sorted(Path(numpy.__file__).parent.parent.glob("numpy.libs/*openblas*")):
        library = ctypes.CDLL(str(path))
        for name in (prefix + name for prefix in ("", "scipy_") for name in _NAMES):
            if hasattr(library, name):
                ask = getattr(library, name)
                ask.restype = ctypes.c_char_p
                return ask().decode()
    return ""


def _table(found: list[tuple[Variation, list[Part]]]) -> Any:
    from parity import tables

    right = ("compared", "of the bound")
    made = terminal.make_table(
        "The unfaulted engines, varied", "variation", "part", "dtype", "verdict", *right, "nearest to its bound",
        right=right,
    )  # fmt: skip
    for variation, parts in found:
        for number, part in enumerate(parts):
            title = variation.name if number == 0 else ""
            if number == 0 and part.kernel and "OPENBLAS_CORETYPE" in variation.environment:
                title += f" ({part.kernel} in force)"
            made.add_row(
                title, part.part, part.dtype, tables.status(Verdict(part.verdict)), f"{part.compared:,}",
                _percent(part.used), part.where,
            )  # fmt: skip
    return made


def _percent(used: float) -> str:
    return f"{100 * used:.2g} %" if math.isfinite(used) else "past it"


def _summary(names: list[str], found: list[tuple[Variation, list[Part]]]) -> str:
    from parity import tables

    parts = [part for _, parts in found for part in parts]
    alarms = sum(part.verdict == Verdict.FAILED for part in parts)
    nearest = max(parts, key=lambda part: part.used, default=None)
    at = f"; nearest to its bound: {_percent(nearest.used)} of it, {nearest.part}, {nearest.dtype}" if nearest else ""
    counts = tables.counted((Verdict(part.verdict) for part in parts), "parts")
    return (
        f"stability: {', '.join(names)}: {len(found)} variations, {counts}; {sum(p.compared for p in parts):,} "
        f"comparisons; {alarms} false alarms{at}"
    )


if __name__ == "__main__":
    main()
