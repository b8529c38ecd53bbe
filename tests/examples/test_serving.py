"""The example service: sessions go on, are bounded and expire; what is no request is refused."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "serving"


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture(scope="module")
def modules():
    sys.path.insert(0, str(FOLDER))
    try:
        import recommender
        import service
        import store

        yield recommender, service, store
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def model():
    from gru4rec.baselines.models import ALL

    random = np.random.RandomState(0)
    frame = pd.DataFrame({"SessionId": np.repeat(np.arange(60), 5), "ItemId": random.randint(20, size=300) + 100})
    made = ALL["vsknn"]()
    made.fit(frame.assign(Time=np.arange(300)))
    return made


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def client(modules, model, clock):
    from fastapi.testclient import TestClient

    recommender, service, store = modules
    app = service.create(recommender.Recommender(model, "vsknn"), store.SessionStore(3, 60, clock))
    with TestClient(app) as found:
        yield found


def after(model, items, k):
    """The best k items after these, by the model alone."""
    hidden = [np.zeros((1, width), model.dtype) for width in model.layers]
    for item in items:
        scores, hidden = model.scores(np.array([model.itemidmap[item]]), hidden)
    order = np.argsort(-scores[0], kind="stable")[:k]
    return model.itemidmap.index[order].tolist(), scores[0][order].tolist()


def test_sessions_go_on_beside_each_other(client, model):
    clicks = {"a": [101, 105, 101], "b/ü": [110, 103]}
    for place in range(3):
        for session, items in clicks.items():
            if place < len(items):
                answer = client.post("/sessions/a/events" if session == "a" else "/sessions/b%C3%BC/events",
                                     json={"item": items[place], "k": 4})  # fmt: skip
                assert answer.status_code == 200
                items_expected, scores = after(model, items[: place + 1], 4)
                assert answer.json()["items"] == items_expected and answer.json()["known"]
                assert answer.json()["scores"] == pytest.approx(scores)
    again = client.get("/sessions/a/recommendations", params={"k": 4}).json()
    assert again["items"] == after(model, clicks["a"], 4)[0]
    assert client.get("/health").json() == {"status": "ok", "model": "vsknn", "items": 20, "sessions": 2}


def test_an_unknown_item_changes_nothing(client, model):
    assert client.post("/sessions/a/events", json={"item": 9}).json() == {"items": [], "scores": [], "known": False}
    client.post("/sessions/a/events", json={"item": 101})
    found = client.post("/sessions/a/events", json={"item": "101", "k": 3}).json()
    assert found["known"] is False and found["items"] == after(model, [101], 3)[0]
    found = client.post("/sessions/a/events", json={"item": 102, "k": 3}).json()
    assert found["items"] == after(model, [101, 102], 3)[0]


def test_an_event_without_recommendations(client):
    found = client.post("/sessions/a/events", json={"item": 101, "recommend": False})
    assert found.json() == {"items": [], "scores": [], "known": True}
    assert len(client.get("/sessions/a/recommendations").json()["items"]) == 20


def test_sessions_are_bounded_and_expire(client, clock):
    for session in "abcd":
        assert client.post(f"/sessions/{session}/events", json={"item": 101}).status_code == 200
    assert client.get("/health").json()["sessions"] == 3
    assert client.get("/sessions/a/recommendations").status_code == 404  # it was idle longest
    clock.seconds = 40
    assert client.get("/sessions/b/recommendations").status_code == 200
    clock.seconds = 70
    assert client.get("/sessions/c/recommendations").status_code == 404
    assert client.get("/sessions/b/recommendations").status_code == 200
    assert client.delete("/sessions/b").status_code == 204 and client.delete("/sessions/b").status_code == 404


@pytest.mark.parametrize(
    "body",
    [{}, {"item": None}, {"item": 1.5}, {"item": True}, {"item": ""}, {"item": [101]}, {"item": 101, "k": 0},
     {"item": 101, "k": 101}, {"item": 101, "k": "many"}, {"item": 101, "more": 1}, {"item": "x" * 1001}, [101]],
)  # fmt: skip
def test_what_is_no_event(client, body):
    assert client.post("/sessions/a/events", json=body).status_code == 422
    assert client.get("/health").json()["sessions"] == 0


def test_what_is_no_request(client):
    assert client.post("/sessions/a/events", content=b"{").status_code == 422
    assert client.get("/sessions/a/recommendations", params={"k": 0}).status_code == 422
    assert client.post(f"/sessions/{'x' * 201}/events", json={"item": 101}).status_code == 422
    assert client.get("/sessions/a/recommendations").status_code == 404


def test_a_failure_of_the_model_reaches_those_who_wait(modules, model, clock):
    from fastapi.testclient import TestClient

    recommender, service, store = modules
    made = recommender.Recommender(model)
    with TestClient(service.create(made, store.SessionStore(3, 60, clock)), raise_server_exceptions=False) as client:
        made.model = None
        assert client.post("/sessions/a/events", json={"item": 101}).status_code == 500
        made.model = model
        assert client.post("/sessions/a/events", json={"item": 101}).status_code == 200


def test_the_store_refuses_what_it_cannot_be(modules):
    for arguments in ((0, 60), (3, 0), (3, float("nan"))):
        with pytest.raises(ValueError, match="is accepted"):
            modules[2].SessionStore(*arguments)


def test_a_saved_model_is_served(modules, model, tmp_path, monkeypatch):
    from fastapi.testclient import TestClient

    model.save(tmp_path / "model")
    monkeypatch.setenv("MODEL", str(tmp_path / "model"))
    with TestClient(modules[1].from_environment()) as client:
        assert client.get("/health").json()["model"] == "model"
        found = client.post("/sessions/a/events", json={"item": 101, "k": 2}).json()
        assert found["items"] == after(model, [101], 2)[0]
    monkeypatch.delenv("MODEL")
    with pytest.raises(RuntimeError, match="MODEL names no file"):
        modules[1].from_environment()
