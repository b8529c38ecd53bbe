"""JAX translations that the library lacks or gets wrong. Importing this module tells the library of them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from original.graphs import library
from original.graphs.library import Sum
from original.graphs.rows import AddRows, SetRows, TakeRows, WaitFor
from original.graphs.squares import SumOfSquares

jax_funcify = library.jax_funcify()


@jax_funcify.register(TakeRows)
def _take_rows(op: Any, **kwargs: Any) -> Callable[..., Any]:
    # The barrier keeps XLA from repeating the look-up inside whatever uses it, possibly after the row was written.
    return lambda x, rows: jax.lax.optimization_barrier(x.at[rows].get(mode="promise_in_bounds"))


@jax_funcify.register(AddRows)
def _add_rows(op: Any, **kwargs: Any) -> Callable[..., Any]:
    return lambda x, y, rows: x.at[rows].add(y, mode="promise_in_bounds")


@jax_funcify.register(SetRows)
def _set_rows(op: Any, **kwargs: Any) -> Callable[..., Any]:
    # A row's occurrences all write the same value (see Occurrences.assign): the scatter's order does not matter.
    return lambda x, y, rows: x.at[rows].set(y, mode="promise_in_bounds")


@jax_funcify.register(WaitFor)
def _wait_for(op: Any, **kwargs: Any) -> Callable[..., Any]:
    # A barrier alone is gone before XLA decides on copies: the dependence must be one of values. The sum is exact.
    return lambda y, taken: y + jnp.nan_to_num(0 * taken[0, 0], posinf=0, neginf=0)


@jax_funcify.register(Sum)
def _sum(op: Any, node: Any, **kwargs: Any) -> Callable[..., Any]:
    # The library's own translation leaves a float32 sum in the float64 that it is accumulated in, and the whole graph
    # after it.
    dtype = node.outputs[0].dtype
    return lambda x: jnp.sum(x, axis=op.axis, dtype=dtype)


@jax_funcify.register(SumOfSquares)
def _sum_of_squares(op: Any, **kwargs: Any) -> Callable[..., Any]:
    # A product of two vectors would be a loop over their entries.
    return lambda x: ((x * x) @ jnp.ones(x.shape[-1], x.dtype)).sum()
