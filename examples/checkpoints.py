"""Training that can be taken up again after its last whole epoch."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from examples.engines import Engine
from examples.training import Epoch, Run
from parity.files import written_whole

EXTENDABLE = "n_epochs"  # the one setting that may change when a training is taken up again


class Checkpoints:
    """The last epoch of a run in a folder: ``NAME-epochK.safetensors``, and ``NAME.json``, which names it.

    The JSON file is replaced after the model file is whole: a run that is cut off at any moment can be taken up.
    """

    def __init__(self, folder: Path, sha256: dict[str, str]):
        self.folder = folder
        self.sha256 = sha256

    def save(self, run: Run, gru: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        model = self.folder / f"{run.name}-epoch{len(run.epochs)}.safetensors"
        gru.save(model)
        record = {"model": model.name, "sha256": self.sha256, "run": asdict(run)}
        with written_whole(self.folder / f"{run.name}.json") as temporary:
            temporary.write_text(json.dumps(record, indent=1))
        for earlier in self.folder.glob(f"{run.name}-epoch*.safetensors"):
            if earlier != model:
                earlier.unlink()

    def load(self, run: Run, engine: Engine) -> tuple[Run, Any] | None:
        """The run as far as it came, and its model; None when there is no checkpoint.

        Raises ValueError when the checkpoint belongs to other data or other settings.
        """
        path = self.folder / f"{run.name}.json"
        if not path.exists():
            return None
        record = json.loads(path.read_text())
        if record["sha256"] != self.sha256:
            raise ValueError(f"--resume: {path} was made on other data; give another --out, or leave out --resume")
        saved = record["run"]
        for name in run.params | saved["params"]:
            before, now = saved["params"].get(name), run.params.get(name)
            if before != now and name != EXTENDABLE:
                raise ValueError(
                    f"--resume: {path} was made with {name}={before!r}, not {now!r}; "
                    "give another --out, or leave out --resume"
                )
        epochs = [
            Epoch(**epoch | {"metrics": {int(N): tuple(pair) for N, pair in epoch["metrics"].items()}})
            for epoch in saved["epochs"]
        ]
        earlier = Run(run.engine, run.config, run.params, saved["startup_seconds"], epochs)
        return earlier, engine.model.load(self.folder / record["model"])
