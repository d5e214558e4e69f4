"""Thelen's muscle of 2003, which most OpenSim models of a leg have: its curves, fibers and tendon.

Source: Thelen 2003, doi 10.1115/1.1531112; constants of OpenSim's `Thelen2003Muscle`, whose curves these are from where
a tendon carries load to where fibers lengthen at vmax.
"""

from __future__ import annotations

from typing import Any, ClassVar, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from mjx_msm.common.arrays import namespace
from mjx_msm.person.muscle import AnyArray, MuscleParameters, _like, _require
from mjx_msm.person.pennation import PennateMuscle

ACTIVE_WIDTH = 0.45
"""γ [-]."""
PASSIVE_STIFFNESS = 5.0
"""kPE [-]; the paper has 4 for the old and 5 for the young."""
CURVATURE = 0.25
"""A_f of the force-velocity curve [-]."""
LENGTHENING = 1.4
"""F_len: active force at saturating lengthening velocity, over the isometric one [-]."""
STEEPEST = 0.95
"""Part of F_len from which the force-velocity curve goes on as its tangent, as OpenSim's does."""
TOE_STIFFNESS, TOE_FORCE = 3.0, 0.33
"""k_toe, and the tendon's force at the end of its toe over F0."""


Constant = Float[ArrayLike, "*#batch #muscle"]
"""Of a curve: one for all muscles, or one each."""


def active_force_length(
    fiber_length: Float[AnyArray, "*batch muscle"], width: Constant = ACTIVE_WIDTH
) -> Float[AnyArray, "*batch muscle"]:
    """f_L(l) = exp(−(l − 1)²/γ) [-] of the normalized fiber length l [-]."""
    return namespace(fiber_length).exp(-((fiber_length - 1.0) ** 2) / width)


def passive_force_length(
    fiber_length: Float[AnyArray, "*batch muscle"],
    strain: Float[AnyArray, "*#batch #muscle"] | float,
    stiffness: Constant = PASSIVE_STIFFNESS,
) -> Float[AnyArray, "*batch muscle"]:
    """f_PE(l) = (exp(kPE (l − 1)/e0) − 1)/(exp(kPE) − 1) [-] of fibers longer than 1, else 0; e0 the strain."""
    xp = namespace(fiber_length)
    stretched = xp.where(fiber_length > 1.0, fiber_length - 1.0, 0.0)
    return xp.expm1(stiffness / strain * stretched) / namespace(stiffness).expm1(stiffness)


def force_velocity(
    fiber_velocity: Float[AnyArray, "*batch muscle"],
    activation: Float[AnyArray, "*#batch #muscle"],
    curvature: Constant = CURVATURE,
    lengthening: Constant = LENGTHENING,
) -> Float[AnyArray, "*batch muscle"]:
    """Active force over the isometric one [-] of the normalized fiber velocity v [-], at an activation a.

    With w = v/(0.25 + 0.75 a), so that less active fibers are slower::

        w <= -1       0
        -1 < w <= 0   (1 + w)/(1 − w/A_f)
        0 < w         (c + k w F_len)/(c + k w),    c = F_len − 1,  k = 2 + 2/A_f

    and its tangent from 0.95 F_len on.
    """
    xp = namespace(fiber_velocity)
    w = fiber_velocity / (0.25 + 0.75 * activation)
    c, k = lengthening - 1.0, 2.0 + 2.0 / curvature
    end = c * (STEEPEST * lengthening - 1.0) / (k * lengthening * (1.0 - STEEPEST))  # where the tangent begins
    slope = c * k * (lengthening - 1.0) / (c + k * end) ** 2
    shortens, lengthens = xp.where(w <= 0, xp.where(w < -1.0, -1.0, w), 0.0), xp.where(w > 0, xp.minimum(w, end), 0.0)
    back = (1.0 + shortens) / (1.0 - shortens / curvature)
    forth = (c + k * lengthens * lengthening) / (c + k * lengthens) + slope * xp.where(w > end, w - end, 0.0)
    return xp.where(w <= 0, back, forth)


@final
class ThelenTendon(eqx.Module):
    """Tendon force of its strain e over F0: an exponential toe, and a line from 0.33 on::

        f_T = 0.33 (exp(3 e/e_toe) − 1)/(exp(3) − 1),   e <= e_toe = 99 exp(3) e0/(166 exp(3) − 67)
        f_T = 1 + 0.67 (e − e0)/(e0 − e_toe)

    with e0 the strain at F0. The toe goes on below e = 0, where OpenSim's tendon is slack: it pushes, by less than
    0.02.
    """

    least: ClassVar[float] = -0.016
    """Force over F0 [-] that it has at some strain."""

    def _toe(self, strain: Any) -> Any:
        return 99.0 * np.exp(3.0) / (166.0 * np.exp(3.0) - 67.0) * strain

    def force(
        self, length: Float[AnyArray, "*batch muscle"], strain: Float[AnyArray, "*#batch #muscle"] | float
    ) -> Float[AnyArray, "*batch muscle"]:
        """Force over F0 [-] at the length over l_slack [-]; `strain`: at F0 [-]."""
        xp, e, toe = namespace(length), length - 1.0, self._toe(strain)
        bent = TOE_FORCE * xp.expm1(TOE_STIFFNESS * xp.minimum(e, toe) / toe) / float(np.expm1(TOE_STIFFNESS))
        return bent + (1.0 - TOE_FORCE) / (strain - toe) * xp.maximum(e - toe, 0.0)

    def length(
        self, force: Float[AnyArray, "*batch muscle"], strain: Float[AnyArray, "*#batch #muscle"] | float
    ) -> Float[AnyArray, "*batch muscle"]:
        """Length over l_slack [-] at a force over F0 [-] above `least`."""
        xp, toe = namespace(force), self._toe(strain)
        low = xp.minimum(force, TOE_FORCE)
        bent = toe / TOE_STIFFNESS * xp.log1p(low * float(np.expm1(TOE_STIFFNESS)) / TOE_FORCE)
        return 1.0 + bent + (strain - toe) / (1.0 - TOE_FORCE) * xp.maximum(force - TOE_FORCE, 0.0)


@final
class Thelen2003(PennateMuscle):
    """Thelen's muscle with a rigid tendon and pennation; with x, l, cos α as `DeGrooteFregly2016` has them,

        tension = F0 (a f_L(l) f_V(v; a) + passive_force_scale f_PE(l)) cos α.

    Activation dynamics are those of MuJoCo's muscle (Millard et al. 2013, doi 10.1115/1.4023390), after Thelen's.
    """

    active_width: Constant = ACTIVE_WIDTH
    """γ [-]; 0.5 in most files of OpenSim."""
    passive_stiffness: Constant = PASSIVE_STIFFNESS
    """kPE [-]; 4 there."""
    curvature: Constant = CURVATURE
    """A_f [-]; 0.3 there."""
    lengthening: Constant = LENGTHENING
    """F_len [-]; 1.8 there."""

    def __check_init__(self) -> None:
        for field in ("active_width", "passive_stiffness", "curvature"):
            _require(self, field, 0, np.inf, open_interval=True, fix=f"choose {field} > 0")
        _require(self, "lengthening", 1 / STEEPEST, np.inf, open_interval=True, fix="choose lengthening > 1.06")

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
        width, stiffness, curvature, most = (
            _like(x, length) for x in (self.active_width, self.passive_stiffness, self.curvature, self.lengthening)
        )
        active = active_force_length(length, width) * force_velocity(velocity, activation, curvature, most)
        passive = passive_force_length(length, parameters.passive_fiber_strain, stiffness)
        fibers = activation * active + parameters.passive_force_scale * passive
        return jnp.asarray(parameters.max_isometric_force) * fibers * cos
