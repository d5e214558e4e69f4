"""How this package compiles: one place for the options that make JAX bearable on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property, wraps
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])

# On CPU the fusion emitters triple the compile time of a rollout's Jacobian at the same run time (jaxlib 0.10).
COMPILER_OPTIONS = {"xla_cpu_use_fusion_emitters": False}
# On CPU XLA drops `jax.lax.optimization_barrier` before it fuses (jaxlib 0.10), and then computes again for every
# reader what was to be computed once. Without the pass that drops them, barriers stay.
BARRIERS_STAY = {"xla_disable_hlo_passes": "cse_barrier_expander"}

_NARROWER = {np.dtype(f"{kind}64"): np.dtype(f"{kind}32") for kind in ("float", "int", "uint")}


_CALLER: ContextVar[Callable[[Any, Any], Any] | None] = ContextVar("caller", default=None)
"""Who makes the calls of this thread that may be made with others'."""


def jit(function: Function, *, barriers: bool = False, abreast: bool = False) -> Function:
    """Compile `function`: arrays are traced, everything else is static.

    Called from inside another transformation's trace it is an ordinary function, since compiler options
    belong to the outermost `jax.jit`. Arrays are handed over in the precision of the call; weakly typed ones
    (``jnp.full(3, 0.1)``) are made strong: they would be compiled for again.

    **Arguments:** `barriers`: whether those of `jax.lax.optimization_barrier` hold on a CPU, too. `abreast`: whether
    calls of several people may be made as one (`mjx_msm.common.executors.abreast`): of what takes nearly all of the
    time, and returns arrays alone. Not where a `functools.cached_property` asks for it, which in Python 3.11 lets all
    others of its kind wait.
    """
    compiled: Any = _WithBarriers(function) if barriers else _compiled(function, COMPILER_OPTIONS)
    nested = eqx.filter_jit(function)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        inside_a_trace = isinstance(jnp.zeros(()), jax.core.Tracer)
        if inside_a_trace:
            return function(*args, **kwargs)
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((args, kwargs))):
            return nested(*args, **kwargs)  # jax.grad and its like, not compiled themselves
        caller = _CALLER.get() if abreast else None
        if caller is not None:
            return caller(call, (args, kwargs))
        args, kwargs = as_compiled_for((args, kwargs))
        return compiled(*args, **kwargs)

    call.compiled, call.nested = compiled, nested  # type: ignore[attr-defined]
    call.for_many = _for_many(function, barriers=barriers) if abreast else None  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def _compiled(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    return eqx.filter_jit(function, compiler_options=options)  # type: ignore[call-overload]


class _WithBarriers:
    """Options depend on the device, which is not looked for before something is computed."""

    def __init__(self, function: Callable[..., Any]):
        self._function = function

    @cached_property
    def _made(self) -> Any:
        own = BARRIERS_STAY if jax.default_backend() == "cpu" else {}
        return _compiled(self._function, {**COMPILER_OPTIONS, **own})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._made(*args, **kwargs)

    def lower(self, *args: Any) -> Any:
        return self._made.lower(*args)


@contextmanager
def called_by(caller: Callable[[Any, Any], Any] | None) -> Iterator[None]:
    """Inside, and in this thread, calls of functions that may be made abreast are the caller's to make.

    **Arguments:** `caller`: of a function of `jit` and its (args, kwargs), in which arrays have any precision; it
    returns what the function would. None: each call is made at once, as where there is nobody to wait for.
    """
    before = _CALLER.set(caller)
    try:
        yield
    finally:
        _CALLER.reset(before)


def is_abreast() -> bool:
    """Whether calls of this thread are made with others': then threads of its own would make theirs alone."""
    return _CALLER.get() is not None


def _for_many(function: Callable[..., Any], *, barriers: bool) -> Any:
    """Compiled for many calls at once: of arrays that all share, arrays stacked along a new first axis, and what makes
    the arguments of one call of the two, a hashable value."""

    def run(shared: Any, stacked: Any, arguments: Callable[[Any, Any], Any]) -> Any:
        def one(own: Any) -> Any:
            args, kwargs = arguments(shared, own)
            return function(*args, **kwargs)

        return jax.vmap(one)(stacked)

    return _WithBarriers(run) if barriers else _compiled(run, COMPILER_OPTIONS)


def compile_job(function: Callable[..., Any], *args: Any) -> Callable[[], None]:
    """Trace a function of `jit` now; what is returned compiles it, and leaves Python's lock alone meanwhile."""
    lowered = function.compiled.lower(*as_compiled_for(args))  # type: ignore[attr-defined]

    def job() -> None:
        lowered.compile()

    return job


def shapes(function: Callable[..., Any], *args: Any) -> Any:
    """Shapes and types of what a function of `jit` returns; traced once."""
    return eqx.filter_eval_shape(function.nested, *as_compiled_for(args))  # type: ignore[attr-defined]


def as_compiled_for(args: Any) -> Any:
    """Arrays in the precision of the call.

    JAX makes doubles single too where it computes in single precision, but has been seen to hand the double itself
    to what it had compiled for a single, after the same array had been through double precision in that process.
    """
    narrower = {} if jax.config.jax_enable_x64 else _NARROWER  # type: ignore[attr-defined]

    def leaf(x: Any) -> Any:
        if not isinstance(x, jax.Array | np.ndarray):
            return x
        kind = narrower.get(x.dtype, x.dtype)
        return x.astype(kind) if kind != x.dtype or (isinstance(x, jax.Array) and x.weak_type) else x

    return jax.tree.map(leaf, args)


def float64() -> Any:
    """Context in which JAX computes in float64, whatever the caller's configuration."""
    return jax.enable_x64(True)
