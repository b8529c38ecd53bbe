"""The comparison of plain training with dwell time: metrics without repeats, runs over seeds, table and figure."""

import json
import sys
import types

import fake_engine
import numpy as np
import pandas as pd
import pytest
from fake_engine import FakeGRU4Rec
from matplotlib.collections import PathCollection
from rich.console import Console

from gru4rec import cli, engines
from gru4rec.commands import dwelltime as command
from gru4rec.dwelltime import report
from gru4rec.dwelltime.comparison import Comparison, Outcome
from gru4rec.dwelltime.metrics import by_part, targets
from gru4rec.frames import Columns


def main(arguments):
    return cli.main(["dwelltime", *arguments])


COLUMNS = Columns()


def test_the_item_just_seen_is_that_before_in_the_order_of_evaluation():
    rows = [
        (2, 5, 30.0),
        (1, 7, 20.0),
        (1, 5, 20.0),
        (2, 9, 10.0),
        (1, 5, 10.0),
        (2, 5, 20.0),
        (3, 7, 1.0),
        (4, 9, 1.0),
    ]
    test = pd.DataFrame(rows, columns=COLUMNS)
    # By (session, time, item): 1: 5 5 7; 2: 9 5 5; of the others one event each.
    items, previous = targets(test, pd.Index([5, 7, 9]), COLUMNS)
    assert items.tolist() == [5, 7, 5, 5] and previous.tolist() == [5, 5, 9, 5]
    items, previous = targets(test, pd.Index([5, 7]), COLUMNS)  # without the 9, session 2 begins with its first 5
    assert items.tolist() == [5, 7, 5] and previous.tolist() == [5, 5, 5]


def test_metrics_are_split_by_whether_the_target_repeats():
    found = by_part(np.array([1, 2, 4, 30, 1]), np.array([True, False, False, False, True]))
    assert [found[part]["events"] for part in ("all", "without_repeats", "repeats")] == [5, 3, 2]
    assert found["all"]["recall@20"] == 4 / 5 and found["all"]["recall@1"] == 2 / 5
    assert found["without_repeats"]["mrr@20"] == pytest.approx((1 / 2 + 1 / 4) / 3)
    assert found["without_repeats"]["mrr@1"] == 0 and found["without_repeats"]["recall@5"] == 2 / 3
    assert found["repeats"]["recall@1"] == found["repeats"]["mrr@5"] == 1
    assert by_part(np.array([1]), np.array([False]))["repeats"] == {"events": 0}


class FakeWithItems(FakeGRU4Rec):
    """Takes the options of dwell time, knows its items, and says what it was trained on."""

    trained: list = []

    def __init__(self, *, seed, dwell_time=0, dwell_weight=0.0, **params):
        super().__init__(seed=seed, **params)
        self.seed, self.dwell_time, self.dwell_weight = seed, dwell_time, dwell_weight

    def fit(self, data, **options):
        self.trained.append((self.seed, len(data), self.dwell_time, self.dwell_weight))
        items = data["ItemId"].unique()
        self.itemidmap = pd.Series(np.arange(len(items)), index=items)
        super().fit(data, **options)


def fake_ranks(gru, test, *, session_key, item_key, time_key, batch_size, mode):
    items, _ = targets(test, gru.itemidmap.index, Columns(session_key, item_key, time_key))
    return pd.DataFrame({"item": items, "rank": np.arange(len(items)) % 40 + gru.seed - 41})


class EvaluationWithRanks(fake_engine.evaluation):
    ranks = staticmethod(fake_ranks)


FakeWithItems.evaluation = EvaluationWithRanks


@pytest.fixture
def fakes(fake_engines, monkeypatch):
    fakes = types.ModuleType("fakes_with_items")
    fakes.GRU4Rec = FakeWithItems
    monkeypatch.setitem(sys.modules, "fakes_with_items", fakes)
    monkeypatch.setattr(engines, "_SHIPPED", dict.fromkeys(("original", "keras"), ("fakes_with_items:GRU4Rec", {})))
    monkeypatch.setattr(FakeWithItems, "trained", [])
    monkeypatch.setattr(report, "write_figure", lambda comparison, path: None)  # it takes longer than all the rest


@pytest.fixture
def prepared(tmp_path) -> list[str]:
    """``--train`` and ``--test`` of a small pair of files, ``--out``, and two epochs."""
    for name, sessions in (("train.txt", 60), ("test.txt", 20)):
        rows = [(s, item, 1000 * s + t) for s in range(sessions) for item, t in ((1, 0), (1, 5), (2 + s % 3, 160))]
        pd.DataFrame(rows, columns=COLUMNS).to_csv(tmp_path / name, sep="\t", index=False)
    data = ["--train", f"{tmp_path}/train.txt", "--test", f"{tmp_path}/test.txt"]
    return [*data, "--out", f"{tmp_path}/out", "--epochs", "2"]


def results(tmp_path) -> dict:
    return json.loads((tmp_path / "out" / "results.json").read_text())


def runs(tmp_path) -> list[tuple]:
    return [(run["config"], run["engine"], run["variant"], run["seed"]) for run in results(tmp_path)["runs"]]


@pytest.mark.usefixtures("fakes")
def test_each_variant_is_trained_with_each_seed_on_its_own_data(prepared, tmp_path, capsys):
    assert main([*prepared, "--seeds", "2", "--variants", *command.VARIANTS, "--buckets", "5"]) == 0
    # The second event of each session, of dwell time 155 s, stands three times in the augmented file.
    expected = [(180, 0, 0.0), (300, 0, 0.0), (180, 5, 0.0), (180, 0, 1.0)]
    assert FakeWithItems.trained == [(seed, *run) for seed in (42, 43) for run in expected]
    written = results(tmp_path)
    assert [run["train_events"] for run in written["runs"]] == [180, 300, 180, 180] * 2
    assert written["data"]["predicted_events"] == 40 and written["data"]["repeats"] == 20
    for run in written["runs"]:
        assert [epoch["recall@20"] for epoch in run["epochs"]] == [0.01, 0.02]
        assert [run["metrics"][part]["events"] for part in ("all", "without_repeats", "repeats")] == [40, 20, 20]
        assert ("threshold" in run["params"]) == (run["variant"] == "augmented")
    printed = capsys.readouterr().out
    assert "300 events, 1.667 times as many" in printed and "20 of the 40 predicted events (50.0%)" in printed
    assert "augmented, 2 seeds" in printed and "SYNTHETIC" not in printed


@pytest.mark.usefixtures("fakes")
def test_the_default_is_three_seeds_of_what_the_engine_can(prepared, tmp_path):
    seeds = (42, 43, 44)
    assert main(prepared) == 0
    assert runs(tmp_path) == [
        ("cross-entropy", "keras", variant, s) for s in seeds for variant in ("plain", "augmented", "online")
    ]
    assert main([*prepared, "--engine", "both", "--seeds", "1", "--config", "bpr-max", "top1"]) == 0
    original, keras = (
        [("original", v) for v in ("plain", "augmented")],
        [("keras", v) for v in ("plain", "augmented", "online")],
    )
    assert runs(tmp_path) == [(config, *run, 42) for config in ("bpr-max", "top1") for run in original + keras]
    assert main([*prepared, "--engine", "original", "--seeds", "1"]) == 0
    assert runs(tmp_path) == [("cross-entropy", *run, 42) for run in original]


@pytest.mark.usefixtures("fakes")
def test_finished_runs_are_not_done_again(prepared, tmp_path, monkeypatch, capsys):
    def interrupt_third(gru, data, **options):
        if len(FakeWithItems.trained) == 2:
            raise KeyboardInterrupt
        return fit(gru, data, **options)

    fit = FakeWithItems.fit
    monkeypatch.setattr(FakeWithItems, "fit", interrupt_third)
    assert main([*prepared, "--seeds", "2"]) == 130
    assert len(runs(tmp_path)) == 2  # written run by run
    monkeypatch.setattr(FakeWithItems, "fit", fit)
    assert main([*prepared, "--seeds", "2", "--resume"]) == 0
    assert len(FakeWithItems.trained) == len(set(FakeWithItems.trained)) == 6
    assert "2 run(s) of" in capsys.readouterr().out

    before = results(tmp_path)["runs"]
    monkeypatch.setattr(FakeWithItems, "fit", fake_engine.no_fit)
    assert main([*prepared, "--seeds", "1", "--variants", "plain", "--resume"]) == 0
    assert results(tmp_path)["runs"] == before  # runs that are not asked for now are kept


@pytest.mark.usefixtures("fakes")
def test_runs_of_other_settings_or_other_data_are_not_taken_up(prepared, tmp_path, capsys):
    prepared += ["--seeds", "1"]
    assert main(prepared) == 0
    written = (tmp_path / "out" / "results.json").read_text()
    for change, message in (
        (["--set", "momentum=0.5"], "plain keras, seed 42 was made with momentum=0.7, not 0.5"),
        (["--threshold", "60"], "augmented keras, seed 42 was made with threshold=75.0, not 60.0"),
        (["--buckets", "3"], "online keras, seed 42 was made with dwell_time=12, not 3"),
    ):
        assert main([*prepared, "--resume", *change]) == 2
        assert message in capsys.readouterr().err
    with open(tmp_path / "test.txt", "a") as file:
        file.write("29\t1\t2000\n")
    assert main([*prepared, "--resume"]) == 2
    assert "results.json is of other data" in capsys.readouterr().err
    assert (tmp_path / "out" / "results.json").read_text() == written
    (tmp_path / "out" / "results.json").write_text('{"runs": [3]}')
    assert main([*prepared, "--resume"]) == 2
    assert "is no results file of this command" in capsys.readouterr().err


@pytest.mark.usefixtures("fakes")
def test_a_test_file_without_anything_to_predict_is_refused_before_training(prepared, tmp_path, capsys):
    (tmp_path / "test.txt").write_text("SessionId\tItemId\tTime\n1\t1\t5\n1\t99\t6\n")
    assert main(prepared) == 2
    assert "nothing to predict" in capsys.readouterr().err and not FakeWithItems.trained


@pytest.mark.usefixtures("fakes")
def test_a_loss_that_is_no_number_is_shown_and_written(prepared, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(FakeGRU4Rec, "nan_at", 1)
    assert main([*prepared, "--seeds", "2", "--variants", "plain", "augmented"]) == 1
    assert capsys.readouterr().out.count("NaN") == 3 * 4  # plain, augmented, and their difference
    assert all(run["metrics"] is None and len(run["epochs"]) == 1 for run in results(tmp_path)["runs"])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--engine", "original", "--variants", "plain", "online"], "--variants online: the keras engine alone has it"),
        (["--mode", "jax"], "--mode concerns the original engine"),
        (["--seeds", "0"], "--seeds 0: at least 1"),
        (["--epochs", "0"], "--epochs 0: at least 1"),
        (["--buckets", "0"], "--buckets 0: at least 1"),
        (["--weight", "0"], "--weight 0: a number above 0"),
        (["--threshold", "-1"], "--threshold -1: seconds from"),
        (["--most", "0"], "--most 0: at least 1"),
        (["--weight", "1"], "--weight concerns the variant weighted, and plain, augmented, online are run"),
        (["--buckets", "12", "--engine", "original"], "--buckets concerns the variant online"),
        (["--threshold", "75", "--variants", "plain"], "--threshold concerns the variant augmented"),
        (["--most", "3", "--variants", "plain", "online"], "--most concerns the variant augmented"),
        (["--set", "seed=3"], "--set seed: it differs between the runs, see --seeds"),
        (["--set", "dwell_time=3"], "--set dwell_time: it differs between the runs, see --variants and --buckets"),
        (["--set", "momentun=3"], "momentun: no option of GRU4Rec"),
        (["--config", "bpr"], "--config bpr: unknown"),
        (["--test", "none.txt"], "none.txt"),
    ],
)
@pytest.mark.usefixtures("fakes")
def test_bad_options_are_a_message_and_status_2_before_any_work(prepared, tmp_path, capsys, arguments, message):
    assert main([*prepared, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists() and not FakeWithItems.trained


def comparison() -> Comparison:
    """Two configs and engines; cross-entropy of two seeds, bpr-max of one."""

    def outcome(config, engine, variant, seed, recall):
        parts = {part: {"recall@20": recall / k, "mrr@20": recall / (2 * k)} for k, part in enumerate(report.PARTS, 1)}
        return Outcome(config, engine, variant, seed, {}, 10, [], parts)

    return Comparison(
        {"predicted_events": 8, "repeats": 2},
        None,
        [],
        [
            outcome("cross-entropy", "keras", "augmented", 42, 0.50),
            outcome("cross-entropy", "keras", "plain", 42, 0.40),
            outcome("cross-entropy", "keras", "plain", 43, 0.44),
            outcome("cross-entropy", "keras", "augmented", 43, 0.52),
            outcome("bpr-max", "original", "plain", 42, 0.3),
            outcome("bpr-max", "keras", "plain", 42, 0.2),
        ],
    )


def test_the_table_shows_means_spreads_and_differences_seed_by_seed():
    console = Console(width=80)
    with console.capture() as captured:
        console.print(report.table(comparison()))
    rows = [line.split() for line in captured.get().splitlines()]
    numbers = {" ".join(row[:-4]): row[-4:] for row in rows if len(row) > 4}
    assert numbers["plain, 2 seeds"] == ["0.4200±0.0283", "0.2100±0.0141", "0.2100±0.0141", "0.1050±0.0071"]
    assert numbers["augmented, 2 seeds"][0] == "0.5100±0.0141"
    assert numbers["- plain"] == ["+0.0900±0.0141", "+0.0450±0.0071", "+0.0450±0.0071", "+0.0225±0.0035"]
    assert ["0.3000", "0.1500", "0.1500", "0.0750"] in [row[-4:] for row in rows]  # a single seed has no spread


def test_the_figure_has_a_point_for_each_run():
    figure = report.draw(comparison())
    panels = np.array(figure.axes).reshape(2, 4)
    points = [
        [
            sum(len(dots.get_offsets()) for dots in panel.collections if isinstance(dots, PathCollection))
            for panel in row
        ]
        for row in panels
    ]
    assert points == [[4] * 4, [2] * 4]


TINY = ["--seeds", "1", "--epochs", "1", "--set", "layers=4", "--set", "n_sample=8", "--set", "batch_size=4"]


def check_a_real_run(folder):
    """The metrics over all events, from ranks, are those that the engine's evaluation gives after the last epoch."""
    for run in results(folder)["runs"]:
        for name, value in run["metrics"]["all"].items():
            if name != "events":
                assert value == pytest.approx(run["epochs"][-1][name], abs=1e-12), (run["engine"], run["variant"], name)
        parts = run["metrics"]
        assert parts["all"]["events"] == parts["without_repeats"]["events"] + parts["repeats"]["events"]


def test_a_run_of_keras_port(prepared, tmp_path):
    assert main([*prepared, *TINY, "--variants", "augmented", "online"]) == 0
    assert len(runs(tmp_path)) == 2
    check_a_real_run(tmp_path)
    assert (tmp_path / "out" / "results.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_run_of_both_engines_on_the_embedded_data(tmp_path, capsys):
    options = ["--engine", "both", "--mode", "jax", "--out", f"{tmp_path}/out"]
    assert main([*options, *TINY, "--set", "batch_size=32", "--variants", *command.VARIANTS]) == 0
    assert len(runs(tmp_path)) == 6
    check_a_real_run(tmp_path)
    assert capsys.readouterr().out.count("SYNTHETIC") >= 2
