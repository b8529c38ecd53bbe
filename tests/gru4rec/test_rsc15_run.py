"""The main job, with an engine that learns nothing and counts what it is told."""

import json

import pandas as pd
import pytest
from fake_engine import STEP, FakeGRU4Rec, no_fit

from gru4rec import cli, engines
from gru4rec.baselines.of_the_papers import evenly_chosen_sessions
from gru4rec.datasets.prepared import Counts
from gru4rec.frames import Columns
from gru4rec.jobs import job as jobs_job
from gru4rec.jobs.arguments import ENGINES
from gru4rec.jobs.figure import write_figure
from gru4rec.published import RSC15 as CONFIGS

pytestmark = pytest.mark.usefixtures("fake_engines")


def main(arguments):
    return cli.main(["rsc15", *arguments])


@pytest.fixture
def prepared(tmp_path) -> list[str]:
    """``--train`` and ``--test`` of a small pair of files, ``--out``, and one engine."""
    for name, sessions in (("train.txt", 90), ("test.txt", 30)):
        rows = [(s, item, 1000.5 + s) for s in range(sessions) for item in (1, 2, 3)]
        pd.DataFrame(rows, columns=["SessionId", "ItemId", "Time"]).to_csv(tmp_path / name, sep="\t", index=False)
    data = ["--train", f"{tmp_path}/train.txt", "--test", f"{tmp_path}/test.txt"]
    return [*data, "--out", f"{tmp_path}/out", "--engine", "original"]


def results(tmp_path) -> dict:
    return json.loads((tmp_path / "out" / "results.json").read_text())


def test_embedded_data_are_called_synthetic_everywhere(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(jobs_job, "write_figure", write_figure)
    monkeypatch.setattr("gru4rec.datasets.rsc15.PUBLISHED_COUNTS", {})  # whatever counts they should come to have
    assert main(["--out", f"{tmp_path}/out", "--no-baselines"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("SYNTHETIC") >= 2
    assert "published" not in printed and "0.7197" not in printed
    written = results(tmp_path)
    assert written["synthetic"] and written["data"]["source"].startswith("SYNTHETIC data, made on the spot")
    jobs = [(job["config"], job["engine"], job["params"]["n_sample"], job["published"]) for job in written["runs"]]
    engines_of = {config: [(config, engine, 256, None) for engine in ENGINES] for config in CONFIGS}
    assert jobs == engines_of["bpr-max"] + engines_of["cross-entropy"]
    assert (tmp_path / "out" / "results.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "data" / "rsc15_train_full.txt").exists()


def test_results_hold_what_it_takes_to_repeat_them(prepared, tmp_path):
    arguments = [*prepared, "--epochs", "3", "--seed", "7", "--set", "momentum=0.25", "--dtype", "float64"]
    assert main(arguments) == 0
    written = results(tmp_path)
    (job,) = written["runs"]
    expected = CONFIGS["bpr-max"] | {"n_epochs": 3, "momentum": 0.25, "seed": 7, "dtype": "float64"}
    assert job["params"] == expected | {"backend": "c"}
    assert [epoch["loss"] for epoch in job["epochs"]] == [1, 1 / 2, 1 / 3]
    assert [epoch["metrics"]["recall"]["20"] for epoch in job["epochs"]] == [0.01, 0.02, 0.03]
    assert job["epochs"][2]["metrics"]["mrr"] == {"1": 0.015, "5": 0.015, "10": 0.015, "20": 0.015}
    # The events before the first report are start-up, those after the last one count.
    assert [epoch["events"] for epoch in job["epochs"]] == [270 - STEP, 270, 270]
    assert written["data"]["counts"]["test"] == {"events": 90, "sessions": 30, "items": 3}
    assert len(written["data"]["sha256"]["train_full"]) == 64
    assert {"python", "numpy", "polars"} <= set(written["versions"]) and written["machine"]["cores"] >= 1


def test_the_fingerprint_is_that_of_the_files(prepared, tmp_path):
    main(prepared)
    before = results(tmp_path)["data"]["sha256"]
    with open(tmp_path / "test.txt", "a") as file:
        file.write("29\t1\t2000.5\n")
    main(prepared)
    after = results(tmp_path)["data"]["sha256"]
    assert before["train_full"] == after["train_full"] and before["test"] != after["test"]


def test_events_of_items_unknown_to_training_are_counted(prepared, tmp_path, capsys):
    with open(tmp_path / "test.txt", "a") as file:
        file.write("5\t99\t2000.5\n5\t98\t2001.5\n")
    assert main(prepared) == 0
    assert results(tmp_path)["data"]["unknown_events"] == 2
    assert "2 of the 92 events of test are of items that training does not have" in capsys.readouterr().out


def test_every_config_and_engine_has_a_row(prepared, tmp_path, capsys):
    assert main([*prepared, "--config", "bpr-max", "all", "--engine", "both", "--epochs", "2"]) == 0
    jobs = [(job["config"], job["engine"]) for job in results(tmp_path)["runs"]]
    assert jobs == [(config, engine) for config in CONFIGS for engine in ("original", "keras")]
    printed = capsys.readouterr().out
    table = printed[printed.index("Recall@N") :]
    assert all(config in table for config in CONFIGS)
    assert table.count("0.0200") == 4 * len(jobs)


def test_only_the_engines_asked_for_are_imported(prepared, capsys, monkeypatch):
    monkeypatch.setitem(engines._SHIPPED, "keras", ("not.there:GRU4Rec", {}))
    assert main([*prepared, "--engine", "original"]) == 0
    assert main([*prepared, "--engine", "keras"]) == 2
    assert "--engine keras: not.there cannot be imported" in capsys.readouterr().err


@pytest.mark.parametrize("published", [True, False])
def test_published_results_stand_beside_results_on_published_counts_only(prepared, capsys, monkeypatch, published):
    counts = Counts(90, 30, 3) if published else Counts(90, 31, 3)
    monkeypatch.setattr("gru4rec.datasets.rsc15.PUBLISHED_COUNTS", {"test": counts})
    assert main([*prepared, "--config", "bpr-max", "top1"]) == 0
    assert ("0.7197" in capsys.readouterr().out) == published


def test_the_raw_file_is_prepared_first(tmp_path):
    from gru4rec.datasets.rsc15_sample import write_sample

    write_sample(tmp_path / "clicks.dat", clicks=4_000, items=100, days=4)
    assert main(["--clicks", f"{tmp_path}/clicks.dat", "--out", f"{tmp_path}/out", "--epochs", "1"]) == 0
    written = results(tmp_path)
    lines = (tmp_path / "out" / "data" / "rsc15_test.txt").read_text().splitlines()
    assert written["data"]["counts"]["test"]["events"] == len(lines) - 1
    assert not written["synthetic"] and written["data"]["source"].endswith("clicks.dat")


def test_an_interrupted_run_is_taken_up_where_it_stopped(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(FakeGRU4Rec, "stop_after", 2)
    assert main([*prepared, "--epochs", "5", "--checkpoint"]) == 130
    assert len(results(tmp_path)["runs"][0]["epochs"]) == 2  # written epoch by epoch
    folder = tmp_path / "out" / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == [
        "bpr-max-original.safetensors",
        "bpr-max-original.safetensors.training.json",
    ]
    monkeypatch.setattr(FakeGRU4Rec, "stop_after", None)
    assert main([*prepared, "--epochs", "6", "--resume"]) == 0  # more epochs than before are fine
    epochs = results(tmp_path)["runs"][0]["epochs"]
    assert [epoch["metrics"]["recall"]["20"] for epoch in epochs] == [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]


def test_a_finished_run_is_not_trained_again(prepared, tmp_path, monkeypatch):
    assert main([*prepared, "--epochs", "3", "--checkpoint"]) == 0
    before = results(tmp_path)["runs"]
    monkeypatch.setattr(FakeGRU4Rec, "fit", no_fit)
    assert main([*prepared, "--epochs", "3", "--resume"]) == 0
    assert results(tmp_path)["runs"] == before


def test_a_checkpoint_of_other_settings_or_other_data_is_refused(prepared, tmp_path, capsys):
    assert main([*prepared, "--epochs", "3", "--checkpoint", "--set", "momentum=0.5"]) == 0
    assert main([*prepared, "--epochs", "4", "--resume"]) == 2
    assert "momentum=0.5, not 0.3" in capsys.readouterr().err
    assert main([*prepared, "--epochs", "3", "--checkpoint", "--overwrite", "--set", "dropout_p_hidden=0.5"]) == 0
    assert main([*prepared, "--epochs", "4", "--resume"]) == 2
    assert "dropout_p_hidden=0.5, not 0.0" in capsys.readouterr().err
    assert main([*prepared, "--epochs", "3", "--checkpoint", "--overwrite"]) == 0
    assert main([*prepared, "--epochs", "4", "--resume", "--set", "momentum=0.5"]) == 2
    assert "momentum=0.3, not 0.5" in capsys.readouterr().err
    with open(tmp_path / "train.txt", "a") as file:
        file.write("29\t1\t2000.5\n")
    assert main([*prepared, "--epochs", "4", "--resume"]) == 2
    assert "other data" in capsys.readouterr().err


def test_models_are_saved_where_asked(prepared, tmp_path):
    assert main([*prepared, "--epochs", "2", "--engine", "both", "--save", f"{tmp_path}/models"]) == 0
    names = sorted(path.name for path in (tmp_path / "models").iterdir())
    assert names == ["bpr-max-keras.safetensors", "bpr-max-original.safetensors"]
    assert FakeGRU4Rec.load(tmp_path / "models" / names[0]).epochs_done == 2


@pytest.mark.parametrize("nan_at", [0, 1])
def test_a_loss_that_is_no_number_is_shown_and_written(prepared, tmp_path, capsys, monkeypatch, nan_at):
    monkeypatch.setattr(FakeGRU4Rec, "nan_at", nan_at)
    assert main([*prepared, "--epochs", "3"]) == 1
    assert capsys.readouterr().out.count("NaN") == 8
    (job,) = results(tmp_path)["runs"]
    assert job["diverged"] and len(job["epochs"]) == nan_at


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--config", "bpr"], "--config bpr: unknown; bpr-max, bpr-max-constrained"),
        (["--set", "momentum"], "--set momentum: name=value is needed"),
        (["--set", "=3"], "name=value is needed"),
        (["--set", "momentun=0.1"], "momentun: no option of GRU4Rec"),
        (["--epochs", "0"], "--epochs 0: at least 1"),
        (["--baseline-sessions", "0"], "--baseline-sessions 0: at least 1"),
        (["--engine", "keras", "--mode", "jax"], "--mode concerns the original engine"),
        (["--clicks", "clicks.dat"], "one of the two is accepted"),
        (["--set", "session_key=Sid"], "train.txt has no column 'Sid'; its columns are SessionId, ItemId, Time"),
        (["--test", "no-such-file.txt"], "no-such-file.txt"),
    ],
)
def test_bad_options_are_a_message_and_status_2(prepared, tmp_path, capsys, arguments, message):
    assert main([*prepared, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and "Traceback" not in error
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "train.txt is empty"),
        ("SessionId\tItemId\tTime\n", "train.txt holds no event"),
        ("SessionId\tItemId\n1\t2\n", "no column 'Time'"),
        ("SessionId\tItemId\tTime\n1\t2\tnoon\n", "train.txt, line 2: Time='noon': Unix numbers, or dates"),
        ("SessionId\tItemId\tTime\n1\t\t2.5\n1\t2\t2.5\n", "train.txt, line 2: no value in column 'ItemId'"),
        ("SessionId\tItemId\tTime\n1\t2\t2.5\n1\t2\t2.5\t7\n", "train.txt, line 3: 4 fields, the header has 3"),
    ],
)
def test_a_bad_sessions_file_is_a_message_and_status_2(prepared, tmp_path, capsys, content, message):
    (tmp_path / "train.txt").write_text(content)
    assert main(prepared) == 2
    assert message in capsys.readouterr().err


def test_what_is_wrong_is_said_before_any_work(tmp_path, capsys):
    assert main(["--set", "momentun=0.1", "--out", f"{tmp_path}/out"]) == 2
    assert not (tmp_path / "out").exists()
    assert main(["--clicks", f"{tmp_path}/none.dat"]) == 2
    assert "none.dat" in capsys.readouterr().err


def test_train_without_test_is_refused(tmp_path, capsys):
    assert main(["--train", "train.txt", "--out", f"{tmp_path}/out"]) == 2
    assert "--train and --test go together" in capsys.readouterr().err


def test_other_columns_may_be_named(prepared, tmp_path):
    for name in ("train.txt", "test.txt"):
        frame = pd.read_csv(tmp_path / name, sep="\t").rename(columns={"SessionId": "Sid"}).assign(Other="x")
        frame.to_csv(tmp_path / name, sep="\t", index=False)
    assert main([*prepared, "--set", "session_key=Sid"]) == 0
    assert results(tmp_path)["data"]["counts"]["test"] == {"events": 90, "sessions": 30, "items": 3}


@pytest.mark.parametrize("most, expected", [(1, [0]), (3, [0, 4, 9]), (10, list(range(10))), (99, list(range(10)))])
def test_baselines_run_on_evenly_chosen_whole_sessions(most, expected):
    test = pd.DataFrame({"SessionId": [*range(9, -1, -1), *range(10)], "ItemId": 1, "Time": 1.0})
    chosen = evenly_chosen_sessions(test, Columns(), most)
    assert sorted(chosen.SessionId) == sorted(2 * expected)
