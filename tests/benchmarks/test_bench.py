"""The table of ``make bench``: what it counts, and that it comes."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import bench, contenders, keras_data
from benchmarks.contenders import KINDS, Task

ROOT = Path(__file__).parents[2]


def test_last_occurrences():
    rows = np.array([3, 1, 3, 2, 1, 3])
    assert contenders.last_occurrences(rows).tolist() == [5, 4, 5, 3, 4, 5]


def test_batches_are_pairs_of_following_events():
    frame = keras_data.events(50, 200)
    task = Task("bpr-max", 50, 4, lanes=8, samples=16)
    items, _ = pd.factorize(frame["ItemId"])
    follows = frame["SessionId"].to_numpy()[:-1] == frame["SessionId"].to_numpy()[1:]
    pairs = set(zip(items[:-1][follows].tolist(), items[1:][follows].tolist(), strict=True))
    found = list(contenders.batches(task, frame))
    assert len(found) == contenders.READY
    for batch in found[:20]:
        assert batch.Y.shape == (24,) and batch.mask.shape == (8, 4)
        assert set(zip(batch.X.tolist(), batch.Y[:8].tolist(), strict=True)) <= pairs


def test_a_share_is_taken_round_by_round():
    rows = [{"contender": "roofline", "train": [1.0, 2.0, 3.0]}, {"contender": "keras-jax", "train": [2.0, 4.0, 12.0]}]
    assert bench.share(rows, rows[1], "train") == "0.50"
    assert bench.share(rows[1:], rows[1], "train") == ""
    assert bench.share(rows, rows[1], "evaluate") == ""


def test_the_roofline_reads_and_writes_the_rows_of_a_step():
    task = Task("bpr-max", 2933, 8, lanes=4, samples=16)
    found = contenders.Roofline(task)
    assert [(table.shape[1], where) for table, where in found.tables] == [(8, "Y")] * 3 + [(1, "Y")] * 3 + [
        (24, "X")
    ] * 3
    assert [(x.shape, w.shape) for x, w, _ in found.products] == [
        ((4, 8), (8, 16)),
        ((4, 8), (8, 8)),
        ((4, 8), (8, 20)),
    ]
    before = [table.copy() for table, _ in found.tables]
    found.train(3)
    for (table, _), old in zip(found.tables, before, strict=True):
        np.testing.assert_array_equal(table, old)
    found.evaluate()
    np.testing.assert_allclose(
        found.scores[0], found.states[-(len(found.states) % 256 or 256)] @ found.tables[0][0].T, rtol=1e-5
    )


@pytest.mark.parametrize(
    "given", [["--train", "x"], ["--rounds", "0"], ["--seconds", "0"], ["--contender", "nobody"], ["--part", "sleep"]]
)
def test_wrong_use(given, capsys):
    with pytest.raises(SystemExit) as end:
        bench.main(given)
    assert end.value.code == 2 and given[0] in capsys.readouterr().err


if importlib.util.find_spec("torch") is not None:  # which no part of the project needs

    @pytest.mark.parametrize("setting", list(keras_data.SETTINGS))
    def test_plain_torch_is_the_same_algorithm(setting):
        import torch

        from benchmarks.plain_torch import Plain
        from keras_port import GRU4Rec
        from keras_port.backend import to_numpy

        n, L, M, samples = 30, 5, 4, 12
        options = {"layers": [L], "batch_size": M, "n_sample": samples, **keras_data.SETTINGS[setting]}
        gru, plain = GRU4Rec(**options, dtype="float64"), Plain(n, setting, L, M)
        gru.build(n)
        names = {"Wx": "Wx0", "Wh": "Wh0", "Wrz": "Wrz0", "Bh": "Bh0", "Wy": "Wy", "By": "By"}
        for part in (plain.weights, plain.acc, plain.vel):
            part.update({name: values.double() for name, values in part.items()})
        plain.H = plain.H.double()
        gru.set_weights({names[name]: to_numpy(values) for name, values in plain.weights.items()})
        rng = np.random.RandomState(1)
        for _ in range(5):
            X, Y = rng.randint(0, n, M), rng.randint(0, n, M + samples)
            R, mask = rng.rand(M) < 0.3, rng.rand(M, L) < 0.7
            read = {"Wx": X, "Wy": np.concatenate([X, Y]) if plain.constrained else Y, "By": Y}
            last = {name: contenders.last_occurrences(rows) for name, rows in read.items()}
            masks = [mask] if gru.dropout_p_hidden else []
            cost = plain.step(*plain.ready(X, Y, last, R, mask))
            # the engine rounds the learning rate to float32, as published
            assert cost == pytest.approx(gru.train_step(X, Y, R, masks).cost, rel=1e-6)
        for name, values in gru.get_weights().items():
            mine = next(plain.weights[own] for own, other in names.items() if other == name)
            np.testing.assert_allclose(mine.numpy(), values, rtol=1e-5, atol=1e-7, err_msg=name)
        assert torch.is_tensor(plain.H)


@pytest.mark.slow
def test_a_table_comes(tmp_path):
    given = ["--setting", "bpr-max", "--contender", "plain-tensorflow", "roofline", "--rounds", "2", "--seconds", "0.1"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench", *given, "--out", tmp_path / "figures.json"], cwd=ROOT, text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    for name in ("plain-tensorflow", "roofline"):
        assert KINDS[name].title in done.stdout
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert [row["contender"] for row in rows] == ["plain-tensorflow", "roofline"]
    assert all(len(row["train"]) == 2 and row["peak_mib"] > 10 and row["start"] > 0 for row in rows)
    assert len(rows[1]["evaluate"]) == 2 and "evaluate" not in rows[0]
