"""Options from files and from texts: the same values whatever the form, and a clear error for what does not fit."""

import json

import pytest

from parity import settings

WANTED = dict(
    loss="cross-entropy", final_act="softmax", layers=[100, 50], n_epochs=3, momentum=0.5, logq=1.0, sample_alpha=0.0,
    embedding="layersize", adapt="adam", adapt_params=[0.9, 0.999], time_sort=False,
)  # fmt: skip
FORMS = {
    "options.toml": """
        loss = "cross-entropy"  # with softmax
        final_act = "softmax"
        layers = [100, 50]
        n_epochs = 3
        momentum = 0.5
        logq = 1
        sample_alpha = 0
        embedding = "layersize"
        adapt = "adam"
        adapt_params = [0.9, 0.999]
        time_sort = false
    """,
    "options.JSON": json.dumps(WANTED),
    "options.txt": """
        loss=cross-entropy, final_act=softmax  # with softmax
        layers=100/50, n_epochs=3, momentum=0.5, logq=1, sample_alpha=0
        embedding=layersize
        adapt=adam, adapt_params=0.9/0.999, time_sort=0
    """,
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_file_gives_the_same_options(tmp_path, name):
    path = tmp_path / name
    path.write_text(FORMS[name], encoding="utf-8")
    found = settings.from_file(path)
    assert found == WANTED
    assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in WANTED.items()}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "momentum = 0.1\nspeed = 3", "speed=3: unknown option; layers"),
        ("a.toml", "[model]\nmomentum = 0.1", "model={'momentum': 0.1}: unknown option"),
        ("a.toml", "momentum = ,", "line 1"),
        ("a.toml", "momentum = [0.1]", "momentum=[0.1]: a number is accepted"),
        ("a.toml", "n_epochs = 2.5", "n_epochs=2.5: a whole number is accepted"),
        ("a.toml", "n_epochs = true", "n_epochs=True: a whole number is accepted"),
        ("a.toml", 'embedding = "wide"', "embedding=wide: a whole number or layersize is accepted"),
        ("a.toml", 'layers = [100, "x"]', "layers=100/x: numbers split by / is accepted"),
        ("a.toml", "time_sort = 2", "time_sort=2: True, 1, False or 0 is accepted"),
        ("a.toml", "", "sets no option"),
        ("a.json", '{"loss": null}', "loss=None: a name is accepted"),
        ("a.json", '{"loss": 3}', "loss=3: a name is accepted"),
        ("a.json", '["momentum"]', "['momentum']: a table of options is needed"),
        ("a.json", '{"momentum": 0.1', "line 1"),
        ("a.json", "\udcff", "utf-8"),
        ("a.txt", "momentum=0.1\nspeed=3", "line 2: speed=3: unknown option"),
        ("a.txt", "momentum", "line 1: momentum: name=value is needed"),
        ("a.txt", "# nothing", "sets no option"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_named_with_what_is_wrong(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError) as problem:
        settings.from_file(path)
    assert str(problem.value).startswith(str(path))
    assert message in str(problem.value)


def test_json_has_a_null_for_plain_sgd(tmp_path):
    path = tmp_path / "sgd.json"
    path.write_text('{"adapt": null, "constrained_embedding": 1, "layers": "7"}', encoding="utf-8")
    assert settings.from_file(path) == dict(adapt=None, constrained_embedding=True, layers=[7])


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("embedding", "layersize", "layersize"),
        ("embedding", "0", 0),
        ("embedding", "50", 50),
        ("logq", "1", 1.0),
        ("dwell_time", "8", 8),
        ("dwell_weight", "1", 1.0),
        ("adapt", "None", None),
        ("layers", "7", [7]),
        ("time_sort", "False", False),
    ],
)
def test_an_option_as_text(name, text, value):
    found = settings.parse(name, text)
    assert found == value and type(found) is type(value)
    assert settings.parse_pair(f" {name} = {text} ") == (name, value)


def test_a_chosen_file_is_named_by_its_stem(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("momentum = 0.2", encoding="utf-8")
    assert settings.choose(["top1", str(path)]) == {"top1": settings.RSC15["top1"], "mine": {"momentum": 0.2}}
