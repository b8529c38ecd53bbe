"""``python -m benchmarks.gpu``: runs the stages, and writes what came of them.

Each command is a process of its own, whose output goes into OUT/STAGE.log. OUT/results.json receives the commands with
their exit statuses, times, last lines and figures, the machine and the versions; a later call with other stages adds to
it. Exit status 0: every command ended as it should; 1: one did not.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from benchmarks.gpu.stages import STAGES, Command, Plan
from gru4rec import engines, files, terminal

MINUTES = 8.0
LINES = 8  # of a command's output that results.json keeps


def environment(command: Command) -> dict[str, str]:
    """The variables of a command's process."""
    return os.environ | {
        "KERAS_BACKEND": command.backend,
        "GRU4REC_SYMBOLIC": os.environ.get("GRU4REC_SYMBOLIC", "pytensor"),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "PYTHONUNBUFFERED": "1",
    }


def execute(command: Command, log: Any, seconds: float) -> dict[str, Any]:
    """Run a command for at most ``seconds``; what came of it."""
    log.write(f"\n== {command.title}: KERAS_BACKEND={command.backend} python {' '.join(command.arguments)}\n")
    log.flush()
    start, before = time.monotonic(), log.tell()
    try:
        done = subprocess.run(
            [sys.executable, *command.arguments], env=environment(command), stdout=log, stderr=subprocess.STDOUT,
            timeout=max(seconds, 1.0), check=False,
        )  # fmt: skip
        status: int | None = done.returncode
    except subprocess.TimeoutExpired:
        status = None
    log.flush()
    with open(log.name, encoding="utf-8", errors="replace") as written:
        written.seek(before)
        lines = [line.rstrip() for line in written.read().splitlines() if line.strip()]
    return {
        "title": command.title,
        "command": f"KERAS_BACKEND={command.backend} python {' '.join(command.arguments)}",
        "status": status,
        "wanted": list(command.statuses),
        "as_it_should": status in command.statuses,
        "seconds": round(time.monotonic() - start, 1),
        "said": lines[-LINES:] or ["nothing"],
    }


def smi() -> str:
    """The GPU and its driver, by nvidia-smi; empty where there is none."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def shown(results: dict[str, Any]) -> Table:
    """All that was run, as a table."""
    table = Table("stage", "what", "status", "s", "last line")
    for stage, commands in results["stages"].items():
        for each in commands:
            status = "out of time" if each["status"] is None else str(each["status"])
            mark = Text(status) if each["as_it_should"] else Text(f"{status}, not {each['wanted']}", "red")
            last = Text(terminal.plain(each["said"][-1])[:160])
            table.add_row(stage, each["title"], mark, f"{each['seconds']:.0f}", last)
    return table


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.split("\n")[0])
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"{', '.join(STAGES)}; default: all")
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu", help="default: %(default)s")
    parser.add_argument("--small", action="store_true", help="small sizes, to try the stages on a CPU")
    parser.add_argument(
        "--data", nargs=2, type=Path, metavar=("TRAIN", "TEST"), help="of `run`; default: embedded data"
    )
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of a stage at most (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=4, help="processes side by side (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path(os.environ.get("OUT") or "runs/gpu"), help="default: %(default)s"
    )
    given = parser.parse_args(argv)
    if unknown := [name for name in given.stages if name not in STAGES]:
        parser.error(f"{unknown[0]}: {', '.join(STAGES)} are accepted")
    for path in given.data or ():
        if not path.is_file():
            parser.error(f"--data {path}: no such file")
    if given.device == "gpu" and not smi():
        parser.error("--device gpu: nvidia-smi sees no GPU; --device cpu --small tries the stages without one")
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "results.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"stages": {}}
    results |= {"made": datetime.now(UTC).isoformat(timespec="seconds"), "gpu": smi(), "device": given.device}
    results |= {"small": given.small, "environment": engines.environment()}
    plan = Plan(given.device, given.out, given.small, tuple(given.data) if given.data else None, given.jobs)
    console = terminal.console()
    for name in given.stages or STAGES:
        end, done = time.monotonic() + 60 * given.minutes, []
        with open(given.out / f"{name}.log", "w", encoding="utf-8") as log:
            for command in STAGES[name](plan):
                console.print(f"{name}: {command.title}")
                done.append(execute(command, log, end - time.monotonic()))
                console.print(
                    f"  status {done[-1]['status']}, {done[-1]['seconds']} s: {terminal.plain(done[-1]['said'][-1])}"
                )
                results["stages"][name] = done
                files.write_json(path, results)
    console.print(shown(results))
    return 0 if all(each["as_it_should"] for commands in results["stages"].values() for each in commands) else 1


if __name__ == "__main__":
    sys.exit(main())
