"""The two engines as one parameter, and a model of each that is fitted once."""

import logging
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from engine_tools import ENGINES, plain


@pytest.fixture(scope="session", params=list(ENGINES))
def engine(request):
    """Each engine in turn."""
    return ENGINES[request.param]


@pytest.fixture(scope="session")
def fitted(engine):
    """A model that was fitted for an epoch on :func:`plain`, with a store of 40 samples; tests only read it."""
    gru = engine.new()
    gru.fit(plain(), 40)
    return gru


@pytest.fixture(scope="session")
def saved(engine, fitted, tmp_path_factory):
    """The fitted model's file."""
    path = tmp_path_factory.mktemp(engine.name) / "fitted"
    fitted.save(path)
    return path


@pytest.fixture(scope="session")
def two_epochs(engine):
    """The same model after two epochs at once; tests only read it."""
    gru = engine.new(n_epochs=2)
    gru.fit(plain(), 40)
    return gru


@pytest.fixture
def own(engine, saved):
    """The same model from its file, for one test to change."""
    return engine.GRU4Rec.load(saved)


class Records(logging.Handler):
    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        if record.levelno >= logging.WARNING:
            self.texts.append(record.getMessage())


@pytest.fixture(scope="session")
def diverged(engine):
    """(model, what was logged, epochs that ended) of a training whose first step makes the weights not finite."""
    records, ended = Records(), []
    logger = logging.getLogger(engine.name)
    logger.addHandler(records)
    try:
        gru = engine.new(n_epochs=3, learning_rate=1e39)
        gru.fit(plain(), 0, on_epoch_end=lambda number, loss: ended.append(number))
    finally:
        logger.removeHandler(records)
    return gru, records.texts, ended
