"""One model for many requests: those that wait go through it together."""

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gru4rec import models, sessions

MOST_ITEMS = 100  # of a list
MOST_TOGETHER = 64  # requests of one call of the model


class Session(NamedTuple):
    """A running session: the states of each layer before and after its newest item, and that item's index."""

    before: list[np.ndarray]
    item: int
    after: list[np.ndarray]


class Answer(NamedTuple):
    """Best items first, and the session as it is now."""

    items: list[Any]
    scores: list[float]
    session: Session


class Asked(NamedTuple):
    """A request that waits: the best k items after ``item``, which follows on the states ``before``."""

    before: list[np.ndarray]
    item: int
    k: int
    answer: "asyncio.Future[Answer] | None"


class Recommender:
    """Anything with ``itemidmap``, ``layers``, ``dtype`` and ``scores(X, hidden)``, as both engines and baselines have.

    Requests are answered in groups of at most :data:`MOST_TOGETHER`, in one thread, so that the loop stays free and
    the model is called once for all that wait.
    """

    def __init__(self, model: Any, name: str = "model") -> None:
        self.model, self.name = model, name
        self.ids = model.itemidmap.index
        self._index = {each: number for number, each in enumerate(self.ids.tolist())}
        self._waiting: asyncio.Queue[Asked] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1)
        self._task: asyncio.Task | None = None

    @classmethod
    def load(cls, path: str) -> "Recommender":
        """Of a file that an engine or a baseline saved."""
        file = Path(path)
        spec, _ = models.engine(models.written_by(file), "auto")
        model = models.load(spec, file)
        models.check_finite(model, file, "served")
        return cls(model, file.name)

    @property
    def n_items(self) -> int:
        return len(self.ids)

    def index(self, item: int | str) -> int | None:
        """None for an item that the model does not know."""
        return self._index.get(item)

    def start(self) -> None:
        """Begin to answer; a first call compiles what there is to compile."""
        self.answer([Asked(self._zeros(), 0, 1, None)])
        self._waiting = asyncio.Queue()
        self._task = asyncio.get_running_loop().create_task(self._work())

    def _zeros(self) -> list[np.ndarray]:
        return [np.zeros(width, self.model.dtype) for width in self.model.layers]

    async def stop(self) -> None:
        """Answer no more."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._thread.shutdown(wait=True)

    async def recommend(self, session: Session | None, item: int | None, k: int) -> Answer:
        """The best k items of a session, which goes on with ``item`` where one is given.

        Args:
            session: None for one that begins, which needs an item.
            item: index of its next item.
            k: how many; 0 for none.
        """
        if item is None:
            if session is None:
                raise ValueError("session=None with item=None: one of the two is needed")
            before, item = session.before, session.item
        else:
            before = self._zeros() if session is None else session.after
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        await self._waiting.put(Asked(before, item, k, answer))
        return await answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            asked = [await self._waiting.get()]
            while not self._waiting.empty() and len(asked) < MOST_TOGETHER:
                asked.append(self._waiting.get_nowait())
            try:
                answers = await loop.run_in_executor(self._thread, self.answer, asked)
            except Exception as problem:  # noqa: BLE001  # whatever it is, those who wait have to hear of it
                answers = [problem] * len(asked)
            for each, answer in zip(asked, answers):
                if each.answer is None or each.answer.done():  # its client has gone
                    continue
                if isinstance(answer, Exception):
                    each.answer.set_exception(answer)
                else:
                    each.answer.set_result(answer)

    def answer(self, asked: list[Asked]) -> list[Answer]:
        """What :meth:`recommend` gives, for several requests by one call of the model."""
        X = np.array([each.item for each in asked])
        states = [np.stack(layer) for layer in zip(*(each.before for each in asked))]
        scores, after = self.model.scores(X, states)
        best = sessions.best(np.asarray(scores), max(1, *(each.k for each in asked)))
        answers = []
        for row, each in enumerate(asked):
            chosen = best[row, : each.k]
            now = Session(each.before, each.item, [np.array(H[row]) for H in after])
            answers.append(Answer(self.ids[chosen].tolist(), np.asarray(scores)[row, chosen].tolist(), now))
        return answers
