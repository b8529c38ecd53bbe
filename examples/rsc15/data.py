"""The data of a run on RSC15: prepared files, the raw file, or embedded synthetic data."""

import logging
from dataclasses import replace
from pathlib import Path

from examples import data
from examples.data import Dataset
from examples.rsc15 import sample
from examples.rsc15.preprocess import FILES, equal_published, preprocess
from examples.rsc15.settings import PUBLISHED
from examples.sessions import Columns

log = logging.getLogger(__name__)


def embedded(folder: Path, columns: Columns = Columns()) -> Dataset:
    """Synthetic clicks, as many as :mod:`sample` makes by default, left in ``folder`` with the prepared files."""
    raw = folder / "synthetic-clicks.dat"
    sample.write_sample(raw)
    return from_clicks(raw, folder, columns, synthetic=True)


def from_clicks(raw: Path, folder: Path, columns: Columns = Columns(), synthetic: bool = False) -> Dataset:
    """The raw click file ``raw``, prepared into ``folder``. Errors as for :func:`preprocess`."""
    with open(raw, "rb") as file:
        preprocess(file, str(raw), folder)
    log.info("%s is prepared in %s", raw, folder)
    return from_files(folder / FILES["train_full"], folder / FILES["test"], columns, str(raw), synthetic)


def from_files(
    train: Path, test: Path, columns: Columns = Columns(), source: str | None = None, synthetic: bool = False
) -> Dataset:
    """Prepared files. Errors as for :func:`examples.data.from_files`.

    The published results belong to them when their counts are those of the published data.
    """
    dataset = data.from_files("RSC15", {"train_full": train, "test": test}, columns, source, synthetic)
    comparable = not synthetic and equal_published(dataset.counts)
    return replace(dataset, published=PUBLISHED if comparable else {})
