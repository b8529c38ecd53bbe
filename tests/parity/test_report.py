"""The report: what stands in report.json and on its page, whatever became of the run."""

import json
import math
import re
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from types import ModuleType
from unittest.mock import patch

import jsonschema
import numpy as np
import pytest
from command_line import make_modules, write
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy_gru4rec import GRU4Rec
from spoilt import BiasesTooFar

from parity import bounds, data, report
from parity.cli import main
from parity.compare import MADE, Result
from parity.measure import CHECKS, Verdict
from parity.report import figures, machine
from parity.report.rendering import SIGNS
from parity.scenario import Scenario
from parity.tables import sentence

HOSTILE = "</style><script>alert('1')</script><img src=x onerror=\"alert(2)\">&amp;{{ 7 * 7 }}"
DATA = data.embedded(sessions=12, items=9, test_sessions=3)
PARAMS = dict(loss="bpr-max", final_act="elu-0.5", layers=[6, 4], batch_size=4, n_sample=5)
BOUND = bounds.forced("float64")
VALIDATOR = jsonschema.Draft202012Validator(report.schema(), format_checker=jsonschema.FormatChecker())


def held(name="small", candidate="other", without_dropout=True, **more):
    """A result in which every check held."""
    result = Result(
        Scenario(name, PARAMS, DATA, **more), "reference", candidate, ("teacher-forced", "free-running"), 4,
        curves={"reference": [4, 3, 2, 1], "candidate": [4, 3, 2, 1], "weights_error": [0, 1e-16, 1e-15, 1e-13]},
        devices={"reference": "NumPy", candidate: "an abacus"},
    )  # fmt: skip
    one = np.ones(3)
    for name in MADE:
        if name in ("forward", "loss", "gradients", "update", "trajectory"):
            for step in range(3):
                for tensor in [f"T{number}" for number in range(9)]:
                    result.checks[name].close(tensor, one * (1 + 1e-15), one, BOUND, step)
        elif name == "dropout" and without_dropout:
            result.checks[name].not_applicable += ["no dropout"] * 2
        else:
            result.checks[name].equal("whole", one, one)
    result.checks["trajectory"].notes.append("judged on 3 of 4 steps")
    return result


def failed(**more):
    result = held(**more)
    wrong = np.eye(4)
    wrong[2] *= 1 + 1e-6
    result.checks["update"].close("Wh0", wrong, np.eye(4), BOUND, 1)
    result.checks["update"].close("By", [2.0], [1.0], BOUND, 2)
    return result


def not_covered(**more):
    result = held(**more)
    result.checks["ranks"].not_covered += ["the engine has no evaluation"] * 3
    result.checks["fit"].not_covered.append("chaotic")
    return result


def broken(problem="a message", **more):
    def stumble(_):
        raise ValueError(problem)

    result = held(**more)
    result.checks.attempt(["fit"], stumble)
    return result


def not_finite(**more):
    result = held(**more)
    result.checks["loss"].close("cost", math.nan, 1.0, BOUND, 1)
    result.checks["forward"].close("H0", [1.0, math.inf], [1.0, 1.0], BOUND, 1)
    result.checks["gradients"].fails("Wx0", "missing", 2)
    result.curves["candidate"][2:] = [math.nan, math.inf]
    result.curves["weights_error"][2:] = [math.inf, math.nan]
    return result


KINDS = {"held": held, "failed": failed, "not covered": not_covered, "broken": broken, "not finite": not_finite}


def build(*results, **more):
    options = dict(
        command="python -m parity run", started=datetime(2026, 11, 25, tzinfo=UTC), seconds=1.26,
        device={"asked": "auto", "used": "cpu", "remark": "no GPU"}, determinism={"JAX": "highest"},
    )  # fmt: skip
    return report.build(list(results), **options | more)


def written(made, folder):
    """The report as a reader of the folder finds it: (JSON, page)."""
    report.write(made, folder)
    text = (folder / "report.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=pytest.fail), (folder / "report.html").read_text(encoding="utf-8")


def validated(made):
    VALIDATOR.validate(made)
    return made


def check_of(made, name):
    return next(check for check in made["comparisons"][0]["checks"] if check["name"] == name)


class Page(HTMLParser):
    """The tags, attributes and text of a page; what is opened is closed."""

    VOID = ("meta", "br", "line", "polyline", "circle", "path", "rect")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words, self.ids, self.links = [], set(), set(), [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.ids += [value for name, value in attributes if name == "id"]
        self.links += [value for name, value in attributes if name in ("href", "src", "srcset", "data", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in self.VOID
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, words):
        if "style" not in self.open:
            self.words.append(words)


# report.json, by its schema.


@pytest.mark.parametrize("kind", KINDS)
def test_every_report_is_what_the_schema_says(kind, tmp_path):
    made, _ = written(build(KINDS[kind](), held("second")), tmp_path)
    validated(made)
    wanted = {"broken": "failed", "not finite": "failed"}.get(kind, kind)
    assert made["verdict"] == made["comparisons"][0]["verdict"] == wanted
    assert made["comparisons"][1]["verdict"] == "held"
    assert made["sentence"] == sentence(Verdict(wanted))
    assert (made["cause"] is None) == (wanted != "failed")
    assert made["counts"]["compared"] == sum(comparison["compared"] for comparison in made["comparisons"])
    assert sum(made["counts"]["checks"].values()) == 2 * len(MADE)


def test_the_schema_is_one_and_knows_every_check():
    VALIDATOR.check_schema(report.schema())
    assert report.schema()["$defs"]["check_name"]["enum"] == list(CHECKS)
    assert set(report.schema()["$defs"]["verdict"]["enum"]) == set(SIGNS) == set(map(str, Verdict))


def test_all_tensors_are_kept_the_worst_first():
    check = check_of(build(failed()), "update")
    assert len(check["tensors"]) == 11
    assert [place["tensor"] for place in check["tensors"][:2]] == ["By", "Wh0"]
    assert check["worst"] == check["tensors"][0]
    assert [step for step, _ in check["by_step"]] == [0, 1, 2]


def test_cause_and_symptom_are_told_apart_by_tensor_row_and_step():
    made = validated(build(held("first"), failed(name="second"), failed(name="third")))
    cause, symptom = made["cause"], made["symptom"]
    assert (cause["setting"], cause["candidate"], cause["check"]) == ("second", "other", "update")
    assert (cause["place"]["tensor"], cause["place"]["row"], cause["place"]["step"]) == ("Wh0", 2, 1)
    assert (symptom["setting"], symptom["place"]["tensor"], symptom["place"]["step"]) == ("second", "By", 2)
    page = Page(report.page(made)).text
    assert page.index("Wh0, row 2, step 1") < page.index("By, step 2") < page.index("Checks by setting")


def test_what_an_engine_raised_is_the_cause_where_no_comparison_is():
    made = validated(build(broken("the tape is torn")))
    assert made["cause"] == {
        "setting": "small", "candidate": "other", "check": "fit", "place": None,
        "error": "ValueError: the tape is torn",
    }  # fmt: skip
    assert "stumble" in check_of(made, "fit")["traceback"]
    page = Page(report.page(made)).text
    assert page.index("the tape is torn") < page.index("Checks by setting") < page.index("Traceback")


def test_what_was_not_compared_is_counted_with_its_reason():
    made = validated(build(not_covered(), held("second")))
    assert check_of(made, "ranks")["not_covered"] == [{"reason": "the engine has no evaluation", "times": 3}]
    assert check_of(made, "dropout")["not_applicable"] == [{"reason": "no dropout", "times": 2}]
    page = Page(report.page(made)).text
    assert page.index("the engine has no evaluation") < page.index("Checks by setting")
    assert "the engine has no evaluation (3 times)" in page


def test_a_check_that_nothing_filled_says_so():
    result = held()
    result.checks["training"]
    check = check_of(validated(build(result)), "training")
    assert (check["verdict"], check["not_covered"]) == ("not covered", [{"reason": "nothing was compared", "times": 1}])


def test_what_is_not_finite_is_a_text(tmp_path):
    made, page = written(build(not_finite()), tmp_path)
    validated(made)
    assert check_of(made, "loss")["worst"]["relative"] == "Infinity"
    assert "not finite" in check_of(made, "loss")["worst"]["why"]
    assert made["comparisons"][0]["curves"]["candidate"] == [4, 3, "NaN", "Infinity"]
    assert float(made["comparisons"][0]["curves"]["weights_error"][2]) == math.inf
    assert "× not finite" in Page(page).text


def test_values_without_a_form_in_json_do_not_lose_the_report(tmp_path):
    result = held(name="caf\udce9", seed=np.int64(3))
    odd = {"lambda": math.nan, "rate": np.float32(0.5), "path": tmp_path, "flag": np.bool_(True)}
    result.scenario = result.scenario.with_params(layers=(np.int32(6),), **odd)
    made, page = written(build(result), tmp_path)
    params = validated(made)["comparisons"][0]["params"]
    assert (params["lambda"], params["layers"], params["rate"], params["flag"]) == ("NaN", [6], 0.5, True)
    assert params["path"] == str(tmp_path) and made["comparisons"][0]["seed"] == 3
    assert "caf\\udce9" in page


def test_colours_of_a_terminal_are_left_out():
    assert build(broken("\x1b[1;31mred\x1b[0m"))["cause"]["error"] == "ValueError: red"


SPOIL = {
    "another verdict": lambda made: made["comparisons"][0]["checks"][0].update(verdict="passed"),
    "held with a failure": lambda made: made["comparisons"][0]["checks"][6].update(verdict="held"),
    "held with a failed check": lambda made: made["comparisons"][0].update(verdict="held"),
    "held with a failed comparison": lambda made: made.update(verdict="held", cause=None),
    "failed without a cause": lambda made: made.update(cause=None),
    "held without a comparison": lambda made: made["comparisons"][0]["checks"][0].update(
        compared=0, worst=None, tensors=[]
    ),
    "not applicable without a reason": lambda made: check_of(made, "dropout").update(not_applicable=[]),
    "an infinite number": lambda made: made["comparisons"][0]["checks"][0]["worst"].update(relative="infinite"),
    "one more key": lambda made: made.update(more=1),
    "version 1": lambda made: made.update(schema_version=1),
    "a date": lambda made: made.update(started=7),
}


@pytest.mark.parametrize("what", SPOIL)
def test_a_report_that_contradicts_itself_is_refused_by_the_schema(what):
    made = validated(build(failed()))
    SPOIL[what](made)
    with pytest.raises(jsonschema.ValidationError):
        validated(made)


def test_the_bounds_of_the_run_are_stated():
    made = build(held())
    assert made["bounds"]["one_step"]["float64"] == made["bounds"]["ulps"] * made["bounds"]["unit"]["float64"] == BOUND
    assert f"{bounds.ULPS} · u · S" in Page(report.page(made)).text


# How it was made.


def test_the_commit_is_that_of_the_harness_and_of_no_other_repository(tmp_path):
    found = machine.commit()
    assert found is None or re.fullmatch("[0-9a-f]{40,64}", found["id"])
    assert machine._git(tmp_path, "init") is not None
    (tmp_path / "parity").mkdir()
    (tmp_path / "parity" / "__init__.py").touch()  # an installed copy within somebody's repository
    assert machine.commit(tmp_path) is None
    assert machine._git(tmp_path, "add", ".") is not None
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    assert machine._git(tmp_path, *who, "commit", "--no-gpg-sign", "-m", "x") is not None
    assert machine.commit(tmp_path)["changed"] is False
    (tmp_path / "parity" / "__init__.py").write_text("changed")
    assert machine.commit(tmp_path)["changed"] is True
    with patch.dict("os.environ", {"PATH": ""}):
        assert machine.commit(tmp_path) is None


def test_threads_and_kernels_are_told_by_threadpoolctl_or_else_by_numpy(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert machine.blas()[0]["source"] == "what NumPy was built with"
    module = ModuleType("threadpoolctl")
    module.threadpool_info = lambda: [
        {"user_api": "blas", "num_threads": 2, "architecture": "Haswell", "version": None, "filepath": "/somewhere"}
    ]
    monkeypatch.setitem(sys.modules, "threadpoolctl", module)
    assert machine.blas() == [{"user_api": "blas", "num_threads": "2", "architecture": "Haswell"}]


def test_variables_that_change_figures_are_stated_set_or_not(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    made = validated(build(held()))
    assert made["variables"]["OMP_NUM_THREADS"] == "1" and made["variables"]["OPENBLAS_CORETYPE"] is None
    assert re.search("OMP_NUM_THREADS 1 .*OPENBLAS_CORETYPE not set", Page(report.page(made)).text)


# The page.


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_is_whole_and_fetches_nothing(kind):
    made = build(KINDS[kind](), KINDS[kind](name="second"), KINDS[kind](name="second", candidate="third"))
    text = report.page(made)
    page = Page(text)
    assert made["sentence"] in page.text and made["citation"] in page.text and made["claim"] in page.text
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert not re.search(r"https?://|@import|url\(", text)
    assert len(page.ids) == len(set(page.ids))
    assert page.links and {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert text.count("<figure>") == 12
    verdict = made["verdict"]
    assert page.text.index(f"{SIGNS[verdict]} {verdict.capitalize()}.") < page.text.index("Checks by setting")
    for name in MADE:
        assert name in page.text


@pytest.mark.parametrize("verdict", Verdict)
def test_a_verdict_is_told_by_a_sign_and_a_word(verdict):
    page = Page(report.page(build(failed(), not_covered(name="second")))).text
    assert f"{SIGNS[verdict]} {verdict}" in page


def test_the_page_of_a_report_that_was_read_is_the_same(tmp_path):
    made, page = written(build(failed(), not_finite()), tmp_path)
    assert report.page(made) == page


def test_text_of_an_engine_is_escaped(tmp_path):
    result = not_finite(name=HOSTILE, candidate=HOSTILE)
    result.reference = HOSTILE
    result.devices = {HOSTILE: HOSTILE}
    result.checks["fit"].broken = result.checks["fit"].traceback = HOSTILE
    result.checks["update"].fails(HOSTILE, HOSTILE)
    result.checks["ranks"].not_covered.append(HOSTILE)
    result.checks["dropout"].not_applicable.append(HOSTILE)
    result.checks["loss"].notes.append(HOSTILE)
    made = build(result, command=HOSTILE, determinism={HOSTILE: HOSTILE},
                 device={"asked": "cpu", "used": "cpu", "remark": HOSTILE})  # fmt: skip
    made["environment"][HOSTILE] = made["data"]["title"] = made["citation"] = HOSTILE
    made["comparisons"][0]["params"] = {HOSTILE: [HOSTILE]}
    made, text = written(validated(made), tmp_path)
    page = Page(text)
    assert not page.tags & {"script", "img"} and "onerror" not in page.attributes
    assert page.words.count("49") == 0 and "&amp;{{ 7 * 7 }}" in page.text
    assert text.count("<style>") == text.count("</style>") == 1
    assert made["comparisons"][0]["setting"] == HOSTILE
    # without the exception too, and where it is the cause
    alone = held()
    alone.checks["fit"].broken = HOSTILE
    assert "script" not in Page(report.page(build(alone))).tags


# Figures.


def test_a_figure_marks_what_is_not_finite_and_breaks_the_line():
    found = figures.figure("x", [figures.Line("a", [(0, 1.0), (1, 2.0), (2, math.inf), (3, 1.0)])], "y", True)
    (line,) = found.lines
    assert len(line.pieces) == len(line.dots) == len(line.crosses) == 1
    assert found.marks and line.crosses[0][1] == figures.TOP


@pytest.mark.parametrize("logarithmic", [False, True])
def test_a_figure_of_nothing_but_what_is_not_finite_is_drawn(logarithmic):
    found = figures.figure("x", [figures.Line("a", [(0, math.nan), (1, math.inf)])], "y", logarithmic)
    assert len(found.lines[0].crosses) == 2
    assert figures.figure("x", [figures.Line("a", [])], "y", logarithmic) is None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.floats(), max_size=5), max_size=5), st.booleans(), st.none() | st.floats(1e-300, 1e3))
@example([[9.999999999999347e307]], True, None)  # its logarithm rounds up to the largest decade
def test_every_figure_stays_within_its_canvas(lines, logarithmic, bound):
    drawn = [figures.Line("a", list(enumerate(ys))) for ys in lines]
    found = figures.figure("x", drawn, "y", logarithmic, bound)
    assert (found is None) == (not any(lines))
    for line in found.lines if found else ():
        corners = [tuple(map(float, pair.split(","))) for piece in line.pieces for pair in piece.split()]
        for x, y in corners + line.dots + line.crosses:
            assert found.left <= x <= found.right and found.top <= y <= found.bottom
    for tick in [*found.y_ticks, *([found.bound] if found.bound else [])] if found else ():
        assert found.top <= tick.at <= found.bottom and len(tick.label) < 16


def test_a_long_line_is_thinned_without_losing_its_peaks():
    points = [(x, 1.0) for x in range(100_000)]
    points[54_321], points[77_777] = (54_321, 9.0), (77_777, math.nan)
    found = figures.figure("x", [figures.Line("a", points)], "y")
    drawn = [pair.split(",") for piece in found.lines[0].pieces for pair in piece.split()]
    assert len(drawn) < 1000 and len(found.lines[0].crosses) == 1
    assert min(float(y) for _, y in drawn) < figures.TOP + 20  # the peak


def test_a_bound_is_drawn_within_the_canvas_and_what_is_not_judged_is_shaded():
    points = [(step, 10.0 ** (step - 16)) for step in range(9)]
    found = figures.figure("x", [figures.Line("a", points)], "y", True, bound=BOUND, judged=3)
    assert found.top <= found.bound.at <= found.bottom
    assert found.left < found.shade < found.right
    assert figures.figure("x", [figures.Line("a", points)], "y", True, judged=8).shade is None
    assert figures.figure("x", [figures.Line("a", points)], "y", True, judged=-1).shade == found.left


# The command.


class Same(GRU4Rec):
    """The example under another name."""


@pytest.mark.parametrize(("cls", "verdict"), [(Same, "not covered"), (BiasesTooFar, "failed")])
def test_the_last_line_of_the_command_ends_with_the_sentence_of_the_report(cls, verdict, tmp_path, capsys, monkeypatch):
    make_modules(monkeypatch, another_gru4rec=cls)
    config, files = tmp_path / "small.txt", write(data.embedded(60, 20, 9), tmp_path)
    config.write_text("loss=bpr-max, final_act=linear\nlayers=4\nn_sample=5, batch_size=4, learning_rate=0.05\n")
    with patch.dict("os.environ"):  # the choice of a device is made in it
        status = main(
            ["run", "--engine", "numpy_gru4rec:GRU4Rec", "--engine", "another_gru4rec:GRU4Rec", "--config", str(config),
             "--train", str(files["train"]), "--test", str(files["test"]), "--steps", "5", "--device", "cpu",
             "--out", str(tmp_path / "out")]
        )  # fmt: skip
    last = capsys.readouterr().out.splitlines()[-1]
    made = validated(json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8")))
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert (made["verdict"], status) == (verdict, {"not covered": 3, "failed": 1}[verdict])
    assert last.endswith(made["sentence"]) and made["sentence"] in page.text
    if verdict == "failed":
        assert made["cause"]["place"]["tensor"].startswith("By") and made["cause"]["check"] == "update"
        assert made["cause"]["place"]["tensor"] in last
