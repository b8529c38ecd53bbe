"""``gru4rec evaluate`` and ``gru4rec score``: models and lists measured, written, read, compared."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest

from gru4rec import cli, lists, metrics, models, sessions
from gru4rec.baselines.models import ALL
from gru4rec.frames import Columns


def gru4rec(capsys, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    return (status, *capsys.readouterr())


@pytest.fixture(scope="module")
def saved(dataset, tmp_path_factory):
    """{name: path of a model}"""
    folder, train = tmp_path_factory.mktemp("models"), dataset[0]
    for name in ("ar", "vsknn"):
        model = ALL[name]()
        model.fit(train)
        model.save(folder / f"{name}.model")
    return {name: folder / f"{name}.model" for name in ("ar", "vsknn")}


def figure(rows, model, metric, N, part="all"):
    (row,) = [r for r in rows if (r["model"], r["metric"], r["N"], r["part"]) == (model, metric, N, part)]
    return row


def test_models_are_measured_and_compared(capsys, files, saved, dataset, tmp_path):
    out = tmp_path / "results.json"
    status, shown, problems = gru4rec(capsys, "evaluate", *saved.values(), "-t", files["test"], "-m", 20, 5, "-o", out)
    assert status == 0, problems
    results = json.loads(out.read_text())
    for name, path in saved.items():
        spec, model = models.named(name), ALL[name].load(path)
        expected = metrics.evaluate(spec, model, dataset[1], Columns(), (5, 20))
        for N in (5, 20):
            found = [figure(results["results"], path.name, metric, N) for metric in ("recall", "mrr")]
            assert [row["value"] for row in found] == pytest.approx(expected[N])
            assert all(row["low"] <= row["value"] <= row["high"] for row in found)
            assert f"{found[0]['value']:.4f}" in shown
    parts = {row["part"] for row in results["results"]}
    assert {"all", "length 1", "length 5-9", "repeat", "new"} <= parts
    assert {row["metric"] for row in results["results"]} == {
        "recall", "mrr", "ndcg", "precision_rest", "recall_rest", "map_rest", "ndcg_rest", "popularity", "coverage",
        "gini", "diversity",
    }  # fmt: skip
    (recall, _, _) = results["pairs"]
    assert recall["metric"] == "recall" and recall["N"] == 20 and recall["p"] <= recall["p_holm"] <= 1
    assert recall["difference"] == pytest.approx(
        figure(results["results"], "vsknn.model", "recall", 20)["value"]
        - figure(results["results"], "ar.model", "recall", 20)["value"]
    )
    assert "p (Holm)" in shown and "Ranks: conservative" in shown


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_lists_are_written_and_scored_alike(capsys, files, saved, tmp_path, form):
    written, out, scored = tmp_path / f"lists.{form}", tmp_path / "results.csv", tmp_path / "scored.csv"
    given = ("--lists", written, "-o", out, "--length", 30)
    status, _, problems = gru4rec(capsys, "evaluate", saved["vsknn"], "-t", files["test"], *given)
    assert status == 0, problems
    status, shown, problems = gru4rec(capsys, "score", written, files["test"], "--train", files["train"],
                                      "-e", "conservative", "-o", scored)  # fmt: skip
    assert status == 0, problems
    assert "lists of 30" in shown
    ours, again = (pl.read_csv(path).drop("model", "test") for path in (out, scored))
    # the weights of VS-kNN leave hardly a tie, and beyond the 20th place none counts
    pd.testing.assert_frame_equal(*(pd.DataFrame(f.to_dicts()) for f in (ours, again)), rtol=0.02, atol=1e-3)


def test_the_file_of_another_program(capsys, files, dataset, tmp_path):
    test = dataset[1].sort_values(["SessionId", "Time", "ItemId"], kind="stable")
    first, second = (group for _, group in list(test.groupby("SessionId"))[:40] if len(group) > 3), tmp_path / "b.csv"
    group = next(first)
    items = group.ItemId.tolist()
    rows = [f"{group.SessionId.iloc[0]};0;{items[1]},9,{'7'};3,2,1.5", f"{group.SessionId.iloc[0]};1;8,{items[2]};2,1"]
    path, out = tmp_path / "a.csv", tmp_path / "out.json"
    path.write_text("SessionId;Position;Recommendations;Scores\n" + "\n".join(rows[::-1]) + "\n")
    second.write_text(path.read_text().replace("8,", "80,"))
    if items[1] in (7, 9) or items[2] == 8:
        pytest.fail("the sample has changed: choose other items")
    status, shown, problems = gru4rec(capsys, "score", path, files["test"], second, "-m", 1, 2, "-o", out)
    assert status == 0, problems
    results = json.loads(out.read_text())
    for name in ("a.csv", "b.csv"):
        assert figure(results["results"], name, "recall", 1)["value"] == 0.5
        assert figure(results["results"], name, "mrr", 2)["value"] == 0.75
        assert figure(results["results"], name, "recall", 2)["predictions"] == 2
    assert [pair["p"] for pair in results["pairs"]] == [1.0] * 3
    assert "2 of" in shown


HEADER = "SessionId;Position;Recommendations;Scores\n"


@pytest.mark.parametrize(
    "text, message",
    [
        ("a;b\n1;2\n", "no column SessionId; the header SessionId;Position;Recommendations;Scores is needed"),
        (HEADER, "holds no list"),
        (HEADER + "nowhere;0;1;1\n", "session 'nowhere' is not in the test data"),
        (HEADER + "SESSION;99;1;1\n", "position 99: the session has"),
        (HEADER + "SESSION;-1;1;1\n", "position -1: the session has"),
        (HEADER + "SESSION;0;1,2;1\n", "position 0: 2 items and 1 scores"),
        (HEADER + "SESSION;0;1,1;2,1\n", "an item stands twice in the list"),
        (HEADER + "SESSION;0;1,2;1,2\n", "the scores do not fall from item to item"),
        (HEADER + "SESSION;0;1,2;1,nan\n", "a score is no finite number"),
        (HEADER + "SESSION;0;1,2;1,x\n", "conversion"),
        (HEADER + "SESSION;zero;1,2;2,1\n", "conversion"),
        (HEADER + "SESSION;0;;\n", "a field is empty"),
        (HEADER + "SESSION;0;1;1\nSESSION;0;2;1\n", "position 0: it stands there twice"),
    ],
)
def test_bad_lists(capsys, files, dataset, tmp_path, text, message):
    counts = dataset[1].SessionId.value_counts()
    path = tmp_path / "lists.csv"
    path.write_text(text.replace("SESSION", str(counts.index[0])))
    status, _, problem = gru4rec(capsys, "score", path, files["test"])
    assert status == 2 and message in problem and str(path) in problem.replace("\n", "")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("score", "LISTS", "TEST", "-e", "median"), "-e median: conservative is accepted"),
        (("score", "LISTS", "TEST", "LISTS"), "stands there twice"),
        (("score", "LISTS", "TEST", "-o", "results.txt"), "-o results.txt: a file named .json, .tsv, .csv or .parquet"),
        (("evaluate", "MODEL", "-t", "TEST", "--lists", "a.csv", "b.csv"), "--lists: 2 files, as many as"),
        (("evaluate", "MODEL", "-t", "TEST", "--lists", "a.txt"), "--lists a.txt: a file named .csv or .parquet"),
        (("evaluate", "MODEL", "MODEL", "-t", "TEST"), "stands there twice"),
        (("evaluate", "MODEL", "-t", "TEST", "--engine", "ar"), "was saved by vsknn"),
    ],
)
def test_what_the_commands_refuse(capsys, files, saved, tmp_path, arguments, message):
    (tmp_path / "lists.csv").write_text(HEADER + "1;0;1;1\n")
    paths = {"LISTS": tmp_path / "lists.csv", "TEST": files["test"], "MODEL": saved["vsknn"]}
    status, _, problem = gru4rec(capsys, *(paths.get(each, each) for each in arguments))
    assert status == 2 and message in problem


def test_lists_without_a_prediction_in_common(capsys, files, dataset, tmp_path):
    first, second = dataset[1].SessionId.value_counts().index[:2]
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path, session in zip(paths, (first, second)):
        path.write_text(f"{HEADER}{session};0;1,2;2,1\n")
    status, _, problem = gru4rec(capsys, "score", paths[0], files["test"], paths[1], "-m", 1)
    assert status == 2 and "a.csv and b.csv have no prediction in common" in problem


def test_ids_that_a_text_cannot_hold(dataset, tmp_path):
    train, test = (frame.assign(ItemId=frame.ItemId.map("a,{}".format)) for frame in dataset)
    model = ALL["pop"]()
    model.fit(train)
    made = lists.made_by(models.named("pop"), model, test, Columns(), 5, "conservative")
    with pytest.raises(ValueError, match="an item id holds a comma"):
        lists.write(tmp_path / "lists.csv", made)
    lists.write(tmp_path / "lists.parquet", made)
    events = sessions.read(test, Columns(), model.itemidmap.index)
    again = lists.read(tmp_path / "lists.parquet", events, model.itemidmap.index)
    assert (again.items == made.items).all() and (again.scores == made.scores).all()


@pytest.mark.parametrize("final_act, loss", [("linear", "top1"), ("softmax", "cross-entropy")])
def test_keras_ports_own_lists_are_those_of_its_scores(dataset, final_act, loss):
    from keras_port import GRU4Rec

    train, test = dataset
    gru = GRU4Rec(layers=[6], n_epochs=1, n_sample=8, batch_size=20, final_act=final_act, loss=loss, jit_compile=False)
    gru.fit(train)
    spec = models.named("keras")
    fast = lists.made_by(spec, gru, test, Columns(), 7, "conservative")
    walked = lists.made_by(models.EngineSpec("keras", GRU4Rec, {}, None), gru, test, Columns(), 7, "conservative")
    np.testing.assert_allclose(fast.scores, walked.scores, rtol=1e-5)
    assert (fast.items == walked.items).mean() > 0.99 and (fast.rank == walked.rank).mean() > 0.99
    assert (fast.targets == walked.targets).all()
