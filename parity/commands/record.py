"""``python -m parity record``: a recording of any engine, for replays where that engine cannot run."""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from rich.progress import Progress

from gru4rec import engines, terminal
from gru4rec.options import choose, parse_pair
from gru4rec.published import RSC15
from parity import data
from parity.commands import common
from parity.recordings import manifest, recorder
from parity.recordings.writing import write


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "record",
        help="record a run of an engine",
        description="Trains an engine step by step from its seeds, for all epochs, and writes what it does as a "
        "recording, which `golden` replays against any other engine, on any machine.",
    )
    parser.add_argument("engine", metavar="ENGINE", help=f"{', '.join(engines.NAMES)} or package.module:Class")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the recording, a name that ends in .npz"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE where it is there")
    parser.add_argument(
        "--config",
        metavar="NAME",
        help=f"{', '.join(RSC15)}, or a file of options: TOML, JSON, or name=value lines "
        "(default: the published defaults)",
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option; may be repeated")
    parser.add_argument("--train", type=Path, help="tab-separated training events (default: embedded synthetic data)")
    parser.add_argument("--test", type=Path, help="tab-separated test events; goes with --train")
    parser.add_argument(
        "--sessions", type=common.positive, metavar="N", help="train on the first N sessions only (default: all)"
    )
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="default: %(default)s")
    common.add_device(parser)
    parser.add_argument(
        "--keep",
        type=_steps,
        default=list(recorder.KEEP),
        metavar="N,N,...",
        help="steps of which all tensors are kept (default: 0,1,2,9,19)",
    )
    parser.add_argument(
        "--sample-store", type=int, metavar="N", help="negative samples drawn ahead (default: 7 rows of them)"
    )
    parser.add_argument("--seed", type=int, default=42, help="of weights, samples and orders (default: %(default)s)")
    parser.add_argument("--dropout-seed", type=int, default=12345, help="default: %(default)s")
    parser.add_argument("--who", metavar="TEXT", help="who makes the recording; stands in the file")
    parser.set_defaults(execute=execute)


def _steps(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r}: numbers of steps split by commas are accepted")
    return sorted({int(part) for part in parts})


def execute(options: argparse.Namespace) -> int:
    _check_out(options.out, options.overwrite, [options.train, options.test])
    params = _params(options)
    if (options.train is None) != (options.test is None):
        raise ValueError("--train and --test: both or none are accepted")
    dataset = data.from_files(options.train, options.test) if options.train else data.embedded()
    train = _first_sessions(dataset.train, options.sessions)
    device, remark = engines.choose_device(options.device, [options.engine])
    engines.make_deterministic([options.engine], device)
    spec = engines.for_device(engines.named(options.engine), device)
    store = 7 * params.get("n_sample", 2048) if options.sample_store is None else options.sample_store
    console = terminal.console()
    console.print(f"engine {options.engine}, device {device} ({remark}), {options.dtype}, data: {dataset.title}")
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("recording", total=None)
        try:
            recording = recorder.record(
                spec, params, train, dataset.test, sample_store=store, dtype=options.dtype, keep=options.keep,
                seed=options.seed, dropout_seed=options.dropout_seed, meta=_meta(options),
                on_step=lambda number: progress.update(bar, completed=number + 1),
            )  # fmt: skip
        except NotImplementedError as lacking:
            raise ValueError(f"{options.engine} cannot be recorded: {lacking}") from lacking
    write(recording, options.out)
    for what, reason in recording.spec.absent.items():
        console.print(f"not recorded: eval/{what} ({reason})")
    owed = sum(manifest.owed(recording).values())
    steps = f"{recording.n_steps:,} steps, {len(recording.kept)} of them in full"
    print(f"record: {options.out}: {steps}, {owed:,} comparisons owed", flush=True)
    return 0


def _check_out(out: Path, overwrite: bool, inputs: list[Path | None]) -> None:
    """Before any work: the name, the folder, and that nothing is lost."""
    if out.suffix != ".npz":
        raise ValueError(f"--out {out}: a name that ends in .npz is accepted")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"--out {out}: no folder {out.parent}")
    if out.is_dir():
        raise IsADirectoryError(f"--out {out}: a folder")
    if any(path and path.exists() and out.exists() and os.path.samefile(path, out) for path in inputs):
        raise ValueError(f"--out {out}: it is read too")
    if out.exists() and not overwrite:
        raise FileExistsError(f"--out {out}: it is there; --overwrite replaces it")
    if not os.access(out.parent, os.W_OK):
        raise PermissionError(f"--out {out}: {out.parent} cannot be written to")


def _params(options: argparse.Namespace) -> dict:
    params: dict[str, Any] = {}
    if options.config:
        chosen = choose([options.config])
        if len(chosen) > 1:
            raise ValueError(f"--config {options.config}: one setting makes one recording")
        params = dict(*chosen.values())
    return params | dict(map(parse_pair, options.set))


def _first_sessions(train: pd.DataFrame, sessions: int | None) -> pd.DataFrame:
    """Those that begin first, rows in their order."""
    if sessions is None:
        return train
    begins = train.groupby("SessionId")["Time"].min().sort_values(kind="stable")
    return train[train["SessionId"].isin(begins.index[:sessions])].reset_index(drop=True)


def _meta(options: argparse.Namespace) -> dict:
    environment = engines.environment()
    found = {
        "program": options.engine,
        "version": environment.pop("gru4rec-parity", ""),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{environment.pop('system')}, {environment.pop('processor')}, {environment.pop('cores')} cores",
        "packages": environment,
    }
    return found | ({"who": options.who} if options.who else {})
