"""Recordings that are made: what stands in them, that they replay, the example of FORMAT.md, and the two commands."""

import argparse
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gru4rec import engines
from parity import golden
from parity.commands import record as record_command
from parity.commands import validate as validate_command
from parity.recordings import manifest, recorder
from parity.recordings.reading import SHIPPED, read
from parity.recordings.writing import write

NUMPY = "numpy_gru4rec:GRU4Rec"


def same(a, b):
    """Whether two values of a recording are equal to the bit, whatever they are made of."""
    if isinstance(a, pd.DataFrame):
        return a.equals(b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    return all(same(vars(a)[name], vars(b)[name]) for name in vars(a)) if hasattr(a, "__dict__") else a == b


def test_what_is_written_is_read(made, small_file):
    found = read(small_file)
    assert same(replace(found, path=made.path), made)


def test_it_holds_what_the_run_did(made):
    assert made.n_steps == sum(made.spec.epoch_steps) and len(made.spec.epoch_steps) == 2
    assert [step.number for step in made.kept] == [0, 3]
    first, second = made.epochs
    for numbers, loss in zip((first, second), made.epoch_loss):
        steps = made.steps[numbers.start : numbers.stop]
        mean = sum(step.cost * step.lanes for step in steps) / sum(step.lanes for step in steps)
        assert loss == round(mean, 6)
    assert not made.kept[0].kept.H[0].any()
    assert same(dict(made.init), dict(made.init)) and not same(made.init["Wy"], made.final["Wy"])
    assert made.spec.absent.keys() == {"all", "subset", "sessions_batch"}
    assert [tuple(p.session_ids) for p in made.predictions] == [(1, 2), (1, 2), (1, 3), (1, 3)]


def test_the_same_run_gives_the_same_recording(frames, made):
    options = dict(sample_store=0, keep=[0, 3], meta={"who": "a test"})
    assert same(recorder.record(engines.named(NUMPY), dict(made.spec.params), *frames, **options), made)


def test_the_frames_are_not_changed(frames):
    copies = [each.copy() for each in frames]
    params = dict(loss="cross-entropy", final_act="softmax", layers=[2], batch_size=2, n_epochs=1, n_sample=0)
    recorder.record(engines.named(NUMPY), params, *frames, sample_store=0, keep=[0])
    assert all(map(pd.DataFrame.equals, frames, copies))


def test_scales_are_asked_for_kept_steps(frames, made, tmp_path):
    asked = []

    def scales(spec, before, step):
        asked.append((step.number, set(before.weights)))
        return {"Wx0": 1.5, "cost": 0.25}

    found = recorder.record(
        engines.named(NUMPY), dict(made.spec.params), *frames, sample_store=0, keep=[0, 3], scales=scales
    )
    assert asked == [(0, set(made.init)), (3, set(made.init))]
    write(found, tmp_path / "a.npz")
    assert read(tmp_path / "a.npz").steps[3].scales == {"Wx0": 1.5, "cost": 0.25}


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        (dict(loss="top1"), NotImplementedError, "top1"),
        (dict(loss="hinge"), ValueError, "params.loss"),
        (dict(nothing=1), ValueError, "nothing"),
        (dict(n_epochs=0), ValueError, "params.n_epochs"),
        (dict(learning_rate=1e300), ValueError, "the cost of step"),
    ],
)
def test_what_cannot_be_recorded_says_why(frames, made, params, error, words):
    with np.errstate(all="ignore"), pytest.raises(error, match=words):
        recorder.record(engines.named(NUMPY), dict(made.spec.params) | params, *frames, sample_store=0, keep=[0])


def test_an_engine_without_scores_says_why(frames, made, tmp_path):
    spec = engines.named(NUMPY)

    class Silent(spec.cls):
        def scores(self, X, hidden, items=None):
            raise NotImplementedError("it only trains")

    found = recorder.record(replace(spec, cls=Silent), dict(made.spec.params), *frames, sample_store=0)
    write(found, tmp_path / "a.npz")
    assert read(tmp_path / "a.npz").spec.absent["predictions"] == "it only trains"


def test_a_recording_that_would_be_refused_is_not_written(made, tmp_path):
    broken = replace(made, final={name: values for name, values in made.final.items() if name != "Wy"})
    with pytest.raises(ValueError, match="final/Wy: missing"):
        write(broken, tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


def replayed(path, engine):
    recording = read(path)
    checks = golden.replay(recording, engines.named(engine))
    return {check.name: check.broken or str(check.worst) for check in checks.failed}, checks


def test_a_recording_of_the_numpy_example_replays(small_file):
    failures, _ = replayed(small_file, NUMPY)
    assert not failures


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_recording_of_keras_replays_with_all_that_it_owes(frames, tmp_path, dtype):
    params = dict(loss="bpr-max", final_act="elu-0.5", layers=[3, 2], batch_size=2, n_epochs=2, n_sample=3)
    params |= dict(momentum=0.1, constrained_embedding=True, dropout_p_embed=0.2, dropout_p_hidden=0.3)
    made = recorder.record(engines.named("keras"), params, *frames, sample_store=9, dtype=dtype, keep=[0, 1, 4])
    write(made, tmp_path / "keras.npz")
    failures, checks = replayed(tmp_path / "keras.npz", "keras")
    assert not failures
    owed = manifest.owed(read(tmp_path / "keras.npz"))
    assert all(checks[name].compared >= wanted for name, wanted in owed.items())
    assert checks.verdict == "held"
    assert len(made.evaluations) == 12 and not made.spec.absent


def test_the_example_of_the_format_writes_a_recording(frames, made, tmp_path):
    text = (SHIPPED / "FORMAT.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert max(map(len, program.splitlines())) <= 120
    names = {}
    exec(compile(program, "FORMAT.md", "exec"), names)
    params = dict(made.spec.params)
    engine = engines.named(NUMPY).create(params, "float64")
    engine.prepare(frames[0], 0)
    parts = [
        {what: frame[column].to_numpy() for what, column in zip(("session", "item", "time"), frame)} for frame in frames
    ]
    names["record"](tmp_path / "a.npz", engine, params, *parts, keep=(0, 3), layers=(2,))
    found = read(tmp_path / "a.npz")
    assert same(found.steps, made.steps) and same(dict(found.final), dict(made.final))
    assert manifest.owed(found)["gradients"] == 12


def test_the_format_page_has_every_key_of_the_schema():
    from parity.recordings.texts import schema

    text = (SHIPPED / "FORMAT.md").read_text(encoding="utf-8")
    content = schema()
    names = [*content["$defs"]["spec"]["properties"], *content["properties"]["arrays"]["required"]]
    assert not [name for name in names if f"`{name}`" not in text]


# commands


def run(module, *arguments):
    """The exit status of a command."""
    parser = argparse.ArgumentParser()
    module.add(parser.add_subparsers())
    options = parser.parse_args([module.__name__.rpartition(".")[2], *map(str, arguments)])
    return options.execute(options)


def test_validate_says_what_a_file_owes(small_file, capsys):
    assert run(validate_command, small_file) == 0
    out = capsys.readouterr().out
    assert "small.npz" in out and "valid" in out and f"{sum(manifest.owed(read(small_file)).values())}" in out
    assert out.splitlines()[-1] == "validate: 1 of 1 files are valid recordings"


def test_validate_takes_the_shipped_ones(capsys):
    assert run(validate_command) == 0
    assert "41 of 41 files are valid" in capsys.readouterr().out


def test_validate_names_file_and_key_and_goes_on(small_file, tmp_path, capsys):
    np.savez(tmp_path / "a.npz", n_steps=np.array(3))
    (tmp_path / "b.npz").write_text("no archive")
    shutil.copy(small_file, tmp_path / "c\x1b[2J.npz")
    assert run(validate_command, tmp_path) == 2
    out = capsys.readouterr().out
    assert "spec: missing" in out and "no zip archive" in out and "\x1b" not in out
    assert out.splitlines()[-1] == "validate: 1 of 3 files are valid recordings"


def test_validate_keeps_to_the_limit(small_file, capsys):
    assert run(validate_command, small_file, "--limit", 1000) == 2
    assert "at most 1000 are accepted" in capsys.readouterr().out


def test_validate_of_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="no recording"):
        run(validate_command, tmp_path / "missing.npz")
    with pytest.raises(ValueError, match="accepted without files"):
        run(validate_command, tmp_path, "--write-manifest")


OPTIONS = [
    *("--set", "loss=cross-entropy", "--set", "final_act=softmax", "--set", "layers=2", "--set", "n_epochs=1"),
    *("--set", "n_sample=4", "--set", "batch_size=4", "--sessions", "12", "--keep", "0,2", "--device", "cpu"),
]


@pytest.fixture
def no_settings(monkeypatch):
    """The command sets the environment of programs that it starts; the test's own is to stay."""
    monkeypatch.setattr(engines, "choose_device", lambda device, names: ("cpu", "as asked"))


def test_record_writes_a_valid_file(tmp_path, capsys, no_settings):
    out = tmp_path / "a.npz"
    assert run(record_command, NUMPY, "--out", out, "--who", "me", *OPTIONS) == 0
    found = read(out)
    assert found.meta["program"] == NUMPY and found.meta["who"] == "me" and found.meta["packages"]["numpy"]
    assert [step.number for step in found.kept] == [0, 2] and found.train["SessionId"].nunique() == 12
    said = capsys.readouterr().out
    assert "not recorded: eval/all (the engine has no evaluate_gpu)" in said
    assert f"{sum(manifest.owed(found).values()):,} comparisons owed" in said


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["--out", "a.txt"], ValueError, "ends in .npz"),
        (["--out", "missing/a.npz"], FileNotFoundError, "no folder"),
        (["--out", "folder.npz"], IsADirectoryError, "a folder"),
        (["--out", "there.npz"], FileExistsError, "--overwrite"),
        (["--out", "there.npz", "--overwrite", "--train", "there.npz", "--test", "t"], ValueError, "it is read too"),
        (["--out", "a.npz", "--train", "t"], ValueError, "both or none"),
        (["--out", "a.npz", "--config", "all"], ValueError, "one setting"),
        (["--out", "a.npz", "--set", "nothing=1"], ValueError, "nothing"),
        (["--out", "a.npz", "--set", "loss=top1"], ValueError, "cannot be recorded"),
    ],
)
def test_record_refuses_before_any_work(tmp_path, monkeypatch, no_settings, arguments, error, words):
    monkeypatch.chdir(tmp_path)
    Path("there.npz").write_text("kept")
    Path("folder.npz").mkdir()
    with pytest.raises(error, match=words):
        run(record_command, NUMPY, *arguments)
    assert Path("there.npz").read_text() == "kept" and not Path("a.npz").exists()


def test_the_steps_to_keep_are_numbers(capsys):
    with pytest.raises(SystemExit):
        run(record_command, NUMPY, "--out", "a.npz", "--keep", "1,x")
    assert "numbers of steps split by commas" in capsys.readouterr().err
