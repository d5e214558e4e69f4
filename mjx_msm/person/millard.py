"""Millard's muscle of 2013, OpenSim's `Millard2012EquilibriumMuscle`: its curves, fibers and tendon.

Source: Millard, Uchida, Seth, Delp 2013, doi 10.1115/1.4023390; shape and constants of OpenSim's default curves
(`ActiveForceLengthCurve`, `ForceVelocityCurve`, `FiberForceLengthCurve`, `TendonForceLengthCurve`). All are
`mjx_msm.person.bent_lines`.
"""

from __future__ import annotations

from typing import Any, ClassVar, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from mjx_msm.person.bent_lines import Point, along, bent_line, pieces, place
from mjx_msm.person.muscle import AnyArray, MuscleParameters, _like, _require
from mjx_msm.person.pennation import PennateMuscle

PASSIVE_STRAIN = 0.7
"""Of the fibers where they resist with F0, as OpenSim has it [-]."""

# Curviness c of `mjx_msm.person.bent_lines` is 0.1 + 0.8 times OpenSim's, which is 1 (active), 0.6 and 0.9 (shortening
# and lengthening), 0.75 (passive) and 0.5 (tendon).
_ACTIVE, _SHORTENS, _LENGTHENS, _PASSIVE, _TENDON = 0.9, 0.58, 0.82, 0.7, 0.5

SHORTEST, SHOULDER, LONGEST, SHALLOW = 0.4441, 0.73, 1.8123, 0.8616
"""Of the active curve: where it begins, where its ascent turns shallow, where it ends [l_opt], the shallow slope."""
PLATEAU = 0.05
"""Half of the plateau's width [l_opt]."""
NEAR_VMAX, ISOMETRIC, NEAR_SATURATION, LENGTHENING = 0.25, 5.0, 0.15, 1.4
"""Of the force-velocity curve: slopes at -0.9, 0 and 0.9 vmax (0 at the ends), force at vmax lengthening."""
LOW_STIFFNESS, HIGH_STIFFNESS = 0.2, 2.0
"""Of passive fibers: past the toe, and at F0, this one over their strain there."""
TENDON_STIFFNESS, TOE_FORCE = 1.375, 2.0 / 3.0
"""Of the tendon, over its strain at F0, from a force of 2/3 F0 on."""
PUSH, SLACK = 0.2, 0.25
"""Of a tendon shorter than its slack length: least force −0.2 F0, and how soon it is reached, per strain at F0."""


def active_force_length(
    fiber_length: Float[ArrayLike, "*batch muscle"], least: Float[ArrayLike, "*#batch #muscle"] = 0.1
) -> Float[Array, "*batch muscle"]:
    """Active force-length curve [-] of the normalized fiber length [-]; `least`: its value outside 0.44 to 1.81."""
    climb, end, start = 1.0 - PLATEAU, LONGEST - PLATEAU, 1.0 + PLATEAU
    knee = 1.0 - SHALLOW * (climb - SHOULDER)
    points = (
        Point(SHORTEST, least, 0.0),
        Point(0.5 * (SHORTEST + SHOULDER), 0.5 * knee, 1.25 * knee / (SHOULDER - SHORTEST)),
        Point(0.5 * (SHOULDER + climb), 0.5 * (1.0 + knee), SHALLOW),
        Point(1.0, 1.0, 0.0),
        Point(0.5 * (start + LONGEST), 0.5, -1.0 / (end - start)),
        Point(LONGEST, least, 0.0),
    )
    return bent_line(fiber_length, points, (_ACTIVE,) * 5)


def force_velocity(fiber_velocity: Float[ArrayLike, "*batch muscle"]) -> Float[Array, "*batch muscle"]:
    """Force-velocity curve [-] of the normalized fiber velocity [-], positive when lengthening: 0 from -1, 1.4 to 1."""
    points = (
        Point(-1.0, 0.0, 0.0),
        Point(-0.9, 0.05 * NEAR_VMAX, NEAR_VMAX),
        Point(0.0, 1.0, ISOMETRIC),
        Point(0.9, LENGTHENING - 0.05 * NEAR_SATURATION, NEAR_SATURATION),
        Point(1.0, LENGTHENING, 0.0),
    )
    return bent_line(fiber_velocity, points, (_SHORTENS, _SHORTENS, _LENGTHENS, _LENGTHENS))


def passive_force_length(
    fiber_length: Float[ArrayLike, "*batch muscle"],
    strain: Float[ArrayLike, "*#batch #muscle"] = PASSIVE_STRAIN,
) -> Float[Array, "*batch muscle"]:
    """Passive force-length curve [-] of the normalized fiber length [-]: 0 up to 1, 1 at 1 + strain, then a line."""
    high = HIGH_STIFFNESS / strain
    toe = 0.1 / high
    points = (
        Point(1.0, 0.0, 0.0), Point(1.0 + toe, 0.5 * LOW_STIFFNESS * toe, LOW_STIFFNESS), Point(1.0 + strain, 1.0, high)
    )  # fmt: skip
    return bent_line(fiber_length, points, (_PASSIVE,) * 2)


def _tendon(strain: Any) -> tuple[Point, Point, Point]:
    """Of the tendon's force over its strain."""
    stiffness = TENDON_STIFFNESS / strain
    toe = strain - (1.0 - TOE_FORCE) / stiffness
    foot, middle = 0.1 * toe, strain - (1.0 - 0.5 * TOE_FORCE) / stiffness
    slope = 0.5 * TOE_FORCE / (middle - foot)
    bend = 0.5 * (middle - foot)
    return Point(0.0, 0.0, 0.0), Point(foot + bend, slope * bend, slope), Point(toe, TOE_FORCE, stiffness)


@final
class MillardTendon(eqx.Module):
    """Tendon force of its strain e over F0: a toe to 2/3, a line from there with the slope 1.375/e0, e0 the strain at
    F0.

    Below e = 0, where OpenSim's tendon is slack, it pushes a little, 0.2 (exp(e/(4 e0)) − 1), so that fibers and a
    slack tendon have a balance.
    """

    least: ClassVar[float] = -0.19
    """Force over F0 [-] that it has at some strain."""

    def force(
        self, length: Float[AnyArray, "*batch muscle"], strain: Float[AnyArray, "*#batch #muscle"] | float
    ) -> Float[AnyArray, "*batch muscle"]:
        """Force over F0 [-] at the length over l_slack [-]; `strain`: at F0 [-]."""
        e = jnp.asarray(length) - 1.0
        push = PUSH * jnp.expm1(SLACK * jnp.where(e > 0, 0.0, e) / strain)
        return push + bent_line(jnp.where(e > 0, e, 0.0), _tendon(strain), (_TENDON,) * 2)

    def length(
        self, force: Float[AnyArray, "*batch muscle"], strain: Float[AnyArray, "*#batch #muscle"] | float
    ) -> Float[AnyArray, "*batch muscle"]:
        """Length over l_slack [-] at a force over F0 [-] above `least`."""
        force = jnp.asarray(force)
        slack, bend, toe = _tendon(strain)
        (low, low_force), (high, high_force) = pieces(slack, bend, _TENDON), pieces(bend, toe, _TENDON)
        first = jnp.clip(force / bend.y, 1e-9, 1.0)  # the toe begins as a cube, and so does its inverse
        second = jnp.clip((force - bend.y) / high_force.length, 0.0, 1.0)
        bent = jnp.where(
            force < bend.y, along(low, _cubic_place(first, low_force.second)),
            along(high, place(second, high_force.first, high_force.second)),
        )  # fmt: skip
        pushed = strain / SLACK * jnp.log1p(jnp.where(force < 0, force, 0.0) / PUSH)
        line = jnp.where(force > toe.y, force - toe.y, 0.0) / toe.slope
        return 1.0 + jnp.where(force > 0, bent, pushed) + line


def _cubic_place(share: Array, second: Any) -> Array:
    """u at which a piece that begins without slope has come a `share` of its length: Newton's method for cube roots."""
    root = jnp.cbrt(share)
    u = root
    for _ in range(6):
        inner = 10 * (1 - u) ** 2 * second + 5 * (1 - u) * u * second + u**2  # share over u³
        slope = 30 * second * (1 - u) ** 2 + 5 * (1 - second) * u**2  # of share, over u²
        cube = jnp.cbrt(inner)
        u = jnp.clip(u - (u * cube - root) * 3 * cube**2 / slope, 0.0, 1.0)
    return u


@final
class Millard2012(PennateMuscle):
    """Millard's muscle with a rigid tendon and pennation; with x, l, v, cos α as `DeGrooteFregly2016` has them,

        tension = F0 (a f_L(l) f_V(v) + passive_force_scale f_PE(l) + fiber_damping v) cos α.

    Activation dynamics are those of MuJoCo's muscle, which are Millard's.
    """

    fiber_damping: Float[ArrayLike, "*#batch #muscle"] = 0.1
    """Damping force at the maximum contraction velocity, over F0 [-]; OpenSim's default. Where it is 0, OpenSim
    takes the fibers' rate from another force-velocity curve, steeper at its ends: 0.4 % of F0 apart."""
    least_active: Float[ArrayLike, "*#batch #muscle"] = 0.1
    """Active force at any length, over F0 [-]; OpenSim's default, with which its fibers cannot get stuck. Many model
    files have 0."""

    def __check_init__(self) -> None:
        _require(self, "fiber_damping", 0, np.inf, open_interval=False, fix="choose fiber_damping >= 0")
        _require(self, "least_active", 0, 0.4, open_interval=False, fix="choose 0 <= least_active <= 0.4")

    def tension(
        self,
        parameters: MuscleParameters,
        activation: Float[Array, "*batch muscle"],
        path_length: Float[Array, "*batch muscle"],
        path_velocity: Float[Array, "*batch muscle"],
    ) -> Float[Array, "*batch muscle"]:
        """Tension along the path [N]; equation in the class docstring.

        `activation` [-], `path_length` [m], `path_velocity` [m/s], each (..., muscle).
        """
        length, velocity, cos = self.moving_fibers(parameters, path_length, path_velocity)
        active = activation * active_force_length(length, _like(self.least_active, length)) * force_velocity(velocity)
        passive = parameters.passive_force_scale * passive_force_length(length, parameters.passive_fiber_strain)
        damped = _like(self.fiber_damping, velocity) * velocity
        return jnp.asarray(parameters.max_isometric_force) * (active + passive + damped) * cos
