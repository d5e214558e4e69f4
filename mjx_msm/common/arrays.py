"""Functions that serve NumPy arrays and JAX arrays alike, so that each equation is written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int

AnyArray = Any
"""A NumPy array, a JAX array or a tracer of one."""

State = TypeVar("State", bound=tuple[Any, ...])


def namespace(array: AnyArray) -> Any:
    """Where the functions that take this array live: `numpy`, or `jax.numpy`, which is imported only then."""
    if isinstance(array, np.ndarray | np.generic | float | int):
        return np
    import jax.numpy as jnp

    return jnp


def indices(values: Any) -> Int[np.ndarray, "*entry"]:
    """An index array for single and double precision alike.

    JAX 0.10 turns an int64 array that it first meets in single precision into an int32 one, remembers it by identity,
    and in double precision then refuses it ("lax.add requires arguments to have the same dtypes").
    """
    return np.asarray(values, dtype=np.int32)


def repeat(step: Callable[[State], State], state: State, times: int, settled: Callable[[State], Any]) -> State:
    """The state after so many steps. NumPy stops at a settled state, which a further step would leave as it is."""
    if isinstance(state[0], np.ndarray):
        for _ in range(times):
            if settled(state):
                break
            state = step(state)
        return state
    from jax.lax import fori_loop

    return fori_loop(0, times, lambda _, state: step(state), state)


def solved(root: AnyArray, newton: Callable[[AnyArray], AnyArray]) -> AnyArray:
    """A root that was found, with the derivatives of the Newton step from it: those of the implicit function."""
    if isinstance(root, np.ndarray):
        return root
    from jax.lax import stop_gradient

    return newton(stop_gradient(root))
