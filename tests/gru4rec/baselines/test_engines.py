"""Baselines by name in the commands: fit, evaluate, save, load, tune; figures as GRU4Rec's evaluation gives them."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest

from gru4rec import baselines, cli, models, sessions
from gru4rec.baselines import spaces
from gru4rec.baselines.models import ALL
from gru4rec.frames import Columns
from gru4rec.tuning import space as spaces_of
from original import evaluation as of_original


def gru4rec(capsys, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    return (status, *capsys.readouterr())


def test_every_name_is_a_model():
    assert tuple(ALL) == baselines.ENGINES == tuple(spaces.OF_BASELINES)


@pytest.mark.parametrize("name", baselines.ENGINES)
def test_ranks_are_those_of_the_engines_own_evaluation(name, dataset):
    train, test = dataset
    model = ALL[name]()
    model.fit(train)
    for mode in ("standard", "conservative", "median"):
        ours = model.evaluation.ranks(model, test, mode=mode)
        pd.testing.assert_frame_equal(ours, of_original.ranks(model, test, mode=mode), check_dtype=False)
    listed = train.ItemId.unique()[:11]
    ours = model.evaluation.ranks(model, test, listed)["rank"]
    assert (ours == of_original.ranks(model, test, listed)["rank"]).all()


@pytest.mark.parametrize("name", baselines.ENGINES)
@pytest.mark.parametrize("texts", [False, True])
def test_a_saved_model_scores_alike(name, texts, dataset, tmp_path):
    train, test = (frame.assign(ItemId=frame.ItemId.map("é{}".format)) if texts else frame for frame in dataset)
    model = ALL[name]()
    model.fit(pl.DataFrame({name: train[name].tolist() for name in train}))
    model.save(tmp_path / "model")
    again = ALL[name].load(tmp_path / "model")
    assert again.get_params() == model.get_params() and again.itemidmap.equals(model.itemidmap)
    assert (again.support == model.support).all()
    assert (again.evaluation.ranks(again, test)["rank"] == model.evaluation.ranks(model, test)["rank"]).all()


def test_a_damaged_file_and_another_baselines_are_refused(dataset, tmp_path):
    model = ALL["ar"]()
    with pytest.raises(RuntimeError, match="no weights yet"):
        model.save(tmp_path / "model")
    model.fit(dataset[0])
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="was saved by ar, not by sr"):
        ALL["sr"].load(tmp_path / "model")
    content = bytearray((tmp_path / "model").read_bytes())
    content[-5] ^= 1
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(ValueError, match="is damaged: its content is not what was written"):
        ALL["ar"].load(tmp_path / "model")


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("vsknn", {"k": 0}, "k=0: a whole number of at least 1 is accepted"),
        ("vsknn", {"k": True}, "k=True: a whole number of at least 1 is accepted"),
        ("vsknn", {"weighting": "cubic"}, "weighting='cubic': same, linear, div, quadratic or log is accepted"),
        ("itemknn", {"alpha": 1.5}, "alpha=1.5: a finite number from 0 to 1 is accepted"),
        ("itemknn", {"lmbd": float("nan")}, "lmbd=nan: a finite number of at least 0 is accepted"),
        ("ar", {"layers": [100]}, "layers: no option of ar; rules are accepted"),
    ],
)
def test_bad_options(name, options, message):
    with pytest.raises(ValueError) as caught:
        ALL[name](**options)
    assert str(caught.value) == message


def test_no_baseline_is_fitted_further(dataset):
    with pytest.raises(ValueError, match="resume=True: pop has no epochs"):
        ALL["pop"]().fit(dataset[0], resume=True)


def test_the_command(capsys, files, tmp_path):
    model, out, loaded = tmp_path / "model", tmp_path / "results.json", tmp_path / "loaded.json"
    status, shown, _ = gru4rec(capsys, files["train"], "--engine", "vsknn", "-ps", "k=50,idf=1", "-t", files["test"],
                               "-s", model, "-o", out)  # fmt: skip
    assert status == 0 and "vsknn on the CPU; k=50,idf=1" in shown and "counted in" in shown
    found = json.loads(out.read_text())
    assert found["params"]["k"] == 50 and found["params"]["weighting"] == "quadratic"
    assert 0.1 < found["metrics"][str(files["test"])]["recall"]["20"] <= 1
    assert models.written_by(model) == "vsknn"
    assert gru4rec(capsys, model, "-l", "-t", files["test"], "-o", loaded)[0] == 0
    assert json.loads(loaded.read_text())["metrics"] == found["metrics"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("-ps", "k=0"), "-ps k='0': a whole number of at least 1 is accepted"),
        (("-ps", "layers=100"), "-ps 'layers': no option of vsknn; k, sample_size, weighting"),
        (("-pf", "rsc15-xe"), "-pf rsc15-xe with --engine vsknn: there is no such file"),
        (("--seed", 3), "--seed with --engine vsknn: it is counted, not trained"),
        (("-d", "gpu"), "--device gpu: vsknn computes on the CPU alone"),
    ],
)
def test_what_the_command_refuses(capsys, files, arguments, message):
    status, _, shown = gru4rec(capsys, files["train"], "--engine", "vsknn", "-t", files["test"], *arguments)
    assert status == 2 and message in shown


@pytest.mark.parametrize("name", ["sr", "pop"])
def test_tune_has_a_space_of_its_own(capsys, files, tmp_path, name):
    out = tmp_path / "out"
    status, shown, problems = gru4rec(capsys, "tune", files["train"], "-t", files["test"], "--engine", name, "-nt", 3,
                                      "--out", out)  # fmt: skip
    assert status == 0, problems
    assert f"use them: gru4rec PATH --engine {name} -pf {out / 'best.toml'}" in shown
    best = pl.read_csv(out / "trials.tsv", separator="\t")["recall"].max()
    results = tmp_path / "results.json"
    assert gru4rec(capsys, files["train"], "--engine", name, "-pf", out / "best.toml", "-t", files["test"],
                   "-o", results)[0] == 0  # fmt: skip
    assert json.loads(results.read_text())["metrics"][str(files["test"])]["recall"]["20"] == best


def test_tune_takes_a_space_and_fixed_options_of_a_baseline(capsys, files, tmp_path):
    space = tmp_path / "space.json"
    space.write_text('{"name": "k", "dtype": "int", "values": [5, 50], "step": 5}\n')
    common = ("tune", files["train"], "-t", files["test"], "--engine", "sknn", "-nt", 1, "--out", tmp_path / "out")
    status, shown, problems = gru4rec(capsys, *common, "--space", space, "-ps", "sample_size=100")
    assert status == 0, problems
    assert "fixed: sample_size=100; searched: k" in shown
    status, _, shown = gru4rec(capsys, *common, "-ps", "k=5,sample_size=100")
    assert status == 2 and "nothing to tune" in shown
    space.write_text('{"name": "layers", "dtype": "int", "values": [5, 50]}\n')
    status, _, shown = gru4rec(capsys, *common, "--space", space)
    assert status == 2 and "name='layers': no option of sknn; k, sample_size are accepted" in shown
    status, _, shown = gru4rec(capsys, "tune", files["train"], "-t", files["test"])
    assert status == 2 and "--space FILE is needed" in shown


@pytest.mark.parametrize("name", baselines.ENGINES)
def test_spaces_hold_what_the_models_accept(name):
    spaces_of.of_baseline(baselines.table(name), spaces.OF_BASELINES[name]).check(lambda params: ALL[name](**params))


def test_what_is_walked(dataset):
    train, test = dataset
    model = ALL["spop"]()
    model.fit(train)
    events = sessions.read(test, Columns(), model.itemidmap.index)
    assert len(events) == test.SessionId.nunique() and (np.diff(events.ids) > 0).all()
    seen = np.concatenate([positions for positions, _ in sessions.scored(model, events, lanes=7)])
    assert sorted(seen.tolist()) == events.predicted.tolist()
    last = {}
    for rows, scores in sessions.last_scored(model, events, lanes=7):
        last.update(zip(rows.tolist(), scores))
    assert sorted(last) == np.flatnonzero(events.lengths > 0).tolist()
    for session, scores in last.items():
        items = events.items[events.offsets[session] : events.offsets[session + 1]]
        assert (np.floor(scores) == np.bincount(items, minlength=len(scores))).all()


def test_the_best_are_sorted_and_ties_go_to_the_lower_column():
    random = np.random.RandomState(3)
    for n, length in ((40, 5), (40, 40), (3, 20), (40, 1)):
        scores = random.randint(6, size=(50, n)).astype(float)
        expected = np.argsort(-scores, axis=1, kind="stable")[:, :length]
        assert (sessions.best(scores, length) == expected).all()
