"""The doctor: silent about a sound engine, and right about the mistakes that engines have."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from command_line import make_modules
from numpy_gru4rec import GRU4Rec

from gru4rec.engines import EngineSpec
from parity import evaluator
from parity.cli import main
from parity.doctor import Outcome, examine
from parity.doctor.forms import FORMS, Form, form_of, next_state
from parity.measure import CHECKS
from parity.plain import Plain
from parity.recordings.reading import SHIPPED

HERE = Path(__file__).parent


def put(tensors, values):
    """Named tensors of the right shapes into others."""
    for name, value in values.items():
        if name not in tensors or np.shape(value) != tensors[name].shape:
            raise ValueError(f"{name} of shape {np.shape(value)}")
        tensors[name] = np.array(value, tensors[name].dtype)


class Strict(GRU4Rec):
    """The example, which refuses what it does not know."""

    def set_weights(self, weights):
        put(self.W, weights)

    def set_optimizer_state(self, state):
        put(self.a, {name.removeprefix("acc/"): a for name, a in state.items()})


class StrictPlain(Plain):
    """The harness's own program, the same."""

    def set_weights(self, weights):
        put(self.weights, weights)

    def set_optimizer_state(self, state):
        put(self.state, state)


def look(cls, evaluation=None):
    return examine(EngineSpec("an:Engine", cls, {}, evaluation))


def wrong(cls, evaluation=None):
    """{(topic, what): finding} of what is wrong."""
    return {(each.topic, each.what): each for each in look(cls, evaluation).wrong}


@pytest.mark.parametrize("cls", [Strict, StrictPlain])
def test_nothing_is_wrong_with_a_sound_engine(cls):
    found = look(cls)
    assert found.wrong == []
    assert sum(each.outcome == Outcome.OK for each in found.findings) > 60
    assert all(each.advice for each in found.findings if each.outcome == Outcome.MISSING)


def test_what_is_lacking_is_missing_and_says_what_it_costs():
    found = {(each.topic, each.what): each for each in look(Strict).findings}
    for part in (("members", "load"), ("files", "save and load"), ("dropout", "dropout_p_hidden=0.4")):
        assert found[part].outcome == Outcome.MISSING
    assert "weights-transfer" in found["files", "save and load"].advice


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_form_of_the_gru_is_told_from_the_others(form):
    random = np.random.default_rng(2)
    weights = {name: random.normal(size=shape) for name, shape in dict(Wx0=(9, 12), Wh0=(4, 4), Wrz0=(4, 8)).items()}
    weights["Bh0"] = random.normal(size=12)
    X, H = random.integers(0, 9, 5), random.uniform(-0.8, 0.8, (5, 4))
    state = next_state(weights, weights["Wx0"][X] + weights["Bh0"], H, form)
    assert form_of(weights, X, H, state, "tanh", 1e-9) == form


def in_form(form):
    """The example with a GRU of another form."""

    class Other(Strict):
        def _gru(self, X, H):
            h = next_state(self.W, self.W["Wx0"][X] + self.W["Bh0"], H, form)
            return (h, *super()._gru(X, H)[1:])

    return Other


@pytest.mark.parametrize(
    ("form", "found", "advice"),
    [
        (Form(wx="rzc"), "Wx and Bh: reset|update|candidate; Wrz: reset|update", "Reorder the blocks"),
        (Form(wx="czr", wrz="zr"), "Wx and Bh: candidate|update|reset; Wrz: update|reset", "Reorder the blocks"),
        (Form(keep=True), "h = z*H + (1-z)*c", "negate those of the update gate"),
        (Form(after=True), "the cuDNN form", "no reordering of weights mends it"),
    ],
    ids=str,
)
def test_the_form_of_the_gru_is_named(form, found, advice):
    told = wrong(in_form(form))
    for finding in (told["scores", "next hidden state"], told["step", "form of the GRU"]):
        assert found in finding.found and advice in finding.advice


def moved_by(factor):
    """The example, whose steps are ``factor`` times what they should be."""

    class Other(Strict):
        def train_step(self, *arguments, **options):
            before = self.get_weights()
            step = super().train_step(*arguments, **options)
            self.W = {name: before[name] + factor * (w - before[name]) for name, w in self.W.items()}
            return step

    return Other


def test_a_learning_rate_that_is_not_rounded_is_told_and_nothing_else():
    found = wrong(moved_by(0.1 / float(np.float32(0.1))))
    assert list(found) == [("update", "learning rate as float32")]
    assert "float(np.float32(learning_rate))" in found["update", "learning rate as float32"].advice


def test_the_other_sign_is_told():
    assert ("update", "sign") in wrong(moved_by(-1))


def test_a_step_of_another_size_is_told():
    finding = wrong(moved_by(1.001))["update", "size"]
    assert "Wx0 1.001 times" in finding.advice


class SumsRepeatedRows(Strict):
    """A repeated row takes one step, of the sum of its gradients, as with coalesced sparse gradients."""

    def train_step(self, X, Y, R, masks=None, gradients=False):
        before, state = self.get_weights(), {name: a.copy() for name, a in self.a.items()}
        cost, given = super().train_step(X, Y, R, masks, True)
        rate = float(np.float32(self.p["learning_rate"]))
        for name, rows in (("Wx0", X), ("Wy", Y), ("By", Y)):
            g = np.zeros_like(before[name])
            np.add.at(g, rows, given[name])
            self.a[name] = state[name] + g**2
            self.W[name] = before[name] - rate * g / np.sqrt(self.a[name] + 1e-6)
        return cost, given if gradients else None


def test_repeated_rows_that_are_summed_are_told():
    assert "occur several times only" in wrong(SumsRepeatedRows)["update", "size"].advice


class RunsForGradients(Strict):
    """Another program where gradients are asked for."""

    def train_step(self, X, Y, R, masks=None, gradients=False):
        step = super().train_step(X, Y, R, masks, gradients)
        if gradients:
            self.W["By"] *= 1.0001
        return step


class ScoresLeaveATrace(Strict):
    def scores(self, X, hidden, items=slice(None)):
        scores, following = super().scores(X, hidden, items)
        self.H = following[0]
        return scores, following


class SortsTheCallersFrame(Strict):
    def prepare(self, data, sample_store=10_000_000):
        super().prepare(data, sample_store)
        data.sort_values("Time", inplace=True)


class ChangesTheCallersArrays(Strict):
    def train_step(self, X, Y, R, masks=None, gradients=False):
        step = super().train_step(X, Y, R, masks, gradients)
        Y[:] = 0
        return step


class SharesItsMemory(Strict):
    def get_weights(self):
        return self.W


class FitForgetsSessions(Strict):
    def train_step(self, X, Y, R, masks=None, gradients=False):
        return super().train_step(X, Y, np.zeros_like(R) if sys._getframe(1).f_code.co_name == "fit" else R)


class StopsEarly(Strict):
    def batches(self):
        for batch in super().batches():
            if len(batch.X) < self.B:
                return
            yield batch


class DrawsFromNowhere(Strict):
    def build(self, n_items):
        super().build(n_items)
        self.W = {name: np.random.rand(*w.shape) for name, w in self.W.items()}


class ItemsInOrder(Strict):
    def prepare(self, data, sample_store=10_000_000):
        super().prepare(data, sample_store)
        self.itemidmap = pd.Series(np.arange(self.n_items), index=np.sort(self.itemidmap.index))


class CostPerLane(Strict):
    def train_step(self, X, Y, R, masks=None, gradients=False):
        cost, given = super().train_step(X, Y, R, masks, gradients)
        return type(cost)(cost * self.B / len(X)), given


class TakesAnyName(GRU4Rec):
    def set_weights(self, weights):
        self.W |= {name: np.array(w, self.dtype) for name, w in weights.items()}


class ColumnsInTheListsOwnOrder(Strict):
    def scores(self, X, hidden, items=slice(None)):
        return super().scores(X, hidden, items if isinstance(items, slice) else np.sort(items))


@pytest.mark.parametrize(
    ("cls", "topic", "what"),
    [
        (TakesAnyName, "round trips", "weights: an unknown name refused"),
        (RunsForGradients, "step", "with and without gradients"),
        (ScoresLeaveATrace, "scores", "nothing changes"),
        (SortsTheCallersFrame, "data", "the caller's frame"),
        (ChangesTheCallersArrays, "step", "the caller's arrays"),
        (SharesItsMemory, "round trips", "weights: no memory shared"),
        (FitForgetsSessions, "fit", "weights after it"),
        (StopsEarly, "batches", "an epoch of 28 batches"),
        (DrawsFromNowhere, "data", "initial weights"),
        (ItemsInOrder, "data", "itemidmap"),
        (CostPerLane, "step", "cost of 3 lanes"),
        (ColumnsInTheListsOwnOrder, "scores", "of given items"),
    ],
)
def test_a_mistake_is_told_where_it_is(cls, topic, what):
    found = wrong(cls)
    assert any(key[0] == topic and key[1].startswith(what.partition(" of 28")[0]) for key in found), list(found)


class IgnoresMasks(StrictPlain):
    def train_step(self, X, Y, R, masks=None, gradients=False):
        return super().train_step(X, Y, R, [np.ones_like(mask) for mask in masks or []], gradients)


class TargetsFirst(StrictPlain):
    """The gradient of a constrained embedding: output rows, then input rows."""

    def train_step(self, X, Y, R, masks=None, gradients=False):
        cost, given = super().train_step(X, Y, R, masks, gradients)
        if given and self.table == "Wy":
            given["Wy"] = np.roll(given["Wy"], len(Y), axis=0)
        return cost, given


class OtherDefault(StrictPlain):
    def __init__(self, learning_rate=0.05, **params):
        super().__init__(learning_rate=learning_rate, **params)


class AsksForItsVelocity(StrictPlain):
    """PyTorch's velocity: of the other sign, without the learning rate."""

    def get_optimizer_state(self):
        return {n: -a if n.startswith("vel/") else a for n, a in super().get_optimizer_state().items()}

    def set_optimizer_state(self, state):
        super().set_optimizer_state({n: -a if n.startswith("vel/") else a for n, a in state.items()})


def test_masks_that_are_ignored_are_told():
    found = wrong(IgnoresMasks)
    assert ("dropout", "masks given are honoured") in found and ("dropout", "masks that drop") in found


def test_the_other_row_order_is_named():
    assert wrong(TargetsFirst)["constrained embedding", "row order of the gradient"].found == "Y, then X"


def test_another_default_is_told():
    found = look(OtherDefault)
    (row,) = (each for each in found.options if each.outcome == Outcome.WRONG)
    assert (row.name, row.default, row.published) == ("learning_rate", "0.05", "0.1")
    assert [each.what for each in found.wrong] == ["defaults"]


def test_the_other_sign_of_the_velocity_is_told():
    finding = wrong(AsksForItsVelocity)["update", "state vel"]
    assert "-1 times" in finding.found and "the other sign" in finding.advice


def ranks(engine, test, items=None, batch_size=100, mode="conservative",
          session_key="SessionId", item_key="ItemId", time_key="Time"):  # fmt: skip
    events = evaluator.read_events(test, engine.itemidmap.index, (session_key, item_key, time_key))
    listed = None if items is None else engine.itemidmap.index.get_indexer(items)
    mode = "standard" if mode == "tiebreaking" else mode
    found = evaluator.evaluate(engine, events, mode, listed, widths=engine.layers, lanes=batch_size)
    return pd.DataFrame({"rank": found.ranks})


def evaluate_gpu(engine, test, items=None, cut_off=(20,), **options):
    return evaluator.metrics(ranks(engine, test, items, **options)["rank"].to_numpy(), cut_off)


def test_an_evaluation_is_looked_at():
    found = look(StrictPlain, SimpleNamespace(ranks=ranks, evaluate_gpu=evaluate_gpu))
    seen = [each for each in found.findings if each.topic == "evaluation"]
    assert len(seen) == 9 and [each for each in seen if each.outcome != Outcome.OK] == []


def test_an_evaluation_that_ignores_the_mode_or_refuses_it_is_told():
    def one_mode(engine, test, items=None, batch_size=100, mode="standard"):
        return ranks(engine, test, items, batch_size, "standard")

    found = wrong(StrictPlain, SimpleNamespace(ranks=one_mode, evaluate_gpu=evaluate_gpu))
    assert ("evaluation", "ranks in every tie mode") in found
    found = wrong(StrictPlain, SimpleNamespace(ranks=lambda engine, test, items=None: None, evaluate_gpu=evaluate_gpu))
    assert "batch_size" in found["evaluation", "ranks: keyword arguments"].found


def test_an_evaluation_of_the_usual_columns_only_is_missing_the_rest():
    def usual(engine, test, items=None, batch_size=100, mode="standard"):
        return ranks(engine, test, items, batch_size, mode)

    found = look(StrictPlain, SimpleNamespace(ranks=usual, evaluate_gpu=evaluate_gpu))
    assert found.wrong == []
    (missing,) = (each for each in found.findings if each.what == "ranks: keyword arguments")
    assert missing.outcome == Outcome.MISSING and "session_key" in missing.found


# The command.


class Raises(Strict):
    def scores(self, X, hidden, items=None):
        raise KeyError("scores went wrong")


@pytest.fixture(autouse=True)
def modules(monkeypatch):
    make_modules(monkeypatch, strict_gru4rec=Strict, raising_gru4rec=Raises)
    with patch.dict(os.environ):
        yield


def test_exit_statuses_and_the_last_line(capsys):
    assert main(["doctor", "strict_gru4rec:GRU4Rec", "--device", "cpu"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("doctor: strict_gru4rec:GRU4Rec: ") and "0 wrong. Nothing is wrong" in last
    assert main(["doctor", "numpy_gru4rec:GRU4Rec", "--device", "cpu"]) == 0
    assert main(["doctor", "no_such_module:GRU4Rec", "--device", "cpu"]) == 2
    assert "cannot be imported" in capsys.readouterr().err


def test_an_engine_that_takes_no_setting_cannot_be_examined(monkeypatch, capsys):
    class Picky(Strict):
        def __init__(self, **options):
            raise NotImplementedError("nothing today")

    monkeypatch.setattr(sys.modules["strict_gru4rec"], "GRU4Rec", Picky)
    assert main(["doctor", "strict_gru4rec:GRU4Rec", "--device", "cpu"]) == 2
    assert "nothing today" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--debug", "doctor"], ["doctor", "--debug"]])
def test_tracebacks_are_shown_with_debug_only(arguments, capsys, caplog):
    assert main(["doctor", "raising_gru4rec:GRU4Rec", "--device", "cpu"]) == 1
    out, err = capsys.readouterr()
    assert "scores went wrong" in out and "Traceback" not in out + err + caplog.text
    assert main([*arguments, "raising_gru4rec:GRU4Rec", "--device", "cpu"]) == 1
    assert "Traceback" in caplog.text and 'raise KeyError("scores went wrong")' in caplog.text


def test_golden_shows_what_an_engine_raised_with_debug_only(capsys, caplog):
    given = ["golden", "--engine", "raising_gru4rec:GRU4Rec", "--jobs", "1", "--device", "cpu",
             str(SHIPPED / "sampling-uniform.npz")]  # fmt: skip
    assert main(given) == 1
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err + caplog.text
    assert main(["--debug", *given]) == 1
    assert 'raise KeyError("scores went wrong")' in caplog.text


def test_no_error_of_a_command_is_a_traceback(monkeypatch, capsys):
    monkeypatch.setattr("parity.commands.validate.find", lambda files: {}["nothing"])
    assert main(["validate"]) == 2
    assert capsys.readouterr().err == "error: KeyError: 'nothing'; --debug prints the traceback\n"
    assert main(["validate", "--debug"]) == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err
    monkeypatch.setattr("parity.commands.validate.find", lambda files: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["validate"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


CHILD = """
import sys
heavy = {"aesara", "tensorflow", "jax", "keras", "original", "keras_port"}
if sys.argv[1] == "not installed":
    sys.modules.update(dict.fromkeys(heavy))
from parity.cli import main
status = main(sys.argv[2:])
print(status, sorted(name for name in heavy if sys.modules.get(name)))
"""


@pytest.mark.parametrize("where", ["installed", "not installed"])
@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["golden", "--engine", "numpy_gru4rec:GRU4Rec", "--jobs", "1", str(SHIPPED / "sampling-uniform.npz")], "3"),
        (["doctor", "numpy_gru4rec:GRU4Rec"], "0"),
    ],
    ids=["golden", "doctor"],
)
def test_an_engine_of_ones_own_needs_neither_aesara_nor_tensorflow_nor_jax(command, status, where):
    root = HERE.parent.parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(HERE)])}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, where, *command],
        capture_output=True,
        text=True,
        env=environment,
        cwd=root,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.endswith(" []") and last[0] in (status, "0"), last


# The page.


PAGE = HERE.parent.parent / "docs" / "check-your-own.md"


@pytest.fixture
def of_the_page(monkeypatch):
    """The modules whose text the page gives."""
    for block in re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        name, code = block
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(code, f"{name}.py", "exec"), module.__dict__)


@pytest.mark.parametrize(("name", "status"), [("numpy_gru4rec", 0), ("careless", 1), ("unrounded", 1)])
def test_what_the_page_shows_of_the_doctor_is_what_it_prints(name, status, of_the_page, capsys):
    assert main(["doctor", f"{name}:GRU4Rec", "--device", "cpu"]) == status
    assert capsys.readouterr().out.splitlines()[-1] in PAGE.read_text(encoding="utf-8").splitlines()


GOLDEN_ROWS = ("  batches ", "  forward ", "  update ")
ERROR = re.compile(r"\d\.\de-\d\d")


def test_what_the_page_shows_of_golden_is_what_it_prints(of_the_page, capsys):
    given = ["--jobs", "1", "--device", "cpu", str(SHIPPED / "sampling-uniform.npz")]
    assert main(["golden", "--engine", "unrounded:GRU4Rec", *given]) == 1
    shown = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(GOLDEN_ROWS)]
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.startswith(GOLDEN_ROWS)]
    assert len(printed) == len(GOLDEN_ROWS)
    for line in printed:
        # The sizes of errors are this processor's: the page's are those of another, within a factor of ten.
        (same,) = [wanted for wanted in shown if ERROR.sub("#", wanted) == ERROR.sub("#", line)]
        for found, wanted in zip(ERROR.findall(line), ERROR.findall(same), strict=True):
            assert float(wanted) / 10 < float(found) < float(wanted) * 10


def test_the_page_names_every_check():
    shown = PAGE.read_text(encoding="utf-8")
    assert [name for name in CHECKS if name != "training" and name not in shown] == []
