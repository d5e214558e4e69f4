"""How this package compiles: one place for the options that make JAX bearable on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp

Function = TypeVar("Function", bound=Callable[..., Any])

# On CPU the fusion emitters triple the compile time of a rollout's Jacobian at the same run time (jaxlib 0.10).
COMPILER_OPTIONS = {"xla_cpu_use_fusion_emitters": False}


def jit(function: Function) -> Function:
    """Compile `function`: arrays are traced, everything else is static.

    Called from inside another transformation's trace it is an ordinary function, since compiler options
    belong to the outermost `jax.jit`. Weakly typed arrays (``jnp.full(3, 0.1)``) are made strong: they would be
    compiled for again.
    """
    compiled: Callable[..., Any] = eqx.filter_jit(function, compiler_options=COMPILER_OPTIONS)  # type: ignore[call-overload]
    nested = eqx.filter_jit(function)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        inside_a_trace = isinstance(jnp.zeros(()), jax.core.Tracer)
        if inside_a_trace:
            return function(*args, **kwargs)
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((args, kwargs))):
            return nested(*args, **kwargs)  # jax.grad and its like, not compiled themselves
        args, kwargs = jax.tree.map(_strong, (args, kwargs))
        return compiled(*args, **kwargs)

    call.compiled, call.nested = compiled, nested  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def compile_job(function: Callable[..., Any], *args: Any) -> Callable[[], None]:
    """Trace a function of `jit` now; what is returned compiles it, and leaves Python's lock alone meanwhile."""
    lowered = function.compiled.lower(*jax.tree.map(_strong, args))  # type: ignore[attr-defined]

    def job() -> None:
        lowered.compile()

    return job


def shapes(function: Callable[..., Any], *args: Any) -> Any:
    """Shapes and types of what a function of `jit` returns; traced once."""
    return eqx.filter_eval_shape(function.nested, *jax.tree.map(_strong, args))  # type: ignore[attr-defined]


def _strong(leaf: Any) -> Any:
    return leaf.astype(leaf.dtype) if isinstance(leaf, jax.Array) and leaf.weak_type else leaf


def float64() -> Any:
    """Context in which JAX computes in float64, whatever the caller's configuration."""
    return jax.enable_x64(True)
