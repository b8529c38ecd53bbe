"""Damaged input files: what the readers of the commands do with them.

Run as ``python -m tests.attacks.mutated_inputs --count 20000``. Each input is a small good file with one to three
mutations; the readers run in a child with a limit on its memory, and a time limit for each input. What may happen:

* refused: a ValueError or OSError that names the file, in less than a thousand characters;
* accepted: the reader gives what a plain reading of the same bytes, line by line, gives.

Anything else is counted as a fault: another exception, another reading, a crash, a hang, more memory than the limit.
Of Parquet files, which carry no checksum, a value may change unseen; those are counted apart.
"""

import argparse
import csv
import io
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl

from gru4rec import frames, options
from gru4rec.checkpoints import Checkpoint
from gru4rec.datasets import movielens, registry, rsc15, shop_sample, shops
from gru4rec.dwelltime.chunks import session_chunks
from gru4rec.dwelltime.comparison import Comparison
from gru4rec.training import Run
from gru4rec.tuning import space
from parity.recordings import reading

ROOT = Path(__file__).parent.parent.parent
MEMORY = 3 << 30  # bytes of address space that a reader may take on top of what the process has
SECONDS = 20
TOKENS = [
    b"\0", b'"', b"\r", b"\n", b"\n\n", b"\r\n", b"\t", b",", b";", b"::", b"\xef\xbb\xbf", b"\xff", b"\xe9", b"NA",
    b"null", b"None", b"nan", b"inf", b"1e400", b"-1", b"07", b"+7", b" 7", b"7.0", b"9" * 25, str(2**63).encode(),
    b"4/7/2014 10:51", b"2014-02-30", b"1396867869277", b"\x1b[31m", b"[" * 3000, b"{" * 3000, b"a." * 3000, b"=cmd",
    b"#", b"\\", b"'", b"\xf0\x9f\x98\x80", b"true", b"-0", b"1_0", b"NaN", b"Infinity", b"1e-320", b"\\u0000",
]  # fmt: skip


def mutated(data: bytes, draw: random.Random) -> bytes:
    """One to three mutations."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 3))):
        place = draw.randrange(len(changed) + 1)
        kind = draw.randrange(10)
        if kind >= 7 and place < len(changed):  # a byte as the file has others: most such files are good ones
            changed[place] = draw.choice(data)
        elif kind == 0 and place < len(changed):
            changed[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            changed[place:place] = draw.choice(TOKENS)
        elif kind == 2:
            changed[place : place + draw.choice((1, 3, 10))] = draw.choice(TOKENS)
        elif kind == 3:
            del changed[place : place + draw.choice((1, 1, 5, 50))]
        elif kind == 4:
            del changed[place:]
        elif kind == 5:
            stretch = changed[place : place + draw.choice((1, 8, 80))]
            other = draw.randrange(len(changed) + 1)
            changed[other:other] = stretch
        else:
            changed[place : place + draw.choice((1, 4, 16, 64))] = draw.randbytes(draw.choice((1, 4, 16)))
    return bytes(changed)


@dataclass(frozen=True)
class Reader:
    """A reader, and how to tell whether it read well.

    Attributes:
        suffix: of its files.
        valid: the content of good files, of which one is drawn.
        read: gives what it makes of a file.
        fault: what is wrong with that, given the file's bytes; None where nothing is.
        unseen: whether a change of a value may stay unseen.
    """

    suffix: str
    valid: list[bytes]
    read: Callable[[Path], Any]
    fault: Callable[[bytes, Any], str | None] = lambda data, found: None
    unseen: bool = False


def lines_of(data: bytes) -> list[str]:
    """The lines of a text, without the blank ones at its end."""
    lines = data.decode("utf-8-sig").split("\n")
    lines = [line.removesuffix("\r") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def events_fault(separator: str, data: bytes, found: Any) -> str | None:
    """Compare the ids and the number of events with those of a plain reading."""
    lines = lines_of(data)
    if separator == ",":
        rows = [next(csv.reader([line])) if line else [] for line in lines]
    else:
        rows = [line.split(separator) for line in lines]
    header, rows = rows[0], rows[1:]
    if len(rows) != len(found.frame):
        return f"{len(found.frame)} events of {len(rows)} lines"
    for name in ("SessionId", "ItemId"):
        place = header.index(name)
        if [row[place] for row in rows] != [str(value) for value in found.frame[name]]:
            return f"{name} is read as something else"
    return None


def text_files(separator: str) -> list[bytes]:
    ids = (["1", "1", "2", "2"], ["a", "a", "b", "b"], ["01", "01", "1", "1"])
    times = (["1", "2", "3", "4.5"], ["2014-04-07T10:51:09.277Z"] * 4, ["2019-11-01 00:00:00 UTC"] * 4)
    made = []
    for sessions in ids:
        for moments in times:
            rows = zip(sessions, ["5", "6", "5", "7"], moments, strict=True)
            lines = [separator.join(("SessionId", "ItemId", "Time")), *(separator.join(row) for row in rows)]
            made.append(("\n".join(lines) + "\n").encode())
    if separator == ",":
        made.append(b'"SessionId","ItemId","Time"\n1,"a,b",3\n"1","x""y","4.5"\n')
    return made


def parquet_files() -> list[bytes]:
    made = []
    for items in ([5, 6, 5, 7], ["a", "b", "a", "c"]):
        for compression in ("zstd", "uncompressed", "snappy"):
            content = io.BytesIO()
            columns = {"SessionId": [1, 1, 2, 2], "ItemId": items, "Time": [1.0, 2.0, 3.0, 4.5]}
            frame = pl.DataFrame({name: values * 50 for name, values in columns.items()})
            frame.write_parquet(content, compression=compression)
            made.append(content.getvalue())
    return made


def clicks() -> list[bytes]:
    return [b"".join(f"{k // 3},2014-04-07T10:51:{k % 60:02}.277Z,{k % 7},0\n".encode() for k in range(40))]


def clicks_fault(data: bytes, found: pl.DataFrame) -> str | None:
    return None if found.equals(rsc15.parse_lines(data, "", 1)) else "clicks are read as something else"


def read_clicks(path: Path) -> pl.DataFrame:
    with path.open("rb") as file:
        return rsc15.read_clicks(file, str(path), block_bytes=256)


def ratings() -> list[bytes]:
    rows = [(user, user * 3 + k, 4, 1230768000 + user * 90000000 + k) for user in range(2) for k in range(8)]
    tabs = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    colons = "".join("::".join(map(str, row)) + "\n" for row in rows)
    commas = movielens.HEADER + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    return [each.encode() for each in (tabs, colons, commas)]


def read_ratings(path: Path) -> Any:
    return movielens.days_of_users(path, movielens.layout_of(path))


def ratings_fault(data: bytes, found: pl.DataFrame) -> str | None:
    lines = lines_of(data)
    wanted = len(lines) - (lines[0] == movielens.HEADER)
    counted = found.select(pl.col(pl.UInt32, pl.Int64, pl.UInt64).exclude("SessionId", "Day")).sum().row(0)
    return None if wanted in counted else f"{counted} ratings of {wanted} lines"


def shop_reader(key: str) -> Reader:
    shop = registry.SHOPS[key]
    with tempfile.TemporaryDirectory() as name:
        paths = shop_sample.write_sample(shop, Path(name), 600, 12, shop_sample.default_days(shop), 1)
        content = [path.read_bytes() for path in paths]

    def read(path: Path) -> Any:
        rest = [path.with_name(f"rest-{k}") for k in range(1, len(content))]
        for other, data in zip(rest, content[1:], strict=True):
            other.write_bytes(data)
        (path.parent / "out").mkdir(exist_ok=True)
        return shops.prepare(shop, [path, *rest], path.parent / "out", "tsv")

    def fault(data: bytes, account: Any) -> str | None:
        header = 0 if shop.layout.names else 1
        wanted = sum(len(lines_of(each)) - header for each in (data, *content[1:]))
        return None if account.raw == wanted else f"{account.raw} events of {wanted} lines"

    return Reader(Path(shop.raw[0]).suffix, [content[0]], read, fault)


def options_fault(data: bytes, found: dict[str, Any]) -> str | None:
    return None if found and set(found) <= set(options.OPTIONS) else f"options {list(found)}"


def record() -> bytes:
    """A record of a training, as a checkpoint writes it."""
    with tempfile.TemporaryDirectory() as name:
        checkpoint = Checkpoint(Path(name) / "model", {"train": "0" * 64}, 10)
        gru = SimpleNamespace(get_params=dict, save=lambda path: Path(path).write_text("model"))
        checkpoint.save(Run("toy", "", {}), gru)
        return checkpoint.record.read_bytes()


def read_record(path: Path) -> Any:
    model = path.with_name(path.name.removesuffix(".training.json"))
    model.write_text("model")
    checkpoint = Checkpoint(model, {"train": "0" * 64}, 10)
    loaded = SimpleNamespace(get_params=dict, get_weights=dict, error_during_train=False)
    cls = SimpleNamespace(load=lambda path: loaded)
    fresh = SimpleNamespace(get_params=dict, n_epochs=1)
    return checkpoint.load(SimpleNamespace(cls=cls, options={}), Run("toy", "", {}), fresh)


def record_fault(data: bytes, found: Any) -> str | None:
    """A record that is taken is the one that was written: its checksum covers all of it."""
    return None if json.loads(data) == json.loads(record()) else "another record"


def read_comparison(path: Path) -> Any:
    comparison = Comparison({"sha256": {"train": "x"}}, None, [])
    comparison.take_up(path)
    for outcome in comparison.outcomes:
        comparison.variants(outcome.config, outcome.engine)
        comparison.find(replace(outcome, params=dict(outcome.params)))
    return comparison, comparison.rows()


def comparison() -> bytes:
    run = {"config": "a", "engine": "keras", "variant": "plain", "seed": 1, "params": {"layers": [3]},
           "epochs": [{"loss": 0.5}], "metrics": {"all": {"recall@20": 0.25}}, "train_events": 7}  # fmt: skip
    return json.dumps({"data": {"sha256": {"train": "x"}}, "runs": [run, run | {"seed": 2}]}).encode()


def recording() -> list[bytes]:
    paths = sorted(reading.SHIPPED.glob("*.npz"), key=lambda path: path.stat().st_size)
    return [paths[0].read_bytes()]


def recording_fault(data: bytes, found: Any) -> str | None:
    """The arrays of a file whose sums are right are those of the file that was mutated."""
    with np.load(io.BytesIO(recording()[0])) as whole, np.load(io.BytesIO(data)) as arrays:
        same = set(whole) == set(arrays) and all(whole[name].tobytes() == arrays[name].tobytes() for name in whole)
    return None if same else "another recording"


SPACES = [
    b"""{"name": "learning_rate", "dtype": "float", "values": [0.01, 0.25], "step": 0.005}
{"name": "layers", "dtype": "int", "values": [64, 512], "step": 32}
""",
    b"""[{"name": "momentum", "dtype": "categorical", "values": [0, 0.25, 0.5]},
{"name": "lmbd", "dtype": "float", "values": [1e-6, 0.1], "log": true}]""",
]
TEXTS = [b"layers=100,n_epochs=10\nmomentum = 0.3 # so\nadapt_params=0.9/0.99\nconstrained_embedding=True\n"]
TOML = [b'layers = [100, 50]\nloss = "bpr-max"\nmomentum = 0.3\nconstrained_embedding = true\n# the end\n']
JSON = [b'{"layers": [100], "loss": "bpr-max", "momentum": 0.3, "adapt": null, "constrained_embedding": false}']


def readers() -> dict[str, Callable[[], Reader]]:
    """By name, each made when it is asked for."""
    found: dict[str, Callable[[], Reader]] = {
        name: partial(Reader, suffix, text_files(separator), frames.read, partial(events_fault, separator))
        for name, suffix, separator in (
            ("tsv", ".tsv", "\t"), ("csv", ".csv", ","), ("semicolons", ".txt", ";"), ("blanks", ".txt", " "),
        )
    }  # fmt: skip
    found["chunks"] = lambda: Reader(".tsv", text_files("\t")[:1], lambda path: list(session_chunks(path)))
    found["parquet"] = lambda: Reader(".parquet", parquet_files(), frames.read, unseen=True)
    found["rsc15-raw"] = lambda: Reader(".dat", clicks(), read_clicks, clicks_fault)
    found["movielens-raw"] = lambda: Reader(".dat", ratings(), read_ratings, ratings_fault)
    found |= {f"{key}-raw": partial(shop_reader, key) for key in registry.SHOPS}
    for name, content in (("txt", TEXTS), ("toml", TOML), ("json", JSON)):
        found[f"options-{name}"] = partial(Reader, f".{name}", content, options.from_file, options_fault)
    found["space"] = lambda: Reader(".json", SPACES, space.read)
    found["record"] = lambda: Reader(".training.json", [record()], read_record, record_fault)
    found["results"] = lambda: Reader(".json", [comparison()], read_comparison)
    found["recording"] = lambda: Reader(".npz", recording(), reading.read, recording_fault)
    return found


class _TooLong(BaseException):
    """An input on which a reader hangs."""


def outcome(reader: Reader, path: Path, data: bytes, original: bytes) -> str:
    """What a reader makes of a file, in words."""
    path.write_bytes(data)

    def ring(number: int, frame: Any) -> None:
        raise _TooLong

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        found = reader.read(path)
    except (ValueError, OSError) as problem:
        said = str(problem)
        if path.name not in said or len(said) > 1000:
            return f"FAULT: a message that names no file, or is long: {said[:200]!r}"
        return "refused"
    except _TooLong:
        return f"FAULT: more than {SECONDS} s"
    except BaseException as problem:
        return f"FAULT {type(problem).__name__}: {str(problem)[:200]!r}"
    finally:
        signal.alarm(0)
    try:
        fault = reader.fault(data, found)
    except Exception as problem:
        fault = f"a plain reading refuses it: {type(problem).__name__} {str(problem)[:100]!r}"
    if fault:
        return f"FAULT: {fault}"
    return "accepted" if not reader.unseen or data == original else "accepted, perhaps with a value changed unseen"


def attack(name: str, count: int, seed: int = 1) -> Counter:
    """Let a reader read ``count`` mutated files in this process."""
    reader, draw = readers()[name](), random.Random(f"{name} {seed}")
    outcomes: Counter = Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"input{reader.suffix}"
        for number in range(count):
            original = draw.choice(reader.valid)
            data = mutated(original, draw)
            said = outcome(reader, path, data, original)
            outcomes[said] += 1
            if said.startswith("FAULT"):
                kept = Path(tempfile.gettempdir()) / f"attack-{name}-{number}{reader.suffix}"
                kept.write_bytes(data)
                print(f"{said}: {kept}", file=sys.stderr, flush=True)
    return outcomes


def in_a_child(name: str, count: int, seed: int) -> Counter:
    """:func:`attack` in a process of limited memory."""
    command = [sys.executable, "-m", "tests.attacks.mutated_inputs", "--child", "--reader", name, "--count", str(count),
               "--seed", str(seed)]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return Counter({f"FAULT: the process ends with {done.returncode}": 1})
    return Counter(json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    """Print what came of every reader; 1 where there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", nargs="+", choices=readers(), default=list(readers()))
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
        print(json.dumps(attack(given.reader[0], given.count, given.seed)))
        return 0
    bad = False
    for name in given.reader:
        outcomes = in_a_child(name, given.count, given.seed)
        bad |= any(each.startswith("FAULT") for each in outcomes)
        print(f"{name}: {dict(outcomes)}", flush=True)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
