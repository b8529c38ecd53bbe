"""JAX translations that Aesara lacks or gets wrong. Importing this module tells Aesara of them."""

import jax
import jax.numpy as jnp
from aesara.link.jax.dispatch import jax_funcify
from aesara.tensor.math import Sum

from original.rows import AddRows, After, SetRows, TakeRows


@jax_funcify.register(TakeRows)
def _take_rows(op, **kwargs):
    # The barrier keeps XLA from repeating the look-up inside whatever uses it, possibly after the row was written.
    return lambda x, index: jax.lax.optimization_barrier(x.at[index].get(mode="promise_in_bounds"))


@jax_funcify.register(AddRows)
def _add_rows(op, **kwargs):
    return lambda x, y, index: x.at[index].add(y, mode="promise_in_bounds")


@jax_funcify.register(SetRows)
def _set_rows(op, **kwargs):
    # A row's occurrences all write the same value (see Used.assign): the scatter's order does not matter.
    return lambda x, y, index: x.at[index].set(y, mode="promise_in_bounds")


@jax_funcify.register(After)
def _after(op, **kwargs):
    # A barrier alone is gone before XLA decides on copies: the dependence must be one of values. The sum with zero is
    # exact.
    return lambda y, rows: y + jnp.nan_to_num(0 * rows[0, 0], posinf=0, neginf=0)


@jax_funcify.register(Sum)
def _sum(op, node, **kwargs):
    # Aesara's own translation leaves a float32 sum in the float64 that it is accumulated in, and the whole graph after
    # it.
    dtype = node.outputs[0].dtype
    return lambda x: jnp.sum(x, axis=op.axis, dtype=dtype)
