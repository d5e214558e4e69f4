"""Functions that serve NumPy arrays and JAX arrays alike, so that each equation is written once."""

from __future__ import annotations

from typing import Any

import numpy as np

AnyArray = Any
"""A NumPy array, a JAX array or a tracer of one."""


def namespace(array: AnyArray) -> Any:
    """Where the functions that take this array live: `numpy`, or `jax.numpy`, which is imported only then."""
    if isinstance(array, np.ndarray | np.generic | float | int):
        return np
    import jax.numpy as jnp

    return jnp


def held(array: AnyArray) -> AnyArray:
    """The array as a constant: derivatives do not pass through it."""
    if isinstance(array, np.ndarray | np.generic | float | int):
        return array
    from jax.lax import stop_gradient

    return stop_gradient(array)
