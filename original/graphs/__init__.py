"""All that touches the inside of the symbolic library: which one it is, BLAS, C, JAX, row operations, compilation."""
