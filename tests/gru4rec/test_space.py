"""The file of a space: what it may hold, and what is said where it holds something else."""

import re

import optuna
import pytest

from gru4rec.tuning import space

OFFICIAL = """
{"name": "learning_rate", "dtype": "float", "values": [0.01, 0.25], "step": 0.005}
{"name": "layers", "dtype": "int", "values": [64, 512], "step": 32}

{"name": "dropout_p_embed", "dtype": "categorical", "values": [0.0, 0.25]}
"""
LIST = f"[{','.join(OFFICIAL.split(chr(10))).strip(',').replace(',,', ',')}]"


def read(tmp_path, text):
    path = tmp_path / "space.json"
    path.write_text(text)
    return space.read(path)


@pytest.mark.parametrize("text", [OFFICIAL, LIST])
def test_both_forms_of_a_file(tmp_path, text):
    found = read(tmp_path, text)
    assert found.names == ["learning_rate", "layers", "dropout_p_embed"]
    assert [each.ends() for each in found.parameters] == [[0.01, 0.25], [[64], [512]], [0.0, 0.25]]


def test_suggestions_are_options_of_the_model(tmp_path):
    found = read(
        tmp_path,
        OFFICIAL
        + '{"name": "adapt_params", "dtype": "categorical", "values": [[], [0.9, 0.99]]}\n'
        + '{"name": "adapt", "dtype": "categorical", "values": [null, "adam"]}\n'
        + '{"name": "time_sort", "dtype": "categorical", "values": [true, false]}\n'
        + '{"name": "lmbd", "dtype": "float", "values": [1e-6, 1e-2], "log": true}\n'
        + '{"name": "embedding", "dtype": "categorical", "values": [0, "layersize"]}\n',
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    suggested = []
    for _ in range(30):
        trial = study.ask()
        suggested.append(found.suggest(trial))
        assert found.options(trial.params) == suggested[-1]

    def values(name):
        return [each[name] for each in suggested]

    assert all(value == round(value / 0.005) * 5 / 1000 for value in values("learning_rate"))  # not 0.215000000002
    assert all(len(value) == 1 and value[0] in range(64, 513, 32) for value in values("layers"))
    assert {str(value) for value in values("adapt_params")} == {"[]", "[0.9, 0.99]"}
    assert set(values("adapt")) == {None, "adam"} and set(values("time_sort")) == {True, False}
    assert set(values("embedding")) == {0, "layersize"}
    assert min(values("lmbd")) < 1e-4 < max(values("lmbd"))


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "holds no parameter"),
        ("[]", "holds no parameter"),
        ('{"name": "momentum",\n', "line 1 is no JSON object"),
        ("[1]", "an object with name, dtype and values"),
        ('{"name": "speed", "dtype": "int", "values": [1, 2]}', "name='speed': no option of GRU4Rec; layers,"),
        ('{"name": "bpreg", "dtype": "int", "value": [1, 2]}', "bpreg: unknown key 'value'"),
        ('{"name": "bpreg", "dtype": "real", "values": [1, 2]}', 'bpreg: dtype="real": int, float or categorical'),
        ('{"name": "bpreg", "dtype": "float", "values": []}', "bpreg: values=[]: a list is needed"),
        ('{"name": "bpreg", "dtype": "float", "values": [1]}', "bpreg: values=[1]: the lowest and the highest float"),
        ('{"name": "bpreg", "dtype": "float", "values": [2, 1]}', "bpreg: `low <= high` must hold"),
        ('{"name": "bpreg", "dtype": "int", "values": [1, 2.5]}', "the lowest and the highest int are needed"),
        ('{"name": "bpreg", "dtype": "float", "values": [0, 1], "step": 0.3}', "not divisible by `step`"),
        ('{"name": "bpreg", "dtype": "float", "values": [0, 1], "step": 1e-320}', "does not lead from 0 to 1"),
        ('{"name": "bpreg", "dtype": ["float"], "values": [0, 1]}', 'dtype=["float"]: int, float or categorical'),
        ('{"name": "bpreg", "dtype": "float", "values": [0, 1e400]}', "the lowest and the highest float are needed"),
        ("[" * 5000, "it is nested too deeply"),
        ('{"name": "bpreg", "dtype": "float", "values": [0, 1], "log": true}', "bpreg: `low > 0` must hold"),
        ('{"name": "bpreg", "dtype": "float", "values": [1, 2], "log": 1}', "bpreg: log=1: true or false"),
        ('{"name": "bpreg", "dtype": "float", "values": [1, 2], "step": "x"}', 'bpreg: step="x": a number'),
        ('{"name": "bpreg", "dtype": "categorical", "values": [1], "step": 1}', "not with categorical"),
        ('{"name": "bpreg", "dtype": "categorical", "values": ["much"]}', "bpreg='much': a finite number of"),
        ('{"name": "n_sample", "dtype": "float", "values": [1.5, 2.5]}', "n_sample='1.5': a whole number of"),
        ('{"name": "bpreg", "dtype": "int", "values": [1, 2]}\n' * 2, "bpreg stands there twice"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path, text, message):
    with pytest.raises(ValueError, match=re.escape(message)) as problem:
        read(tmp_path, text)
    assert str(problem.value).startswith(str(tmp_path / "space.json"))


def test_every_value_and_every_pair_is_tried_on_the_model(tmp_path):
    found = read(
        tmp_path,
        '{"name": "loss", "dtype": "categorical", "values": ["bpr-max", "top1"]}\n'
        '{"name": "bpreg", "dtype": "float", "values": [0, 2]}\n'
        '{"name": "layers", "dtype": "categorical", "values": [100, 7]}\n',
    )
    tried = []
    found.check(tried.append)
    assert {(each["loss"], each["bpreg"]) for each in tried} == {
        ("bpr-max", 0),
        ("bpr-max", 2),
        ("top1", 0),
        ("top1", 2),
    }
    assert {(each["loss"], *each["layers"]) for each in tried} >= {("top1", 7)}

    def create(params):
        if params["loss"] == "top1" and params["layers"] == [7]:
            raise ValueError("layers=[7]: no")

    with pytest.raises(
        ValueError, match=re.escape("holds loss=top1, layers=7, which the model does not accept: layers")
    ):
        found.check(create)
