"""The attacks on commands and their files, in a small form; the figures of docs/robustness.md come of the large one."""

import random

import pytest

from tests.attacks import bad_disks, interruption, mutated_inputs


def faults(outcomes):
    return [said for said in outcomes if said.startswith("FAULT")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("attacks")
    interruption.make_inputs(made)
    return made


FAST = ("csv", "options-toml", "record")
FEW = ("parquet", *(name for name in mutated_inputs.readers() if name.endswith("-raw") and name not in
                    ("rsc15-raw", "movielens-raw")))  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        name if name in FAST else pytest.param(name, marks=pytest.mark.slow)
        for name in mutated_inputs.readers()
        if name not in FEW
    ],
)
def test_mutated_inputs(name):
    outcomes = mutated_inputs.in_a_child(name, 150, 1)
    assert sum(outcomes.values()) == 150 and not faults(outcomes), outcomes
    assert outcomes["accepted"] and outcomes["refused"]


@pytest.mark.slow
@pytest.mark.parametrize("name", FEW)
def test_mutated_raw_files_and_parquet(name):
    outcomes = mutated_inputs.in_a_child(name, 25, 1)
    assert sum(outcomes.values()) == 25 and not faults(outcomes), outcomes


def test_the_attack_sees_faults(tmp_path):
    path = tmp_path / "input"

    def raising(path):
        raise KeyError("x")

    def unnamed(path):
        raise ValueError("something is wrong")

    for read, fault, said in (
        (raising, lambda data, found: None, "FAULT KeyError"),
        (unnamed, lambda data, found: None, "FAULT: a message that names no file"),
        (lambda path: 1, lambda data, found: "another", "FAULT: another"),
    ):
        reader = mutated_inputs.Reader("", [b"x"], read, fault)
        assert mutated_inputs.outcome(reader, path, b"y", b"x").startswith(said)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [f"train-{interruption.TOY}-float32", "tune-toy", "prepare-rsc15", "train-keras-float32"]
)
def test_interrupted_commands_end_as_if_nothing_had_been(folder, name):
    wanted = {"kill": 2, "term": 1, "int": 1}
    outcomes = interruption.attack(interruption.TARGETS[name], folder, wanted, random.Random(2))
    assert not faults(outcomes), outcomes


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train-toy", "tune", "prepare-rsc15", "results-json"])
def test_bad_disks(tmp_path, name):
    interruption.make_inputs(tmp_path)
    outcomes = bad_disks.attack_places(name, tmp_path) + bad_disks.attack_limits(name, tmp_path, 3)
    assert not faults(outcomes), outcomes
