"""Training that can be taken up again after its last whole epoch, by one rule in every command.

Beside a model's file lies ``FILE.training.json``, the record of its training: a hash of the training data's content,
every option, and the epochs. A training is taken up only where hash and options are the same; the number of epochs
alone may change. The record is written before the model, and again after it with the hash of the model's file, which
tells whether the model has been through the last epoch that the record knows of. So a run that is cut off at any moment
can be taken up.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from gru4rec import engines, files, hosts, models
from gru4rec.engines import EngineSpec
from gru4rec.training import Epoch, Run

EXTENDABLE = ("n_epochs",)  # what may change when a training is taken up again


def differences(
    before: Mapping[str, Any], now: Mapping[str, Any], what: Path | str, extendable: tuple[str, ...] = EXTENDABLE
) -> None:
    """Raise ValueError for the first option of a training that is not what it was."""
    for name in dict(before) | dict(now):
        if before.get(name) != now.get(name) and name not in extendable:
            raise ValueError(f"--resume: {what} was made with {name}={before.get(name)!r}, not {now.get(name)!r}")


class Saved(NamedTuple):
    """The model's file as it was last known: the hash of its content, and the epochs of this training in it.

    epochs: -1 for a file that the training is to replace.
    """

    sha256: str
    epochs: int


@dataclass
class Checkpoint:
    """A model's file and its record.

    Attributes:
        model: the file.
        sha256: of the training data, by part.
        sample_store: negative samples drawn ahead.
    """

    model: Path
    sha256: Mapping[str, str]
    sample_store: int

    def __post_init__(self) -> None:
        self._saved: Saved | None = None

    @property
    def record(self) -> Path:
        return self.model.with_name(f"{self.model.name}.training.json")

    def save(self, run: Run, gru: Any) -> None:
        """Write record and model, each whole at any time. Not to be called of a model whose weights are no numbers."""
        if self._saved is None:
            self._saved = Saved(files.sha256(self.model) if self.model.exists() else "", -1)
        self._write(run, gru)
        with files.naming(self.model):
            gru.save(self.model)
        self._saved = Saved(files.sha256(self.model), len(run.epochs))
        self._write(run, gru)

    def _write(self, run: Run, gru: Any) -> None:
        content = {
            "engine": program(run.engine),
            "sha256": dict(self.sha256),
            "sample_store": self.sample_store,
            "options": models.every_option(gru),
            "saved": self._saved._asdict() if self._saved else {},
            "run": run.as_json(),
        }
        content["checksum"] = _checksum(content)
        if hosts.is_first():
            files.write_json(self.record, content)

    def load(self, spec: EngineSpec, run: Run, fresh: Any) -> tuple[Run, Any] | None:
        """The run as far as it came, and its model; None where there is none yet.

        A model without a record, as a program may have saved it, is compared by its options here, and by what the
        engine itself compares of the data.

        Args:
            spec: the engine.
            run: a run without epochs.
            fresh: a new model of the options that are wanted now.

        Raises:
            ValueError: where the model was trained on other data or with other options, or a file is damaged.
            RuntimeError: where its weights are no numbers.
        """
        if not self.model.exists():
            return None
        earlier = self._compared(run, fresh) if self.record.exists() else replace(run, epochs=[])
        gru = models.load(spec, self.model)
        models.check_finite(gru, self.model, "trained further")
        differences(models.every_option(gru), models.every_option(fresh), self.model)
        gru.n_epochs = fresh.n_epochs
        return earlier, gru

    def _compared(self, run: Run, fresh: Any) -> Run:
        """The run of the record, where it is one of the same training. Raises ValueError otherwise."""
        record = files.read_json(self.record, "record of a training")
        if not isinstance(record, dict) or record.pop("checksum", None) != _checksum(record):
            raise ValueError(f"{self.record} is no record of a training, or is damaged: its checksum does not fit")
        try:
            before, saved = record["options"], Saved(**record["saved"])
            epochs = [Epoch.from_json(epoch) for epoch in record["run"]["epochs"]]
            earlier = replace(run, startup_seconds=float(record["run"]["startup_seconds"]), epochs=epochs)
            engine, sha256, store = record["engine"], record["sha256"], record["sample_store"]
            options = dict(before)
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise ValueError(f"{self.record} is no record of a training: {problem!r}"[:300]) from None
        if engine != program(run.engine):
            raise ValueError(f"--resume: {self.model} was made by the engine {engine}, not {program(run.engine)}")
        if sha256 != dict(self.sha256):
            raise ValueError(f"--resume: {self.model} was made on other data; --overwrite begins a new training")
        differences(options, models.every_option(fresh), self.model)
        differences({"sample_store": store}, {"sample_store": self.sample_store}, self.model)
        present = files.sha256(self.model)
        if present == saved.sha256:
            if saved.epochs < 0:
                raise ValueError(f"--resume: {self.model} is older than the training of {self.record}, which has saved "
                                 "no epoch yet; --overwrite begins it again")  # fmt: skip
            del epochs[saved.epochs :]
            self._saved = saved
        else:  # the process ended before it had the model's new hash
            self._saved = Saved(present, len(epochs))
        return earlier


def _checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of JSON values, as a file gives them back."""
    text = json.dumps(files.finite(content), sort_keys=True, default=str)
    return hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest()


def check_new(option: str, model: Path) -> None:
    """Raise ValueError where there is a model already, which a new training would replace."""
    if model.exists():
        raise ValueError(f"{option}: {model} is there already; --resume goes on with it, --overwrite replaces it")


def program(engine: str) -> str:
    """The engine whose files are read: ``original-jax`` reads those of ``original``, ``keras`` those of ``keras@4``."""
    return "original" if engine == "original-jax" else engines.base(engine)
