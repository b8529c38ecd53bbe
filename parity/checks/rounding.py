"""What rounding alone does to the reference: a figure to read a failed float32 comparison by. It widens no bound."""

from parity.engine import Engine
from parity.measure import Check, Checks
from parity.walk import Record, set_state


class OwnRounding:
    """The largest distance of the reference's steps from the same steps of ``exact``, the reference in float64."""

    def __init__(self, exact: Engine):
        self.exact = exact
        self._found = {"gradients": Check("gradients"), "update": Check("update")}

    def see(self, record: Record) -> None:
        """Do the step of ``record`` from the same state in ``exact``, and compare."""
        set_state(self.exact, record.before)
        X, Y, R, _ = record.batch
        _, gradients = self.exact.train_step(X, Y, R, masks=record.masks, gradients=True)
        for name, found, wanted in (
            ("gradients", record.gradients, gradients),
            ("update", record.after.weights, self.exact.get_weights()),
            ("update", record.after.optimizer, self.exact.get_optimizer_state()),
        ):
            self._found[name].close_all(found, wanted, 0.0, record.number)

    def note(self, checks: Checks) -> None:
        """Say in a note of each check how far the reference was away, and where."""
        for name, found in self._found.items():
            largest = max(found.by_tensor.values(), key=lambda c: c.error.relative, default=None)
            if largest is not None:
                checks[name].notes.append(
                    f"{name}: the reference itself is up to {largest.error.relative:.1e} from its own step in float64 "
                    f"({largest.where})"
                )
