"""Saving and taking up again: one rule in every command, and nothing lost by a divergence, a kill or a full disk."""

import json

import pytest
from fake_engine import FakeGRU4Rec
from safetensors import SafetensorError
from toy_engine import NAME as TOY
from toy_engine import GRU4Rec as Toy

from gru4rec import cli

PARAMS = "n_epochs=3,learning_rate=0.5"


@pytest.fixture
def train(capsys, files, tmp_path):
    """Run ``gru4rec TRAIN -s MODEL``; gives (exit status, standard output, standard error)."""

    def run(*arguments, data=files["train"], params=PARAMS):
        given = [data, "--engine", TOY, "-ps", params, "-s", tmp_path / "model", *arguments]
        return (cli.main([str(each) for each in given]), *capsys.readouterr())

    return run


def epochs_of(path):
    return json.loads(path.read_text())["epochs_done"]


def losses(path):
    return [epoch["loss"] for epoch in json.loads(path.read_text())["epochs"]]


# What may be taken up.


def change(name):
    """Of a training file, some bytes that leave items and their supports as they are."""

    def changed(lines):
        header, first, second, *rest = lines
        if name == "order":
            return [header, second, first, *rest]
        session, item, time = first.split("\t")
        if name == "session":
            return [header, "\t".join((str(int(session) + 1), item, time)), second, *rest]
        return [header, "\t".join((session, item, f"{float(time) + 1}\n")), second, *rest]

    return changed


@pytest.mark.parametrize("name", ["order", "session", "time"])
def test_a_training_on_other_data_is_not_taken_up(train, files, tmp_path, name):
    assert train()[0] == 0
    other = tmp_path / "other.tsv"
    other.write_text("".join(change(name)(files["train"].read_text().splitlines(keepends=True))))
    before = (tmp_path / "model").read_bytes()
    status, shown, problem = train("--resume", data=other, params="n_epochs=4,learning_rate=0.5")
    assert status == 2 and "was made on other data" in problem and "epoch" not in shown
    assert (tmp_path / "model").read_bytes() == before


def test_the_same_bytes_under_another_name_are_the_same_data(train, files, tmp_path):
    assert train()[0] == 0
    other = tmp_path / "other.tsv"
    other.write_bytes(files["train"].read_bytes())
    assert train("--resume", data=other, params="n_epochs=4,learning_rate=0.5")[0] == 0
    assert epochs_of(tmp_path / "model") == 4


@pytest.mark.parametrize(
    "arguments, params, message",
    [
        ((), "n_epochs=4,learning_rate=0.4", "learning_rate=0.5, not 0.4"),
        ((), "n_epochs=4,learning_rate=0.5,momentum=0.1", "momentum=0.0, not 0.1"),
        (("--seed", "7"), "n_epochs=4,learning_rate=0.5", "seed=42, not 7"),
        (("--dtype", "float64"), "n_epochs=4,learning_rate=0.5", "dtype='float32', not 'float64'"),
        (("-ss", "7"), "n_epochs=4,learning_rate=0.5", "sample_store=10000000, not 7"),
    ],
)
def test_a_training_with_other_options_is_not_taken_up(train, tmp_path, arguments, params, message):
    assert train()[0] == 0
    status, shown, problem = train("--resume", *arguments, params=params)
    assert status == 2 and f"model was made with {message}" in problem and "epoch" not in shown


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", "[" * 5000, '{"saved": 3}', '{"saved": {"sha256": "", "epochs": 1}, "run": {"epochs": [3]}}'],
)
def test_a_damaged_record_is_named(train, tmp_path, content):
    assert train()[0] == 0
    (tmp_path / "model.training.json").write_text(content)
    status, _, problem = train("--resume")
    assert status == 2 and "model.training.json is no record of a training" in problem


def test_a_model_that_a_program_saved_is_taken_up_without_a_record(train, tmp_path):
    assert train(params="n_epochs=1,learning_rate=0.5")[0] == 0
    (tmp_path / "model.training.json").unlink()
    status, shown, _ = train("--resume", "-o", tmp_path / "results.json")
    assert status == 0 and "epoch 2/3" in shown and "epoch 1/3" not in shown


# Kills at every moment of a save.


@pytest.mark.parametrize("epoch", [1, 2, 3])
@pytest.mark.parametrize("moment", ["before the model", "after the model", "after the record"])
def test_a_training_that_is_cut_off_while_it_saves_goes_on(train, tmp_path, monkeypatch, epoch, moment):
    assert train("-o", tmp_path / "whole.json")[0] == 0
    whole = (tmp_path / "model").read_bytes()
    for path in tmp_path.glob("model*"):
        path.unlink()
    save = Toy.save

    def cut_off(gru, path):
        if gru.epochs_done == epoch and moment == "before the model":
            raise KeyboardInterrupt
        save(gru, path)
        if gru.epochs_done == epoch and moment == "after the model":
            raise KeyboardInterrupt
        if gru.epochs_done == epoch + 1 and moment == "after the record":
            raise KeyboardInterrupt

    monkeypatch.setattr(Toy, "save", cut_off)
    status = train()[0]
    assert status == (130 if moment != "after the record" or epoch < 3 else 0)
    monkeypatch.setattr(Toy, "save", save)
    assert train("--resume", "-o", tmp_path / "resumed.json")[0] == 0
    assert (tmp_path / "model").read_bytes() == whole
    assert losses(tmp_path / "resumed.json") == losses(tmp_path / "whole.json") == [1, 1 / 2, 1 / 3]


def test_a_model_that_was_to_be_replaced_is_not_taken_for_the_new_training(train, tmp_path, monkeypatch):
    assert train()[0] == 0
    save = Toy.save
    monkeypatch.setattr(Toy, "save", lambda gru, path: (_ for _ in ()).throw(KeyboardInterrupt))
    assert train("--overwrite", params="n_epochs=1,learning_rate=0.5")[0] == 130
    monkeypatch.setattr(Toy, "save", save)
    status, _, problem = train("--resume")
    assert status == 2 and "has saved no epoch yet" in problem
    assert train("--overwrite")[0] == 0 and epochs_of(tmp_path / "model") == 3


@pytest.mark.parametrize(
    "problem", [OSError(28, "No space left on device"), SafetensorError("I/O error"), MemoryError()]
)
def test_a_save_that_fails_is_no_divergence_and_keeps_the_earlier_file(train, tmp_path, monkeypatch, problem):
    save = Toy.save

    def failing(gru, path):
        if gru.epochs_done == 2:
            raise problem
        save(gru, path)

    monkeypatch.setattr(Toy, "save", failing)
    status, _, shown = train()
    assert status == 2 and shown.startswith("error: ") and "Traceback" not in shown
    assert epochs_of(tmp_path / "model") == 1
    monkeypatch.setattr(Toy, "save", save)
    assert train("--resume")[0] == 0 and epochs_of(tmp_path / "model") == 3


def test_a_model_of_no_epoch_is_saved_and_taken_up(train, tmp_path):
    assert train(params="n_epochs=0,learning_rate=0.5")[0] == 0
    assert epochs_of(tmp_path / "model") == 0
    assert train("--resume")[0] == 0 and epochs_of(tmp_path / "model") == 3


# Divergence.


def test_a_weight_that_is_no_number_ends_the_training_though_every_loss_is_one(train, files, tmp_path, monkeypatch):
    monkeypatch.setattr(Toy, "get_weights", lambda gru: {"Bh0": [1.0, float("nan") if gru.epochs_done > 1 else 2.0]})
    status, shown, _ = train("-t", files["test"], "-o", tmp_path / "results.json")
    assert status == 1 and "a weight of Bh0 is no finite number after epoch 2" in shown
    assert epochs_of(tmp_path / "model") == 1 and "model is its last good epoch" in shown
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["diverged"] and written["metrics"] == {} and len(written["epochs"]) == 1


def test_a_loss_that_is_no_number_ends_the_training_whatever_the_engine_says(train, tmp_path, monkeypatch):
    fit = Toy.fit

    def silent(gru, data, sample_store=10, *, resume=False, on_step=None, on_epoch_end=None):
        fit(gru, data, sample_store, resume=resume, on_step=on_step,
            on_epoch_end=lambda epoch, loss: on_epoch_end(epoch, float("nan") if epoch else loss))  # fmt: skip

    monkeypatch.setattr(Toy, "fit", silent)
    status, shown, _ = train()
    assert status == 1 and "the loss of epoch 2 is nan" in shown and epochs_of(tmp_path / "model") == 1


def test_a_model_whose_weights_are_no_numbers_is_neither_evaluated_nor_trained_further(
    train, files, tmp_path, capsys, monkeypatch
):
    assert train()[0] == 0
    monkeypatch.setattr(Toy, "get_weights", lambda gru: {"Bh0": [float("nan")]})
    status = cli.main([str(each) for each in (tmp_path / "model", "-l", "--engine", TOY, "-t", files["test"])])
    assert status == 2 and "not finite (first: Bh0): it cannot be evaluated" in capsys.readouterr().err
    status, _, problem = train("--resume", params="n_epochs=4,learning_rate=0.5")
    assert status == 2 and "it cannot be trained further" in problem


@pytest.fixture
def rsc15(fake_engines, capsys, tmp_path):
    for name in ("train.txt", "test.txt"):
        rows = "".join(f"{s}\t{item}\t{1000.5 + s}\n" for s in range(60) for item in (1, 2, 3))
        (tmp_path / name).write_text("SessionId\tItemId\tTime\n" + rows)

    def run(*arguments):
        data = ["--train", tmp_path / "train.txt", "--test", tmp_path / "test.txt"]
        given = ["rsc15", *data, "--out", tmp_path / "out", "--engine", "original", "--epochs", "4", *arguments]
        return (cli.main([str(each) for each in given]), *capsys.readouterr())

    return run


def test_a_job_that_diverges_says_so_by_its_status_and_keeps_the_last_good_models(rsc15, tmp_path, monkeypatch):
    monkeypatch.setattr(FakeGRU4Rec, "bad_weight_at", 3)
    status, shown, _ = rsc15("--checkpoint", "--save", tmp_path / "models")
    assert status == 1 and "a weight of Bh0 is no finite number after epoch 3" in shown
    for model in ("models/bpr-max-original.safetensors", "out/checkpoints/bpr-max-original.safetensors"):
        assert epochs_of(tmp_path / model) == 2
    (run,) = json.loads((tmp_path / "out" / "results.json").read_text())["runs"]
    assert run["diverged"] and len(run["epochs"]) == 2


# What is not replaced unasked.


def test_a_model_that_is_there_is_replaced_where_it_is_asked_for_alone(train, tmp_path):
    (tmp_path / "model").write_text("mine")
    status, shown, problem = train()
    assert status == 2 and "model is there already; --resume goes on with it, --overwrite" in problem and not shown
    assert (tmp_path / "model").read_text() == "mine"
    assert train("--overwrite")[0] == 0 and epochs_of(tmp_path / "model") == 3
    status, _, problem = train("--overwrite", "--resume")
    assert status == 2 and "one of the two is accepted" in problem


@pytest.mark.parametrize("option", ["--save", "--checkpoint"])
def test_models_of_an_earlier_job_too(rsc15, tmp_path, option):
    given = ["--save", tmp_path / "models"] if option == "--save" else ["--checkpoint"]
    assert rsc15(*given)[0] == 0
    status, shown, problem = rsc15(*given)
    assert status == 2 and f"error: {option}: " in problem and "is there already" in problem and "epoch" not in shown
    assert rsc15(*given, "--overwrite")[0] == 0
    assert rsc15(*given, "--resume")[0] == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["{train}", "-s", "{train}"], "-s {train}: this file is read, by PATH"),
        (["{train}", "-t", "{test}", "-o", "{json}", "-pf", "{json}"], "-o {json}: this file is read, by -pf"),
        (["{train}", "-s", "{folder}/m.json", "-o", "{folder}/m.json"], "-s {folder}/m.json: this file is written too"),
        (["{train}", "-s", "{folder}/m", "-o", "{folder}/m.training.json"], "this file is written too, by -o"),
        (["{train}", "-s", "{folder}/link"], "-s: {folder}/link is a link"),
        (["{train}", "-t", "{test}", "-o", "{folder}/no/m.json"], "-o: there is no folder {folder}/no"),
        (["{model}", "-l", "-t", "{test}", "-o", "{model}"], "-o {model}: this file is read, by PATH"),
    ],
)
def test_an_input_is_never_written_to(capsys, files, tmp_path, arguments, message):
    paths = {"folder": tmp_path, "json": tmp_path / "params.json", "model": tmp_path / "model.json", **files}
    paths["json"].write_text('{"n_epochs": 1}')
    paths["model"].write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    before = {name: path.read_bytes() for name, path in paths.items() if path.is_file()}
    status = cli.main([each.format(**paths) for each in arguments] + ["--engine", TOY])
    shown = capsys.readouterr()
    assert status == 2 and message.format(**paths) in shown.err and "epoch" not in shown.out
    assert {name: path.read_bytes() for name, path in paths.items() if path.is_file()} == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["tune", "{train}", "-t", "{test}", "--space", "{out}/best.toml"],
        ["prepare", "rsc15", "{out}/rsc15_test.txt"],
    ],
)
def test_nor_by_the_other_commands(capsys, files, tmp_path, arguments):
    paths = {"out": tmp_path, **files}
    for name in ("best.toml", "rsc15_test.txt"):
        (tmp_path / name).write_text("mine")
    status = cli.main([each.format(**paths) for each in arguments] + ["--out", str(tmp_path)])
    assert status == 2 and "this file is read, by" in capsys.readouterr().err
    assert all((tmp_path / name).read_text() == "mine" for name in ("best.toml", "rsc15_test.txt"))


def test_a_record_that_was_changed_is_noticed(train, tmp_path):
    assert train()[0] == 0
    record = tmp_path / "model.training.json"
    content = record.read_text()
    record.write_text(content.replace('"loss": 0.', '"loss": 1.', 1))
    assert record.read_text() != content
    status, _, problem = train("--resume")
    assert status == 2 and "or is damaged: its checksum does not fit" in problem
