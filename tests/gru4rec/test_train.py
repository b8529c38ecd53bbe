"""``gru4rec PATH``: train, evaluate, save, load."""

import json
import re
import tempfile
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file
from toy_engine import NAME as TOY
from toy_engine import GRU4Rec

from gru4rec import cli, engines, models, options, remarks
from gru4rec.checkpoints import Checkpoint
from gru4rec.files import sha256 as files_sha256
from gru4rec.training import Epoch, Run
from original import checkpoint as original_checkpoint


def gru4rec(capsys, *arguments):
    """(exit status, standard output, standard error)."""
    status = cli.main([str(argument) for argument in arguments])
    return (status, *capsys.readouterr())


def metrics(path):
    return json.loads(path.read_text())["metrics"]


def test_trains_evaluates_and_saves(capsys, files, tmp_path):
    out, model = tmp_path / "results.json", tmp_path / "model"
    status, shown, _ = gru4rec(
        capsys, files["train"], "--engine", TOY, "-ps", "n_epochs=2,learning_rate=0.5", "-t", files["test"],
        files["train"], "-m", 5, 1, "-s", model, "-o", out,
    )  # fmt: skip
    assert status == 0
    assert re.search(r"epoch 1/2: loss 1\.000000.*\nepoch 2/2: loss 0\.500000", shown)
    assert "Recall@1" in shown and "MRR@5" in shown and "Ranks: conservative" in shown
    results = json.loads(out.read_text())
    assert results["params"]["learning_rate"] == 0.5 and results["params"]["seed"] == 42
    assert [epoch["loss"] for epoch in results["epochs"]] == [1.0, 0.5]
    assert list(results["metrics"]) == [str(files["test"]), str(files["train"])]
    recall = results["metrics"][str(files["test"])]["recall"]
    assert 0 < recall["1"] < recall["5"] < 1
    assert f"{recall['5']:.6f}" in shown

    loaded = tmp_path / "loaded.json"
    status, shown, _ = gru4rec(
        capsys, model, "-l", "--engine", TOY, "-t", files["test"], files["train"], "-m", 1, 5, "-o", loaded
    )
    assert status == 0 and "epoch" not in shown
    assert metrics(loaded) == results["metrics"]


def test_every_form_of_file_and_text_ids_give_the_same_metrics(capsys, files, tmp_path):
    frames = {part: pl.read_csv(path, separator="\t") for part, path in files.items()}
    as_texts = pl.format("id-{}", pl.col("ItemId"))
    found = []
    for form, texts in (("tsv", False), ("csv", False), ("parquet", False), ("csv", True)):
        for part, frame in frames.items():
            frame = (
                frame.with_columns(ItemId=as_texts, SessionId=pl.format("s{}", pl.col("SessionId"))) if texts else frame
            )
            path = tmp_path / f"{part}.{form}"
            frame.write_parquet(path) if form == "parquet" else frame.write_csv(path, separator=",\t"[form == "tsv"])
        train, test = tmp_path / f"train.{form}", tmp_path / f"test.{form}"
        out = tmp_path / "results.json"
        arguments = (train, "--engine", TOY, "-ps", "n_epochs=1,learning_rate=0.9", "-t", test, "-o", out)
        assert gru4rec(capsys, *arguments)[0::2] == (0, "")
        found.append(metrics(out)[str(test)])
    assert found[0]["recall"]["20"] > 0.5
    assert found == [found[0]] * 4


def test_a_test_file_of_numbers_for_a_model_of_texts(capsys, files, tmp_path):
    train, test = tmp_path / "train.tsv", tmp_path / "test.tsv"
    text = files["train"].read_text()
    train.write_text(text + "999999\tunheard-of\t5\n")
    test.write_text(files["test"].read_text())
    out = tmp_path / "results.json"
    assert gru4rec(capsys, train, "--engine", TOY, "-ps", "n_epochs=1", "-t", test, "-o", out)[0] == 0
    assert metrics(out)[str(test)]["recall"]["20"] > 0.2


def test_a_tie_counts_against_the_model_unless_asked_otherwise(capsys, files, tmp_path):
    found, shown = {}, {}
    for mode in ("standard", "conservative"):
        out = tmp_path / f"{mode}.json"
        option = () if mode == "conservative" else ("-e", mode)
        common = (files["train"], "--engine", TOY, "-ps", "n_epochs=1,learning_rate=1", "-t", files["test"], "-o", out)
        _, shown[mode], _ = gru4rec(capsys, *common, *option)
        found[mode] = metrics(out)[str(files["test"])]["recall"]["20"]
    assert found["standard"] > found["conservative"]  # with a rate of 1 items that never followed are all level
    note = f"Where a tie counts against it, Recall@20 is {found['conservative']:.6f}"
    assert note in shown["standard"] and "note:" not in shown["conservative"]


@pytest.mark.parametrize("suffix", ["tsv", "csv", "parquet"])
def test_a_table_of_results(capsys, files, tmp_path, suffix):
    out = tmp_path / f"results.{suffix}"
    gru4rec(capsys, files["train"], "--engine", TOY, "-ps", "n_epochs=1", "-t", files["test"], "-m", 5, 20, "-o", out)
    separator = "\t" if suffix == "tsv" else ","
    frame = pl.read_parquet(out) if suffix == "parquet" else pl.read_csv(out, separator=separator)
    assert frame.columns == ["test", "N", "recall", "mrr"] and frame["N"].to_list() == [5, 20]


def test_a_catalogue_that_is_small_beside_n_sample_is_said(capsys, files):
    _, shown, _ = gru4rec(capsys, files["train"], "--engine", TOY, "-t", files["test"])
    assert "note:" not in shown
    said = remarks.small_catalogue(2933, SimpleNamespace(n_sample=2048))
    assert "2,048 negative samples a step of 2,933 items" in said and said.endswith("try n_sample=256")
    for n_items, n_sample in ((37_483, 2048), (8_193, 2048), (40, 32), (2933, 0), (1033, 256)):
        assert remarks.small_catalogue(n_items, SimpleNamespace(n_sample=n_sample)) is None


def test_an_interrupted_training_keeps_its_last_epoch_and_goes_on(capsys, files, tmp_path, monkeypatch):
    model, whole, resumed = tmp_path / "model", tmp_path / "whole.json", tmp_path / "resumed.json"
    common = (files["train"], "--engine", TOY, "-ps", "n_epochs=3,learning_rate=0.5", "-t", files["test"])
    gru4rec(capsys, *common, "-o", whole)

    save, saved = GRU4Rec.save, []

    def interrupted(self, path):
        save(self, path)
        saved.append(path)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(GRU4Rec, "save", interrupted)
    status, _, problem = gru4rec(capsys, *common, "-s", model)
    assert status == 130 and "stopped" in problem
    status, shown, _ = gru4rec(capsys, *common, "-s", model, "--resume", "-o", resumed)
    assert status == 0
    assert "epoch 3/3" in shown and "epoch 2/3" not in shown
    assert metrics(resumed) == metrics(whole)

    status, _, problem = gru4rec(capsys, *common, "-ps", "learning_rate=0.4", "-s", model, "--resume")
    assert status == 2 and "was made with learning_rate=0.5, not 0.4" in problem


def test_a_diverged_training(capsys, files, tmp_path):
    out = tmp_path / "results.json"
    status, shown, _ = gru4rec(
        capsys, files["train"], "--engine", TOY, "-ps", "learning_rate=2", "-t", files["test"], "-o", out
    )
    assert status == 1 and "smaller learning_rate" in shown
    results = json.loads(out.read_text())
    assert results["diverged"] and results["metrics"] == {}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "PATH is needed"),
        (["{train}"], "one of -t, -s, -o is needed"),
        (["nothing.tsv", "-t", "{test}"], "nothing.tsv"),
        (["{train}", "-t", "nothing.tsv"], "nothing.tsv"),
        (["{train}", "-t", "{test}", "-o", "results.xml"], "named .json, .tsv, .csv, .parquet is accepted"),
        (["{train}", "-t", "{test}", "-s", "{folder}"], "is a folder"),
        (["{train}", "-t", "{test}", "--resume"], "--resume goes with -s"),
        (["{train}", "-t", "{test}", "-ps", "learning_rate=0"], "learning_rate=0.0: a number above 0 is accepted"),
        (["{train}", "-t", "{test}", "-ik", "Item"], "has no column 'Item'"),
        (["{train}", "-t", "{test}", "--engine", "nothing"], "--engine nothing: original, original-jax, keras or"),
        (["{train}", "-t", "{test}", "--engine", "numpy:ndarray"], "does not follow the protocol"),
        (["{train}", "-l"], "-l without -t"),
        (["{train}", "-l", "-t", "{test}", "-ps", "momentum=1"], "-ps with -l: nothing is trained"),
        (["{train}", "-l", "-t", "{test}", "--dtype", "float32"], "--dtype with -l: nothing is trained"),
        (["{train}", "-l", "-t", "{test}", "--seed", "0"], "--seed with -l: nothing is trained"),
        (["{train}", "-l", "-t", "{test}", "-ss", "0"], "-ss with -l: nothing is trained"),
        (["{train}", "-s", "{folder}/model", "-m", "20"], "-m without -t: nothing is evaluated"),
        (["{train}", "-s", "{folder}/model", "-e", "standard"], "-e without -t: nothing is evaluated"),
        (["{train}", "-s", "{folder}/model", "-o", "{folder}/results.tsv"], "without -t: there is no metric to write"),
        (["{train}", "-t", "{test}", "--engine", "original", "-ps", "dwell_time=4"], "has no option dwell_time"),
    ],
)
def test_bad_input_is_named_before_any_work(capsys, files, tmp_path, arguments, message):
    filled = [text.format(folder=tmp_path, **files) for text in arguments]
    engine = [] if "--engine" in filled or "-l" in filled else ["--engine", TOY]
    status, shown, problem = gru4rec(capsys, *filled, *engine)
    assert status == 2
    assert message in problem.replace("\n", " ")
    assert "epoch" not in shown


def shut(monkeypatch, folder):
    """Make a folder in which no file can be made. This test may run as root, who can write anywhere."""
    folder.mkdir(exist_ok=True)
    real = tempfile.TemporaryFile

    def refuse(*arguments, dir=None, **options):
        if dir == folder:
            raise PermissionError(13, "Permission denied")
        return real(*arguments, dir=dir, **options)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)


@pytest.mark.parametrize("option", ["-s", "-o"])
def test_a_folder_without_the_right_to_write_is_named_before_any_work(capsys, files, tmp_path, monkeypatch, option):
    shut(monkeypatch, tmp_path / "shut")
    path = tmp_path / "shut" / "results.json"
    status, shown, problem = gru4rec(
        capsys, files["train"], "--engine", TOY, "-t", files["test"], option, path, "-ps", "n_epochs=1"
    )
    assert status == 2 and f"error: {option}: no file can be made in" in problem and "epoch" not in shown


def test_a_json_of_losses_needs_no_test_file(capsys, files, tmp_path):
    out = tmp_path / "results.json"
    assert gru4rec(capsys, files["train"], "--engine", TOY, "-ps", "n_epochs=1", "-o", out)[0] == 0
    assert len(json.loads(out.read_text())["epochs"]) == 1


SMALL = "layers=4,n_sample=0,n_epochs=1,batch_size=16"


def test_a_model_of_original_computes_where_it_is_asked_to(capsys, files, dataset, tmp_path):
    model, loaded = tmp_path / "model", tmp_path / "loaded.json"
    gru = engines.named("original").create(options.from_text(SMALL), "float32")
    gru.prepare(dataset[0])
    gru.save(model)
    common = (model, "-l", "--engine", "original-jax", "-d", "cpu", "-t", files["test"], "-o", loaded)
    assert gru4rec(capsys, *common)[0] == 0
    results = json.loads(loaded.read_text())
    assert results["engine"] == "original-jax" and "JAX" in results["device"]
    jax = models.load(engines.named("original-jax"), model)
    assert jax.backend == "jax" and models.load(engines.named("original"), model).backend == "c"
    for name, value in gru.get_weights().items():
        assert (jax.get_weights()[name] == value).all()
    jax.save(tmp_path / "again")
    streams = [original_checkpoint.read(path).stream for path in (model, tmp_path / "again")]
    assert all(np.array_equal(one, other) for one, other in zip(*streams, strict=True))


def test_a_training_goes_on_with_its_own_sample_store_only(capsys, files, dataset, tmp_path):
    model = tmp_path / "model"
    gru = engines.named("original").create(options.from_text(SMALL), "float32")
    gru.prepare(dataset[0], 500)
    gru.save(model)
    checkpoint = Checkpoint(model, {"train": files_sha256(files["train"])}, 500)
    checkpoint.save(Run("original", "", {}, epochs=[Epoch(1, 0.5, 1.0, 10)]), gru)
    common = (files["train"], "--engine", "original", "-d", "cpu", "-ps", SMALL, "-s", model, "--resume")
    status, shown, problem = gru4rec(capsys, *common, "-ss", 400)
    assert status == 2 and "was made with sample_store=500, not 400" in problem and "epoch" not in shown


def test_dwell_time_is_an_option_like_any_other(capsys, files, dataset, tmp_path):
    model = tmp_path / "model"
    gru = engines.named("keras").create(options.from_text(SMALL + ",dwell_time=3,dwell_weight=0.5"), "float32")
    gru.prepare(dataset[0], 0)
    gru.save(model)
    shown = models.options_of(models.load(engines.named("keras"), model))
    assert shown["dwell_time"] == 3 and shown["dwell_weight"] == 0.5
    common = (files["train"], "--engine", "keras", "-d", "cpu", "-ss", 0, "-s", model, "--resume")
    for given, message in (("", "dwell_time=3, not 0"), (",dwell_time=3", "dwell_weight=0.5, not 0.0")):
        status, _, problem = gru4rec(capsys, *common, "-ps", SMALL + given)
        assert status == 2 and f"was made with {message}" in problem


def test_files_that_are_no_model(capsys, files, tmp_path):
    status, _, problem = gru4rec(capsys, files["train"], "-l", "-t", files["test"])
    assert status == 2 and "damaged, or no saved model" in problem
    foreign = tmp_path / "foreign.safetensors"
    save_file({}, foreign, {"format": "pt"})
    status, _, problem = gru4rec(capsys, foreign, "-l", "-t", files["test"])
    assert status == 2 and "no model that original, keras_port or a baseline saved" in problem
    other = tmp_path / "other.safetensors"
    save_file({}, other, {"gru4rec": json.dumps({"format": "gru4rec-original-1"})})
    status, _, problem = gru4rec(capsys, other, "-l", "-t", files["test"], "--engine", "keras")
    assert status == 2 and "was saved by original" in problem


def test_the_shipped_settings_are_listed(capsys):
    status, shown, _ = gru4rec(capsys, "--list-paramfiles")
    assert status == 0
    for word in ("rees46-xe", "Rees46", "bpr-max-constrained", "arXiv 1706.03847"):
        assert word in shown


@pytest.mark.parametrize("engine", ["keras", pytest.param("original-jax", marks=pytest.mark.slow)])
def test_a_model_of_either_engine_is_recognised(capsys, files, tmp_path, engine):
    model, trained, loaded = tmp_path / "model", tmp_path / "trained.json", tmp_path / "loaded.json"
    options = "n_epochs=1,layers=8,n_sample=16,logq=1,loss=cross-entropy,final_act=softmax"
    status, shown, _ = gru4rec(
        capsys, files["train"], "--engine", engine, "-ps", options, "-ss", 0, "-t", files["test"], "-s", model,
        "-o", trained,
    )  # fmt: skip
    assert status == 0 and "epoch 1/1" in shown
    status, shown, _ = gru4rec(capsys, model, "-l", "-t", files["test"], "-o", loaded)
    assert status == 0
    assert metrics(loaded) == metrics(trained)
    results = json.loads(loaded.read_text())
    assert results["engine"] == engine.partition("-")[0] and results["params"]["logq"] == 1
