"""The row operations in JAX: what :mod:`original.rows` does in C. Importing this module tells Aesara's JAX translation of them."""

from aesara.link.jax.dispatch import jax_funcify

from original.rows import AddRows, SetRows


@jax_funcify.register(AddRows)
def _add_rows(op, **kwargs):
    return lambda x, y, index: x.at[index].add(y, mode="promise_in_bounds")


@jax_funcify.register(SetRows)
def _set_rows(op, **kwargs):
    # A row's occurrences all write the same value (see Used.winner): the scatter's order does not matter.
    return lambda x, y, index: x.at[index].set(y, mode="promise_in_bounds")
