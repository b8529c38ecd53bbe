"""What two engines are run on: options, data, seeds."""

from dataclasses import dataclass, field, replace
from typing import Any

from gru4rec.engines import EngineSpec
from parity.data import Dataset
from parity.plain import Plain
from parity.protocol import Engine


@dataclass(frozen=True)
class Scenario:
    """One setting of GRU4Rec on one data set.

    sample_store: negative samples drawn ahead. The default keeps a store of 7 rows, so that it is refilled many times
    an epoch.
    """

    name: str
    params: dict[str, Any]
    dataset: Dataset
    dtype: str = "float64"
    seed: int = 42
    dropout_seed: int = 12345
    sample_store: int | None = None
    fit_options: dict[str, Any] = field(default_factory=dict)

    @property
    def store(self) -> int:
        return 7 * self.params.get("n_sample", 2048) if self.sample_store is None else self.sample_store

    def create(self, spec: EngineSpec) -> Engine:
        """An engine of this setting without data."""
        return spec.create(self.params, self.dtype, self.seed, self.dropout_seed)

    def prepare(self, spec: EngineSpec) -> Engine:
        """An engine of this setting, ready for its first step."""
        engine = self.create(spec)
        engine.prepare(self.dataset.train, self.store)
        return engine

    def plain(self, rounds: bool = False) -> Engine:
        """The harness's own NumPy program in this setting, ready for its first step. rounds: as there."""
        engine = Plain(self.dtype, self.seed, self.dropout_seed, rounds, **self.params)
        engine.prepare(self.dataset.train, self.store)
        return engine

    def with_params(self, **params: Any) -> "Scenario":
        return replace(self, params=self.params | params)
