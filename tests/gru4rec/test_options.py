"""Options from -ps, -pf and the shipped files."""

import json
import re
import tomllib
from argparse import Namespace

import pytest

from gru4rec import options, published
from gru4rec.commands import arguments
from gru4rec.engines import named

SHIPPED = published.SETTINGS

# values of NAMES, below
PUBLISHED = {
    "rsc15-xe": ("cross-entropy", [100], 32, 0.1, 0, 0.1, 0, 0.75, 0, 1, "softmax"),
    "yoochoose-xe": ("cross-entropy", [480], 48, 0, 0.2, 0.07, 0, 0.2, 0, 1, "softmax"),
    "rees46-xe": ("cross-entropy", [512], 240, 0.45, 0, 0.065, 0, 0.5, 0, 1, "softmax"),
    "coveo-bprmax": ("bpr-max", [512], 144, 0.35, 0, 0.05, 0.4, 0.2, 1.85, 0, "elu-1"),
    "retailrocket-bprmax": ("bpr-max", [224], 80, 0.5, 0.05, 0.05, 0.4, 0.4, 1.95, 0, "elu-0.5"),
    "diginetica-bprmax": ("bpr-max", [512], 128, 0.5, 0.3, 0.05, 0.15, 0.3, 0.9, 0, "elu-1"),
}
NAMES = ("loss", "layers", "batch_size", "dropout_p_embed", "dropout_p_hidden", "learning_rate", "momentum",
         "sample_alpha", "bpreg", "logq", "final_act")  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_shipped_files_hold_the_published_settings(name):
    params = SHIPPED[name].params
    assert {option: params[option] for option in NAMES} == dict(zip(NAMES, PUBLISHED[name]))
    rest = {option: value for option, value in params.items() if option not in NAMES}
    assert rest == dict(hidden_act="tanh", adapt="adagrad", n_epochs=10, n_sample=2048, constrained_embedding=True)


def test_the_settings_of_2018_are_shipped_too():
    assert SHIPPED.keys() == PUBLISHED.keys() | published.RSC15.keys()
    assert {name: SHIPPED[name].params for name in published.RSC15} == published.RSC15


@pytest.mark.parametrize("engine", ["original", "keras"])
@pytest.mark.parametrize("name", SHIPPED)
def test_both_engines_accept_every_shipped_file(name, engine):
    params = options.by_name_or_file(name)
    gru = named(engine).create(params)
    assert {option: getattr(gru, option) for option in params} == params


def test_the_command_line_wins_over_the_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('learning_rate = 0.3\nlayers = [50, 20]\nloss = "top1"\n')

    def given(param_file, params):
        return arguments.params(Namespace(param_file=param_file, params=params))

    found = given(str(file), "loss=bpr-max, layers=100/50")
    assert found == {"learning_rate": 0.3, "layers": [100, 50], "loss": "bpr-max"}
    assert given("top1", "momentum=0.5") == published.RSC15["top1"] | {"momentum": 0.5}
    assert given(None, None) == {}


def test_a_file_wins_over_shipped_settings_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "top1").write_text("momentum=0.5\n")
    assert options.by_name_or_file("top1") == {"momentum": 0.5}


@pytest.mark.parametrize(
    "text, message",
    [
        ("momentum", "-ps momentum: name=value is needed"),
        ("speed=1", "-ps speed: no option of GRU4Rec; layers, adapt_params, "),
        ("momentum=fast", "-ps momentum='fast': a finite number of at least 0 is accepted"),
        ("momentum=0.1,momentum=0.2", "momentum stands there twice"),
    ],
)
def test_bad_text(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        options.from_text(text)


def test_bad_files(tmp_path):
    with pytest.raises(ValueError, match="-pf nothing: neither a file nor one of .*rees46-xe.*top1"):
        options.by_name_or_file("nothing")
    python = tmp_path / "params.py"
    python.write_text("gru4rec_params = {}")
    with pytest.raises(ValueError, match="a Python file is not executed"):
        options.by_name_or_file(str(python))


def test_what_is_written_is_read_again(tmp_path):
    params = {
        "layers": [100, 50],
        "loss": 'b"x',
        "adapt": None,
        "time_sort": False,
        "learning_rate": 1e-05,
        "bpreg": 1.0,
    }
    file = tmp_path / "best.toml"
    file.write_text(options.to_toml(params, "recall 0.5", "two\nlines"))
    assert file.read_text().startswith("# recall 0.5\n# two\n# lines\nlayers = [100, 50]\n")
    assert options.by_name_or_file(str(file)) == params
    assert tomllib.loads(file.read_text()) == json.loads(json.dumps(params | {"adapt": ""}))


def test_in_words_is_what_ps_takes():
    params = published.RSC15["bpr-max-constrained"]
    assert options.from_text(options.in_words(params)) == params
    assert options.as_text(0.1 + 0.2) == "0.3"


def test_keys_of_many_parts_are_refused_before_they_take_memory(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text("# " + "." * 200 + "\nmomentum = 0.3\n")
    assert options.from_file(path) == {"momentum": 0.3}
    path.write_text("momentum = 0.3\n" + ".".join("a" * 20_000) + " = 1\n")
    with pytest.raises(ValueError, match=re.escape(f"{path}, line 2: 19,999 dots; a table of options has no nested")):
        options.from_file(path)
