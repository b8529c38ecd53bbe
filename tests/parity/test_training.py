"""Full runs against stored ones: what is drawn, the check's verdicts, the command from recording to judging."""

from itertools import count

import command_line
import numpy as np
import pytest
from numpy_gru4rec import GRU4Rec

from gru4rec import engines
from gru4rec.published import RSC15
from parity import data
from parity.checks.training import FAULTS, check_training, draw, faulty
from parity.commands import training as command
from parity.convergence import equivalence, sample
from parity.convergence.sample import Runs, dropout_seed
from parity.measure import Checks

ENGINE = "numpy_gru4rec:GRU4Rec"
PARAMS = dict(layers=[5], batch_size=6, n_sample=4, n_epochs=2)


def made_up(runs, seed=0, shift=0.0, spread=0.01):
    stream = np.random.RandomState(seed)
    lists = np.argsort(-(np.arange(40) + 3 * stream.randn(runs, 10, 40)), axis=2)[:, :, :20]
    losses, metrics = (
        1 + shift + spread * stream.randn(runs, 2),
        np.tile(0.5 + spread * stream.randn(runs, 1, 1), (1, 4, 2)),
    )
    return Runs(1000 * seed + np.arange(runs), losses, metrics, lists, np.zeros(lists.shape, np.float32))


def judged(candidate, reference=None):
    checks = Checks()
    tests = check_training(checks, reference or made_up(32), candidate)
    return checks["training"], tests


def test_runs_of_the_same_kind_are_held_by_every_figure():
    check, tests = judged(made_up(16, seed=1))
    assert check.verdict == "held" and check.compared == len(tests) == 4 and not check.not_covered


def test_a_difference_that_is_shown_fails():
    check, _ = judged(made_up(16, seed=1, shift=0.05))
    assert check.verdict == "failed" and check.first_failure.tensor == "final loss"


def test_what_is_not_decided_says_how_many_runs_would():
    few = made_up(4, seed=1, spread=0.05)
    few.losses[:, -1] += 1 - few.losses[:, -1].mean()
    check, _ = judged(few, made_up(32, spread=0.05))
    assert "final loss" in check.not_covered[0] and "about" in check.not_covered[0]
    few.losses[:, -1] += 0.04  # near the margin
    check, _ = judged(few, made_up(32, spread=0.05))
    assert "no number of runs decides" in check.not_covered[0]


def test_a_run_that_is_not_finite_fails():
    diverged = made_up(16, seed=1)
    diverged.losses[3, 1] = np.nan
    check, tests = judged(diverged)
    assert check.verdict == "failed" and not tests and "seeds 1003" in check.notes[0]


def test_other_numbers_of_epochs_fail():
    shorter = made_up(16, seed=1)
    shorter = Runs(shorter.seeds, shorter.losses[:, :1], shorter.metrics, shorter.lists, shorter.scores)
    assert judged(shorter)[0].verdict == "failed"


def test_one_run_many_times_is_no_sample():
    check, _ = judged(made_up(16, seed=1).take([0] * 16))
    assert check.verdict == "not covered" and "one draw" in check.not_covered[0]
    assert judged(made_up(3, seed=1))[0].verdict == "not covered"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_changes_the_settings_that_have_its_part(fault):
    changed = {name: faulty(params, fault) for name, params in RSC15.items()}
    assert any(changed.values())
    for name, params in changed.items():
        assert params is None or params != RSC15[name]
    assert changed["top1"] is None or "sample_alpha" not in FAULTS[fault]


# drawing


@pytest.fixture(scope="module")
def dataset():
    return data.embedded(sessions=60, items=25, test_sessions=25, seed=2)


@pytest.fixture
def trained(monkeypatch):
    """Gives the NumPy engine a ``fit`` that moves its weights a little, by its seed; returns the seeds seen."""
    seen = []

    def fit(self, frame, sample_store=40, on_epoch_end=None):
        self.prepare(frame, 40)
        seen.append((self.seed, getattr(self, "fault", 0)))
        # one training, and a little noise: runs that are alike
        common, noise = np.random.RandomState(0), np.random.RandomState(self.seed)
        for name, values in self.W.items():
            values[:] = common.randn(*values.shape) + 0.02 * noise.randn(*values.shape) + self.p["learning_rate"]
            if name in ("Wy", "By"):
                values *= 1 + 3 * (self.p["learning_rate"] > 0.3)
        for epoch in range(self.p["n_epochs"]):
            on_epoch_end(epoch, 2 - 0.3 * epoch + 0.01 * noise.randn() + self.p["learning_rate"])

    monkeypatch.setattr(GRU4Rec, "fit", fit, raising=False)
    return seen


def test_a_run_is_drawn_with_its_seeds_and_scored_by_the_harness(dataset, trained):
    run, engine = draw(engines.named(ENGINE), PARAMS, dataset, 7, None)
    assert trained == [(7, 0)] and run.seeds.tolist() == [7] and dropout_seed(7) == 12352
    assert run.losses.shape == (1, 2) and run.metrics.shape == (1, 4, 2) and run.finite.all()
    known = dataset.test[dataset.test["ItemId"].isin(dataset.train["ItemId"])]
    assert run.lists.shape[1:] == (min(100, len(known) - known["SessionId"].nunique()), 20)
    assert (np.diff(run.scores, axis=2) <= 0).all() and run.lists.min() >= 0


def test_an_order_of_items_of_its_own_changes_no_list(dataset, trained, monkeypatch):
    plain, _ = draw(engines.named(ENGINE), PARAMS, dataset, 7, None)
    scores, fit = GRU4Rec.scores, GRU4Rec.fit

    def turned_fit(self, *arguments, **options):
        fit(self, *arguments, **options)
        self.itemidmap = self.itemidmap[::-1]

    def turned(self, X, hidden, items=None):
        found, hidden = scores(self, self.n_items - 1 - np.asarray(X), hidden)
        return found[:, ::-1], hidden

    monkeypatch.setattr(GRU4Rec, "fit", turned_fit)
    monkeypatch.setattr(GRU4Rec, "scores", turned)
    again, _ = draw(engines.named(ENGINE), PARAMS, dataset, 7, None)
    np.testing.assert_array_equal(again.lists, plain.lists)
    np.testing.assert_array_equal(again.metrics, plain.metrics)


@pytest.mark.parametrize("kind", ["loss", "stopped", "weights"])
def test_a_run_that_diverges_has_no_figures(dataset, trained, monkeypatch, kind):
    fit = GRU4Rec.fit

    def diverging(self, frame, on_epoch_end):
        losses = count()
        fit(self, frame, on_epoch_end=lambda epoch, loss: next(losses))
        if kind == "weights":
            self.W["Wy"][0] = np.nan
        for epoch in range(1 if kind == "stopped" else 2):
            on_epoch_end(epoch, np.nan if kind == "loss" else 1.0)

    monkeypatch.setattr(GRU4Rec, "fit", diverging)
    run, _ = draw(engines.named(ENGINE), PARAMS, dataset, 7, None)
    assert not run.finite.any() and run.losses.shape == (1, 2) and np.isnan(run.metrics).all()


def test_an_engine_that_trains_on_is_named(dataset, trained, monkeypatch):
    fit = GRU4Rec.fit

    def longer(self, frame, on_epoch_end):
        fit(self, frame, on_epoch_end=on_epoch_end)
        on_epoch_end(2, 1.0)

    monkeypatch.setattr(GRU4Rec, "fit", longer)
    with pytest.raises(RuntimeError, match="told of 3 epochs; 2 were asked for"):
        draw(engines.named(ENGINE), PARAMS, dataset, 7, None)


def test_an_engine_without_fit_is_not_covered(dataset, monkeypatch):
    monkeypatch.delattr(GRU4Rec, "fit")
    with pytest.raises(NotImplementedError, match="no fit"):
        draw(engines.named(ENGINE), PARAMS, dataset, 7, None)


# the command


def run(*arguments):
    """The command's exit status."""
    return command_line.run(command, "training", "--jobs", "1", "--device", "cpu", *arguments)


@pytest.fixture
def recorded(tmp_path, dataset, trained):
    """Arguments of the data and a sample that the command made: 12 runs of one setting."""
    paths = command_line.write(dataset, tmp_path)
    (tmp_path / "small.txt").write_text(
        "layers=5, batch_size=6, n_sample=4, n_epochs=2, learning_rate=0.2, sample_alpha=0.5"
    )
    given = ["--data", paths["train"], paths["test"], "--engine", ENGINE]
    made = ["--record", tmp_path / "made", "--name", "mine", "--config", tmp_path / "small.txt", "--runs", 12]
    assert run(*given, *made) == 0
    assert trained == [(seed, 0) for seed in range(1, 13)]
    trained.clear()
    return [*given, "--sample", tmp_path / "made" / "mine.json"], [*given, *made]


def test_a_recording_says_who_made_it_and_goes_on_where_it_stopped(recorded, trained, tmp_path):
    found = sample.read(tmp_path / "made" / "mine.json")
    assert len(found.runs["small"]) == 12 and found.epochs == 2
    assert found.about["made_by"]["engine"] == ENGINE and found.about["made_by"]["computed_on"] == "NumPy on the CPU"
    assert found.about["seeds"] == list(range(1, 13)) and found.about["data"]["items"] == 25
    (tmp_path / "made" / "mine" / "small" / "5.npz").unlink()
    assert run(*recorded[1]) == 0 and trained == [(5, 0)]
    again = sample.read(tmp_path / "made" / "mine.json")
    np.testing.assert_array_equal(again.runs["small"].metrics, found.runs["small"].metrics)


def test_other_seeds_of_the_same_engine_are_held(recorded, trained, capsys):
    assert run(*recorded[0], "--runs", 12) == 0
    assert [seed for seed, _ in trained] == list(range(1001, 1013))
    printed = capsys.readouterr().out
    assert "1 of 1 held; 0 failed, 0 not covered" in printed and "power" in printed


def test_runs_that_were_recorded_elsewhere_are_judged_without_drawing(recorded, trained, tmp_path, capsys):
    given, record = recorded
    made = [part if part != "mine" else "theirs" for part in record]
    assert run(*made, "--seed", 501) == 0
    trained.clear()
    assert run(*given, "--judge", tmp_path / "made" / "theirs.json") == 0
    assert not trained and f"{ENGINE} against the stored runs of mine: 1 of 1 held" in capsys.readouterr().out
    (tmp_path / "small.txt").write_text("layers=5, batch_size=6, n_sample=4, n_epochs=2, learning_rate=0.1")
    made = [part if part != "theirs" else "others" for part in made]
    assert run(*made, "--seed", 501) == 0
    with pytest.raises(ValueError, match="no setting of it is one of small"):
        run(*given, "--judge", tmp_path / "made" / "others.json")
    assert run(*made[:-4], "--config", tmp_path / "small.txt", "--name", "longer", "--epochs", 3, "--runs", 4) == 0
    with pytest.raises(ValueError, match="its data, epochs or prefixes"):
        run(*given, "--judge", tmp_path / "made" / "longer.json")


def test_seeds_of_the_stored_runs_are_said(recorded, capsys):
    run(*recorded[0], "--runs", 12, "--seed", 1)
    assert "12 seeds are those of stored runs" in capsys.readouterr().out


def test_few_runs_exit_with_3_and_fewer_are_refused(recorded):
    assert run(*recorded[0], "--runs", 4) in (0, 3)
    with pytest.raises(ValueError, match="--runs 3"):
        run(*recorded[0], "--runs", 3)


def test_a_faulty_engine_fails_and_names_itself(recorded, monkeypatch, capsys):
    fit = GRU4Rec.fit

    def faulty_fit(self, *arguments, **options):
        self.p = self.p | {"learning_rate": 0.4}
        fit(self, *arguments, **options)

    monkeypatch.setattr(GRU4Rec, "fit", faulty_fit)
    assert run(*recorded[0], "--runs", 12) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"failed: {ENGINE} in small")


def test_what_an_engine_raises_fails_and_what_it_lacks_is_not_covered(recorded, monkeypatch, capsys, caplog):
    def broken(self, *arguments, **options):
        raise RuntimeError("out of paper [A4]")

    monkeypatch.setattr(GRU4Rec, "fit", broken)
    assert run(*recorded[0], "--runs", 4) == 1
    assert "seed 1001: RuntimeError: out of paper [A4]" in capsys.readouterr().out
    caplog.set_level("DEBUG", "parity")
    run(*recorded[0], "--runs", 4)
    assert "Traceback" in caplog.text and "in broken" in caplog.text
    monkeypatch.delattr(GRU4Rec, "fit")
    assert run(*recorded[0], "--runs", 4) == 3
    assert "the engine has no fit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--epochs", 3], "--epochs 3: the stored runs have 2 epochs"),
        (["--config", "other"], "--config other"),
        (["--config", "bpr-max"], "runs are stored for small with n_epochs=2"),
        (["--data", "embedded"], "no runs are stored for this data"),
        (["--data", "one"], "two files TRAIN TEST"),
        (["--engine", ENGINE], "each engine once"),
    ],
)
def test_what_cannot_be_compared_is_refused(recorded, change, words):
    with pytest.raises(ValueError, match=words):
        run(*recorded[0], *change)


def test_the_selftest_fails_where_a_fault_is_not_seen(recorded, monkeypatch, capsys):
    """The engine's training knows of its learning rate only."""
    monkeypatch.setattr(command, "SPLITS", 50)
    assert run(*recorded[0], "--selftest", "--runs", 4) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert "1 of 2 faults failed" in last and last.endswith("NOT CAUGHT: samples by popularity, not uniform")


# what is shipped


def test_the_shipped_samples_are_whole():
    found = sample.shipped()
    assert set(found) == {"embedded", "rsc15-100k"}
    for stored in found.values():
        assert set(stored.runs) == set(RSC15)
        assert all(len(runs) >= 30 for runs in stored.runs.values())
        for name in stored.runs:
            assert stored.params(name) == RSC15[name] | {"n_epochs": stored.epochs}
            margins = [equivalence.margin_of(group) for group in equivalence.alone(stored.runs[name])]
            assert stored.about["margins"][name] == pytest.approx(dict(zip(equivalence.FIGURES, margins)), rel=1e-5)
    assert found["embedded"].sha256 == data.embedded(2500, 400, 400).sha256


@pytest.mark.slow
def test_runs_of_the_c_program_are_held_in_a_tame_setting(capsys):
    assert run("--engine", "original", "--config", "top1", "--runs", 8) == 0
    assert "1 of 1 held" in capsys.readouterr().out
