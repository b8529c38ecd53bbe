"""Croissant descriptions: valid by the standard's own library, and true of the files beside them."""

import hashlib
import logging

import mlcroissant
import pandas as pd
import pytest

from gru4rec import cli
from gru4rec.datasets import croissant


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """{set: its folder}: RSC15, RetailRocket and MovieLens of synthetic raw files, the second one as Parquet."""
    root = tmp_path_factory.mktemp("prepared")
    folders = {}
    for name, sample, prepare in (
        ("rsc15", ["--clicks", "4000", "--items", "100", "--days", "4"], []),
        ("retailrocket", ["--events", "5000", "--items", "100"], ["--format", "parquet"]),
        ("movielens", ["--ratings", "20000", "--movies", "300"], []),
    ):
        raw, folders[name] = root / f"{name}.raw", root / name
        assert cli.main(["sample", name, *sample, "--out", str(raw)]) == 0
        assert cli.main(["prepare", name, str(raw), *prepare, "--out", str(folders[name])]) == 0
    return folders


@pytest.mark.parametrize("name", ["rsc15", "retailrocket", "movielens"])
def test_the_standards_library_finds_no_error(prepared, name, caplog):
    caplog.set_level(logging.WARNING)
    dataset = mlcroissant.Dataset(jsonld=prepared[name] / f"{name}_croissant.json")
    assert not dataset.metadata.ctx.issues.errors
    assert "context" not in caplog.text and {each.id for each in dataset.metadata.record_sets} >= {"test"}


@pytest.mark.parametrize("name, part", [("rsc15", "test"), ("movielens", "dev")])
def test_the_standards_library_reads_the_records(prepared, name, part):
    dataset = mlcroissant.Dataset(jsonld=prepared[name] / f"{name}_croissant.json")
    frame = pd.DataFrame(list(dataset.records(part)))
    frame.columns = [column.rpartition("/")[2] for column in frame.columns]
    plain = pd.read_csv(prepared[name] / f"{name}_{part}.txt", sep="\t")
    assert len(frame) == len(plain) > 100
    for column in ("SessionId", "ItemId", "Time"):
        assert (frame[column].to_numpy() == plain[column].to_numpy()).all()


@pytest.mark.parametrize("name", ["rsc15", "retailrocket", "movielens"])
def test_it_says_what_is_true_of_the_files(prepared, name):
    path = prepared[name] / f"{name}_croissant.json"
    parts, raw, raw_events = croissant.read(path)
    assert len(parts) == 4 and len(raw) == 1 and raw_events == {"rsc15": 4000, "retailrocket": 5000}.get(name, 20000)
    for file in parts.values():
        content = (prepared[name] / file.name).read_bytes()
        assert file.size == len(content) and file.sha256 == hashlib.sha256(content).hexdigest()
    content = next(path for path in prepared[name].parent.rglob(raw[0].name)).read_bytes()
    assert raw[0].sha256 == hashlib.sha256(content).hexdigest()


def test_another_file_is_no_description(tmp_path):
    path = tmp_path / "some.json"
    path.write_text('{"distribution": [{"name": "x"}]}')
    with pytest.raises(ValueError, match="is no Croissant description of prepared files"):
        croissant.read(path)
