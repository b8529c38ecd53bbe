"""The stored runs, and the test of equivalence: its levels, its power, its verdicts."""

import hashlib
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gru4rec.published import RSC15
from parity import data
from parity.convergence import equivalence, recording, sample
from parity.convergence.equivalence import FIGURES, Group
from parity.convergence.sample import Runs

K, CATALOGUE = 12, 60


def runs(count, seed=0, shift=0.0, spread=0.01, noise=0.3):
    """Made-up runs: a loss around 1, Recall around 0.5, lists of scores that differ by ``noise``."""
    stream = np.random.RandomState(seed)
    # the scores that all runs have in common do not depend on the seed
    common = np.random.RandomState(99).randn(K, CATALOGUE)
    lists = np.argsort(-(common + noise * stream.randn(count, K, CATALOGUE)), axis=2)[:, :, : sample.LENGTH]
    losses = 1 + shift + spread * stream.randn(count, 2)
    metrics = np.tile(0.5 + shift + spread * stream.randn(count, 1, 1), (1, 4, 2))
    return Runs(1000 * seed + np.arange(count), losses, metrics, lists, np.zeros(lists.shape, np.float32))


def statuses(reference, candidate):
    return [test.status for test in equivalence.compare(reference, candidate)]


# Verdicts.


def test_runs_of_the_same_kind_are_held():
    assert statuses(runs(32), runs(32, seed=1)) == ["held"] * 4


def test_a_difference_beyond_the_margin_fails_and_names_the_figure():
    found = equivalence.compare(runs(32), runs(16, seed=1, shift=0.06))
    assert [test.figure for test in found if test.status == "failed"] == list(FIGURES[:3])
    assert found[3].status != "failed"  # its lists are those of the reference


def test_other_lists_fail_by_themselves():
    found = equivalence.compare(runs(32), runs(16, seed=1, noise=0.8))
    assert [test.figure for test in found if test.status == "failed"] == [FIGURES[3]]


def test_too_few_runs_and_a_difference_at_the_margin_are_not_covered():
    wide = runs(32, spread=0.05)
    found = equivalence.compare(wide, runs(4, seed=1, spread=0.05))[0]
    assert found.status == "not covered" and found.power < 0.2
    at_margin = runs(16, seed=2)
    at_margin.losses[:, -1] += 1.02 - at_margin.losses[:, -1].mean()
    found = equivalence.compare(runs(32), at_margin)[0]
    assert (found.status == "not covered" and found.decides is None) or found.decides > 16


def test_a_real_difference_within_the_margin_is_held():
    found = equivalence.compare(runs(32, spread=0.001), runs(32, seed=1, spread=0.001, shift=0.005))[0]
    assert found.status == "held" and found.interval[0] > 0


# The parts.


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_against_its_definition(p):
    found = equivalence.holm(np.array(p))
    order = sorted(range(len(p)), key=lambda k: p[k])
    highest = 0.0
    for place, k in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - place) * p[k]))
        assert found[k] == pytest.approx(highest)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.sampled_from([0.01, 0.05, 0.3]))
def test_hochberg_against_its_definition(p, level):
    """Refuse the k smallest for the greatest k whose k-th smallest is at most level / (m - k + 1)."""
    found, ordered = equivalence.hochberg(np.array(p)), sorted(p)
    last = max((k for k in range(1, len(p) + 1) if ordered[k - 1] * (len(p) - k + 1) <= level), default=0)
    assert (found <= level).sum() == sum(value <= ordered[last - 1] for value in p) if last else (found > level).all()


def test_overlaps_against_sets():
    a, b = runs(3).lists, runs(2, seed=1).lists.copy()
    b[0, 0, :5] = -1
    found = equivalence.overlaps(a, b)
    for i in range(3):
        for j in range(2):
            shares = [len(set(a[i, k]) & set(b[j, k]) - {-1}) / sample.LENGTH for k in range(K)]
            assert found[i, j] == pytest.approx(np.mean(shares))


def test_the_jackknife_of_shared_items_is_that_of_leaving_runs_out():
    reference, candidate = runs(6), runs(4, seed=1)
    own = equivalence.overlaps(reference.lists, reference.lists)
    cross = equivalence.overlaps(candidate.lists, reference.lists)

    def difference(rows):
        inner = own[np.ix_(rows, rows)]
        return cross[:, rows].mean() - (inner.sum() - np.trace(inner)) / (len(rows) * (len(rows) - 1))

    n, whole = len(own), difference(list(range(len(own))))
    pseudo = [n * whole - (n - 1) * difference([k for k in range(n) if k != left]) for left in range(n)]
    values, of_candidate = equivalence.shared(own, cross)
    assert of_candidate.mean() - values.mean() == pytest.approx(whole)
    np.testing.assert_allclose(-(values - values.mean()), pseudo - np.mean(pseudo), atol=1e-12)


def test_the_p_values_are_those_of_scipy_at_the_edges_of_the_margin():
    stream = np.random.RandomState(5)
    a, b, margin = stream.randn(20), 0.9 + 2 * stream.randn(9), 0.4
    groups = Group.of(a), Group.of(b)
    equivalent, beyond = equivalence.p_values(groups[1].mean - groups[0].mean, margin, *equivalence.welch(*groups))
    lower = stats.ttest_ind(b + margin, a, equal_var=False, alternative="greater").pvalue
    upper = stats.ttest_ind(b - margin, a, equal_var=False, alternative="less").pvalue
    assert equivalent == pytest.approx(max(lower, upper))
    assert b.mean() > a.mean() and beyond == pytest.approx(1 - upper + lower)


@pytest.mark.parametrize(("delta", "beyond"), [(0.0, False), (0.4, False), (2.2, True)])
def test_the_power_is_what_simulation_gives(delta, beyond):
    """Within 5 %, with a margin of 1 deviation."""
    stream, reference, runs_drawn = np.random.RandomState(3), Group(0.0, 1.0, 32), 24
    wanted = equivalence.power(1.0, reference, Group(delta, 1.0, runs_drawn), delta, beyond)
    shown = 0
    for _ in range(1000):
        a, b = Group.of(stream.randn(32)), Group.of(delta + stream.randn(runs_drawn))
        p = equivalence.p_values(b.mean - a.mean, 1.0, *equivalence.welch(a, b))
        shown += p[beyond] <= (equivalence.LEVEL / len(FIGURES) if beyond else equivalence.LEVEL)
    assert shown / 1000 == pytest.approx(wanted, abs=0.05)


def test_claims_at_the_edge_of_the_margin_keep_their_level():
    """Where the true difference is the margin, equivalence and difference are each claimed in at most 5 %."""
    stream, held, failed = np.random.RandomState(4), 0, 0
    for _ in range(1000):
        a, b = Group.of(stream.randn(32)), Group.of(1 + stream.randn(16))
        equivalent, beyond = equivalence.p_values(b.mean - a.mean, 1.0, *equivalence.welch(a, b))
        held, failed = held + (equivalent <= 0.05), failed + (beyond <= 0.05)
    assert max(held, failed) / 1000 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)


def test_runs_needed_is_the_least_number():
    tests = equivalence.compare(runs(32, spread=0.05), runs(8, seed=1, spread=0.05))
    least = equivalence.runs_needed(tests)
    assert equivalence.power_of_all(tests, least - 1) < equivalence.POWER <= equivalence.power_of_all(tests, least)
    assert 15 < least < 50
    few = equivalence.compare(runs(5, spread=0.05), runs(8, seed=1, spread=0.05))
    assert equivalence.runs_needed(few) is None  # the stored runs alone leave more doubt than the margin


def test_runs_against_others_of_their_kind_raise_no_false_alarm():
    shares = equivalence.resampled(runs(32, spread=0.05), 16, 100)
    assert shares["failed"] <= equivalence.LEVEL and sum(shares.values()) == pytest.approx(1)


# Files.


@pytest.fixture
def stored(tmp_path):
    dataset = data.embedded(sessions=40, items=25, test_sessions=25, seed=2)
    about = recording.about({"top1": RSC15["top1"]}, {"top1": runs(3)}, dataset, {"engine": "none"})
    return sample.write(tmp_path, "made-up", about, np.arange(K), {"top1": runs(3)})


def test_a_sample_is_read_as_it_was_written(stored):
    found, wanted = sample.read(stored), runs(3)
    assert found.name == "made-up" and found.epochs == 2 and found.params("top1") == RSC15["top1"]
    for name, values in vars(found.runs["top1"]).items():
        np.testing.assert_array_equal(values, getattr(wanted, name))
    assert found.prefixes.tolist() == list(range(K))


def repacked(stored, change):
    """The sample with its arrays changed, and the SHA-256 made to fit."""
    about = json.loads(stored.read_text())
    with np.load(stored.with_suffix(".npz")) as arrays:
        changed = change(dict(arrays))
    np.savez(stored.with_suffix(".npz"), **changed)
    about["file"]["sha256"] = hashlib.sha256(stored.with_suffix(".npz").read_bytes()).hexdigest()
    stored.write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: {k: v for k, v in a.items() if k != "top1/lists"}, "top1/lists: missing"),
        (lambda a: a | {"top1/losses": a["top1/losses"][:, :1]}, "top1/losses"),
        (lambda a: a | {"top1/losses": a["top1/losses"].astype(str)}, "top1/losses"),
        (lambda a: a | {"top1/losses": a["top1/losses"] * np.nan}, "finite"),
        (lambda a: a | {"top1/seeds": a["top1/seeds"] * 0}, "different seeds"),
        (lambda a: a | {"top1/lists": np.array([None], object)}, "pickle"),
        (lambda a: a | {"bpr/losses": a["top1/losses"]}, "bpr/losses: of no setting"),
        (lambda a: {k: v for k, v in a.items() if k != "prefixes"}, "prefixes"),
        (lambda a: a | {"prefixes": a["prefixes"].astype(str)}, "prefixes"),
    ],
)
def test_a_damaged_sample_is_named(stored, change, words):
    repacked(stored, change)
    with pytest.raises(ValueError, match=words) as raised:
        sample.read(stored)
    assert "made-up" in str(raised.value)


def test_a_changed_file_and_a_zip_bomb_are_refused(stored):
    content = stored.with_suffix(".npz").read_bytes()
    stored.with_suffix(".npz").write_bytes(content[:-1] + b"x")
    with pytest.raises(ValueError, match="SHA-256"):
        sample.read(stored)
    with zipfile.ZipFile(stored.with_suffix(".npz"), "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("prefixes.npy", bytes(sample.LIMIT + 1))
    about = json.loads(stored.read_text())
    about["file"]["sha256"] = hashlib.sha256(stored.with_suffix(".npz").read_bytes()).hexdigest()
    stored.write_text(json.dumps(about))
    with pytest.raises(ValueError, match="unpacks to"):
        sample.read(stored)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', "\x00"])
def test_a_json_that_is_no_sample_is_named(stored, text):
    stored.write_text(text)
    with pytest.raises(ValueError, match="made-up.json"):
        sample.read(stored)


@pytest.mark.parametrize("key", ["data", "settings", "made_by", "file"])
def test_a_part_of_the_json_that_is_no_table_is_named(stored, key):
    stored.write_text(json.dumps(json.loads(stored.read_text()) | {key: "words"}))
    with pytest.raises(ValueError, match=f"made-up.json: {key}"):
        sample.read(stored)


def test_a_run_that_diverged_is_no_reference(tmp_path):
    bad = runs(3)
    bad.losses[1] = np.nan
    with pytest.raises(ValueError, match=r"seeds \[1\] diverged"):
        sample.write(tmp_path, "bad", {}, np.arange(K), {"top1": bad})
    assert not list(tmp_path.iterdir())


def test_kept_runs_are_joined_and_a_damaged_one_is_named(tmp_path):
    work, made = recording.Work(tmp_path, {"engine": "none"}), runs(2)
    for k in range(2):
        work.keep("top1", k, made.take([k]))
    assert work.has("top1", 1) and not work.has("top1", 2)
    np.testing.assert_array_equal(work.joined("top1", [0, 1]).losses, made.losses)
    (tmp_path / "top1" / "1.npz").write_bytes(b"PK damaged")
    with pytest.raises(ValueError, match="1.npz"):
        work.joined("top1", [0, 1])


def test_runs_of_another_kind_are_not_joined(tmp_path):
    recording.Work(tmp_path, {"engine": "one"})
    recording.Work(tmp_path, {"engine": "one"})
    with pytest.raises(ValueError, match="another engine"):
        recording.Work(tmp_path, {"engine": "two"})
