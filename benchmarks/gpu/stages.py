"""What is run on the GPU: stages of commands, each with the exit statuses that it should have."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FLOATS = ("float64", "float32")
ENGINES = ("original-jax", "keras-jax", "keras-torch")
ITEMS, UNITS = (2933, 37483, 1_000_000), (100, 512)
SMALL_ITEMS, SMALL_UNITS = (500,), (16,)


@dataclass(frozen=True)
class Command:
    """A program of Python's, in a process of its own.

    Attributes:
        title: what it shows.
        arguments: of Python.
        backend: of Keras.
        statuses: the exit statuses that it should have. 3 is "held, but not all was covered": free running in float32.
    """

    title: str
    arguments: Sequence[str]
    backend: str = "jax"
    statuses: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Plan:
    """What the stages are made from.

    Attributes:
        device: 'gpu' or 'cpu'.
        out: where reports go.
        small: sizes that a CPU does in a few minutes, to try the stages themselves.
        data: the training and the test file; none for the embedded data.
        jobs: processes side by side.
    """

    device: str
    out: Path
    small: bool = False
    data: tuple[Path, Path] | None = None
    jobs: int = 4

    @property
    def files(self) -> list[str]:
        """The data as options of ``parity run``."""
        return ["--train", str(self.data[0]), "--test", str(self.data[1])] if self.data else []


def _parity(plan: Plan, *arguments: str, jobs: bool = True) -> list[str]:
    more = ["--jobs", str(plan.jobs)] if jobs else []
    return ["-m", "parity", *arguments, "--device", plan.device, *more]


def golden(plan: Plan) -> list[Command]:
    """All recorded runs of the published program, 37 in float64 and 4 in float32."""
    shipped = Path("parity", "recordings")
    files = [str(shipped / f"{name}.npz") for name in ("sampling-uniform", "rsc15-bpr-max")] if plan.small else []
    return [
        Command("golden, original through JAX", _parity(plan, "golden", "--engine", "original-jax", *files)),
        Command("golden, keras_port on JAX", _parity(plan, "golden", "--engine", "keras", *files)),
        Command("golden, keras_port on PyTorch", _parity(plan, "golden", "--engine", "keras", *files), "torch"),
    ]


def run(plan: Plan) -> list[Command]:
    """The two engines beside each other on the four published settings, with reports."""
    both, steps = ["--engine", "original-jax", "--engine", "keras"], ["--steps", "4" if plan.small else "12"]
    some, what = (["--config", "bpr-max"], "one setting") if plan.small else ([], "the four settings")

    def command(dtype: str) -> Command:
        more = [*steps, *some, *plan.files, "--dtype", dtype, "--out", str(plan.out / f"run-{dtype}")]
        return Command(f"run of {what}, {dtype}", _parity(plan, "run", *both, *more, jobs=False), statuses=(0, 3))

    return [command(dtype) for dtype in FLOATS]


def selftest(plan: Plan) -> list[Command]:
    """Faults in the precision of products: imitated, and TF32 of the GPU itself, which has to fail."""
    found = [Command("self-test, float32", _parity(plan, "selftest", "--dtype", "float32"))]
    if plan.device == "gpu":
        both = ["--engine", "original-jax", "--engine", "benchmarks.gpu.tf32:GRU4Rec"]
        arguments = _parity(plan, "run", *both, "--config", "bpr-max", "--dtype", "float32", "--steps", "4", jobs=False)
        found.append(Command("TF32 of the GPU on: has to fail", arguments, "torch", (1,)))
    return found


def matrix(plan: Plan) -> list[Command]:
    """A part of the sweep over pairs of options."""
    size = ["--configs", "4" if plan.small else "24"]
    return [
        Command(f"matrix, {dtype}", _parity(plan, "matrix", "--dtype", dtype, *size), statuses=(0, 3))
        for dtype in (FLOATS[:1] if plan.small else FLOATS)
    ]


def training(plan: Plan) -> list[Command]:
    """Whole trainings against the stored sample of the reference's: equivalence of loss, Recall, MRR and lists."""
    runs = ["--runs", "2", "--config", "top1"] if plan.small else ["--runs", "24"]
    # With two runs nothing is shown either way.
    statuses = (0, 1, 3) if plan.small else (0,)
    engines = {"original-jax": "original through JAX", "keras": "keras_port on JAX"}
    return [
        Command(f"training, {what}", _parity(plan, "training", "--engine", name, *runs), statuses=statuses)
        for name, what in engines.items()
    ]


def speed(plan: Plan) -> list[Command]:
    """Steps per second and evaluation by numbers of items and of units."""
    items, units = (SMALL_ITEMS, SMALL_UNITS) if plan.small else (ITEMS, UNITS)
    return [
        Command(
            f"speed, {engine}, {n_items:,} items, {n_units} units",
            ["-m", "benchmarks.gpu.speed", "--engine", engine, "--items", str(n_items), "--units", str(n_units),
             "--device", plan.device],
            "torch" if engine == "keras-torch" else "jax",
        )
        for n_items in items
        for n_units in units
        for engine in ENGINES
    ]  # fmt: skip


STAGES = {made.__name__: made for made in (golden, run, selftest, matrix, training, speed)}
