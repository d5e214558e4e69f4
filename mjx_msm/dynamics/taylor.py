"""Functions that act on every element by itself, with their derivatives by a few inputs: truncated Taylor series.

Automatic differentiation of a chain of such functions goes through the whole chain once for every derivative. Here each
link is differentiated by its own inputs, and what follows is arithmetic on what is known of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

Slopes = Mapping[str, Any]
"""First derivatives by name; those left out are zero."""
Bends = Mapping[tuple[str, str], Any]
"""Second derivatives by two names, in either order but once; those left out are zero."""


def kept(array: Array) -> Array:
    """Computed once: fused into what reads it, it would be computed again for every reader."""
    return jax.lax.optimization_barrier(array)


def slopes(
    function: Callable[[dict[str, Array]], Array], at: Mapping[str, Array], names: Sequence[str]
) -> dict[str, Array]:
    """Derivatives of a function that acts on every element by itself, by some of its inputs."""

    def by(name: str) -> Array:
        return jax.jvp(lambda x: function({**at, name: x}), (at[name],), (jnp.ones_like(at[name]),))[1]

    return {name: kept(by(name)) for name in names}


def curvatures(
    function: Callable[[dict[str, Array]], Array], at: Mapping[str, Array], names: Sequence[str]
) -> dict[tuple[str, str], Array]:
    """Second derivatives of such a function, every two inputs once."""
    out: dict[tuple[str, str], Array] = {}
    for i, name in enumerate(names):
        for other in names[i:]:

            def first(x: Array, name: str = name, other: str = other) -> Array:
                return slopes(function, {**at, other: x}, [name])[name]

            out[name, other] = kept(jax.jvp(first, (at[other],), (jnp.ones_like(at[other]),))[1])
    return out


@dataclass(frozen=True)
class Taylor:
    """A value and its derivatives by named inputs."""

    value: Any
    first: Slopes
    second: Bends

    @staticmethod
    def variable(value: Any, name: str) -> Taylor:
        """An input itself."""
        return Taylor(value, {name: 1.0}, {})

    def bend(self, a: str, b: str) -> Any:
        """Second derivative; None where it is known to be zero."""
        return self.second.get((a, b), self.second.get((b, a)))

    def __add__(self, other: Taylor) -> Taylor:
        return Taylor(self.value + other.value, _sum(self.first, other.first), _sum(self.second, other.second))

    def __radd__(self, zero: int) -> Taylor:
        return self  # where `sum` begins

    def __mul__(self, factor: float) -> Taylor:
        return Taylor(factor * self.value, _times(factor, self.first), _times(factor, self.second))

    __rmul__ = __mul__


def _times(factor: float, part: Mapping[Any, Any]) -> dict[Any, Any]:
    return {k: factor * x for k, x in part.items()}


def _sum(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> dict[Any, Any]:
    return {k: a[k] + b[k] if k in a and k in b else a.get(k, b.get(k)) for k in {**a, **b}}


def chained(value: Any, slope: Slopes, bend: Bends, inputs: Mapping[str, Taylor], *, second: bool) -> Taylor:
    """A function of series, from its derivatives at their values.

    **Arguments:** `inputs`: by the names that `slope` and `bend` have. `second`: whether second derivatives are wanted.
    """
    names = list(dict.fromkeys(n for x in inputs.values() for n in x.first))
    first = {n: _total([s * inputs[k].first[n] for k, s in slope.items() if n in inputs[k].first]) for n in names}
    out: dict[tuple[str, str], Any] = {}
    for i, n in enumerate(names if second else ()):
        for m in names[i:]:
            parts = [s * inputs[k].bend(n, m) for k, s in slope.items() if inputs[k].bend(n, m) is not None]
            for (a, b), c in bend.items():
                x, y = inputs[a].first, inputs[b].first
                parts += [c * x[n] * y[m]] if n in x and m in y else []
                parts += [c * y[n] * x[m]] if a != b and n in y and m in x else []
            if parts:
                out[n, m] = _total(parts)
    return Taylor(value, first, out)


def _total(parts: Sequence[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
