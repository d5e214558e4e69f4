"""A start from afar: every muscle as a mixture of candidate muscles.

Along a recorded motion inverse dynamics is linear in the strengths of the muscles and, to first order about a guess,
in the parameters of segments and joints; what makes it hard is where each fiber works on its force-length curve. Give
every muscle many candidates for (optimal fiber length, tendon slack length) with unknown non-negative strengths, and
the problem is convex: non-negative least squares (Lawson & Hanson 1974, doi 10.1137/1.9781611971217) has no local
minima, however far the guess. A muscle's mixture is replaced by its mean, and candidates are drawn anew, closer by.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.optimize import nnls
from scipy.stats import qmc

from mjx_msm.common.compiled import float64, jit
from mjx_msm.dynamics.geometry import Geometry
from mjx_msm.dynamics.sensitivities import Factors, by_entry, entries_of, factors, inertial_columns, joint_columns
from mjx_msm.dynamics.simulation import inertial_force, passive_force
from mjx_msm.dynamics.vectors import array_of
from mjx_msm.estimation.residuals.acceleration import AccelerationTerm
from mjx_msm.person.model import Model
from mjx_msm.person.parameters import Parameters
from mjx_msm.person.space import ParameterSpace

SHAPE = ("optimal_fiber_length", "tendon_slack_length")
STRENGTH = "max_isometric_force"
CANDIDATES = 64
"""Per muscle."""
INSTANTS = 320
"""Instants of the recordings that are looked at."""
WIDTHS = (None, 0.3, 0.18, 0.11)
"""Half width within which candidates are drawn about a muscle's mean, in ln l_opt and in fiber lengths l/l_opt; None:
all that bounds and priors allow."""
FIBER_LENGTHS = (0.3, 1.8)
"""Where on its curve a candidate may work in the middle of its path's range [l_opt]."""
MISFIT = 0.05
"""Misfit, relative to the moments' spread, that weighs as much as one prior standard deviation."""


def can_relax(space: ParameterSpace) -> bool:
    """Whether there is anything here that a mixture finds better than a guess."""
    return any(s.group == "muscle" and s.field in SHAPE for s in space.scalars)


def relaxed_start(term: AccelerationTerm, z: Float[np.ndarray, "free"], seed: int) -> Float[np.ndarray, "free"]:
    """A starting point that forgets the muscles of `z` and corrects its segments and joints.

    **Arguments:** `seed`: of the candidates; another one gives another start.
    """
    model, space = term.model, term.space
    rng = np.random.default_rng(seed)
    picks = np.unique(np.linspace(0, len(term.sample) - 1, INSTANTS).astype(int))
    picks = np.resize(picks, INSTANTS)  # one shape, also of a short recording
    with float64():  # whatever the term was asked before
        activation = term.activations(z)[0][term.recording[picks], term.sample[picks]]
    spread = space.upper - space.lower
    anchored = np.isfinite(space.prior_scale)
    scale = np.where(anchored, space.prior_scale, 0.25 * spread)
    low = np.where(anchored, np.maximum(space.lower, space.prior_mean - 3 * scale), space.lower)
    high = np.where(anchored, np.minimum(space.upper, space.prior_mean + 3 * scale), space.upper)
    own = {f: _entries(space, model, f) for f in (*SHAPE, STRENGTH)}
    others = entries_of(space, "body", "joint")
    z = space.clip(z, 1e-3)
    with float64():
        motion = [jax.device_put(x[picks]) for x in (term.position, term.velocity, term.acceleration)]
        shape = term.geometry(picks)
        for width in WIDTHS:
            at = factors(space, z)
            needed, columns = _needed(model, space, at, shape, *motion)
            parameters = jax.tree.map(np.asarray, at.parameters)
            path = np.asarray(shape.path_length)
            middle = 0.5 * (path.max(axis=0) + path.min(axis=0))
            lengths, slacks = _candidates(rng, parameters, own, (low, high), space, middle, width)
            force = np.asarray(_moments(model, parameters, lengths, slacks, activation, shape, motion[1]))
            share, change = _mixture(force, np.asarray(needed), np.asarray(columns)[..., others], scale[others], own)
            z = _replaced(z, parameters, own, middle, lengths, slacks, share)
            z[others] += np.clip(change, -scale[others], scale[others])
            z = space.clip(z, 1e-3)
    return z


def _entries(space: ParameterSpace, model: Model, field: str) -> Int[np.ndarray, "muscle"]:
    """Entry of z of every muscle's field, -1 where it is not free."""
    out = np.full(len(model.muscles), -1)
    for s, entry in zip(space.scalars, space.owner, strict=True):
        if s.group == "muscle" and s.field == field:
            out[s.index[0]] = entry
    return out


@jit
def _needed(
    model: Model,
    space: ParameterSpace,
    at: Factors,
    shape: Geometry,
    position: Array,
    velocity: Array,
    acceleration: Array,
) -> tuple[Float[Array, "instant free"], Float[Array, "instant free entry"]]:
    """Muscle moments that the motion takes, and their derivative by z."""
    free = model.host.free_index

    def one(shape: Geometry, q: Array, v: Array, a: Array) -> tuple[Array, Array]:
        force = shape.armature @ a - passive_force(model, at.parameters, shape, q, v)
        force = force + array_of(inertial_force(at.inertia, shape.bodies, a, len(q)))
        inertial = inertial_columns(model, space, at, shape, a)
        return force[free], -by_entry(model, space, (joint_columns(model, space, at.parameters.joint, q, v),), inertial)

    return jax.vmap(one)(shape, position, velocity, acceleration)


@jit
def _moments(
    model: Model,
    parameters: Parameters,
    lengths: Any,
    slacks: Any,
    activation: Any,
    shape: Geometry,
    velocity: Array,
) -> Float[Array, "instant free muscle candidate"]:
    """Moments of all candidates at the muscles' present strength [N·m]."""
    speed = -jnp.einsum("imc,ic->im", shape.moment_arm, velocity)

    def tension(length: Array, slack: Array) -> Array:
        muscle = eqx.tree_at(
            lambda m: (m.optimal_fiber_length, m.tendon_slack_length), parameters.muscle, (length, slack)
        )
        return model.muscle.tension(muscle, activation, shape.path_length, speed)

    pull = jax.vmap(tension)(lengths, slacks)
    return jnp.einsum("kim,imc->icmk", pull, shape.moment_arm[..., model.host.free_index])


def _candidates(
    rng: np.random.Generator,
    parameters: Parameters,
    own: dict[str, np.ndarray],
    allowed: tuple[np.ndarray, np.ndarray],
    space: ParameterSpace,
    middle: Float[np.ndarray, "muscle"],
    width: float | None,
) -> tuple[Float[np.ndarray, "candidate muscle"], Float[np.ndarray, "candidate muscle"]]:
    """Optimal fiber and tendon slack lengths to try [m]; `middle`: of the range of every muscle's path."""
    muscles = len(middle)
    draw = np.stack([qmc.Sobol(2, rng=rng).random(CANDIDATES) for _ in range(muscles)], 1)
    now = {f: np.asarray(getattr(parameters.muscle, f)) for f in SHAPE}
    limits = {}
    for f in SHAPE:
        free = own[f] >= 0
        offset = np.zeros(muscles)
        for k, s in enumerate(space.scalars):
            if s.group == "muscle" and s.field == f:
                offset[s.index[0]] = space.offset[k]
        limits[f] = [np.where(free, np.exp(side[own[f]] + offset), now[f]) for side in allowed]
    length_name, slack_name = SHAPE
    fiber = (middle - now[slack_name]) / now[length_name]
    if width is None:
        low, high = np.log(limits[length_name])
        lengths = np.exp(low + (high - low) * draw[..., 0])
        works_at = FIBER_LENGTHS[0] + (FIBER_LENGTHS[1] - FIBER_LENGTHS[0]) * draw[..., 1]
    else:
        lengths = now[length_name] * np.exp(width * (2 * draw[..., 0] - 1))
        works_at = fiber + width * (2 * draw[..., 1] - 1)
    lengths = np.clip(lengths, *limits[length_name])
    return lengths, np.clip(middle - works_at * lengths, *limits[slack_name])


def _mixture(
    force: Float[np.ndarray, "instant free muscle candidate"],
    needed: Float[np.ndarray, "instant free"],
    columns: Float[np.ndarray, "instant free other"],
    scale: Float[np.ndarray, "other"],
    own: dict[str, np.ndarray],
) -> tuple[Float[np.ndarray, "muscle candidate"], Float[np.ndarray, "other"]]:
    """Non-negative multiples of the candidates, and the change of the other parameters, that meet the moments best."""
    instants, free, muscles, candidates = force.shape
    weight = 1.0 / (MISFIT * np.maximum(needed.std(axis=0), 1e-9))
    weigh = lambda x: (x * weight[:, None]).reshape(instants * free, -1)  # noqa: E731
    pull = weigh(force.reshape(instants, free, -1))
    other = weigh(-columns * scale)
    target = weigh(needed[..., None])[:, 0]
    # a change of either sign is the difference of two that are not negative
    matrix = np.concatenate([pull, other, -other], 1)
    normal, right = matrix.T @ matrix, matrix.T @ target
    k, n = pull.shape[1], other.shape[1]
    prior = np.eye(n)
    normal[k:, k:] += np.block([[prior, -prior], [-prior, prior]])
    fixed = np.flatnonzero(own[STRENGTH] < 0)
    for i in fixed:  # where the strength is known, a mixture has to add up to it
        block = slice(i * candidates, (i + 1) * candidates)
        heavy = 10.0 * np.trace(normal[block, block]) / candidates
        normal[block, block] += heavy
        right[block] += heavy
    unit = 1.0 / np.sqrt(np.maximum(np.diag(normal), 1e-12 * np.diag(normal).max()))
    lower = np.linalg.cholesky(unit[:, None] * normal * unit + 1e-9 * np.eye(len(unit)))
    x = unit * nnls(lower.T, np.linalg.solve(lower, unit * right), maxiter=20 * len(unit))[0]
    return x[:k].reshape(muscles, candidates), scale * (x[k : k + n] - x[k + n :])


def _replaced(
    z: np.ndarray,
    parameters: Parameters,
    own: dict[str, np.ndarray],
    middle: np.ndarray,
    lengths: np.ndarray,
    slacks: np.ndarray,
    share: np.ndarray,
) -> np.ndarray:
    """z with every muscle at the mean of its mixture; muscles that share an entry at the mean of theirs."""
    total = share.sum(axis=1)
    weight = share.T / np.maximum(total, 1e-12)
    now = parameters.muscle
    length = np.exp((weight * np.log(lengths)).sum(axis=0))
    works_at = (weight * (middle - slacks) / lengths).sum(axis=0)
    found = {
        SHAPE[0]: length,
        SHAPE[1]: np.maximum(middle - works_at * length, 1e-3 * middle),
        STRENGTH: total * np.asarray(now.max_isometric_force),
    }
    z, pulls = z.copy(), total > 1e-9
    for field, value in found.items():
        entries = own[field]
        ratio = np.log(np.where(pulls, value, 1.0) / np.where(pulls, np.asarray(getattr(now, field)), 1.0))
        for entry in np.unique(entries[(entries >= 0) & pulls]):
            z[entry] += ratio[(entries == entry) & pulls].mean()
    return z
