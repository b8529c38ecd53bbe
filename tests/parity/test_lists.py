"""Recorded lists: reading them, comparing an engine's with them, the verdict."""

import command_line
import numpy as np
import pandas as pd
import pytest
from numpy_gru4rec import GRU4Rec

from parity import data, lists
from parity.commands import lists as command

PARAMS = dict(layers=[5], batch_size=6, n_sample=4, n_epochs=1)
HEADER = lists.COLUMNS


@pytest.fixture(scope="module")
def dataset():
    return data.embedded(sessions=40, items=25, test_sessions=25, seed=2)


@pytest.fixture(scope="module")
def engine(dataset):
    made = GRU4Rec(**PARAMS)
    made.prepare(dataset.train, 40)
    return made


def written(path, engine, dataset, length=20):
    """A file of the engine's own lists, one event at a time."""
    ids = engine.itemidmap.index
    known = dataset.test[dataset.test["ItemId"].isin(ids)].sort_values(["SessionId", "Time", "ItemId"])
    rows = []
    for session, events in known.groupby("SessionId"):
        hidden = [np.zeros((1, 5))]
        for position, item in enumerate(events["ItemId"].iloc[:-1]):
            scores, hidden = engine.scores(engine.itemidmap[[item]].to_numpy(), hidden)
            best = sorted(range(len(ids)), key=lambda i: (-scores[0, i], i))[:length]
            fields = ",".join(str(ids[i]) for i in best), ",".join(repr(float(scores[0, i])) for i in best)
            rows.append(f"{session};{position};{fields[0]};{fields[1]}")
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path, len(rows)


def test_an_engine_agrees_with_lists_of_its_own(tmp_path, engine, dataset):
    path, count = written(tmp_path / "lists.csv", engine, dataset)
    recorded = lists.read(path, dataset)
    ours = lists.made_by(engine, recorded, dataset, [5])
    found = lists.likeness(recorded, ours)
    assert len(recorded.items) == count and recorded.predictions.tolist() == list(range(count))
    assert found.shared == {20: 1, 10: 1, 5: 1} and found.first == 1
    assert found.correlation == pytest.approx(1) and lists.hits(recorded, ours.items) == lists.hits(
        recorded, recorded.items
    )


def test_hits_are_those_of_the_targets_place(tmp_path, engine, dataset):
    recorded = lists.read(written(tmp_path / "lists.csv", engine, dataset)[0], dataset)
    places = [row.tolist().index(t) + 1 if t in row else 0 for row, t in zip(recorded.items[:, :3], recorded.targets)]
    recall, mrr = lists.hits(recorded, recorded.items, 3)
    assert recall == pytest.approx(np.mean([place > 0 for place in places]))
    assert mrr == pytest.approx(np.mean([1 / place if place else 0 for place in places]))


def test_an_engine_with_another_order_of_items_is_compared_by_id(tmp_path, engine, dataset):
    recorded = lists.read(written(tmp_path / "lists.csv", engine, dataset)[0], dataset)

    class Reversed:
        n_items = engine.n_items
        itemidmap = pd.Series(np.arange(engine.n_items), index=engine.itemidmap.index[::-1])

        def scores(self, X, hidden, items=None):
            scores, hidden = engine.scores(engine.n_items - 1 - np.asarray(X), hidden)
            return scores[:, ::-1], hidden

    assert lists.likeness(recorded, lists.made_by(Reversed(), recorded, dataset, [5])).shared[20] == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{s};0", "2 fields"),
        ("nobody;0;{a},{b};2,1", "session 'nobody' is not in the test data"),
        ("{s};-1;{a},{b};2,1", "position '-1'"),
        ("{s};99;{a},{b};2,1", "position 99: the session has"),
        ("{s};0;{a},7777777;2,1", "item '7777777' is not in the training data"),
        ("{s};0;{a},{a};2,1", "an item stands twice"),
        ("{s};0;{a},{b};2,x", "a score is no number"),
        ("{s};0;{a},{b};2", "2 items and 1 scores"),
        ("{s};0;{a},{b};nan,1", "not finite"),
        ("{s};0;{a},{b};1,2", "do not fall"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, engine, dataset, line, words):
    path, count = written(tmp_path / "lists.csv", engine, dataset)
    session = path.read_text().splitlines()[1].partition(";")[0]
    a, b = engine.itemidmap.index[:2]
    path.write_text(path.read_text() + line.format(s=session, a=a, b=b) + "\n")
    with pytest.raises(ValueError, match=words) as raised:
        lists.read(path, dataset)
    assert f"lists.csv, line {count + 2}: " in str(raised.value)


def test_the_same_prediction_twice_other_lengths_and_no_list_are_named(tmp_path, engine, dataset):
    path, count = written(tmp_path / "lists.csv", engine, dataset)
    whole = path.read_text()
    path.write_text(whole + whole.splitlines()[1] + "\n")
    with pytest.raises(ValueError, match=f"line {count + 2}: the same prediction as line 2"):
        lists.read(path, dataset)
    first = whole.splitlines()[1].split(";")
    cut = ";".join([*first[:2], *(part.rpartition(",")[0] for part in first[2:])])
    path.write_text("\n".join([*whole.splitlines()[:1], *whole.splitlines()[2:], cut]) + "\n")
    with pytest.raises(ValueError, match="19 items, where the lines before have 20"):
        lists.read(path, dataset)
    path.write_text(HEADER + "\n")
    with pytest.raises(ValueError, match="no list"):
        lists.read(path, dataset)
    path.write_text("a;b\n")
    with pytest.raises(ValueError, match="line 1: the header"):
        lists.read(path, dataset)


# The verdict.


def judged(same, other, predictions=300, sessions=60, seed=0):
    """Lists of which the shares ``same`` and ``other`` of the items are the recorded ones."""
    stream = np.random.RandomState(seed)
    items = np.argsort(stream.rand(predictions, 1000), axis=1)[:, :20]

    def like(share):
        kept = stream.rand(*items.shape) < share
        return lists.Ours(np.where(kept, items, items + 1000), np.zeros(items.shape))

    recorded = lists.Recorded(
        np.arange(predictions) % sessions, np.arange(predictions), items[:, 0], items, np.zeros(items.shape), None
    )
    return [part.status for part in lists.judge(recorded, like(same), like(other))]


@pytest.mark.parametrize(
    ("same", "other", "status"),
    [
        (0.98, 0.78, "held"),
        (1.0, 0.78, "held"),
        (0.78, 0.78, "failed"),  # no nearer than another seed
        (0.9, 0.78, "failed"),
        (0.945, 0.78, "not covered"),  # at the bound
        (1.0, 1.0, "not covered"),  # the seed changes nothing
    ],
)
def test_the_same_seed_has_to_be_far_nearer_than_another(same, other, status):
    assert judged(same, other)[0] == status


# The command.


def run(*arguments):
    """The command's exit status."""
    return command_line.run(command, "lists", "--engine", "numpy_gru4rec:GRU4Rec", "--device", "cpu", *arguments)


@pytest.fixture
def files(tmp_path, engine, dataset):
    paths = command_line.write(dataset, tmp_path)
    path, _ = written(tmp_path / "lists.csv", engine, dataset)
    return ["--train", paths["train"], "--test", paths["test"], "--lists", path]


def test_a_damaged_file_shows_before_any_training(files):
    files[-1].write_text(f"{HEADER}\n1;2\n")
    with pytest.raises(ValueError, match="lists.csv, line 2: 2 fields"):
        run(*files)


def test_the_yardstick_needs_another_seed(files):
    with pytest.raises(ValueError, match="--other-seed 42"):
        run(*files, "--other-seed", 42)


def test_the_command_prints_both_seeds_and_a_verdict(files, engine, monkeypatch, capsys):
    """The engine that wrote the lists, with its own seed and with another."""

    def fit(self, train):
        self.prepare(train, 40)

    monkeypatch.setattr(GRU4Rec, "fit", fit, raising=False)
    options = [text for name, value in PARAMS.items() for text in ("--set", f"{name}={value}".replace("[5]", "5"))]
    config = files[-1].with_name("run.txt")
    config.write_text("layers=5")
    assert run(*files, "--config", config, *options, "--dtype", "float64") == 0
    printed = capsys.readouterr().out
    assert "same top-20 items" in printed and "seed 42" in printed and "seed 43" in printed
    assert printed.splitlines()[-1] == "lists: numpy_gru4rec:GRU4Rec held"
