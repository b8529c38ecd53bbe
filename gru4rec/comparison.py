"""Several models' lists on one test file: figures with intervals, parts of the predictions, and pairs compared."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.table import Table

from gru4rec import files, measures, statistics, terminal
from gru4rec.environment import environment
from gru4rec.lists import Lists
from gru4rec.statistics import Difference, Interval, Sums

SUFFIXES = (".json", ".tsv", ".csv", ".parquet")
COMPARED = ("recall", "mrr", "ndcg")


@dataclass
class Comparison:
    """What there is to tell.

    Attributes:
        command: the arguments.
        test: name of the test file.
        mode: how ties are ranked, in words.
        cut_offs: the Ns, ascending.
        resamples: of intervals and tests; 0 for none.
        seed: of these.
        sha256: of the files that were read.
        rows: a tidy table: model, part, metric, N, value, low, high, predictions, sessions.
        pairs: the comparisons: first, second, metric, N, difference, low, high, p, p_holm, predictions, sessions.
    """

    command: list[str]
    test: str
    mode: str
    cut_offs: tuple[int, ...]
    resamples: int = statistics.RESAMPLES
    seed: int = 0
    sha256: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    _values: dict[str, tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]] = field(default_factory=dict)

    def add(self, name: str, lists: Lists, support: np.ndarray | None) -> None:
        """Measure a model's lists."""
        values = measures.per_prediction(lists, self.cut_offs, support)
        session = np.unique(lists.session, return_inverse=True)[1]
        everything = np.ones(len(session), bool)
        wanted = [("all", metric, everything) for metric in values]
        of_parts = [f"{each}@{N}" for each in measures.NEXT for N in self.cut_offs]
        wanted += [(part, metric, mask) for part, mask in measures.groups(lists).items() for metric in of_parts]
        sums = _sums([(values[metric][mask], session[mask]) for _, metric, mask in wanted], int(session.max()) + 1)
        found = statistics.intervals(sums, self.resamples, self.seed)
        for (part, metric, mask), each in zip(wanted, found):
            self._add(name, part, metric, each, session[mask])
        for metric, value in measures.of_all(lists, self.cut_offs).items():
            self._add(name, "all", metric, Interval(value, np.nan, np.nan), session)
        self._values[name] = lists.predicted, lists.session, values

    def _add(self, name: str, part: str, metric: str, found: Interval, session: np.ndarray) -> None:
        kind, N = _split(metric)
        self.rows.append(
            {"model": name, "test": self.test, "part": part, "metric": kind, "N": N} | found._asdict()
            | {"predictions": len(session), "sessions": len(np.unique(session))}
        )  # fmt: skip

    def compare(self) -> None:
        """Compare every two models at the highest N, on the predictions that both have; then correct the p values.

        Raises ValueError for two that have no prediction in common.
        """
        metrics = [f"{each}@{self.cut_offs[-1]}" for each in COMPARED]
        for first, second in combinations(self._values, 2):
            (events, session, one), (others, _, other) = self._values[first], self._values[second]
            common, a, b = np.intersect1d(events, others, assume_unique=True, return_indices=True)
            if not len(common):
                raise ValueError(f"{first} and {second} have no prediction in common, so they cannot be compared")
            numbers = np.unique(session[a], return_inverse=True)[1]
            before, after = (
                _sums([(values[metric][rows], numbers) for metric in metrics], int(numbers.max()) + 1)
                for values, rows in ((one, a), (other, b))
            )
            for metric, found in zip(metrics, statistics.differences(before, after, self.resamples, self.seed)):
                self._add_pair(first, second, metric, found, numbers)
        for pair, p in zip(self.pairs, statistics.holm(np.array([pair["p"] for pair in self.pairs], float))):
            pair["p_holm"] = float(p)

    def _add_pair(self, first: str, second: str, metric: str, found: Difference, session: np.ndarray) -> None:
        kind, N = _split(metric)
        self.pairs.append(
            {"first": first, "second": second, "test": self.test, "metric": kind, "N": N,
             "difference": found.value, "low": found.low, "high": found.high, "p": found.p, "p_holm": float("nan"),
             "predictions": len(session), "sessions": len(np.unique(session))}
        )  # fmt: skip

    def tables(self) -> Iterator[Table]:
        """What is shown: next item, whole lists, parts of the predictions, pairs."""
        last = self.cut_offs[-1]
        next_item = [f"{metric}@{N}" for metric in measures.NEXT[:-1] for N in self.cut_offs]
        yield self._table("Next item", [*next_item, f"{measures.NEXT[-1]}@{last}"])
        longest = [N for N in self.cut_offs if any(r["metric"] == "coverage" and r["N"] == N for r in self.rows)][-1:]
        if longest:
            rest = [f"{metric}@{N}" for metric in measures.REST for N in longest]
            yield self._table("Remaining items of the session", rest)
            whole = [f"{metric}@{N}" for metric in (*measures.LIST, *measures.WHOLE) for N in longest]
            yield self._table("The lists", whole, intervals=False)
        yield self._parts_table(last)
        if self.pairs:
            yield self._pairs_table()

    def _names(self) -> list[str]:
        return list(self._values)

    def _find(self, name: str, part: str, metric: str, N: int) -> dict[str, Any] | None:
        wanted = name, part, metric, N
        return next((r for r in self.rows if (r["model"], r["part"], r["metric"], r["N"]) == wanted), None)

    def _table(self, title: str, headings: list[str], intervals: bool = True) -> Table:
        present = [h for h in headings if any(f"{r['metric']}@{r['N']}" == h for r in self.rows)]
        note = f"Ranks: {self.mode}"
        if intervals and self.resamples:
            note += f"; below each figure the {statistics.LEVEL:.0%} interval, half its width"
        made = terminal.make_table(title, "model", *present, right=present, caption=note if intervals else None)
        made.columns[0].no_wrap = True
        for name in self._names():
            found = [self._find(name, "all", *_split(heading)) for heading in present]
            made.add_row(name, *(f"{row['value']:.4f}" if row else "" for row in found))
            if intervals and self.resamples:
                halves = (f"±{(row['high'] - row['low']) / 2:.4f}" if row else "" for row in found)
                made.add_row("", *halves, style="dim")
        return made

    def _parts_table(self, N: int) -> Table:
        parts = list(dict.fromkeys(row["part"] for row in self.rows if row["part"] != "all"))
        title = f"Recall@{N} and MRR@{N} by events seen before, and of items that were in the session before or not"
        made = terminal.make_table(title, "model", "", *parts, right=parts)
        for name in self._names():
            for metric in ("recall", "mrr"):
                found = [self._find(name, part, metric, N) for part in parts]
                made.add_row(name, metric, *(f"{row['value']:.4f}" if row else "" for row in found))
            found = [self._find(name, part, "recall", N) for part in parts]
            made.add_row("", "predictions", *(f"{row['predictions']:,}" if row else "" for row in found), style="dim")
        return made

    def _pairs_table(self) -> Table:
        headings = ("difference", "low", "high", "p", "p (Holm)")
        title = f"Second - first, over {self.pairs[0]['predictions']:,} predictions in common"
        if len({pair["predictions"] for pair in self.pairs}) > 1:
            title = "Second - first, over the predictions in common"
        made = terminal.make_table(title, "first", "second", "metric", *headings, right=headings)
        for pair in self.pairs:
            numbers = (f"{pair[key]:+.4f}" for key in ("difference", "low", "high"))
            p_values = (f"{pair[key]:.4f}" for key in ("p", "p_holm"))
            made.add_row(pair["first"], pair["second"], f"{pair['metric']}@{pair['N']}", *numbers, *p_values)
        return made

    def write(self, path: Path) -> None:
        """Replace ``path`` as a whole: everything as .json, or the tidy table of figures as .tsv, .csv or .parquet."""
        suffix = path.suffix.lower()
        if suffix == ".json":
            content = {
                "command": self.command, "test": self.test, "mode": self.mode, "resamples": self.resamples,
                "seed": self.seed, "sha256": self.sha256, "results": self.rows, "pairs": self.pairs,
                "environment": environment(),
            }  # fmt: skip
            files.write_json(path, content)
            return
        frame = pl.DataFrame(self.rows)
        with files.written_whole(path) as temporary:
            if suffix == ".parquet":
                frame.write_parquet(temporary)
            else:
                frame.fill_nan(None).write_csv(temporary, separator="\t" if suffix == ".tsv" else ",")


def _sums(figures: list[tuple[np.ndarray, np.ndarray]], n_sessions: int) -> Sums:
    """Of (values, session numbers) of each figure."""
    pairs = [statistics.per_session(values, session, n_sessions) for values, session in figures]
    return Sums(np.array([values for values, _ in pairs]), np.array([counts for _, counts in pairs]))


def _split(heading: str) -> tuple[str, int]:
    metric, _, N = heading.partition("@")
    return metric, int(N)
