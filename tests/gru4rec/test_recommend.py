"""``gru4rec recommend``: the next items of all sessions of a file, by engines and baselines."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from gru4rec import cli, recommending
from gru4rec.baselines.models import ALL
from gru4rec.frames import Columns
from keras_port import GRU4Rec


def gru4rec(capsys, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    return (status, *capsys.readouterr())


@pytest.fixture(scope="module")
def trained(dataset):
    """{name: model}"""
    train, _ = dataset
    models = {"vsknn": ALL["vsknn"]()}
    models["keras"] = GRU4Rec(layers=[6, 5], n_epochs=1, n_sample=8, batch_size=20, jit_compile=False)
    models["dwell"] = GRU4Rec(layers=[6], n_epochs=1, n_sample=8, batch_size=20, jit_compile=False, dwell_time=4)
    for model in models.values():
        model.fit(train)
    return models


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, model in trained.items():
        model.save(folder / name)
    return {name: folder / name for name in trained}


def plain(model, test, length, exclude=(), exclude_seen=False):
    """{session: [(item, score)]}, one session at a time, best first."""
    known = model.itemidmap
    test = test[test.ItemId.isin(known.index)].sort_values(["SessionId", "Time", "ItemId"], kind="stable")
    found = {}
    for session, group in test.groupby("SessionId"):
        hidden = [np.zeros((1, width), model.dtype) for width in model.layers]
        times = group.Time.tolist()
        for place, item in enumerate(group.ItemId):
            more = {}
            if getattr(model, "dwell_time", 0):
                more = {"dwell": np.array([times[place] - times[place - 1] if place else np.nan])}
            scores, hidden = model.scores(np.array([known[item]]), hidden, **more)
        ranked = pd.Series(scores[0], index=known.index).sort_values(ascending=False, kind="stable")
        left_out = {*exclude, *(group.ItemId if exclude_seen else ())}
        found[session] = ranked[~ranked.index.isin(left_out)][:length]
    return found


@pytest.mark.parametrize("name", ["keras", "dwell", "vsknn"])
@pytest.mark.parametrize("seen", [False, True])
def test_recommendations_are_the_best_scores_of_each_session(trained, dataset, name, seen):
    model, (train, test) = trained[name], dataset
    exclude = [*train.ItemId.unique()[:7].tolist(), -1]
    for left_out in ((), exclude):
        expected = plain(model, test, 6, left_out, seen)
        table = recommending.recommend(model, test, Columns(), 6, left_out, seen)
        assert list(table.columns) == ["SessionId", "Rank", "ItemId", "Score"]
        assert table.SessionId.unique().tolist() == list(expected)
        for session, group in table.groupby("SessionId"):
            assert group.Rank.tolist() == list(range(1, len(expected[session]) + 1))
            np.testing.assert_allclose(group.Score, expected[session], rtol=1e-4, atol=1e-6)
            ours = pd.Series(plain(model, test[test.SessionId == session], 99)[session])[group.ItemId.tolist()]
            np.testing.assert_allclose(ours, group.Score, rtol=1e-4, atol=1e-6)
            assert not set(group.ItemId) & set(left_out)
            assert not (seen and set(group.ItemId) & set(test.ItemId[test.SessionId == session]))


def test_lists_of_items_and_a_frame_give_the_same(trained, dataset):
    model, test = trained["keras"], dataset[1]
    known = test[test.ItemId.isin(model.itemidmap.index)].sort_values(["SessionId", "Time", "ItemId"], kind="stable")
    table = model.recommend(pl.DataFrame({name: test[name].tolist() for name in test}), 5, exclude_seen=True)
    lists = [group.ItemId.tolist() for _, group in known.groupby("SessionId")]
    many = model.recommend(lists, 5, exclude_seen=True)
    assert many.items.ravel().tolist() == table.ItemId.tolist()
    np.testing.assert_allclose(many.scores.ravel(), table.Score, rtol=1e-6)
    assert model.recommend(lists[0], 5, exclude_seen=True).items.tolist() == many.items[0].tolist()


def test_fewer_items_than_asked_for(trained, dataset):
    model, ids = trained["keras"], trained["keras"].itemidmap.index.tolist()
    with pytest.raises(ValueError, match="k=5: a whole number from 1 to 3, the items that are not excluded"):
        model.recommend(ids[:1], 5, exclude=ids[3:])
    with pytest.raises(ValueError, match="k=3: session 0 has 2 items left"):
        model.recommend(ids[:1], 3, exclude=ids[3:], exclude_seen=True)
    frame = pd.DataFrame({"SessionId": [1, 1, 2], "ItemId": [ids[0], ids[1], ids[5]], "Time": [1, 2, 3]})
    table = model.recommend(frame, 3, exclude=ids[3:], exclude_seen=True)
    assert table.SessionId.tolist() == [1, 2, 2, 2]
    with pytest.raises(ValueError, match="times: a frame has a column of times"):
        model.recommend(frame, 3, times=[1, 2, 3])
    with pytest.raises(ValueError, match="exclude='1'"):
        model.recommend(ids[:1], 3, exclude="1")
    with pytest.raises(ValueError, match="no session has an item"):
        model.recommend(frame.assign(ItemId=-1), 3)


@pytest.mark.parametrize("name, form", [("keras", "parquet"), ("vsknn", "csv"), ("vsknn", "tsv")])
def test_the_command(capsys, files, saved, trained, dataset, tmp_path, name, form):
    out, excluded = tmp_path / f"out.{form}", tmp_path / "excluded.txt"
    left_out = dataset[0].ItemId.unique()[:3].tolist()
    excluded.write_text("ItemId\n" + "".join(f"{item}\n" for item in left_out))
    status, shown, problems = gru4rec(capsys, "recommend", saved[name], files["test"], "-n", 4, "--exclude", excluded,
                                      "--exclude-seen", "--out", out)  # fmt: skip
    assert status == 0, problems
    found = {"parquet": pl.read_parquet, "csv": pl.read_csv}.get(form, lambda p: pl.read_csv(p, separator="\t"))(out)
    expected = recommending.recommend(trained[name], dataset[1], Columns(), 4, left_out, True)
    assert found["ItemId"].to_list() == expected.ItemId.tolist() and found.columns == list(expected.columns)
    assert "a minute" in shown and "3 items of the model left out" in shown and f"{len(expected):,} rows" in shown


def test_text_ids_and_renamed_columns(capsys, dataset, tmp_path):
    train, test = (frame.assign(ItemId=frame.ItemId.map("é{}".format)) for frame in dataset)
    model = ALL["sr"]()
    model.fit(train)
    model.save(tmp_path / "model")
    names = {"SessionId": "visit", "ItemId": "article", "Time": "at"}
    test.rename(columns=names).to_csv(tmp_path / "visits.csv", index=False)
    (tmp_path / "excluded.txt").write_text(train.ItemId.iloc[0])
    status, _, problems = gru4rec(
        capsys, "recommend", tmp_path / "model", tmp_path / "visits.csv", "-sk", "visit", "-ik", "article", "-tk", "at",
        "--exclude", tmp_path / "excluded.txt", "--out", tmp_path / "out.parquet",
    )  # fmt: skip
    assert status == 0, problems
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert found.columns == ["visit", "Rank", "article", "Score"]
    assert train.ItemId.iloc[0] not in found["article"].to_list()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--out", "out.json"), "--out out.json: a file named .parquet, .csv or .tsv is accepted"),
        (("--out", "out.csv", "-n", 1000), "-n 1000: a whole number from 1 to"),
        (("--out", "out.csv", "--exclude", "EXCLUDED"), "line 2: 'seven': the model's item ids are whole numbers"),
        (("--out", "MODEL"), "a file named .parquet, .csv or .tsv is accepted"),
        (("--out", "out.csv", "--exclude", "nowhere.txt"), "nowhere.txt"),
    ],
)
def test_what_the_command_refuses(capsys, files, saved, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "excluded.txt").write_text("5\nseven\n")
    paths = {"EXCLUDED": tmp_path / "excluded.txt", "MODEL": saved["vsknn"]}
    status, _, problem = gru4rec(capsys, "recommend", saved["vsknn"], files["test"],
                                 *(paths.get(each, each) for each in arguments))  # fmt: skip
    assert status == 2 and message in problem and not (tmp_path / "out.csv").exists()
