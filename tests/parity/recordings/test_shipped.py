"""The recordings that come with the package: whole, byte by byte those of the manifest, and what they owe."""

import json
import shutil
from collections import Counter
from dataclasses import asdict

import jsonschema
import numpy as np
import pytest

from parity.recordings import manifest
from parity.recordings.archive import read_arrays
from parity.recordings.reading import SHIPPED, find, read
from parity.recordings.texts import schema

FILES = find([])
KINDS = {"b": "bool", "i": "whole number", "u": "whole number", "f": "float", "U": "text"}


def test_there_are_forty_one():
    assert len(FILES) == len(manifest.manifest()) == 41
    manifest.check_complete()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_is_whole_and_the_one_of_the_manifest(path):
    manifest.check_shipped(path)
    assert manifest.entry(path) == manifest.manifest()[path.name]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_follows_the_json_schema(path):
    arrays = read_arrays(path)
    inventory = {key: {"kind": KINDS[values.dtype.kind], "ndim": values.ndim} for key, values in arrays.items()}
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate({"spec": json.loads(str(arrays["spec"])), "arrays": inventory}, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"spec": {}, "arrays": inventory}, schema())


def test_what_they_owe_together():
    owed = Counter()
    for entry in manifest.manifest().values():
        owed.update(entry.owes)
    steps = sum(read(path).n_steps for path in FILES)
    assert owed["batches"] == 41 * 2 + 3 * steps
    assert owed["loss"] == steps + 41 * 2
    assert owed["dropout"] == 412 and owed["negatives"] == 1894
    assert owed["gradients"] == owed["update"] == 1345
    assert sum(owed.values()) == 16218


def test_values_are_those_of_the_arrays():
    path = SHIPPED / "dropout-both-constrained.npz"
    recording, arrays = read(path), read_arrays(path)
    assert recording.name == "dropout-both-constrained" and recording.n_steps == 44 and recording.n_items == 27
    assert recording.spec.layers == (8,) and recording.spec.constrained and recording.spec.mask_widths() == (8, 8)
    assert [step.number for step in recording.kept] == [0, 1, 2, 9, 19]
    assert recording.epochs == (range(22), range(22, 44))
    step = recording.steps[9]
    assert (step.lanes, len(step.samples)) == (5, 8)
    assert np.array_equal([*step.targets, *step.samples], arrays["step009/Y"])
    assert step.cost == arrays["step009/cost"]
    assert set(step.kept.row_gradients) == {"Wy", "By"} and step.kept.row_gradients["Wy"].shape == (5 + 5 + 8, 8)
    assert set(step.kept.gradients) == set(recording.init) == set(step.kept.after)
    assert recording.steps[3].kept is None and len(recording.steps[3].masks) == 2
    assert recording.predictions[1].scores.shape == (27, 2)
    by_kind = {(each.what, each.mode): each.by_cut_off for each in recording.evaluations}
    assert by_kind["all", "standard"][20] == tuple(arrays["eval/all/standard/20"])
    assert list(recording.train.columns) == ["SessionId", "ItemId", "Time"]


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """A folder with two shipped files in it that passes for the shipped one."""
    for name in ("opt-sgd.npz", "opt-adam.npz"):
        shutil.copy(SHIPPED / name, tmp_path)
    monkeypatch.setattr(manifest, "SHIPPED", tmp_path)
    return tmp_path


def test_a_shipped_file_that_was_changed_is_refused(copies):
    path = copies / "opt-sgd.npz"
    manifest.check_shipped(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="opt-sgd.npz: its SHA-256"):
        manifest.check_shipped(path)


def test_a_file_among_the_shipped_ones_that_the_manifest_lacks_is_refused(copies):
    shutil.copy(copies / "opt-sgd.npz", copies / "mine.npz")
    with pytest.raises(ValueError, match="mine.npz: no shipped recording"):
        manifest.check_shipped(copies / "mine.npz")


def test_a_shipped_file_that_is_missing_is_named(copies):
    with pytest.raises(ValueError, match="missing; manifest.json has it"):
        manifest.check_complete()


def test_a_file_of_a_user_has_no_manifest(tmp_path):
    shutil.copy(SHIPPED / "opt-sgd.npz", tmp_path / "mine.npz")
    manifest.check_shipped(tmp_path / "mine.npz")


def test_the_manifest_is_the_one_that_would_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "PATH", tmp_path / "manifest.json")
    manifest.write([SHIPPED / "opt-sgd.npz"])
    written = json.loads((tmp_path / "manifest.json").read_text())
    assert written["recordings"] == {"opt-sgd.npz": asdict(manifest.entry(SHIPPED / "opt-sgd.npz"))}
