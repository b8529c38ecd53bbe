"""The mutator on toy modules, and the whole path, child processes included, on the NumPy example engine."""

import ast
import json
import math
import os
import sys
import time
from pathlib import Path

import command_line
import pytest

from gru4rec import engines
from parity.commands import mutants as command
from parity.commands import stability
from parity.mutants import book, processes, recorded, sample, sources, tree, trial
from parity.mutants.book import Book, Entry
from parity.mutants.force import Mutation
from parity.mutants.operators import OPERATORS, REMOVED
from parity.mutants.trial import Case, Clean, Outcome
from parity.recordings.reading import SHIPPED, find

TOY = "numpy_gru4rec:GRU4Rec"
NAMES = ("loss-bpr-max-linear-bpreg0", "sampling-uniform")
PATHS = [SHIPPED / f"{name}.npz" for name in NAMES]


def changes(source):
    """{operator: {(before, after), ...}} of a module."""
    found = {}
    for mutant in tree.mutants_of("toy", source):
        found.setdefault(mutant.operator, set()).add((mutant.original, mutant.mutated))
    return found


# The mutator.


@pytest.mark.parametrize(
    ("operator", "before", "after"),
    [
        ("arithmetic", "x = a + b", {"x = a - b"}),
        ("arithmetic", "x = a * b", {"x = a / b"}),
        ("arithmetic", "x = a ** 2", {"x = a * 2"}),
        ("arithmetic", "x = -a", {"x = a"}),
        ("arithmetic", "x += b", {"x -= b"}),
        ("comparison", "x = a < b", {"x = a <= b", "x = a >= b"}),
        ("comparison", "x = a >= b", {"x = a > b", "x = a < b"}),
        ("comparison", "x = a is None", {"x = a is not None"}),
        ("constant", "x = 0", {"x = 1"}),
        ("constant", "x = 1", {"x = 0", "x = 2"}),
        ("constant", "x = 1.0", {"x = 0.0", "x = 2.0"}),
        ("constant", "x = 0.5", {"x = 0.0", "x = 1.0"}),
        ("constant", "x = 1e-06", {"x = 0.0", "x = 2e-06"}),
        ("constant", "x = f(keepdims=True)", {"x = f(keepdims=False)"}),
        ("axis", "x = f(a, axis=1)", {"x = f(a, axis=0)"}),
        ("axis", "x = f(a, axis=-1)", {"x = f(a, axis=0)"}),
        ("axis", "x = f(a, axis=0)", {"x = f(a, axis=1)"}),
        ("dropped term", "x = a * b + c", {"x = a * b", "x = c"}),
        ("dropped term", "x = a - c", {"x = a"}),
        ("swapped arguments", "x = f(a, b)", {"x = f(b, a)"}),
        ("swapped arguments", "x = where(a > b, c, d)", {"x = where(a > b, d, c)"}),
        ("negated condition", "x = a if b else c", {"x = a if not b else c"}),
        ("negated condition", "x = not a", {"x = a"}),
        ("negated condition", "x = [a for a in b if a.any()]", {"x = [a for a in b if not a.any()]"}),
        ("max and min", "x = max(a)", {"x = min(a)"}),
        ("max and min", "x = ops.maximum(a, b)", {"x = ops.minimum(a, b)"}),
        ("sum and mean", "x = a.sum()", {"x = a.mean()"}),
        ("add and set", "x = scatter_add(a)", {"x = scatter_set(a)"}),
        ("and, or", "x = a and b", {"x = a or b"}),
        ("and, or", "x = a & b", {"x = a | b"}),
        ("and, or", "x = ops.logical_or(a, b)", {"x = ops.logical_and(a, b)"}),
        ("and, or", "x = a.any()", {"x = a.all()"}),
        ("slice", "x = a[i:]", {"x = a[i + 1:]", "x = a[i:-1]"}),
        ("slice", "x = a[:, 2]", {"x = a[:, 3]"}),
        ("slice", "x = a[-1]", {"x = a[-2]"}),
        ("slice", "x = a[1:-1]", {"x = a[2:-1]", "x = a[1:-2]"}),
    ],
)
def test_an_operator_makes_its_changes(operator, before, after):
    assert changes(before)[operator] == {(before, each) for each in after}


def test_every_operator_has_a_toy():
    cases = test_an_operator_makes_its_changes.pytestmark[0].args[1]
    assert {case[0] for case in cases} == set(OPERATORS)


@pytest.mark.parametrize(
    ("body", "removed"),
    [
        ("self.state = x", {"self.state = x"}),
        ("table[x] = 0", {"table[x] = 0"}),
        ("x = f(x)", {"x = f(x)"}),
        ("y = f(x)", set()),
        ("x.update(y)", {"x.update(y)"}),
        ("x += 1", {"x += 1"}),
        ("logger.info('%s', x)", set()),
        ("'a text'", set()),
        ("super().f(x)", set()),
    ],
)
def test_updates_of_a_state_are_removed(body, removed):
    found = changes(f"def step(self, x):\n    {body}\n    return x").get(REMOVED, set())
    assert found == {(each, "pass") for each in removed}


def test_a_loop_s_continue_and_a_constructor_s_settings():
    assert changes("def f(a):\n    for x in a:\n        continue")[REMOVED] == {("continue", "pass")}
    assert REMOVED not in changes("class A:\n    def __init__(self, x):\n        self.x = x")


@pytest.mark.parametrize(
    "source",
    [
        "if x < 1:\n    raise ValueError(f'{x + 1}: at least 1 is accepted')",
        "def f(x: Array[1] = None) -> Array[2]:\n    '''1 + 1'''\n    return x",
        "def __repr__(self):\n    return a + b",
        "def save(self, path):\n    self.n += 1",
        "logger.warning('%d', a + b)",
        "name = 'a' + 'b'\ntext = f'{a + b}'",
        "if settings.dwell_time > 0:\n    x = a + b",
        "x = f(log_q + 1)",
        "def dwell_buckets(x):\n    return x + 1",
        "class DwellTable:\n    def f(self, x):\n        return x + 1",
        "from a import b\nassert a < b",
        "def f(x, n=1):\n    return g(x, jit_compile=True)",
    ],
)
def test_what_is_no_mathematics_is_left_alone(source):
    assert not tree.mutants_of("toy", source)


def test_a_compound_statement_is_shown_by_its_head():
    mutant = tree.mutants_of("toy", "def f(a):\n    while a < 3:\n        g()\n")[0]
    assert (mutant.function, mutant.original, mutant.mutated) == ("f", "while a < 3:", "while a <= 3:")
    assert (mutant.line, mutant.last_line) == (2, 2)


TWICE = """
class A:
    def f(self, a, b):
        if a:
            return a * b
        return a * b
"""


def test_a_mutant_keeps_its_name_when_lines_move():
    keys = [mutant.key for mutant in tree.mutants_of("toy", TWICE)]
    assert keys == [mutant.key for mutant in tree.mutants_of("toy", "\n# a comment\n\n" + TWICE)]
    assert len(set(keys)) == len(keys)


def test_the_same_change_at_two_places_is_two_mutants():
    both = [mutant for mutant in tree.mutants_of("toy", TWICE) if mutant.mutated == "return a / b"]
    assert [mutant.nth for mutant in both] == [0, 1]
    texts = [tree.mutated(mutant, TWICE) for mutant in both]
    assert ["return a / b" in text.partition("if a:")[2].splitlines()[1] for text in texts] == [True, False]
    assert all(text.count("a / b") == 1 for text in texts)


def test_every_mutant_of_the_example_compiles_and_is_another_program():
    source = _toy_source()
    whole = ast.unparse(ast.parse(source))
    found = tree.mutants_of("numpy_gru4rec", source)
    assert len(found) > 200 and len({mutant.digest for mutant in found}) == len(found)
    for mutant in found[::12]:
        text = tree.mutated(mutant, source)
        compile(text, "mutant", "exec")
        assert text != whole


def _toy_source():
    return sources.modules_of(TOY)[0].source


def test_a_mutant_that_the_source_lacks_is_named():
    mutant = tree.Mutant("toy", "f", 1, 1, "arithmetic", "return a + b", "return a - b")
    with pytest.raises(ValueError, match="has no 'return a \\+ b' in f"):
        tree.mutated(mutant, "def f(a, b):\n    return a * b")


def test_the_difference_of_a_long_statement_is_cut_out():
    before, after = "x = " + "a + " * 30 + "b" + " + c" * 30, "x = " + "a + " * 30 + "d" + " + c" * 30
    shown = command.difference(tree.Mutant("toy", "f", 1, 1, "", before, after))
    assert len(shown) < 150 and " → " in shown
    assert command.difference(tree.Mutant("toy", "f", 1, 1, "", "x = aa", "x = a")) == "x = aa → x = a"


# Modules.


def test_no_module_is_left_out_without_a_reason():
    assert all(sources.NOT_MATHEMATICS.values())
    for engine in sources.PACKAGES:
        every = {module.name for module in sources.modules_of(engine)}
        chosen = {module.name.rpartition(".")[2] for module in sources.mathematics_of(engine, every)}
        assert {"activations", "losses", "optimizers", "evaluation"} <= chosen
        assert not {"settings", "gru4rec", "baselines", "serving"} & chosen


def test_a_module_that_is_not_imported_has_no_mutants():
    (module,) = sources.mathematics_of("keras", ["keras_port.losses", "os"])
    assert module.name == "keras_port.losses"


def test_an_engine_of_no_name_is_refused():
    with pytest.raises(ValueError, match="--engine other"):
        sources.package_of("other")
    with pytest.raises(ImportError, match="there is no package nothing_there"):
        sources.modules_of("nothing_there:Class")


# The sample.


def _many():
    body = "\n".join(f"    x{i} = a{i} + f(b, {i}) * c[{i}:]" for i in range(40))
    return tree.mutants_of("toy", f"def f(a, b, c):\n{body}\n    return a < b")


def test_the_sample_has_the_size_and_every_stratum_its_share():
    every = _many()
    for size in (10, 57, 200):
        chosen = sample.sampled(every, size, seed=1)
        assert len(chosen) == size and len(set(chosen)) == size
        for operator in OPERATORS:
            share = sum(m.operator == operator for m in every) * size / len(every)
            assert abs(sum(m.operator == operator for m in chosen) - share) <= 1
    assert sample.sampled(every, 10_000, 0) == sorted(every, key=lambda m: (m.module, m.line, m.key))


def test_the_sample_hangs_on_its_seed_alone():
    every = _many()
    assert sample.sampled(every, 30, 3) == sample.sampled(every[::-1], 30, 3)
    assert sample.sampled(every, 30, 3) != sample.sampled(every, 30, 4)


def _clean(name, seconds, lines):
    return Clean(name, {"loss": "held"}, "", seconds, {"toy": lines}, ["toy"])


def test_the_most_telling_case_comes_first_and_only_those_that_reach_the_mutant():
    cleans = [_clean("slow", 9.0, [1, 2, 3, 4]), _clean("quick", 1.0, [1, 2, 3]), _clean("other", 1.0, [7])]
    ordered = sample.order(cleans)
    assert [clean.name for clean in ordered] == ["quick", "other", "slow"]
    assert sample.reaching(tree.Mutant("toy", "f", 2, 2, "", "a", "b"), ordered) == ["quick", "slow"]
    assert sample.reaching(tree.Mutant("toy", "f", 4, 6, "", "a", "b"), ordered) == ["slow"]
    assert sample.reaching(tree.Mutant("toy", "f", 5, 6, "", "a", "b"), ordered) == []


# In force.


def test_the_mutant_is_what_is_imported_and_the_file_stays(tmp_path, monkeypatch):
    source = "def twice(x):\n    return x + x\n"
    (tmp_path / "toy_in_force.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    mutant = tree.mutants_of("toy_in_force", source)[0]
    try:
        with Mutation("toy_in_force", tree.mutated(mutant, source)) as mutation:
            assert not mutation.in_force
            import inspect

            import toy_in_force

            assert mutation.in_force
            assert toy_in_force.twice(3) == 0
            assert toy_in_force.__file__ == str(tmp_path / "toy_in_force.py")
            assert "x - x" in inspect.getsource(toy_in_force.twice)  # what TensorFlow would translate
            with pytest.raises(RuntimeError, match="is imported already"):
                Mutation("toy_in_force", "")
        assert (tmp_path / "toy_in_force.py").read_text() == source
    finally:
        sys.modules.pop("toy_in_force", None)


# In child processes.


def forever(tell):
    trial.allow(1)
    tell("golden", "a recording")
    while True:
        pass


def silent(tell):
    tell("golden", "a recording")
    time.sleep(60)


def dies(tell):
    os.abort()


def fills_memory(tell):
    try:
        return len(bytearray(3 * 2**30))
    except MemoryError:
        return "no memory"


def breaks(tell):
    raise KeyError("of the harness")


def one(job, silence=60.0, gigabytes=8.0):
    (done,) = processes.run_each(job, [()], 1, silence, gigabytes)
    return done.result


def test_a_process_that_does_not_end_or_dies_is_an_outcome():
    with processes.prepared([TOY]):
        ended = one(forever)
        assert (ended.by, ended.stage, ended.within) == ("time", "golden", "a recording")
        assert one(silent, silence=1.0).by == "time"
        assert one(dies).by == "crash"
        assert one(fills_memory, gigabytes=1.0) == "no memory"
        with pytest.raises(RuntimeError, match="failed in the harness: KeyError"):
            one(breaks)


def test_the_environment_is_as_it_was_afterwards():
    before = dict(os.environ)
    with processes.prepared([TOY]):
        assert os.environ["JAX_COMPILATION_CACHE_DIR"]
    assert dict(os.environ) == before


def known(function, mutated):
    every = tree.mutants_of("numpy_gru4rec", _toy_source())
    return next(m for m in every if m.function == f"GRU4Rec.{function}" and mutated in m.mutated)


FATAL = [
    ("build.block", "sigma * 2 + sigma", "bound", "initial-weights"),
    ("batches", "ends = ([left[0] for left in lanes.values()], [len(left) == 1", "bound", "batches"),
    ("_draw", "np.r_[cdf[:-2], 1]", "bound", "negatives"),
    ("train_step", "np.where(R[:, None], 1, h)", "bound", "forward"),
    ("_loss", "sigmoid(o[target][:, None] + o)", "bound", "loss"),
    ("train_step", "dh * z * (2 - c ** 2)", "bound", "gradients"),
    ("train_step", "+ g[name] ** 2 + 0.0)", "bound", "update"),
    ("scores", "- self.W['By'][items].T", "bound", "forward"),
]


def prepared_case(path, folder):
    kept = folder / f"{path.stem}.pickle"
    trial.prepare(path, kept, lambda stage, what: None)
    return Case("golden", path.stem, kept)


def test_a_fatal_mutant_is_caught_by_its_check_and_the_identity_survives(tmp_path):
    verdicts = dict.fromkeys(("fit", "gradients", "metrics"), "not covered")
    cases = [(prepared_case(path, tmp_path), verdicts) for path in PATHS]
    tasks = [(TOY, known(*what[:2]), _toy_source(), cases, "golden", 60) for what in FATAL]
    tasks.append((TOY, None, "", cases, "golden", 60))
    with processes.prepared([TOY]):
        found = {done.at: done.result for done in processes.run_each(trial.try_mutant, tasks, 2, 200.0)}
    assert found.pop(len(FATAL)).result == "survived"
    assert [(found[at].by, found[at].check) for at in range(len(FATAL))] == [what[2:] for what in FATAL]
    assert all(out.result == "caught" and out.stage == "golden" and out.within in NAMES for out in found.values())


def test_a_situation_is_a_case_too(tmp_path):
    trial.prepare("samples-1", tmp_path / "kept", lambda stage, what: None)
    checks = Case("golden", "samples-1", tmp_path / "kept").run(engines.named("parity.plain:Plain"))
    assert checks.verdict == "held" and checks["negatives"].compared


def test_the_fast_part_of_golden_are_recordings_that_are_shipped():
    assert set(command.FAST) < {path.stem for path in find([])}


def test_what_fails_in_a_trial_is_shown_with_its_traceback(caplog):
    caplog.set_level("DEBUG", "parity")
    with processes.prepared([TOY]), pytest.raises(RuntimeError, match="a trial failed in the harness: .*no-such"):
        list(processes.run_each(trial.prepare, [(Path("no-such.npz"), Path("kept"))], 1, 200.0))
    assert "Traceback" in caplog.text and "trial.py" in caplog.text


def test_the_unfaulted_engine_tells_what_it_reaches(tmp_path):
    with processes.prepared([TOY]):
        (done,) = processes.run_each(trial.clean, [(TOY, prepared_case(PATHS[0], tmp_path), 60)], 1, 200.0)
    clean = done.result
    assert clean.verdicts["loss"] == "held" and not clean.failed and clean.imported == ["numpy_gru4rec"]
    step = known("train_step", "dh * z * (2 - c ** 2)")
    softmax = next(m for m in tree.mutants_of("numpy_gru4rec", _toy_source()) if "p - target" in m.original)
    assert sample.reaching(step, [clean]) == [NAMES[0]]
    assert sample.reaching(softmax, [clean]) == []  # cross-entropy


# The command.


def run(*arguments):
    usual = ["mutants", *PATHS, "--engine", TOY, "--configs", "0", "--jobs", "2"]
    return command_line.run(command, *usual, *arguments)


def test_a_second_start_goes_on(tmp_path, monkeypatch, capsys):
    out, size = tmp_path / "mutants.json", 8
    monkeypatch.setattr(command.book, "equivalents", dict)
    status = run("--sample", str(size), "--out", str(out))
    whole = Book.read(out)
    assert len(whole.entries) == size and all(each.outcome for each in whole.entries)
    assert status == int(any(each.survived for each in whole.entries))
    assert f"{size} tried" in capsys.readouterr().out

    whole.entries[3] = Entry(TOY, whole.entries[3].mutant)  # as if it had been stopped there
    whole.write(out)
    tried = []
    each = processes.run_each

    def noting(job, tasks, *rest):
        tried.extend(tasks if job is trial.try_mutant else ())
        return each(job, tasks, *rest)

    monkeypatch.setattr(processes, "run_each", noting)
    run("--sample", str(size), "--out", str(out))
    assert [task[1] for task in tried] == [whole.entries[3].mutant]
    assert all(entry.outcome for entry in Book.read(out).entries)

    with pytest.raises(ValueError, match="its seed is another"):
        run("--sample", str(size), "--seed", "1", "--out", str(out))


def test_a_quick_start_puts_no_unfaulted_engine_through_the_cases(tmp_path, monkeypatch):
    out = tmp_path / "mutants.json"
    monkeypatch.setattr(trial, "clean", None)  # which would run it
    run("--sample", "3", "--quick", "--out", str(out))
    kept = Book.read(out)
    assert len(kept.entries) == 3 and all(each.outcome for each in kept.entries)
    assert [clean["lines"] for clean in kept.baselines[TOY]] == [{}] * len(NAMES)


def test_the_exit_status_is_0_when_every_survivor_is_known(tmp_path, monkeypatch):
    out = tmp_path / "mutants.json"
    monkeypatch.setattr(command.book, "equivalents", dict)
    run("--sample", "4", "--out", str(out))
    kept = Book.read(out)
    kept.entries[0] = Entry(TOY, kept.entries[0].mutant, Outcome("survived", stage="golden"))
    caught = Outcome("caught", "bound", "golden", "x", "loss")
    kept.entries[1:] = [Entry(TOY, each.mutant, caught) for each in kept.entries[1:]]
    kept.write(out)
    assert run("--sample", "4", "--out", str(out)) == 1
    monkeypatch.setattr(command.book, "equivalents", lambda: {kept.entries[0].mutant.key[:4]: "the same number"})
    assert run("--sample", "4", "--out", str(out)) == 0


def test_an_engine_that_fails_without_a_mutant_says_nothing(tmp_path, monkeypatch):
    clean = _clean(NAMES[0], 1.0, [])._replace(failed="loss: cost, step 0")
    monkeypatch.setattr(processes, "run_each", lambda *_: iter([processes.Done(0, clean)]))
    with pytest.raises(RuntimeError, match="without a mutant fails loss-bpr-max-linear-bpreg0: loss: cost, step 0"):
        run("--out", str(tmp_path / "mutants.json"))


def _entry(result, stage="golden", mutated="b", **fields):
    return Entry(TOY, tree.Mutant("toy", "f", 1, 1, "constant", "a", mutated), Outcome(result, stage=stage, **fields))


def test_golden_s_share_leaves_out_what_is_equivalent():
    entries = [_entry("caught"), _entry("caught", "matrix"), _entry("survived", "matrix", "equal")]
    entries.append(_entry("survived", "matrix"))
    assert command.share(entries, {}) == 1 / 4
    assert command.share(entries, {("toy", "f", "a", "equal"): "the same"}) == 1 / 3
    assert command.share([], {}) is None


def test_a_mutant_goes_from_stage_to_stage():
    fresh = Entry(TOY, tree.Mutant("toy", "f", 1, 1, "constant", "a", "b"))
    assert fresh.waits_for("golden") and not fresh.waits_for("matrix")
    through = fresh.after(Outcome("survived", stage="golden", seconds=2.0, ran=3))
    assert through.survived and through.waits_for("matrix") and not through.waits_for("golden")
    caught = through.after(Outcome("caught", "bound", "matrix", seconds=1.5, ran=1))
    assert (caught.outcome.seconds, caught.outcome.ran, caught.by_golden) == (3.5, 4, False)
    assert not caught.waits_for("matrix")
    left = fresh.after(Outcome("not in force", stage="golden"))
    assert not left.waits_for("matrix") and not left.survived


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2}', '{"format": 1, "mutants": [{"engine": "x"}]}'])
def test_a_file_that_holds_no_results_is_named(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="other.json: no results of parity mutants"):
        Book.read(path)


def test_an_equivalent_needs_its_reason(tmp_path):
    path = tmp_path / "equivalent.json"
    entry = {"module": "m", "function": "f", "original": "a", "mutated": "b", "reason": " "}
    path.write_text(json.dumps({"equivalent": [entry]}))
    with pytest.raises(ValueError, match="a reason are needed"):
        book.equivalents(path)
    path.write_text(json.dumps({"equivalent": [entry | {"reason": "commutes"}]}))
    assert book.equivalents(path) == {("m", "f", "a", "b"): "commutes"}


def test_the_shipped_equivalents_are_mutants_of_the_present_source():
    every = {
        mutant.key[:4]
        for engine in ("keras", "original")
        for module in sources.modules_of(engine)
        for mutant in tree.mutants_of(module.name, module.source)
    }
    assert set(book.equivalents()) <= every


def test_few_configurations_hold_every_value_of_the_options():
    configs = recorded.few_configs(8)
    assert len(configs) == 8
    values = {(name, str(value)) for config in configs for name, value in config.items()}
    assert values == {(name, str(value)) for name, all_of in recorded.matrix.FACTORS.items() for value in all_of}
    assert recorded.settings_of(0) == [] and "extreme" in recorded.settings_of(1)


# Stability.


def test_a_processor_is_given_the_kernels_that_it_can_run():
    old, new = ({v.name for v in stability.variations(["keras"], flags)} for flags in ({"pni"}, {"pni", "avx2", "fma"}))
    assert "BLAS Prescott" in old and "BLAS Haswell" not in old
    assert {"BLAS Haswell", "BLAS Zen", "XLA AVX2"} <= new - old
    assert not {"oneDNN on", "Keras on JAX"} & {v.name for v in stability.variations(["original"], set())}


def test_a_variation_runs_in_its_own_environment_and_shows_its_margin(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    job = {"engines": [TOY], "recordings": list(NAMES), "configs": 1, "steps": 1}
    kernel = "Nehalem" if "sse4_2" in stability.processor_flags() else ""
    environment = {"OPENBLAS_CORETYPE": kernel} if kernel else {}
    (part,) = stability.run(stability.Variation("toy", environment), job, Path(sys.executable))
    # not covered: the example has no evaluation
    assert (part.part, part.dtype, part.verdict) == ("golden", "float64", "not covered")
    assert part.compared > 100 and 0 <= part.used < 1 and "nearest:" in part.where
    assert part.kernel in ("", kernel)


def test_a_variation_whose_process_dies_is_an_alarm():
    job = {"engines": ["nothing_there:Class"], "recordings": [], "configs": 0, "steps": 0}
    (part,) = stability.run(stability.Variation("toy"), job, Path(sys.executable))
    assert part.verdict == "failed" and math.isinf(part.used) and "nothing_there" in part.where


def test_a_variation_whose_process_dies_shows_what_it_wrote(caplog):
    caplog.set_level("DEBUG", "parity")
    job = {"engines": ["nothing_there:Class"], "recordings": [], "configs": 0, "steps": 0}
    stability.run(stability.Variation("toy"), job, Path(sys.executable))
    assert "Traceback" in caplog.text and "nothing_there" in caplog.text
