"""A service that recommends the next items of running sessions, over HTTP.

    MODEL=model.safetensors uvicorn --app-dir examples/serving --factory service:from_environment

- ``POST /sessions/ID/events`` with ``{"item": ITEM, "k": 20}``: the session goes on with this item; answers with the
  best next items. ``"recommend": false`` answers without any.
- ``GET /sessions/ID/recommendations?k=20``: the same without an event.
- ``DELETE /sessions/ID``: the session ends.
- ``GET /health``: model, items, sessions that run.
"""

import os
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr
from recommender import MOST_ITEMS, Recommender
from store import SessionStore

SessionId = Annotated[str, Path(min_length=1, max_length=200)]
K = Annotated[int, Query(ge=1, le=MOST_ITEMS)]


class Event(BaseModel):
    """An item that a session has come to."""

    model_config = ConfigDict(extra="forbid")
    item: StrictInt | Annotated[StrictStr, Field(min_length=1, max_length=1000)]
    k: int = Field(default=20, ge=1, le=MOST_ITEMS)
    recommend: bool = True


class Recommended(BaseModel):
    """Best items first. known: whether the newest item is one of the model's; others change nothing."""

    items: list[int | str]
    scores: list[float]
    known: bool = True


def create(recommender: Recommender, store: SessionStore) -> FastAPI:
    """The service of a model, with a store of sessions."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        recommender.start()
        yield
        await recommender.stop()

    app = FastAPI(title="GRU4Rec", lifespan=lifespan)
    app.state.recommender, app.state.store = recommender, store

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "model": recommender.name, "items": recommender.n_items, "sessions": len(store)}

    @app.post("/sessions/{session}/events")
    async def event(session: SessionId, given: Event) -> Recommended:
        item, running, k = recommender.index(given.item), store.get(session), given.k if given.recommend else 0
        if item is None and running is None:
            return Recommended(items=[], scores=[], known=False)
        answer = await recommender.recommend(running, item, k)
        store.put(session, answer.session)
        return Recommended(items=answer.items, scores=answer.scores, known=item is not None)

    @app.get("/sessions/{session}/recommendations")
    async def recommendations(session: SessionId, k: K = 20) -> Recommended:
        running = store.get(session)
        if running is None:
            raise HTTPException(404, f"session {session!r} is not running: it never began, or has expired")
        answer = await recommender.recommend(running, None, k)
        return Recommended(items=answer.items, scores=answer.scores)

    @app.delete("/sessions/{session}", status_code=204)
    async def end(session: SessionId) -> None:
        if not store.remove(session):
            raise HTTPException(404, f"session {session!r} is not running: it never began, or has expired")

    return app


def from_environment() -> FastAPI:
    """The service that the variables MODEL, MOST_SESSIONS and EXPIRY (seconds) ask for."""
    path = os.environ.get("MODEL")
    if not path:
        raise RuntimeError("MODEL names no file: set it to a model that keras_port saved")
    store = SessionStore(int(os.environ.get("MOST_SESSIONS", "100000")), float(os.environ.get("EXPIRY", "1800")))
    return create(Recommender.load(path), store)
