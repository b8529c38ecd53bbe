"""A part that is missing, extra, of another type or shape, or not finite: refused, by file and key."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from parity.recordings.reading import recording_of

RICH = ["dropout-both-constrained", "dropout-both-separate", "layers-two", "first-paper-top1"]
PATH = Path("some/file.npz")


def forms(arrays):
    """One key of each form: steps, layers and predictions are alike."""
    found = {}
    for key in arrays:
        found.setdefault(re.sub(r"^step(?!000)\d+", "stepK", re.sub(r"^predict[12]", "predict1", key)), key)
    return list(found.values())


def refused(arrays, key):
    with pytest.raises(ValueError) as caught:
        recording_of(arrays, PATH)
    assert str(caught.value).startswith(f"{PATH}: "), caught.value
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    if key:
        assert f" {key}: " in str(caught.value), caught.value


@pytest.mark.parametrize("name", RICH)
def test_unchanged_it_is_accepted(shipped, name):
    assert recording_of(shipped(name), PATH).name == "file"


@pytest.mark.parametrize("name", RICH)
def test_every_part_is_missed(shipped, name):
    whole = shipped(name)
    for key in whole if name == RICH[0] else forms(whole):
        arrays = dict(whole)
        del arrays[key]
        # without its name the reader cannot know a whole kind of mask or item list from the others
        refused(arrays, key)


@pytest.mark.parametrize("name", RICH)
def test_every_part_under_another_name_is_refused(shipped, name):
    whole = shipped(name)
    for key in forms(whole):
        for other in (key + "x", key.upper() + "0", "x/" + key):
            arrays = {other if k == key else k: values for k, values in whole.items()}
            refused(arrays, None)


@pytest.mark.parametrize("name", RICH)
def test_every_part_with_another_axis_is_refused(shipped, name):
    whole = shipped(name)
    for key in forms(whole):
        refused(whole | {key: whole[key][None]}, key)
        if whole[key].ndim:
            refused(whole | {key: whole[key][0]}, key)


@pytest.mark.parametrize("name", RICH)
def test_every_part_of_another_kind_is_refused(shipped, name):
    whole = shipped(name)
    for key in forms(whole):
        values = whole[key]
        others = ["c16", "m8[s]", "b1"] if values.dtype.kind != "b" else ["c16", "u1"]
        if not key.endswith(("/session", "/time", "/session_ids")):  # a session may have an id of any kind
            others += [other for other in ("U3", "f8", "i8") if np.dtype(other).kind != values.dtype.kind]
        if values.dtype.kind == "f" and not key.endswith("/time"):
            others.append("f2")
        for other in others:
            refused(whole | {key: np.zeros(values.shape, other)}, None)


@pytest.mark.parametrize("name", RICH)
def test_every_part_cut_short_is_refused(shipped, name):
    whole = shipped(name)
    for key in forms(whole):
        if whole[key].ndim and key != "eval/items":  # the list of a subset may have any length
            refused(whole | {key: whole[key][:-1]}, None)
            refused(whole | {key: whole[key][:0]}, None)
        if whole[key].ndim == 2:
            refused(whole | {key: whole[key][:, :-1]}, key)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", RICH)
def test_every_value_is_finite(shipped, name, value):
    whole = shipped(name)
    for key in forms(whole):
        if whole[key].dtype.kind == "f":
            changed = np.array(whole[key])
            changed.flat[-1] = value
            if value == np.inf and key.startswith("eval/subset/conservative"):
                recording_of(whole | {key: changed}, PATH)  # the reference has it
            else:
                refused(whole | {key: changed}, key)


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("step003/X", lambda x: x + 1000),
        ("step003/Y", lambda y: y * 0 - 1),
        ("step003/Y", lambda y: np.roll(y, 1)),
        ("step003/R", lambda r: ~r),
        ("step005/X", lambda x: x[::-1]),
        ("itemidmap", lambda ids: np.where(ids == ids[0], ids[1], ids)),
        ("itemidmap", lambda ids: ids + 1),
        ("train/item", lambda ids: ids[::-1]),
        ("n_steps", lambda n: n + 1),
        ("n_steps", lambda n: n - 1),
        ("n_steps", lambda n: n * 0),
        ("n_steps", lambda n: n - 1000),
        ("error_during_train", lambda e: ~e),
        ("epoch_loss", lambda loss: loss + 1e-4),
        ("step004/cost", lambda cost: cost + 1),
        ("eval/all/standard/5", lambda v: v + 1),
        ("eval/all/standard/5", lambda v: v * 0 - 1),
        ("eval/all/standard/5", lambda v: v[::-1] + [0, 0.5]),
        ("eval/items", lambda ids: ids + 1),
        ("eval/batch_size", lambda n: n * 0),
        ("predict1/input_item_ids", lambda ids: ids + 1),
    ],
)
def test_a_part_that_contradicts_another_is_refused(shipped, key, change):
    whole = shipped("layers-two")
    refused(whole | {key: np.asarray(change(whole[key]))}, None)


@pytest.mark.parametrize("name", ["layers-two", "sampling-none-in-batch-only", "first-paper-top1", "order-random"])
def test_without_its_last_step_it_is_refused(shipped, name):
    whole = shipped(name)
    last = int(whole["n_steps"]) - 1
    for fewer in (1, 2):
        arrays = {k: v for k, v in whole.items() if not any(k.startswith(f"step{last - j:03d}/") for j in range(fewer))}
        refused(arrays | {"n_steps": np.array(last + 1 - fewer)}, None)


@pytest.mark.parametrize(
    "prefix", ["init/", "final/", "step000/H", "step009/after/", "predict", "predict3/", "eval/", "eval/all/standard",
               "eval/subset/", "eval/sessions_batch/median/", "epoch_loss", "train/", "test/", "step019/grad"],
)  # fmt: skip
def test_a_group_of_parts_is_missed(shipped, prefix):
    whole = shipped("layers-two")
    assert any(key.startswith(prefix) for key in whole)
    refused({key: values for key, values in whole.items() if not key.startswith(prefix)}, None)


def spec_with(arrays, **changes):
    content = json.loads(str(arrays["spec"]))
    for name, value in changes.items():
        if value is KeyError:
            content.pop(name)
        else:
            content[name] = value
    return {**arrays, "spec": np.array(json.dumps(content))}


PARAMS = {"layers": [8, 6], "n_epochs": 2, "batch_size": 5, "n_sample": 8}


@pytest.mark.parametrize(
    "changes",
    [
        dict(params=KeyError), dict(keep=KeyError), dict(columns=KeyError), dict(dtype=KeyError),
        dict(sample_store=KeyError), dict(dtype="float16"), dict(dtype="float32"), dict(sample_store=-1),
        dict(sample_store="1"), dict(columns=["a", "b"]), dict(columns=["a", "b", "c"]), dict(columns=["a", "a", "b"]),
        dict(keep=[]), dict(keep=[2, 1]), dict(keep=[0, 1]), dict(keep=[0, 1, 2, 3, 9, 19]), dict(keep=[10**9]),
        dict(keep=[-1]), dict(keep="0"),
        dict(n_predictions=3), dict(n_predictions=0), dict(absent={"predictions": "why"}), dict(absent={"x": "why"}),
        dict(n_predictions=5),
        dict(n_predictions=10**9), dict(params=PARAMS | {"layers": [8]}), dict(params=PARAMS | {"layers": [8, 7]}),
        dict(params=PARAMS | {"layers": []}), dict(params=PARAMS | {"layers": [2**31 - 1] * 100}),
        dict(params=PARAMS | {"layers": [True, 6]}), dict(params=PARAMS | {"layers": "8/6"}),
        dict(params=PARAMS | {"n_epochs": 0}), dict(params=PARAMS | {"n_epochs": 3}),
        dict(params=PARAMS | {"n_epochs": 2**31 - 1}), dict(params=PARAMS | {"batch_size": 4}),
        dict(params=PARAMS | {"n_sample": 9}), dict(params=PARAMS | {"embedding": 3}),
        dict(params=PARAMS | {"constrained_embedding": True}), dict(params=PARAMS | {"dropout_p_hidden": 0.1}),
        dict(params=PARAMS | {"dropout_p_hidden": 1.0}), dict(params=PARAMS | {"unknown": 1}),
        dict(params=PARAMS | {"loss": "hinge"}), dict(params=PARAMS | {"learning_rate": float("nan")}),
        dict(params=PARAMS | {"sample_alpha": float("inf")}), dict(params=PARAMS | {"session_key": "other"}),
        dict(params=[]), dict(evaluations={}), dict(absent={"all": "why"}), dict(epoch_steps=[25]),
        dict(epoch_steps=[20, 20]), dict(epoch_steps=[24, 26]), dict(seed=-1),
        dict(evaluations={"all": {"modes": ["standard"], "cut_offs": [1]}}),
    ],
)  # fmt: skip
def test_a_spec_that_is_wrong_is_refused(shipped, changes):
    refused(spec_with(shipped("layers-two"), **changes), None)


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{}", "1", "{" * 100_000, "[" * 100_000, '{"a":1,"a":2}', "1" * 5000, "\x00", "{\x1b[2J", "é"],
)
@pytest.mark.parametrize("key", ["spec", "meta"])
def test_a_text_that_is_no_json_object_is_refused(shipped, key, text):
    if (key, text) != ("meta", "{}"):
        refused(shipped("opt-sgd") | {key: np.array(text or " ")}, key)


def test_messages_hold_nothing_that_steers_a_terminal(shipped):
    whole = shipped("opt-sgd")
    with pytest.raises(ValueError) as caught:
        recording_of(spec_with(whole, dtype="\x1b]0;owned\x07"), PATH)
    assert str(caught.value).isprintable()


def test_further_names_in_the_spec_are_free(shipped):
    assert recording_of(spec_with(shipped("opt-sgd"), drawn_by="hand"), PATH).spec.json["drawn_by"] == "hand"


def test_optional_parts_are_read(small):
    names = ("Wx0", "Wy", "H0", "Hnext0", "cost")
    scales = {f"step{k:03d}/scale/{name}": np.array(0.5) for k in (0, 3) for name in names}
    recording = recording_of(small | scales | {"step001/scale/cost": np.array(2.0)}, PATH)
    assert recording.version == 1 and recording.meta["who"] == "a test"
    assert recording.steps[3].scales == dict.fromkeys(names, 0.5)
    assert recording.steps[1].scales == {"cost": 2.0} and recording.steps[2].scales == {}
    without = {key: values for key, values in small.items() if key not in ("meta", "format")}
    assert recording_of(without, PATH).meta == {}


@pytest.mark.parametrize(
    "more",
    [
        {"format": np.array(2)}, {"format": np.array(1.0)}, {"format": np.array([1])}, {"meta": np.array("[1]")},
        {"meta": np.array('{"who": 1}')}, {"step000/scale/Wx9": np.array(1.0)}, {"step000/scale/Wx0": np.array(-1.0)},
        {"step000/scale/Wx0": np.array(np.nan)}, {"step000/scale/Wx0": np.array(1, "f4")},
        {"step001/scale/Wx0": np.array(1.0)}, {"step001/H0": np.zeros((2, 2))}, {"step999/X": np.zeros(2, "i4")},
        {"step0000/X": np.zeros(2, "i4")}, {"step000/mask0": np.ones((2, 2), bool)}, {"init/E": np.zeros((3, 2))},
        {"step000/grad/Wy": np.zeros((3, 2))}, {"predict4/scores": np.zeros((3, 2))},
        {"eval/all/standard/7": np.zeros(2)}, {"eval/all/other/5": np.zeros(2)}, {"readme": np.array("hello")},
    ],
)  # fmt: skip
def test_an_extra_part_is_refused(small, more):
    refused(small | more, next(iter(more)))


def with_records(small, kinds, keys):
    """The small recording with evaluations declared and recorded."""
    absent = {what: "not recorded" for what in ("all", "subset", "sessions_batch") if what not in kinds}
    arrays = spec_with(small, evaluations=kinds, absent=absent) | {f"eval/{key}": np.array([0.5, 0.25]) for key in keys}
    return arrays | {"eval/batch_size": np.array(2)}


STANDARD = {"modes": ["standard"], "cut_offs": [1, 5]}


def test_declared_records_are_owed(small):
    arrays = with_records(small, {"all": STANDARD}, ["all/standard/1", "all/standard/5"])
    (found,) = recording_of(arrays, PATH).evaluations
    assert found.by_cut_off == {1: (0.5, 0.25), 5: (0.5, 0.25)}
    refused(with_records(small, {"all": STANDARD}, ["all/standard/1"]), "eval/all/standard/5")


@pytest.mark.parametrize("more", ["all/standard/7", "all/median/1", "subset/standard/1"])
def test_records_that_are_not_declared_are_refused(small, more):
    refused(with_records(small, {"all": STANDARD}, ["all/standard/1", "all/standard/5", more]), f"eval/{more}")


def test_a_mode_of_the_reference_has_every_cut_off(shipped):
    whole = shipped("opt-sgd")
    more = {f"eval/{what}/median/20": np.array([0.5, 0.25]) for what in ("all", "subset")}
    refused(whole | more, "eval/all/median/1")
    for what in ("all", "subset"):
        more |= {f"eval/{what}/median/{N}": np.array([0.5, 0.25]) for N in (1, 5)}
    assert len(recording_of(whole | more, PATH).evaluations) == 9


def test_costs_that_overflow_are_refused(small):
    refused(small | {f"step00{k}/cost": np.array(1e308) for k in range(8)}, "epoch_loss")


def test_ids_may_be_texts_and_times_whole_numbers(small):
    arrays = dict(small)
    for key in ("train/session", "train/item", "test/session", "test/item", "itemidmap", "eval/items"):
        arrays[key] = arrays[key].astype("U8") if key in arrays else None
    arrays = {key: values for key, values in arrays.items() if values is not None}
    for key in [key for key in arrays if key.endswith(("session_ids", "input_item_ids"))]:
        arrays[key] = arrays[key].astype("U8")
    arrays |= {f"{part}/time": arrays[f"{part}/time"].astype(int) for part in ("train", "test")}
    recording = recording_of(arrays, PATH)
    assert list(recording.itemidmap) == ["7", "8", "9"] and recording.train["Time"].dtype == int
