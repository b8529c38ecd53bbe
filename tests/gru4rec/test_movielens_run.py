"""The MovieLens job, with an engine that learns nothing and counts what it is told."""

import json

import pytest
from fake_engine import FakeGRU4Rec

from gru4rec import cli
from gru4rec.datasets.movielens import CONFIGS
from gru4rec.datasets.movielens_sample import write_sample
from gru4rec.jobs.arguments import ENGINES

fake = pytest.mark.usefixtures("fake_engines")


def main(arguments):
    return cli.main(["movielens", *arguments])


@pytest.fixture(scope="module")
def ratings(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("ratings") / "ratings.csv"
    write_sample(path, ratings=30_000, movies=400)
    return str(path)


@pytest.fixture
def release(ratings, tmp_path) -> list[str]:
    """``--ratings``, ``--out``, few epochs, and one engine."""
    return ["--ratings", ratings, "--out", f"{tmp_path}/out", "--epochs", "2", "--engine", "original"]


def results(tmp_path) -> dict:
    return json.loads((tmp_path / "out" / "results.json").read_text())


@fake
def test_embedded_ratings_are_called_synthetic_everywhere(tmp_path, capsys):
    assert main(["--out", f"{tmp_path}/out", "--no-baselines"]) == 0
    printed = capsys.readouterr().out
    assert "160,000 SYNTHETIC ratings" in printed and printed.count("SYNTHETIC data") >= 2
    assert "published" not in printed
    written = results(tmp_path)
    assert written["synthetic"] and written["data"]["source"].startswith("SYNTHETIC data, made on the spot")
    assert [(job["config"], job["engine"]) for job in written["runs"]] == [(c, e) for c in CONFIGS for e in ENGINES]
    assert "counts_equal_published" not in written["data"]


@fake
@pytest.mark.parametrize("train_on", [None, "all_train"])
@pytest.mark.parametrize("evaluate_on", [None, "dev"])
def test_the_sets_asked_for_are_used(release, tmp_path, monkeypatch, train_on, evaluate_on):
    given = {"--train-on": train_on, "--evaluate-on": evaluate_on}
    options = [text for option, part in given.items() if part for text in (option, part)]
    assert main([*release, *options]) == 0
    data = results(tmp_path)["data"]
    assert list(data["counts"]) == [train_on or "train", evaluate_on or "test"]
    for part, counts in data["counts"].items():
        lines = (tmp_path / "out" / "data" / f"movielens_{part}.txt").read_text().splitlines()
        assert counts["events"] == len(lines) - 1


@fake
def test_events_of_movies_unknown_to_training_are_counted(release, tmp_path, capsys):
    assert main([*release, "--no-baselines"]) == 0
    folder = tmp_path / "out" / "data"
    train, test = ([line.split("\t")[1] for line in (folder / f"movielens_{part}.txt").read_text().splitlines()[1:]]
                   for part in ("train", "test"))  # fmt: skip
    unknown = sum(movie not in train for movie in test)
    assert unknown > 0 and results(tmp_path)["data"]["unknown_events"] == unknown
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{unknown:,} of the {len(test):,} events of test are of items that training does not have" in printed


@fake
def test_prepared_files_give_the_same_run(release, tmp_path):
    assert main(release) == 0
    from_ratings = results(tmp_path)
    files = [f"{tmp_path}/out/data/movielens_{part}.txt" for part in ("train", "test")]
    arguments = ["--train", files[0], "--test", files[1], "--out", f"{tmp_path}/out", "--epochs", "2"]
    assert main([*arguments, "--engine", "original"]) == 0
    from_files = results(tmp_path)
    assert from_files["data"]["counts"] == from_ratings["data"]["counts"]
    assert from_files["data"]["sha256"] == from_ratings["data"]["sha256"]
    assert from_files["runs"][0]["params"] == from_ratings["runs"][0]["params"]


@fake
def test_split_options_reach_the_preparation(release, tmp_path, capsys):
    assert main([*release, "--quantiles", "0.2", "0.5", "0.8"]) == 0
    assert "by quantiles 0.2 0.5 0.8 of the times, as given" in capsys.readouterr().out
    by_quantiles = results(tmp_path)["data"]["counts"]
    assert main([*release, "--dates", "test", "2014-06-01", "2015-03-01"]) == 0
    assert "2014-06-01" in capsys.readouterr().out
    assert results(tmp_path)["data"]["counts"] != by_quantiles


@fake
def test_an_interrupted_run_is_taken_up_where_it_stopped(release, tmp_path, monkeypatch):
    monkeypatch.setattr(FakeGRU4Rec, "stop_after", 1)
    assert main([*release, "--checkpoint"]) == 130
    monkeypatch.setattr(FakeGRU4Rec, "stop_after", None)
    assert main([*release, "--resume"]) == 0
    epochs = results(tmp_path)["runs"][0]["epochs"]
    assert [epoch["metrics"]["recall"]["20"] for epoch in epochs] == [0.01, 0.02]


@fake
@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--config", "top1"], "--config top1: unknown; cross-entropy, bpr-max and all are accepted"),
        (["--set", "momentun=0.1"], "momentun: no option of GRU4Rec"),
        (["--train", "train.txt"], "--train and --test go together"),
        (["--train", "train.txt", "--test", "test.txt"], "--ratings and --train/--test: one of the two is accepted"),
        (["--ratings", "none.csv"], "none.csv does not exist"),
        (["--dates", "test", "2014-06-01", "then"], "--dates test 2014-06-01 then: two dates are needed"),
        (["--quantiles", "0.4", "0.8", "1.1"], "three ascending numbers between 0 and 1"),
    ],
)
def test_bad_options_are_a_message_and_status_2(release, tmp_path, capsys, arguments, message):
    assert main([*release, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and "Traceback" not in error
    assert not (tmp_path / "out").exists()


@fake
@pytest.mark.parametrize("option", ["--evaluate-on dev", "--train-on train", "--quantiles .4 .8 .9"])
def test_options_of_the_preparation_do_not_go_with_prepared_files(tmp_path, capsys, option):
    assert main(["--train", "a", "--test", "b", "--out", f"{tmp_path}/out", *option.split()]) == 2
    assert f"{option.split()[0]} and --train/--test: one of the two is accepted" in capsys.readouterr().err


@pytest.mark.slow
def test_without_arguments_both_engines_beat_popularity_and_agree(tmp_path):
    assert main(["--out", f"{tmp_path}/out"]) == 0
    written = results(tmp_path)
    popularity = {b["name"]: b["metrics"]["recall"]["20"] for b in written["baselines"]}["Pop"]
    last = {(run["config"], run["engine"]): run["epochs"][-1]["metrics"]["recall"]["20"] for run in written["runs"]}
    assert len(last) == 4 and min(last.values()) > 3 * popularity
    for config in CONFIGS:
        assert last[config, "original"] == pytest.approx(last[config, "keras"], abs=0.01)
    assert (tmp_path / "out" / "results.png").read_bytes().startswith(b"\x89PNG")
