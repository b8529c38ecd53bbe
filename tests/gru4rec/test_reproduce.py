"""``gru4rec reproduce``: data, check, seeds, resuming, the report, and what its verdict says."""

import csv
import json
import re
from dataclasses import replace

import pytest
from fake_engine import FakeGRU4Rec

from gru4rec import cli
from gru4rec.datasets import shop_sample, shops
from gru4rec.datasets.prepared import Counts
from gru4rec.datasets.registry import SHOPS
from gru4rec.datasets.rsc15 import PUBLISHED_COUNTS
from gru4rec.published import RESULTS, Figures
from gru4rec.reproduction import material, runs

pytestmark = pytest.mark.usefixtures("fake_engines")


def reproduce(out, *arguments):
    return cli.main(["reproduce", *map(str, arguments), "--out", str(out)])


def results(out):
    return json.loads((out / "results.json").read_text())


@pytest.mark.parametrize("name", material.NAMES)
def test_every_set_runs_without_any_file(tmp_path, capsys, name):
    assert reproduce(tmp_path, name, "--seeds", 2, "--epochs", 3) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "SYNTHETIC data" in printed and "Verdict: not comparable with the published figures: SYNTHETIC" in printed
    found = results(tmp_path)
    assert found["synthetic"] and found["comparable"] == "no" and not found["verdict"].startswith("reproduced")
    assert [run["seed"] for run in found["runs"]] == [42, 43]
    assert all(len(run["run"]["epochs"]) == 3 for run in found["runs"])
    assert found["runs"][0]["metrics"]["recall"]["20"] == 0.03
    assert found["options"]["n_sample"] == 256 and "n_epochs=3" in found["changed"]


def test_the_settings_are_the_published_ones_but_for_what_is_said(tmp_path):
    assert reproduce(tmp_path, "coveo", "--seeds", 1, "-ps", "momentum=0.2") == 0
    found = results(tmp_path)
    assert found["config"] == "coveo-bprmax" and set(found["changed"]) == {"n_sample=256", "momentum=0.2"}
    assert found["options"]["layers"] == [512] and found["options"]["n_epochs"] == 10


def test_a_second_command_goes_on_and_more_epochs_and_seeds_go_further(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(FakeGRU4Rec, "stop_after", 2)
    assert reproduce(tmp_path, "rsc15", "--seeds", 2, "--epochs", 4) == 130
    assert [len(run["run"]["epochs"]) for run in results(tmp_path)["runs"]] == [2]
    assert "not finished: 0 of 2 seeds" in results(tmp_path)["verdict"]
    raw = (tmp_path / "data" / "synthetic-yoochoose-clicks.dat").stat().st_mtime_ns
    monkeypatch.setattr(FakeGRU4Rec, "stop_after", None)
    capsys.readouterr()
    assert reproduce(tmp_path, "rsc15", "--seeds", 2, "--epochs", 4) == 0
    printed = capsys.readouterr().out
    assert "seed 42: 2 epoch(s) from" in printed and "seed 42, epoch 3/4" in printed
    assert "seed 42, epoch 2/4" not in printed
    assert (tmp_path / "data" / "synthetic-yoochoose-clicks.dat").stat().st_mtime_ns == raw
    assert [run["metrics"]["recall"]["20"] for run in results(tmp_path)["runs"]] == [0.04, 0.04]
    assert reproduce(tmp_path, "rsc15", "--seeds", 3, "--epochs", 5) == 0
    assert [len(run["run"]["epochs"]) for run in results(tmp_path)["runs"]] == [5, 5, 5]


def test_what_is_measured_is_not_measured_again(tmp_path, monkeypatch):
    assert reproduce(tmp_path, "rsc15", "--seeds", 2, "--epochs", 2) == 0
    calls = []
    real = runs.metrics.evaluate
    monkeypatch.setattr(runs.metrics, "evaluate", lambda *given, **more: calls.append(1) or real(*given, **more))
    assert reproduce(tmp_path, "rsc15", "--seeds", 2, "--epochs", 2) == 0
    assert not calls
    assert reproduce(tmp_path, "rsc15", "--seeds", 2, "--epochs", 2, "--overwrite") == 0
    assert len(calls) == 2


def test_other_options_than_before_are_refused_until_overwrite(tmp_path, capsys):
    assert reproduce(tmp_path, "rsc15", "--seeds", 1, "--epochs", 2) == 0
    assert reproduce(tmp_path, "rsc15", "--seeds", 1, "--epochs", 2, "-ps", "momentum=0.3") == 2
    assert "momentum=0.0, not 0.3" in capsys.readouterr().err
    assert reproduce(tmp_path, "rsc15", "--seeds", 1, "--epochs", 2, "-ps", "momentum=0.3", "--overwrite") == 0


def test_raw_files_are_prepared_once_and_again_when_they_change(tmp_path, monkeypatch):
    (tmp_path / "raw").mkdir()
    raw = shop_sample.write_sample(SHOPS["retailrocket"], tmp_path / "raw", 5_000, 200)
    prepared = []
    real = shops.prepare
    monkeypatch.setattr(shops, "prepare", lambda *given, **more: prepared.append(1) or real(*given, **more))
    for changed in (False, False, True):
        if changed:
            lines = raw[0].read_text().splitlines(keepends=True)
            raw[0].write_text("".join(lines[:-1]))
        arguments = ("retailrocket", *raw, "--seeds", 1, "--epochs", 1, "--overwrite")
        assert reproduce(tmp_path / "out", *arguments) == 0
    assert len(prepared) == 2
    (tmp_path / "out" / "data" / "retailrocket_test.tsv").write_text("damaged")
    assert reproduce(tmp_path / "out", *arguments) == 0
    assert len(prepared) == 3


def test_prepared_files_that_the_check_finds_bad_are_not_trained_on(tmp_path, capsys, files):
    test = tmp_path / "test.tsv"
    test.write_bytes(files["train"].read_bytes())
    arguments = ("rsc15", "--train", files["train"], "--test", test, "--seeds", 1, "--epochs", 1)
    assert reproduce(tmp_path / "out", *arguments) == 1
    printed = capsys.readouterr().out
    judged = printed.partition("Check: bad: ")[2]
    assert "two files, straddling sessions, leakage through time" in judged and "Verdict" not in judged
    assert not list((tmp_path / "out" / "models").iterdir())
    assert reproduce(tmp_path / "out", *arguments, "--anyway") == 0


@pytest.fixture
def published_data(tmp_path, monkeypatch):
    """Arguments for RetailRocket's raw files, which pass for the published ones, and for figures near the fake's."""
    (tmp_path / "raw").mkdir()
    raw = shop_sample.write_sample(SHOPS["retailrocket"], tmp_path / "raw", 5_000, 200)
    monkeypatch.setitem(SHOPS, "retailrocket", replace(SHOPS["retailrocket"], lines=5_000))

    def figures(recall):
        monkeypatch.setitem(RESULTS, "RetailRocket", dict.fromkeys((1, 5, 10, 20), Figures(recall, recall / 2)))
        return ("retailrocket", *raw, "--seeds", 1, "-ps", "n_sample=2048")

    return figures


def test_on_the_published_data_the_verdict_is_a_judgement(tmp_path, capsys, published_data):
    assert reproduce(tmp_path / "out", *published_data(0.101)) == 0
    assert "Verdict: reproduced: Recall@1, the figure furthest from the published one, is 0.990 of it." in (
        capsys.readouterr().out
    )
    assert reproduce(tmp_path / "out", *published_data(0.2)) == 1
    assert "NOT reproduced" in results(tmp_path / "out")["verdict"]
    assert results(tmp_path / "out")["figures"][0]["ratio"] == pytest.approx(0.5)
    assert reproduce(tmp_path / "less", *published_data(0.2), "--epochs", 2) == 0
    assert "n_epochs=2 not as published" in results(tmp_path / "less")["verdict"]


def test_a_training_that_diverges_is_status_1_and_the_others_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(FakeGRU4Rec, "nan_at", 1)
    assert reproduce(tmp_path, "rsc15", "--seeds", 2, "--epochs", 3) == 1
    found = results(tmp_path)
    assert found["verdict"] == "a training diverged" and len(found["runs"]) == 2
    assert all(run["run"]["diverged"] and not run["metrics"]["recall"] for run in found["runs"])
    assert "the loss became no number in epoch 2" in (tmp_path / "report.html").read_text()


def test_the_files_say_the_same(tmp_path):
    assert reproduce(tmp_path, "rsc15", "--seeds", 2, "--epochs", 3) == 0
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert len(rows) == 2 * 4 * (2 + 1) and {row["seed"] for row in rows} == {"42", "43", "mean"}
    assert {row["value"] for row in rows if row["metric"] == "recall"} == {"0.03"}
    page = (tmp_path / "report.html").read_text()
    assert page.count("0.0300") == 4 * 3 and "0.7283" in page and results(tmp_path)["data"]["test"]["sha256"] in page
    assert "<script" not in page and not re.search(r"(src|href)=", page)


def test_what_the_report_shows_of_names_is_escaped(tmp_path):
    out = tmp_path / "<b>&x"
    assert reproduce(out, "rsc15", "--seeds", 1, "--epochs", 1) == 0
    page = (out / "report.html").read_text()
    assert "<b>" not in page and "&lt;b&gt;&amp;x" in page


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["rsc15", "none.dat"], "none.dat"),
        (["rsc15", "a", "b"], "2 file(s) given; rsc15 needs one"),
        (["rees46", "a"], "1 file(s) given; rees46 needs 2"),
        (["rsc15", "--train", "a"], "--train and --test go together"),
        (["rsc15", "a", "--train", "a", "--test", "b"], "RAW and --train/--test: one of the two"),
        (["coveo", "--config", "rsc15-xe"], "--config rsc15-xe: coveo-bprmax are accepted"),
        (["rsc15", "--seed", "4294967295"], "seeds up to 4294967295"),
        (["rsc15", "-ps", "momentum=x"], "momentum='x'"),
        (["rsc15", "--engine", "vsknn"], "--engine vsknn: a baseline, for which no settings were published"),
    ],
)
def test_bad_arguments_are_a_message_and_status_2(tmp_path, capsys, arguments, message):
    assert reproduce(tmp_path, *arguments) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not list(tmp_path.rglob("*.safetensors"))


def test_spread_and_interval_of_seeds():
    def outcome(seed, recall):
        return runs.Outcome(seed, None, dict.fromkeys((1, 5, 10, 20), (recall, 0.25)))

    made = runs.rows([outcome(1, 0.4), outcome(2, 0.5), outcome(3, 0.6)], {20: Figures(0.25, 0.25)})
    at_20 = next(row for row in made if (row.metric, row.N) == ("recall", 20))
    assert (at_20.mean, at_20.deviation, at_20.ratio) == pytest.approx((0.5, 0.1, 2))
    # t of 2 degrees of freedom at 97.5 % is 4.3027
    assert at_20.interval == pytest.approx((0.5 - 4.3027 * 0.1 / 3**0.5, 0.5 + 4.3027 * 0.1 / 3**0.5), abs=1e-4)
    assert next(row for row in made if (row.metric, row.N) == ("recall", 10)).published is None


def test_rsc15_is_known_by_its_counts(monkeypatch, files):
    train, test = (material.frames.read(path) for path in files.values())
    target = material.Target.named("rsc15")
    assert material._comparable(target, train, test, None, False)[0] == "no"
    monkeypatch.setitem(PUBLISHED_COUNTS, "train_full", Counts(*train.counts))
    monkeypatch.setitem(PUBLISHED_COUNTS, "test", Counts(*test.counts))
    assert material._comparable(target, train, test, None, False)[0] == "yes"
    assert material._comparable(target, train, test, None, True)[0] == "no"
