"""Inertias that a real body can have, in coordinates without constraints."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from mjx_msm.person.muscle import AnyArray


def inertia_matrix(inertia: Float[AnyArray, "*batch 6"]) -> Float[Array, "*batch 3 3"]:
    """Symmetric matrix of (xx, yy, zz, xy, xz, yz)."""
    order = jnp.array([[0, 3, 4], [3, 1, 5], [4, 5, 2]])
    return jnp.asarray(inertia)[..., order]


def inertia_vector(matrix: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 6"]:
    """(xx, yy, zz, xy, xz, yz) of a symmetric matrix."""
    return jnp.asarray(matrix)[..., jnp.array([0, 1, 2, 0, 0, 1]), jnp.array([0, 1, 2, 1, 2, 2])]


def inertia_to_log_cholesky(inertia: Float[AnyArray, "*batch 6"]) -> Float[Array, "*batch 6"]:
    """Unconstrained coordinates of a physically possible inertia about the centre of mass.

    The second moment of mass Σ = ½ tr(I)·1 − I of a real body is positive definite; together with a positive
    mass that is the positive definiteness of its pseudo-inertia, whose log-Cholesky factor (Rucker & Wensing
    2022, doi 10.1109/LRA.2022.3144517) splits into this factor, the mass and the centre of mass. With
    Σ = L Lᵀ the coordinates are (ln L11, ln L22, ln L33, L21/L22, L31/L33, L32/L33): relative, so that one scale
    fits bodies of every size.
    """
    matrix = inertia_matrix(inertia)
    trace = jnp.trace(matrix, axis1=-2, axis2=-1)[..., None, None]
    lower = jnp.linalg.cholesky(0.5 * trace * jnp.eye(3) - matrix)
    d = jnp.diagonal(lower, axis1=-2, axis2=-1)
    off = jnp.stack([lower[..., 1, 0], lower[..., 2, 0], lower[..., 2, 1]], -1)
    return jnp.concatenate([jnp.log(d), off / d[..., jnp.array([1, 2, 2])]], -1)


def log_cholesky_to_inertia(z: Float[Array, "*batch 6"]) -> Float[Array, "*batch 6"]:
    """Inverse of `inertia_to_log_cholesky`; any real vector gives a physically possible inertia."""
    d = jnp.exp(z[..., :3])
    o = z[..., 3:] * d[..., jnp.array([1, 2, 2])]
    zero = jnp.zeros_like(d[..., 0])
    rows = [
        jnp.stack([d[..., 0], zero, zero], -1),
        jnp.stack([o[..., 0], d[..., 1], zero], -1),
        jnp.stack([o[..., 1], o[..., 2], d[..., 2]], -1),
    ]
    lower = jnp.stack(rows, -2)
    second_moment = lower @ jnp.swapaxes(lower, -1, -2)
    trace = jnp.trace(second_moment, axis1=-2, axis2=-1)[..., None, None]
    return inertia_vector(trace * jnp.eye(3) - second_moment)
