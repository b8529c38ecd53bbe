"""Item tensors split by rows over the devices of one process or of several, on JAX's own runtime.

With ``devices`` = D > 1 the rows of ``Wx0`` or ``E``, ``Wy`` and ``By``, and of their optimizer slots, are split over D
devices (``NamedSharding(mesh, P("items"))``); everything else is on each of them. n is filled up to a multiple of D
with rows that nothing reads. A step is the same step in the same order: the rows read are brought together by one
``psum``, in which each has one term that is not zero, so that nothing is rounded; cost and gradients are computed on
every device; each device then updates the rows that are its own, for which nothing is sent.

Processes join by :func:`join` and then all run the same program on the same data.
"""

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_port import backend

AXIS = "items"
SILENCE = 30  # seconds without a sign of life, after which a process counts as gone and the others end
_BLOCK = 2**26  # bytes of a table that are brought to every process at a time


def check(devices: int) -> None:
    """Raise ValueError unless item tensors can be split over so many devices here."""
    if devices == 1:
        return
    if backend.NAME != "jax":
        raise ValueError(f"devices={devices}: 1 with KERAS_BACKEND={backend.NAME} is accepted, more with jax")
    import jax

    held = [jax.local_device_count(), jax.process_count()]
    most = min(_per_process().values()) * held[1]
    if devices > most:
        more = "; on CPUs XLA_FLAGS=--xla_force_host_platform_device_count=N makes N of them in each process"
        several = f", {held[1]} processes" if held[1] > 1 else ""
        found = "the only device" if most == 1 else f"the {most} devices"
        accepted = "1" if most == 1 else f"1 to {most}"
        raise ValueError(f"devices={devices}: {accepted}, {found} of JAX here{several}, is accepted{more}")
    if devices % held[1]:
        raise ValueError(f"devices={devices}: a multiple of {held[1]}, the processes, is accepted")


def _per_process() -> dict[int, int]:
    import jax

    found: dict[int, int] = {}
    for device in jax.devices():
        found[device.process_index] = found.get(device.process_index, 0) + 1
    return found


@lru_cache(maxsize=8)
def _mesh(devices: int) -> Any:
    """As many devices of each process, process by process."""
    import jax

    each, taken = devices // jax.process_count(), []
    for process in sorted(_per_process()):
        taken += [device for device in jax.devices() if device.process_index == process][:each]
    return jax.sharding.Mesh(np.array(taken), (AXIS,))


@dataclass(frozen=True)
class Split:
    """The rows of n items over some devices. With one device every method is what Keras does without it."""

    n_items: int
    devices: int = 1

    @property
    def rows(self) -> int:
        """n filled up to a multiple of the devices: rows of an item tensor as it is stored."""
        return -(-self.n_items // self.devices) * self.devices

    @property
    def shard(self) -> int:
        """Rows of an item tensor on one device."""
        return self.rows // self.devices

    @cached_property
    def _layouts(self) -> tuple[Any, Any]:
        from jax.sharding import NamedSharding, PartitionSpec

        mesh = _mesh(self.devices)
        return NamedSharding(mesh, PartitionSpec(AXIS)), NamedSharding(mesh, PartitionSpec())

    def zeros(self, shape: tuple[int, ...], dtype: str, name: str, by_rows: bool = False, **more: Any) -> Any:
        """A ``keras.Variable`` of zeros; ``by_rows``: one of (n, ...), which is split."""
        if self.devices == 1:
            return keras.Variable("zeros", shape=tuple(shape), dtype=dtype, name=name, **more)
        layout = self._layouts[0 if by_rows else 1]
        shape = (self.rows, *shape[1:]) if by_rows else tuple(shape)
        return keras.Variable(_placed(np.zeros((0, *shape[1:]), dtype) if by_rows else np.zeros(shape, dtype),
                                      shape, layout), dtype=dtype, name=name, layout=layout, **more)  # fmt: skip

    def shape(self, variable: Any) -> tuple[int, ...]:
        """The shape of a variable without the rows that fill it up."""
        shape = tuple(variable.shape)
        return (self.n_items, *shape[1:]) if self.is_split(variable) else shape

    def is_split(self, variable: Any) -> bool:
        """Whether this variable's rows are split over devices."""
        return self.devices > 1 and not variable.value.sharding.is_fully_replicated

    def assign(self, variable: Any, values: Any) -> None:
        """Set a variable to an array of :meth:`shape`; no device sees rows that are not its own."""
        values = np.asarray(values)
        if self.devices > 1:
            values = _placed(values.astype(variable.dtype, copy=False), tuple(variable.shape), variable.value.sharding)
        variable.assign(values)

    def read(self, variable: Any) -> np.ndarray:
        """A copy of a variable, without the rows that fill it up. With several processes all of them have to call."""
        if not self.is_split(variable):
            return backend.to_numpy(variable)
        value = variable.value
        if value.is_fully_addressable:
            return np.array(value)[: self.n_items]
        found = np.empty(tuple(variable.shape), variable.dtype)
        for start, block in self._blocks(value):
            found.reshape(self.devices, self.shard, *value.shape[1:])[:, start : start + block.shape[1]] = block
        return found[: self.n_items]

    def _blocks(self, value: Any) -> Iterator[tuple[int, np.ndarray]]:
        """(row within a shard, (D, rows, ...) of every shard), so that no device ever holds a whole table."""
        width = max(1, value.nbytes // self.rows)
        count = min(self.shard, max(1, _BLOCK // (width * self.devices)))
        for start in range(0, self.shard, count):
            start = min(start, self.shard - count)
            yield start, np.asarray(_brought(self, count)(value, np.int32(start)))

    def own_rows(self, variable: Any) -> tuple[int, np.ndarray]:
        """(first row, rows) of a split variable that this process holds, without those that fill it up."""
        pieces = sorted(variable.value.addressable_shards, key=lambda piece: piece.index[0].start or 0)
        first = pieces[0].index[0].start or 0
        rows = np.concatenate([np.asarray(piece.data) for piece in pieces])
        return min(first, self.n_items), rows[: max(0, self.n_items - first)]

    def take(self, table: Any, indices: Any) -> Any:
        """The rows of an item tensor at ``indices`` of any shape, on every device; within a program."""
        return self.take_all({"": table}, {"": indices})[""]

    def take_all(self, tables: Mapping[str, Any], indices: Mapping[str, Any]) -> dict[str, Any]:
        """:meth:`take` of several tensors of one type, by name, in a single exchange."""
        if self.devices == 1:
            return {name: ops.take(table, indices[name], axis=0) for name, table in tables.items()}
        import jax

        def own(tables: Any, indices: Any) -> Any:
            rows = {
                name: jax.numpy.take(table, _within(indices[name], self.shard), axis=0, mode="fill", fill_value=0)
                for name, table in tables.items()
            }
            ends = np.cumsum([values.size for values in rows.values()])
            found = jax.lax.psum(jax.numpy.concatenate([values.ravel() for values in rows.values()]), AXIS)
            parts = jax.numpy.split(found, ends[:-1])  # of each sum one term at most is no zero
            return {name: part.reshape(rows[name].shape) for name, part in zip(rows, parts, strict=True)}

        # a variable is its value in the present scope; JAX itself would take the one that is stored
        tables = {name: ops.convert_to_tensor(table) for name, table in tables.items()}
        indices = {name: ops.convert_to_tensor(indices[name]) for name in tables}
        return self.mapped(own, (True, False), False)(tables, indices)

    def update(self, function: Callable, table: Any, read: Any, g: Any, slots: Any, occurrences: Any) -> Any:
        """``function(table, read, g, slots, occurrences) -> (table, slots)``, in which each device updates its rows.

        An occurrence of another device's row points past the end of the own ones: what is read there is never written.
        """
        if self.devices == 1:
            return function(table, read, g, slots, occurrences)

        def own(table: Any, slots: Any, read: Any, g: Any, occurrences: Any) -> Any:
            rows = _within(occurrences.rows, self.shard)
            return function(table, read, g, slots, occurrences._replace(rows=rows))

        inputs = (True, True, False, False, False)
        return self.mapped(own, inputs, True)(table, slots, read, g, occurrences)

    def mapped(self, function: Callable, inputs: tuple[bool, ...], output: bool) -> Callable:
        """``function`` run on every device; of inputs and output that are true each has its rows, of others all."""
        import jax

        spec = {True: jax.sharding.PartitionSpec(AXIS), False: jax.sharding.PartitionSpec()}
        specs = {"in_specs": tuple(spec[is_split] for is_split in inputs), "out_specs": spec[output]}
        return jax.shard_map(function, mesh=_mesh(self.devices), **specs, check_vma=False)

    def real_columns(self) -> Any:
        """(1, rows) bool: true for columns of scores that are items; None where all are."""
        return None if self.rows == self.n_items else ops.reshape(ops.arange(self.rows) < self.n_items, (1, self.rows))

    def top_k(self, scores: Any, k: int) -> tuple[Any, Any]:
        """The k best of (M, rows) scores of all items, and their items; of equal ones the first.

        Each device looks among its own columns; the best of those are brought together.
        """
        if self.devices == 1:
            return ops.top_k(scores, k)
        if (real := self.real_columns()) is not None:
            scores = ops.where(real, scores, -np.inf)
        M, D = scores.shape[0], self.devices
        values, items = ops.top_k(ops.reshape(scores, (M, D, self.shard)), min(k, self.shard))
        items = items + ops.reshape(ops.arange(D, dtype=items.dtype) * self.shard, (1, D, 1))
        values, places = ops.top_k(ops.reshape(values, (M, -1)), k)
        return values, ops.take_along_axis(ops.reshape(items, (M, -1)), places, axis=1)


def _placed(values: np.ndarray, shape: tuple[int, ...], layout: Any) -> Any:
    """An array over devices out of one of fewer rows, which zeros fill up; each device is given its part alone."""
    import jax

    def part(index: Any) -> Any:
        found = values[index]
        wanted = len(range(*index[0].indices(shape[0]))) if index else 0
        if index and len(found) < wanted:
            found = np.concatenate([found, np.zeros((wanted - len(found), *found.shape[1:]), values.dtype)])
        return found

    return jax.make_array_from_callback(shape, layout, part)


def _within(rows: Any, shard: int) -> Any:
    """Rows as this device counts them; ``shard``, which is past its end, for those of other devices."""
    import jax

    own = rows - jax.lax.axis_index(AXIS).astype(rows.dtype) * shard
    return jax.numpy.where((own >= 0) & (own < shard), own, shard)


@lru_cache(maxsize=64)
def _brought(split: Split, count: int) -> Callable:
    """``f(table, start)``: (D, count, ...) rows ``start`` ... of every shard, on every device."""
    import jax

    def own(table: Any, start: Any) -> Any:
        return jax.lax.all_gather(jax.lax.dynamic_slice_in_dim(table, start, count), AXIS)

    return jax.jit(split.mapped(own, (True, False), False))


def process_count() -> int:
    """How many processes run this program together."""
    if backend.NAME != "jax":
        return 1
    import jax

    return jax.process_count()


def process_index() -> int:
    """The number of this process, from 0."""
    if backend.NAME != "jax":
        return 0
    import jax

    return jax.process_index()


def gathered(values: np.ndarray) -> np.ndarray:
    """(P, ...) the small array that each process gives, in the order of the processes. All have to call."""
    from jax.experimental import multihost_utils

    if process_count() == 1:
        return values[None]
    return np.asarray(multihost_utils.process_allgather(values))


def wait_for_all(name: str) -> None:
    """Wait until every process has called this."""
    if process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


def join(address: str, process: int, processes: int) -> None:
    """Compute together with other processes, which all call this, before anything is computed.

    Args:
        address: HOST:PORT of process 0, the same in every process.
        process: the number of this one, from 0.
        processes: how many there are in all.

    Raises:
        ValueError: what is given is not accepted, or Keras does not run on JAX.
        RuntimeError: JAX has computed already, or the others were not found within five minutes.
    """
    if backend.NAME != "jax":
        raise ValueError(f"--hosts with KERAS_BACKEND={backend.NAME}: it is accepted with jax")
    host, colon, port = str(address).rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"--hosts {address}: HOST:PORT of process 0 is accepted")
    if processes < 1:
        raise ValueError(f"--processes {processes}: a whole number of at least 1 is accepted")
    if not 0 <= process < processes:
        raise ValueError(f"--process {process}: a whole number from 0 to {processes - 1} is accepted")
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if "heartbeat_timeout_seconds" in inspect.signature(jax.distributed.initialize).parameters:
        jax.distributed.initialize(address, processes, process, heartbeat_timeout_seconds=SILENCE)
        return
    # JAX 0.6 has no public name for it; without, a process that waits for one that is gone does so for 100 seconds
    own = importlib.import_module("jax._src.distributed")
    if importlib.import_module("jax._src.xla_bridge").backends_are_initialized():
        raise RuntimeError("--hosts: JAX has computed already; processes join before that")
    beats = {f"{who}_heartbeat_interval_seconds": 5 for who in ("service", "client")}
    beats |= {f"{who}_max_missing_heartbeats": SILENCE // 5 for who in ("service", "client")}
    own.global_state.initialize(address, processes, process, **beats)


def lost(problem: BaseException) -> str | None:
    """In words, if a program failed because another process is gone; None otherwise."""
    if process_count() == 1:
        return None
    import jax

    if not isinstance(problem, jax.errors.JaxRuntimeError):
        return None
    first = str(problem).splitlines()[0][:300]
    return f"another process of this training has ended, or cannot be reached ({first})"


@contextmanager
def leaving_together() -> Iterator[None]:
    """Within, an error ends this process at once: at a usual end JAX would wait for the others, which wait for it."""
    try:
        yield
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        leave(end.code if isinstance(end.code, int) else int(end.code is not None))
    except BaseException as problem:  # noqa: BLE001 - whatever it is, this process ends by it
        if (words := lost(problem)) is None:
            traceback.print_exc()
        else:
            print(f"error: {words}", file=sys.stderr)
        leave(130 if isinstance(problem, KeyboardInterrupt) else 2)


def leave(status: int) -> None:
    """End this process with a status that is not 0, at once where it computes with others; return otherwise."""
    if status and process_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    if status:
        sys.exit(status)
