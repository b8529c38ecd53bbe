"""Damaged files: each is a ValueError that names the file and what is wrong, without memory, code or a crash."""

import contextlib
import copy
import json
import math
import pickle
import re
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from engine_tools import (
    ENGINES,
    changed_at,
    join_file,
    peak_memory,
    places,
    plain,
    split_file,
    unfolded,
    value_at,
    write_changed,
)
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

MEBI = 2**20


def refuses(engine, path):
    """Loading is a ValueError that begins with the file's path."""
    with pytest.raises(ValueError) as caught:
        engine.GRU4Rec.load(path)
    assert type(caught.value) is ValueError or isinstance(caught.value, ValueError)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and len(text) > len(f"{path}: ") + 3
    assert len(text) < len(str(path)) + 2000, "no file is printed whole"
    return text


def tensors_of(data):
    header, body = split_file(data)
    start = len(data) - len(body)
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            yield name, start + begin, start + end


def test_the_file_is_safetensors(saved):
    """Tensors by name and JSON: what other programs can read, and what these tests damage."""
    from safetensors.numpy import load_file

    names = [name for name, begin, end in tensors_of(saved.read_bytes())]
    assert sorted(load_file(saved)) == sorted(names) and len(names) >= 12


def test_a_flipped_bit_in_every_tensor(engine, saved, tmp_path):
    """First, last and middle byte of each tensor, lowest and highest bit."""
    data, path = saved.read_bytes(), tmp_path / "model"
    for name, begin, end in tensors_of(data):
        for place in {begin, (begin + end) // 2, end - 1}:
            if begin == end:
                continue
            for bit in (1, 128):
                damaged = bytearray(data)
                damaged[place] ^= bit
                path.write_bytes(damaged)
                with pytest.raises(ValueError) as caught:
                    engine.GRU4Rec.load(path)
                assert str(caught.value).startswith(f"{path}: "), name


def test_swapped_tensors(engine, saved, tmp_path):
    """Two tensors of one shape that change places are noticed."""
    data = saved.read_bytes()
    header, body = split_file(data)
    shapes = {}
    for name, entry in header.items():
        if name != "__metadata__" and max(entry["shape"], default=0) > 1:
            shapes.setdefault((entry["dtype"], *entry["shape"]), []).append(name)
    pairs = [names for names in shapes.values() if len(names) > 1]
    swapped = 0
    for a, b, *_ in pairs:
        changed = copy.deepcopy(header)
        changed[a]["data_offsets"], changed[b]["data_offsets"] = header[b]["data_offsets"], header[a]["data_offsets"]
        begin, end = header[a]["data_offsets"], header[b]["data_offsets"]
        if body[slice(*begin)] == body[slice(*end)]:
            continue
        swapped += 1
        (tmp_path / "model").write_bytes(join_file(changed, body))
        refuses(engine, tmp_path / "model")
    assert swapped


def test_truncated(engine, saved, tmp_path):
    data, path = saved.read_bytes(), tmp_path / "model"
    header_end = len(data) - len(split_file(data)[1])
    lengths = [0, 1, 7, 8, 9, header_end - 1, header_end, header_end + 1, len(data) // 2, len(data) - 8, len(data) - 1]
    for length in lengths:
        path.write_bytes(data[:length])
        refuses(engine, path)


def test_something_added(engine, saved, tmp_path):
    path = tmp_path / "model"
    for more in (b"\0", b"x" * 100):
        path.write_bytes(saved.read_bytes() + more)
        refuses(engine, path)


def test_other_files(engine, tmp_path, saved):
    """Texts, noise, zeros, an archive, and a folder are no models."""
    path = tmp_path / "model"
    for data in (
        b"SessionId\tItemId\tTime\n1\t2\t3\n" * 10,
        np.random.RandomState(0).bytes(5000),
        bytes(5000),
        b"PK\3\4" * 50,
    ):
        path.write_bytes(data)
        refuses(engine, path)
    with pytest.raises((ValueError, OSError)) as caught:
        engine.GRU4Rec.load(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_model_of_the_other_engine(engine, tmp_path):
    other = ENGINES["keras_port" if engine.name == "original" else "original"]
    other.prepared().save(tmp_path / "model")
    text = refuses(engine, tmp_path / "model")
    assert re.search("format|engine|saved by|written by", text)


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_nothing_is_unpickled(engine, protocol, tmp_path):
    path, trace = tmp_path / "model", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Attack(trace), protocol))
    refuses(engine, path)
    assert not trace.exists()


# The checksum: what stands behind it is reached only by a forger, so it is put out of force in the engine.


class SameDigest:
    """A SHA-256 that takes everything for the same."""

    digest_size, block_size, name = 32, 64, "sha256"

    def __init__(self, *data, **options):
        pass

    def update(self, data):
        pass

    def copy(self):
        return self

    def hexdigest(self):
        return "0" * 64

    def digest(self):
        return bytes(32)


@contextlib.contextmanager
def without_checksum(engine):
    """Every checksum of the engine's files fits."""
    hashing = [m for n, m in sys.modules.items() if n.startswith(f"{engine.name}.") and hasattr(m, "hashlib")]
    assert hashing, "no module of the engine makes a checksum by hashlib"
    with pytest.MonkeyPatch.context() as patch:
        for module in hashing:
            patch.setattr(module, "hashlib", SimpleNamespace(sha256=SameDigest))
        yield


@pytest.fixture(params=["checksum", "forged"])
def fresh(request, engine, tmp_path):
    """(header, tensors' bytes) of a small model's file, read with its checksum and without one."""
    gru = engine.prepared(sample_store=40, dropout_p_hidden=0.5)
    with contextlib.ExitStack() as stack:
        if request.param == "forged":
            stack.enter_context(without_checksum(engine))
        gru.save(tmp_path / "whole")
        engine.GRU4Rec.load(tmp_path / "whole")
        header, body = split_file((tmp_path / "whole").read_bytes())
        yield unfolded(header), body


# The header.

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(
        [-1, 0, 1, 2**31, 2**40, 2**63, -(2**63), 2**64, 10**30, 625, 700, 1e308, -0.0, math.inf, math.nan]
    )
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["float32", "F32", "F64", "I64", "U64", "BOOL", "float16", "adam", "softmax", "\ud800", "0" * 64])
    | st.integers(5000, 6000).map(lambda n: 10**1000 + n),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@st.composite
def mutated(draw, header):
    """A header with one to three mutations: values replaced, removed, doubled, renamed, or moved to another place."""
    for _ in range(draw(st.integers(1, 3))):
        everywhere = list(places(header))
        if not everywhere:
            return header
        path = draw(st.sampled_from(everywhere))
        kind = draw(st.sampled_from(["replace", "replace", "replace", "remove", "rename", "copy", "nudge"]))
        value = draw(JSON)
        if kind == "copy":
            value = copy.deepcopy(value_at(header, draw(st.sampled_from(everywhere))))
        name = draw(st.text(max_size=6))
        step = draw(st.sampled_from([-1, 1, 8, -8, 10**9]))

        def change(container, key, kind=kind, value=value, name=name, step=step):
            if key is None or not isinstance(container, (dict, list)):
                return
            if kind == "remove":
                del container[key]
            elif kind == "rename" and isinstance(container, dict):
                container[name] = container.pop(key)
            elif kind == "nudge" and type(container[key]) in (int, float):
                container[key] += step
            else:
                container[key] = value

        header = changed_at(header, path, change)
    return header


def loads_or_refuses(engine, path):
    """A model that answers, or a ValueError that names the file; nothing else, and no large memory."""
    peak = peak_memory()
    try:
        gru = engine.GRU4Rec.load(path)
    except ValueError as refusal:
        assert str(refusal).startswith(f"{path}: "), str(refusal)[:300]
        assert len(str(refusal)) < 5000
    else:
        json.dumps(gru.get_params())
        gru.get_weights()
        assert gru.n_items == len(gru.itemidmap) == len(gru.predict_next_batch([1], gru.itemidmap.index[:1], batch=1))
    assert peak() < 300 * MEBI


@pytest.mark.filterwarnings("ignore")
def test_mutated_headers(engine, fresh, tmp_path):
    header, body = fresh
    path = tmp_path / "model"

    @settings(max_examples=200, deadline=None, phases=[Phase.generate])  # shrinking a fault would take minutes
    @given(mutated(header))
    def check(changed):
        try:
            write_changed(path, changed, body)
        except (ValueError, UnicodeError):
            return
        loads_or_refuses(engine, path)

    check()


@pytest.mark.filterwarnings("ignore")
def test_every_number_huge(engine, fresh, tmp_path):
    """Each number of the header alone, and each size, made huge or negative: nothing is believed."""
    header, body = fresh
    path = tmp_path / "model"
    numbers = [place for place in places(header) if place[-1] is not None and is_number(value_at(header, place))]
    assert len(numbers) > 50
    for place in numbers:
        for huge in (2**40, -1):
            write_changed(
                path, changed_at(header, place, lambda c, k, huge=huge: c.__setitem__(k, as_given(c[k], huge))), body
            )
            loads_or_refuses(engine, path)


def is_number(value):
    return type(value) in (int, float) or (isinstance(value, str) and value.isdigit() and len(value) < 12)


def as_given(before, value):
    return str(value) if isinstance(before, str) else value


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "option, value", [("batch_size", 10**12), ("layers", [10**7]), ("embedding", 10**9), ("batch_size", 10**8)]
)
def test_huge_options(engine, fresh, option, value, tmp_path):
    """Options of a file that ask for memory which its tensors do not have are refused or cost nothing."""
    header, body = fresh
    path = tmp_path / "model"
    here = [place for place in places(header) if place[-1] == option]
    assert len(here) == 1
    write_changed(path, changed_at(header, here[0], lambda c, k: c.__setitem__(k, value)), body)
    if option == "batch_size":
        loads_or_refuses(engine, path)
    else:
        refuses(engine, path)


@pytest.mark.parametrize("length", [2**62, 2**63, 2**64 - 1, 2**40, 100_000_001, 10**9])
def test_declared_header_length(engine, length, tmp_path, saved):
    path, peak = tmp_path / "model", peak_memory()
    path.write_bytes(struct.pack("<Q", length) + saved.read_bytes()[8:])
    refuses(engine, path)
    assert peak() < 100 * MEBI


@pytest.mark.parametrize("shape", [[2**40], [2**32, 2**32], [2**63], [-1], [10**10, 4]])
def test_declared_shapes(engine, shape, tmp_path, saved):
    """A tensor that says it is larger than the file."""
    header, body = split_file(saved.read_bytes())
    path = tmp_path / "model"
    name = next(name for name, entry in header.items() if name.endswith("Wy"))
    size = math.prod(shape) * 4
    for offsets in ([header[name]["data_offsets"][0], size], [0, size], header[name]["data_offsets"]):
        changed = {**header, name: {**header[name], "shape": shape, "data_offsets": offsets}}
        path.write_bytes(join_file(changed, body))
        peak = peak_memory()
        refuses(engine, path)
        assert peak() < 100 * MEBI


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", "5", '"x"', "{}", '{"__metadata__": 5}', '{"__metadata__": {}}', "[" * 100_000, "\xff"]
)
def test_other_headers(engine, text, tmp_path):
    data = text.encode("latin-1")
    (tmp_path / "model").write_bytes(struct.pack("<Q", len(data)) + data)
    refuses(engine, tmp_path / "model")


def test_a_missing_or_further_tensor(engine, saved, tmp_path):
    """Each tensor taken out, renamed, or doubled under another name."""
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    path, tensors = tmp_path / "model", load_file(saved)
    with safe_open(saved, "np") as file:
        meta = file.metadata()
    for name in tensors:
        for changed in (
            {n: t for n, t in tensors.items() if n != name},
            {n + "x" * (n == name): t for n, t in tensors.items()},
            {**tensors, name + "x": tensors[name]},
        ):
            save_file(changed, path, meta)
            refuses(engine, path)


# Behind the checksum: what a program with a fault, or a forger, would write.


@pytest.fixture
def forged(engine, tmp_path):
    """(path, tensors, header's texts) of a file whose checksum fits whatever its tensors are."""
    from safetensors import safe_open
    from safetensors.numpy import load_file

    gru = engine.prepared(sample_store=40, dropout_p_hidden=0.5)
    path = tmp_path / "model"
    with without_checksum(engine):
        gru.save(path)
        engine.GRU4Rec.load(path)
        with safe_open(path, "np") as file:
            meta = file.metadata()
        yield path, load_file(path), meta


POSITION = re.compile("pos|pointer|place|cursor", re.IGNORECASE)


def test_positions_of_streams(engine, forged):
    """A position outside its stream would read foreign memory; it is refused wherever it stands."""
    from safetensors.numpy import save_file

    path, tensors, meta = forged
    names = [n for n, t in tensors.items() if POSITION.search(n) and t.dtype.kind in "iu" and t.size and t.ndim < 2]
    header = unfolded({"__metadata__": meta})
    inside = [p for p in places(header) if isinstance(p[-1], str) and POSITION.search(p[-1])]
    inside = [p for p in inside if is_number(value_at(header, p))]
    assert names or inside, "no position found in the file"
    for bad in (625, 700, 100_000, -5, 2**40):
        for name in names:
            info = np.iinfo(tensors[name].dtype)
            if not info.min <= bad <= info.max:
                continue
            changed = tensors[name].copy()
            changed.flat[0] = bad
            save_file({**tensors, name: changed}, path, meta)
            refuses(engine, path)
        for place in inside:
            new = changed_at(header, place, lambda c, k, bad=bad: c.__setitem__(k, as_given(c[k], bad)))
            _, body = split_file(path.read_bytes())
            save_file(tensors, path, meta)
            whole, body = split_file(path.read_bytes())
            whole = unfolded(whole)
            whole["__metadata__"] = new["__metadata__"]
            write_changed(path, whole, body)
            refuses(engine, path)


def test_wrong_types_of_tensors(engine, forged):
    """Each tensor in another type, or in another shape of the same size."""
    from safetensors.numpy import save_file

    path, tensors, meta = forged
    for name, value in tensors.items():
        if value.dtype == np.uint8:  # bytes of texts have no other size to be told from
            continue
        other = value.astype(np.float64 if value.dtype != np.float64 else np.float32)
        for damaged in (other, value.reshape(1, *value.shape)):
            save_file({**tensors, name: damaged}, path, meta)
            with pytest.raises(ValueError) as caught:
                engine.GRU4Rec.load(path)
            assert str(caught.value).startswith(f"{path}: "), name


def test_ids_that_are_not_different(engine, forged):
    """Two items with one id are no item map."""
    from safetensors.numpy import save_file

    path, tensors, meta = forged
    ids = [
        n for n, t in tensors.items() if t.dtype == np.int64 and sorted(t.reshape(-1).tolist()) == list(range(100, 108))
    ]
    assert len(ids) == 1
    twice = tensors[ids[0]].copy()
    twice[0] = twice[1]
    save_file({**tensors, ids[0]: twice}, path, meta)
    refuses(engine, path)


def test_forged_file_trains_on(engine, forged):
    """The stand-in for the checksum is no fault of its own: the file as it was written goes on."""
    path = forged[0]
    assert engine.GRU4Rec.load(path).n_items == len(set(plain()["ItemId"]))
