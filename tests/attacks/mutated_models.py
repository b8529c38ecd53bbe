"""Damaged model files: what the readers of both engines do with them.

Run as ``python -m tests.attacks.mutated_models --count 30000``. Each input is a small model's file with one to three
mutations; the readers run in children with a limit on their memory and a time limit for each input. What may happen:

* refused: a ValueError or OSError that begins with the file's name, in a few hundred characters;
* the same: the mutation left the model as it was (blanks of a header), or undid itself;
* another: a model that differs, where the checksum was made to fit (``forged``), as a forger could write one.

Anything else is counted as a fault: another exception, a model that differs although its checksum cannot fit, a crash,
a reader that takes longer than 20 seconds, or more memory than the limit.
"""

import argparse
import contextlib
import copy
import io
import json
import math
import random
import resource
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parent.parent.parent
READERS = ("original", "keras_port", "keras-file")
MEMORY = 1 << 30  # bytes that a reader may take on top of what the process has
SECONDS = 20
ODD: list[Any] = [
    None, True, False, -1, 0, 1, 2, 625, 2**31, 2**40, 2**53, 2**63, -(2**63), 2**64, 10**30, 1e308, -0.0, math.inf,
    math.nan, "", "x", "F64", "float16", "adam", "softmax", "\ud800", "0" * 64, "text", "int64", [], {}, [[]], {"a": 1},
    [1, 2], [2**40],
]  # fmt: skip


# Mutations. Each takes bytes and a random.Random and gives bytes.


def flipped(data: bytes, draw: random.Random) -> bytes:
    """One bit, or a few."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 8))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def overwritten(data: bytes, draw: random.Random) -> bytes:
    """A stretch of noise, zeros or 255."""
    place, length = draw.randrange(len(data)), draw.choice((1, 4, 8, 64, 1000))
    filling = draw.choice((draw.randbytes(length), bytes(length), b"\xff" * length))
    return data[:place] + filling[: len(data) - place] + data[place + length :]


def cut(data: bytes, draw: random.Random) -> bytes:
    """The end is missing, or a stretch in the middle."""
    place = draw.randrange(len(data))
    return data[:place] + (data[place + draw.randint(1, 100) :] if draw.random() < 0.5 else b"")


def inserted(data: bytes, draw: random.Random) -> bytes:
    """Bytes that were not there, or a stretch that stands elsewhere too."""
    place, start = draw.randrange(len(data) + 1), draw.randrange(len(data))
    more = draw.choice((draw.randbytes(draw.randint(1, 20)), data[start : start + draw.randint(1, 200)]))
    return data[:place] + more + data[place:]


def other_length(data: bytes, draw: random.Random) -> bytes:
    """Another declared length of the header: the first 8 bytes."""
    return (
        draw.choice((2**62, 2**63, 2**64 - 1, 2**40, 10**9, 0, 1, draw.randrange(5000))).to_bytes(8, "little")
        + data[8:]
    )


def edited(data: bytes, draw: random.Random) -> bytes:
    """Values of a safetensors header, those of JSON within it too, replaced, removed, renamed, copied or nudged."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
    except ValueError:  # an earlier mutation has been here
        return flipped(data, draw)
    text = json.dumps(changed_json(header, draw)).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def changed_json(value: Any, draw: random.Random) -> Any:
    """A copy of a JSON value in which one place was changed."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    if not places:
        return draw.choice(ODD)
    holder, key = draw.choice(places)
    inner = holder[key]
    kind = draw.choice(("replace", "replace", "remove", "rename", "copy", "nudge"))
    if isinstance(inner, str) and inner[:1] in "{[" and inner and draw.random() < 0.9:
        with contextlib.suppress(ValueError):
            holder[key] = json.dumps(changed_json(json.loads(inner), draw))
            return value
    if kind == "remove":
        del holder[key]
    elif kind == "rename" and isinstance(holder, dict):
        holder[draw.choice(("x", "", "\ud800", "weight/Wy", "__metadata__"))] = holder.pop(key)
    elif kind == "copy":
        other, name = draw.choice(places)
        holder[key] = copy.deepcopy(other[name])
    elif kind == "nudge" and type(inner) in (int, float):
        holder[key] = inner + draw.choice((-1, 1, 8, -8, 10**9))
    else:
        holder[key] = draw.choice(ODD)
    return value


def _places(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield value, key
        yield from _places(inner)


def rezipped(data: bytes, draw: random.Random) -> bytes:
    """A ``.keras`` file with one of its parts mutated and every checksum of the archive made to fit."""
    made = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(made, "w") as target:
            names = archive.namelist()
            chosen = draw.choice(names)
            for name in names:
                part = archive.read(name)
                if name == chosen and name.endswith(".json") and draw.random() < 0.8:
                    part = json.dumps(changed_json(json.loads(part), draw)).encode()
                elif name == chosen and draw.random() < 0.1:
                    continue
                elif name == chosen and part:
                    part = draw.choice((flipped, overwritten, cut, inserted))(part, draw)
                target.writestr(name, part)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError, RuntimeError):
        return flipped(data, draw)
    return made.getvalue()


MUTATIONS: dict[str, list[Callable[[bytes, random.Random], bytes]]] = {
    "original": [flipped, overwritten, cut, inserted, other_length, edited, edited, edited],
    "keras_port": [flipped, overwritten, cut, inserted, other_length, edited, edited, edited],
    "keras-file": [flipped, overwritten, cut, inserted, rezipped, rezipped, rezipped, rezipped],
}


def mutated(data: bytes, reader: str, draw: random.Random) -> bytes:
    """The file with one to three mutations."""
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        data = draw.choice(MUTATIONS[reader])(data, draw) or b"\0"
    return data


# Readers.


def frame() -> pd.DataFrame:
    """Events of 12 sessions over 8 items with texts as ids."""
    draw = np.random.RandomState(0)
    items = np.r_[np.arange(8), draw.randint(8, size=40)]
    return pd.DataFrame(
        {"SessionId": np.repeat(np.arange(12), 4), "ItemId": [f"i{item}" for item in items], "Time": np.arange(48)}
    )


class SameDigest:
    """A SHA-256 that takes everything for the same, as a forger's file would make it seem."""

    def __init__(self, *data: Any, **options: Any) -> None: ...

    def update(self, data: Any) -> None: ...

    def hexdigest(self) -> str:
        return "0" * 64


def setting(reader: str, forged: bool) -> tuple[Callable[[Path], None], Callable[[Path], Any]]:
    """How a model's file is written, and how one is read: all that the engine looks at, as a value to compare."""
    options = {"layers": [4], "batch_size": 3, "n_sample": 4, "n_epochs": 1, "dropout_p_hidden": 0.5, "momentum": 0.1}
    if reader == "original":
        from original import checkpoint
        from original.gru4rec import GRU4Rec

        gru, read, modules = GRU4Rec(**options, backend="jax"), checkpoint.read, [checkpoint]
    else:
        from keras_port import GRU4Rec, checkpoint, files, keras_file

        gru = GRU4Rec(**options, jit_compile=False)
        read, modules = (keras_file.load if reader == "keras-file" else checkpoint.read), [files]
    gru.prepare(frame(), 40)
    if forged:
        for module in modules:
            module.hashlib = SimpleNamespace(sha256=SameDigest)
    return (gru.model.save if reader == "keras-file" else gru.save), read


def told(found: Any) -> Any:
    """A checkpoint as something that can be compared."""
    if isinstance(found, np.ndarray):
        return found.dtype.str, found.shape, found.tobytes() if found.dtype != object else found.tolist()
    if isinstance(found, pd.Index):
        return found.dtype.name, found.tolist(), found.name
    if isinstance(found, dict):
        return {name: told(value) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return [told(value) for value in found]
    if hasattr(found, "__dataclass_fields__"):
        return {name: told(getattr(found, name)) for name in found.__dataclass_fields__}
    return found


class TooLong(BaseException):
    """A reader takes more than its time."""


def outcome(read: Callable[[Path], Any], path: Path, whole: Any, forged: bool) -> str:
    """What a reader made of a file: see the module."""
    try:
        with alarm(SECONDS):
            found = told(read(path))
    except (ValueError, OSError) as refusal:
        text = str(refusal)
        return "refused" if str(path) in text and len(text) < 2000 else f"FAULT unnamed: {type(refusal).__name__}"
    except TooLong:
        return "FAULT too long"
    except BaseException as fault:  # what is looked for
        return f"FAULT {type(fault).__name__}: {str(fault)[:80]}"
    if found == whole:
        return "the same"
    return "another" if forged else "FAULT accepted although it differs"


@contextlib.contextmanager
def alarm(seconds: int) -> Any:
    """The block raises TooLong after so many seconds."""

    def ring(*_: Any) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def work(reader: str, forged: bool, seeds: range, kept: Path | None) -> None:
    """In a child: print the number of each input before it is read, then its outcome."""
    write, read = setting(reader, forged)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras" if reader == "keras-file" else "model")
        write(path)
        data, whole = path.read_bytes(), told(read(path))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for seed in seeds:
            print(f"{seed} ", end="", flush=True)
            draw = random.Random(f"{reader} {forged} {seed}")
            path.write_bytes(mutated(data, reader, draw))
            said = outcome(read, path, whole, forged)
            if said.startswith("FAULT") and kept is not None:
                kept.mkdir(exist_ok=True)
                Path(kept, f"{reader}-{forged}-{seed}").write_bytes(path.read_bytes())
            print(said, flush=True)


def attack(reader: str, forged: bool, count: int, kept: Path | None = None, first: int = 0) -> Counter[str]:
    """The outcomes of ``count`` inputs, by name; a child that dies is a fault of the input that it died of."""
    outcomes: Counter[str] = Counter()
    begin = first
    while begin < first + count:
        command = [sys.executable, "-m", "tests.attacks.mutated_models", "--worker", reader, str(int(forged))]
        command += [str(begin), str(first + count), str(kept or "")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line.partition(" ")[0].isdigit()]
        outcomes.update(line.partition(" ")[2] for line in lines if line.partition(" ")[2])
        if done.returncode == 0:
            break
        if not lines:
            raise RuntimeError(f"the child could not begin: {done.stderr[-2000:]}")
        last = int(lines[-1].partition(" ")[0])
        outcomes[f"FAULT the process died: {done.returncode}"] += 1
        begin = last + 1
    return outcomes


def main() -> int:
    """Print a line for each reader. Exit status: 1 where there was a fault."""
    if sys.argv[1:2] == ["--worker"]:
        reader, forged, begin, end, kept = sys.argv[2:]
        work(reader, forged == "1", range(int(begin), int(end)), Path(kept) if kept else None)
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="inputs for each reader, half of them forged")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--reader", choices=READERS, action="append", help="one of them; all")
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that made a fault")
    asked, faults = parser.parse_args(), 0
    for reader in asked.reader or READERS:
        for forged in (False, True):
            outcomes = attack(reader, forged, asked.count // 2, asked.keep, asked.first)
            faults += sum(number for said, number in outcomes.items() if said.startswith("FAULT"))
            print(
                f"{reader}{' forged' if forged else ''}: {sum(outcomes.values())} inputs: {dict(outcomes)}", flush=True
            )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
