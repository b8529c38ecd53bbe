"""Commands that are killed, terminated and interrupted at random moments, and taken up again.

Run as ``python -m tests.attacks.interruption --kill 20 --term 10 --int 10 --target train-keras ...``. Each target is a
chain of processes: one is started, a signal comes at a random moment after it has begun its work, and the same command
goes on, until all signals of the chain are spent and it may finish. What is asked:

* an interrupted process ends by the signal, or with 130 or 143 and the line ``stopped``, within 30 seconds, without a
  traceback; or it was done before;
* the files at the end are those of the run that nobody interrupted, byte for byte;
* no temporary file is left.

A study of ``tune`` goes on by other draws where a trial was cut off, so of it is asked that it ends with as many trials
as were wanted, and that each has the value that its options have in a run of their own.
"""

import argparse
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parent.parent.parent
SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}
STATUS = {signal.SIGKILL: (-9,), signal.SIGTERM: (143,), signal.SIGINT: (130,)}
LONGEST_END, LONGEST_RUN = 30, 900  # seconds
IN_A_CHAIN = 4  # signals before a chain may finish
TOY = "toy_engine:GRU4Rec"


@dataclass
class Target:
    """A command that is to be interrupted.

    Attributes:
        name: of the target.
        arguments: of the command, in whose folder it is run; ``{out}`` is what it writes to.
        ready: what it prints when its work begins, a pattern.
        final: the files that count, by name, of the folder of outputs.
        environment: further variables.
        check: what else is asked of the folder at the end: a list of faults.
        share: of the seconds of the work, within which a signal comes.
    """

    name: str
    arguments: list[str]
    ready: str
    final: Callable[[Path], dict[str, str]]
    environment: dict[str, str] = field(default_factory=dict)
    check: Callable[[Path], list[str]] = lambda folder: []
    share: float = 0.5


def hashes(*names: str) -> Callable[[Path], dict[str, str]]:
    """Of files of a folder, by their names; a missing file is an empty text."""

    def found(folder: Path) -> dict[str, str]:
        paths = {name: folder / name for name in names}
        return {name: hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "" for name, path in
                paths.items()}  # fmt: skip

    return found


def train_target(engine: str, dtype: str) -> Target:
    """``gru4rec train`` by one engine."""
    options = "n_epochs=12,learning_rate=0.1"
    if engine != TOY:
        options += ",layers=16,n_sample=32,batch_size=8,loss=bpr-max,final_act=elu-0.5,momentum=0.1"
    arguments = ["train", "train.tsv", "--engine", engine, "-d", "cpu", "--dtype", dtype, "-ss", "2000", "-ps", options,
                 "-s", "{out}/model", "--resume"]  # fmt: skip
    return Target(f"train-{engine}-{dtype}", arguments, r"on the CPU", hashes("model"), {"TOY_SECONDS": "0.1"})


def tune_target(engine: str) -> Target:
    """``gru4rec tune``."""
    name, fixed = (TOY, "n_epochs=4") if engine == "toy" else (engine, "n_epochs=2,layers=8,n_sample=16,batch_size=16")
    arguments = ["tune", "train.tsv", "-t", "test.tsv", "-m", "1", "--space", "space.json", "--engine", name, "-d",
                 "cpu", "-nt", "6", "-ps", fixed, "-ss", "1000", "--no-pruning", "--out", "{out}"]  # fmt: skip
    seconds = {"TOY_SECONDS": "0.05"}
    return Target(f"tune-{engine}", arguments, r"searched: ", lambda folder: {}, seconds, _check_study)


def _check_study(folder: Path) -> list[str]:
    table = pd.read_csv(folder / "trials.tsv", sep="\t")
    done = table[table["state"] == "COMPLETE"]
    faults = [] if len(done) == 6 else [f"{len(done)} trials are complete"]
    # a trial that was cut off has run again with the same values: where both measured, they measured the same
    by_options = done.groupby("learning_rate")["recall"].nunique()
    faults += [f"learning_rate={rate} has two values" for rate in by_options[by_options > 1].index]
    best = (folder / "best.toml").read_text()
    if f"{done['recall'].max():.6f}" not in best:
        faults.append("best.toml is not of the best trial")
    return faults


def prepare_target() -> Target:
    """``gru4rec prepare``."""
    names = [f"rsc15_{part}.txt" for part in ("train_full", "test", "train_tr", "train_valid")]
    arguments = ["prepare", "rsc15", "clicks.dat", "--out", "{out}"]
    return Target("prepare-rsc15", arguments, "", hashes(*names), share=1.0)


TARGETS = {
    target.name: target
    for target in (
        *(train_target(engine, dtype) for engine in ("keras", "original", "original-jax")
          for dtype in ("float32", "float64")),
        train_target(TOY, "float32"), tune_target("toy"), tune_target("keras"), tune_target("original-jax"),
        prepare_target(),
    )
}  # fmt: skip


def make_inputs(folder: Path) -> None:
    """Small files of sessions, a space, and raw clicks."""
    draw = random.Random(1)
    for name, sessions in (("train.tsv", 160), ("test.tsv", 40)):
        rows = ["SessionId\tItemId\tTime"]
        for session in range(sessions):
            item = draw.randrange(60)
            for step in range(draw.randrange(2, 8)):
                item = (item + draw.choice((1, 1, 1, 7))) % 60
                rows.append(f"{session}\t{item}\t{session * 100 + step}")
        (folder / name).write_text("\n".join(rows) + "\n")
    space = {"name": "learning_rate", "dtype": "float", "values": [0.05, 0.9]}
    (folder / "space.json").write_text(json.dumps(space) + "\n")
    command = [sys.executable, "-m", "gru4rec", "sample", "rsc15", "--clicks", "120000", "--out", "clicks.dat"]
    subprocess.run(command, cwd=folder, env=environment({}), check=True, capture_output=True)


def environment(more: dict[str, str]) -> dict[str, str]:
    """Of a command: the engines of tests at hand, and one thread."""
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests" / "gru4rec")))
    return os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"} | more


class Process:
    """A run of a target, whose output goes to a file."""

    def __init__(self, target: Target, folder: Path, out: Path):
        self.log = folder / f"{out.name}.log"
        self._file = self.log.open("wb")
        arguments = [each.replace("{out}", out.name) for each in target.arguments]
        command = [sys.executable, "-P", "-m", "gru4rec", *arguments]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment(target.environment), stdout=self._file, stderr=subprocess.STDOUT
        )
        self.pattern = target.ready

    def wait_until_ready(self) -> None:
        """Return when its work begins, or it has ended."""
        deadline = time.monotonic() + LONGEST_RUN
        while self.process.poll() is None and time.monotonic() < deadline:
            if re.search(self.pattern, self.shown()):
                return
            time.sleep(0.01)

    def wait(self, seconds: float) -> int | None:
        """Its status, None where it goes on."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def shown(self) -> str:
        return self.log.read_text(errors="replace")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._file.close()


def uninterrupted(target: Target, folder: Path) -> tuple[dict[str, str], float]:
    """The files that count, and the seconds of the work."""
    out = folder / f"{target.name.replace(':', '-')}-whole"
    out.mkdir()
    run = Process(target, folder, out)
    run.wait_until_ready()
    begin = time.monotonic()
    status = run.wait(LONGEST_RUN)
    run.close()
    if status != 0:
        raise RuntimeError(f"{target.name} ends with {status} by itself: {run.shown()[-2000:]}")
    return target.final(out), time.monotonic() - begin


def attack(target: Target, folder: Path, wanted: dict[str, int], draw: random.Random) -> Counter:
    """Interrupt a target as often as ``wanted`` says, in chains; returns how often what came of it."""
    whole, seconds = uninterrupted(target, folder)
    numbers = [SIGNALS[name] for name, count in wanted.items() for _ in range(count)]
    draw.shuffle(numbers)
    outcomes: Counter = Counter()
    for chain, start in enumerate(range(0, len(numbers), IN_A_CHAIN)):
        out = folder / f"{target.name.replace(':', '-')}-{chain}"
        out.mkdir()
        for number in numbers[start : start + IN_A_CHAIN]:
            run = Process(target, folder, out)
            run.wait_until_ready()
            time.sleep(draw.uniform(0, target.share * seconds))
            outcomes[_interrupt(run, number)] += 1
            run.close()
        run = Process(target, folder, out)
        status = run.wait(LONGEST_RUN)
        run.close()
        for fault in _faults(target, out, whole, status, run.shown()):
            outcomes[f"FAULT {target.name}, chain {chain}: {fault}"] += 1
        outcomes["chains"] += 1
    return outcomes


def _interrupt(run: Process, number: signal.Signals) -> str:
    """Send the signal; returns what came of it, in words."""
    if run.process.poll() is not None:
        return "done before" if run.process.returncode == 0 else f"FAULT ended by itself: {run.shown()[-500:]}"
    run.process.send_signal(number)
    status = run.wait(LONGEST_END)
    shown = run.shown()
    if status is None:
        return f"FAULT {number.name} is ignored"
    if status == 0:
        return "done before"
    if status == -number and number != signal.SIGKILL:
        return f"{number.name} before Python was ready"
    if status not in STATUS[number]:
        return f"FAULT {number.name} gives {status}: {shown[-500:]}"
    if number != signal.SIGKILL and ("Traceback" in shown or "stopped" not in shown):
        return f"FAULT {number.name}: {shown[-500:]}"
    return number.name


def _faults(target: Target, out: Path, whole: dict[str, str], status: int | None, shown: str) -> list[str]:
    if status != 0:
        return [f"the last run ends with {status}: {shown[-500:]}"]
    faults = [f"{name} differs" for name, found in target.final(out).items() if found != whole[name]]
    faults += [f"{path.name} is left" for path in out.rglob("*") if path.name.endswith((".part", ".tmp"))
               or path.name.startswith(".unfinished")]  # fmt: skip
    return faults + target.check(out)


def main() -> int:
    """Print what came of every target; 1 where there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", nargs="+", choices=TARGETS, default=list(TARGETS))
    for name, count in (("kill", 20), ("term", 10), ("int", 10)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    bad = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_inputs(folder)
        for target in given.target:
            begin = time.monotonic()
            wanted = {each: getattr(given, each) for each in SIGNALS}
            outcomes = attack(TARGETS[target], folder, wanted, random.Random(given.seed))
            bad |= any(each.startswith("FAULT") for each in outcomes)
            print(f"{target}: {dict(outcomes)}, {time.monotonic() - begin:.0f} s", flush=True)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
