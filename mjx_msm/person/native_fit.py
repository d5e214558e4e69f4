"""MuJoCo's native muscles that come nearest to those of another law, and by how much they miss them.

Fitted are, muscle by muscle, what an MJCF muscle has: F0, l_opt, l_slack, vmax, the height of the passive curve and the
ends of the active one, lmin and lmax, and fvmax, to the law's tension over the working range: path lengths of the
file's `lengthrange` at which fibers are 0.5 to 1.5 l_opt long, shortening and lengthening by up to half of vmax,
activations from none to full. Of tendons that yield it is the tension that does not change.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import least_squares

from mjx_msm.common.compiled import float64, jit
from mjx_msm.person.compliant_tendon import CompliantTendon
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import FPMAX, AnyArray, MujocoMuscle, MuscleParameters
from mjx_msm.person.parameters import Parameters

LENGTHS, SPEEDS, ACTIVATIONS = 25, (-0.5, -0.25, -0.1, 0.0, 0.1, 0.25, 0.5), (0.0, 0.1, 0.3, 0.6, 1.0)
"""Of the grid: path lengths from end to end, rates [l_opt vmax], activations."""
FIBERS = (0.5, 1.5)
"""Lengths between which fibers work [l_opt]."""
LOWER = (0.3, 0.4, -0.5, 0.5, 0.0, 0.0, 1.05, 1.01)
UPPER = (2.0, 2.5, 0.5, 2.0, 5.0, 0.95, 3.0, 2.0)
"""Bounds of F0, l_opt, change of l_slack [l_opt], vmax, passive height, lmin, lmax and fvmax; the first, second and
fourth in parts of the law's own."""


class NativeFit(NamedTuple):
    """Native muscles, and what they miss over the working range."""

    gain: Float[np.ndarray, "muscle 8"]
    """F0 [N], l_opt [m], l_slack [m], vmax [l_opt/s], passive height, lmin, lmax, fvmax."""
    rms: Float[np.ndarray, "muscle"]
    """Root mean square error of tension over the range [F0]."""
    worst: Float[np.ndarray, "muscle"]
    """Largest error there [F0]."""


def fitted_native(model: Model, parameters: Parameters) -> NativeFit:
    """The native muscles nearest to those of a model's law."""
    with float64():
        p = jax.tree.map(lambda x: jnp.asarray(x, float), parameters.muscle)
        grid = _grid(p, jnp.asarray(model.host.mj_model.actuator_lengthrange))
        target = np.asarray(_tensions(model, p, *grid) / p.max_isometric_force)
        length, speed, activation = (np.asarray(x) for x in grid)
        found = []
        for i in range(len(model.muscles)):
            own = np.array([getattr(p, f)[i] for f in _OWN])
            at = (own, activation[:, i], length[:, i], speed[:, i], target[:, i])
            start = np.array(_start(model, p, i))
            fit = least_squares(
                lambda x, at=at: np.asarray(_missed(x, *at)),
                np.clip(start, np.array(LOWER) + 1e-6, np.array(UPPER) - 1e-6),
                jac=lambda x, at=at: np.asarray(_slope(x, *at)),  # type: ignore[arg-type]
                bounds=(LOWER, UPPER),
                max_nfev=100,
            )
            found.append((np.asarray(_physical(fit.x, own)), fit.fun))
    gain, missed = (np.array(x) for x in zip(*found, strict=True))
    return NativeFit(gain, np.sqrt(np.mean(missed**2, 1)), np.abs(missed).max(1))


def in_proportion(fit: NativeFit, of: MuscleParameters, others: MuscleParameters) -> MuscleParameters:
    """Native muscles of people like the one that a fit was made for, off their own as this one's are.

    F0, l_opt, vmax and the passive height in proportion, l_slack by as many l_opt. The curves' ends stay the fit's.

    **Arguments:** `of`, `others`: the native muscles that stand for that person's and for theirs without a fit
    (`mjx_msm.person.personalisation.native_muscles`); `others` may have leading axes.
    """
    f0, optimal, slack, vmax, passive = fit.gain.T[:5]
    longer = (slack - of.tendon_slack_length) / of.optimal_fiber_length
    has = of.passive_force_scale > 0
    height = jnp.where(has, others.passive_force_scale / jnp.where(has, of.passive_force_scale, 1.0), 1.0)
    return replace(
        others,
        max_isometric_force=others.max_isometric_force * f0 / of.max_isometric_force,
        optimal_fiber_length=others.optimal_fiber_length * optimal / of.optimal_fiber_length,
        tendon_slack_length=others.tendon_slack_length + longer * others.optimal_fiber_length,
        max_contraction_velocity=others.max_contraction_velocity * vmax / of.max_contraction_velocity,
        passive_force_scale=passive * height,
    )


_OWN = ("max_isometric_force", "optimal_fiber_length", "tendon_slack_length", "max_contraction_velocity")


def _grid(
    p: MuscleParameters, lengthrange: Float[Array, "muscle 2"]
) -> tuple[Float[Array, "point muscle"], Float[Array, "point muscle"], Float[Array, "point muscle"]]:
    """Path lengths [m], rates [m/s] and activations of the working range."""
    share, speed, activation = np.meshgrid(np.linspace(0.0, 1.0, LENGTHS), SPEEDS, ACTIVATIONS, indexing="ij")
    share, speed, activation = (jnp.asarray(x.ravel())[:, None] for x in (share, speed, activation))
    along = p.optimal_fiber_length * jnp.cos(p.pennation_angle)
    low, high = (jnp.clip(p.tendon_slack_length + x * along, *lengthrange.T) for x in FIBERS)
    elsewhere = high - low < 0.1 * along  # fibers that work far from where they are strong: all that there is
    low, high = (jnp.where(elsewhere, end, x) for end, x in zip(lengthrange.T, (low, high), strict=True))
    fastest = p.optimal_fiber_length * p.max_contraction_velocity
    return low + share * (high - low), speed * fastest, activation + jnp.zeros_like(low)


@jit
def _tensions(
    model: Model,
    p: MuscleParameters,
    length: Float[Array, "point muscle"],
    speed: Float[Array, "point muscle"],
    activation: Float[Array, "point muscle"],
) -> Float[Array, "point muscle"]:
    return model.muscle.tension(p, activation, length, speed)


def _start(model: Model, p: MuscleParameters, i: int) -> list[float]:
    """The law's own parameters along the tendon, the curves of the file."""
    gain, along = model.host.mj_model.actuator_gainprm[i], float(np.cos(p.pennation_angle[i]))
    strain = 0.5 * float(p.tendon_strain[i]) if isinstance(model.muscle, CompliantTendon) else 0.0
    longer = strain * float(p.tendon_slack_length[i] / p.optimal_fiber_length[i])
    passive = float(p.passive_force_scale[i]) * gain[7] / FPMAX
    return [along, along, longer, 1.0, passive, gain[4], gain[5], gain[8]]


def _physical(x: Float[AnyArray, "8"], own: Float[AnyArray, "4"]) -> Float[Array, "8"]:
    x, (f0, optimal, slack, vmax) = jnp.asarray(x), jnp.asarray(own)
    return jnp.stack([x[0] * f0, x[1] * optimal, slack + x[2] * optimal, x[3] * vmax, x[4], x[5], x[6], x[7]])


@jit
def _missed(
    x: Float[Array, "8"],
    own: Float[Array, "4"],
    activation: Float[Array, "point"],
    length: Float[Array, "point"],
    speed: Float[Array, "point"],
    target: Float[Array, "point"],
) -> Float[Array, "point"]:
    """Tension of the native muscle less that of the law [F0 of the law]."""
    f0, optimal, slack, vmax, passive, lmin, lmax, fvmax = _physical(jnp.asarray(x), own)
    one = jnp.ones(1)
    p = MuscleParameters(f0 * one, optimal * one, slack * one, vmax * one, passive * one, *(0.0 * one,) * 5)
    native = MujocoMuscle(lmin=lmin, lmax=lmax, fvmax=fvmax)
    pull = native.tension(p, activation[:, None], length[:, None], speed[:, None])[:, 0]
    return pull / jnp.asarray(own)[0] - target


@jit
def _slope(x: Float[Array, "8"], *rest: Float[Array, "..."]) -> Float[Array, "point 8"]:
    return jax.jacfwd(lambda y: _missed(y, *rest))(jnp.asarray(x))
