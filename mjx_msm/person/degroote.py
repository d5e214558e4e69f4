"""De Groote and Fregly's muscle of 2016: its four curves, and the law of fibers behind a rigid tendon.

The curves take NumPy and JAX arrays alike, in single and double precision, and have finite derivatives everywhere.

Source: De Groote, Kinney, Rao, Fregly 2016, doi 10.1007/s10439-016-1591-9; constants of OpenSim's
`DeGrooteFregly2016Muscle`, the offsets of which differ from the paper's where it is said.
"""

from __future__ import annotations

from typing import Any, ClassVar, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from mjx_msm.common.arrays import namespace
from mjx_msm.person.muscle import AnyArray, MuscleParameters, _clip_unit, _like, _require
from mjx_msm.person.pennation import MIN_FIBER_LENGTH, PennateMuscle

# Rows (b1, b2, b3, b4) of the active force-length curve. The paper prints three digits; these are OpenSim's
# (DeGrooteFregly2016Muscle.h), chosen so that the curve is 1 at length 1.
ACTIVE = (
    (0.8150671134243542, 1.055033428970575, 0.162384573599574, 0.063303448465465),
    (0.433004984392647, 0.716775413397760, -0.029947116970696, 0.200356847296188),
    (0.1, 1.0, 0.353553390593274, 0.0),
)
FORCE_VELOCITY = (-0.3211346127989808, -8.149, -0.374, 0.8825327733249912)
"""d1 … d4."""
PASSIVE_STIFFNESS = 4.0
"""kPE [-]."""
PASSIVE_STRAIN = 0.6
"""e0, strain of passive fibers at F0 [-]."""
TENDON = (0.2, 1.0, 0.2)
"""c1, c2, c3."""
TENDON_STRAIN = 0.049
"""eT, strain of the tendon at F0 [-]; Maganaris and Paul 2002 (J Biomech 35:1639) found 4.9 ± 1 %."""


def active_force_length(fiber_length: Float[AnyArray, "*batch muscle"]) -> Float[AnyArray, "*batch muscle"]:
    """Active force-length curve f_L [-] of the normalized fiber length l [-].

    f_L(l) = sum over three rows of b1 * exp(-(l - b2)**2 / (2 (b3 + b4 l)**2)), f_L(1) = 1.
    """
    xp, length = namespace(fiber_length), fiber_length
    total = xp.zeros_like(length)
    for b1, b2, b3, b4 in ACTIVE:
        width = b3 + b4 * length
        # The second row's width passes through 0 at l = 0.149, where its term and all its derivatives are 0.
        # Within 0.01 of it the term is below the smallest float64: put a width there that can be divided by.
        width = xp.where(abs(width) < 0.01, 0.01, width)
        total = total + b1 * xp.exp(-0.5 * ((length - b2) / width) ** 2)
    return total


def force_velocity(fiber_velocity: Float[AnyArray, "*batch muscle"]) -> Float[AnyArray, "*batch muscle"]:
    """Force-velocity curve f_V [-] of the normalized fiber velocity v [-].

    f_V(v) = d1 * ln(w + sqrt(w**2 + 1)) + d4 with w = d2 v + d3; f_V(-1) = 0, f_V(0) = 1, f_V(1) = 1.794.
    Positive v lengthens. As published the curve is not clipped: below -1 it is negative.
    """
    d1, d2, d3, d4 = FORCE_VELOCITY
    return d1 * namespace(fiber_velocity).arcsinh(d2 * fiber_velocity + d3) + d4


def passive_force_length(
    fiber_length: Float[AnyArray, "*batch muscle"],
    strain: Float[AnyArray, "*#batch #muscle"] | float = PASSIVE_STRAIN,
) -> Float[AnyArray, "*batch muscle"]:
    """Passive force-length curve f_PE [-] of the normalized fiber length l [-], which is 1 at 1 + e0, e0 the strain.

    f_PE(l) = (exp(kPE (l - 1)/e0) - o)/(exp(kPE) - o), o = exp(kPE (0.2 - 1)/e0), kPE = 4; of e0 = 0.6
    f_PE(0.2) = 0, f_PE(1) = 0.0182, f_PE(1.6) = 1. The paper has o = 1, and so f_PE(1) = 0 and negative force
    on shorter fibers.
    """
    steepness = PASSIVE_STIFFNESS / strain
    offset = namespace(steepness).exp(steepness * (MIN_FIBER_LENGTH - 1))
    stretched = namespace(fiber_length).exp(steepness * (fiber_length - 1))
    return (stretched - offset) / (float(np.exp(PASSIVE_STIFFNESS)) - offset)


@final
class DeGrooteTendon(eqx.Module):
    """Tendon force of the normalized tendon length l_T = tendon length/l_slack, over F0::

        f_T(l_T) = c1 exp(kT (l_T - c2)) - c3,    kT = ln((1 + c3)/c1)/(1 + eT - c2),    c = (0.2, 1, 0.2)

    f_T(1) = 0 and f_T(1 + eT) = 1. A tendon shorter than its slack length pushes a little, by less than 0.2.
    """

    least: ClassVar[float] = -0.19
    """Force over F0 [-] that it has at some strain."""

    def stiffness(self, strain: Float[AnyArray, "*batch muscle"] | float) -> Any:
        """kT [-] of a tendon that stretches by `strain` [-] at F0: 36.6 at 4.9 %."""
        c1, c2, c3 = TENDON
        return float(np.log((1 + c3) / c1)) / (1 + strain - c2)

    def force(
        self, length: Float[AnyArray, "*batch muscle"], strain: Float[AnyArray, "*#batch #muscle"] | float
    ) -> Float[AnyArray, "*batch muscle"]:
        """Force over F0 [-] at the length l_T [-]."""
        c1, c2, c3 = TENDON
        return c1 * namespace(length).exp(self.stiffness(strain) * (length - c2)) - c3

    def length(
        self, force: Float[AnyArray, "*batch muscle"], strain: Float[AnyArray, "*#batch #muscle"] | float
    ) -> Float[AnyArray, "*batch muscle"]:
        """Length l_T [-] at a force over F0 [-] above -0.2."""
        c1, c2, c3 = TENDON
        return namespace(force).log((force + c3) / c1) / self.stiffness(strain) + c2


@final
class DeGrooteFregly2016(PennateMuscle):
    """De Groote-Fregly 2016 muscle with a rigid tendon and pennation, as OpenSim's `DeGrooteFregly2016Muscle`
    with `ignore_tendon_compliance`.

    The muscle keeps its thickness h = l_opt sin(pennation_angle); lengths over l_opt, velocities over
    l_opt * vmax::

        x         = (path_length - l_slack)/l_opt              along the tendon
        l         = sqrt(x**2 + sin(pennation_angle)**2)       fiber length
        cos alpha = x / l
        v         = path_velocity/(l_opt * vmax) * cos alpha   fiber velocity
        fiber     = activation * f_L(l) * f_V(v) + passive_force_scale * f_PE(l) + fiber_damping * v
        tension   = F0 * fiber * cos alpha

    On a path shorter than l_slack + 0.2 l_opt (OpenSim's shortest fiber, too, is 0.2) the fiber gives way:
    x is bent, with two continuous derivatives, from the identity towards 0.1, and v is the rate of what
    remains. All stays finite however short the path is, and the isometric tension of a slack muscle fades to
    between -5e-5 F0 (passive) and 0.004 F0 (fully active).

    As published, f_V is negative for fibers that shorten faster than vmax, so that tension can be (slightly)
    negative there; damping does the same.

    Source: De Groote et al. 2016, doi 10.1007/s10439-016-1591-9; constants of OpenSim.
    """

    fiber_damping: Float[ArrayLike, "*#batch #muscle"] = 0.0
    """Damping force at the maximum contraction velocity, over F0 [-]; OpenSim's default too is 0."""
    activation_smoothing: Float[ArrayLike, "*#batch #muscle"] = 10.0
    """Steepness b of the change between the two time constants [-]. The paper has 0.1, which nearly averages
    them; OpenSim recommends 10 (SymPy's default), for rates that come near the time constants."""

    def __check_init__(self) -> None:
        _require(self, "fiber_damping", 0, np.inf, open_interval=False, fix="choose fiber_damping >= 0")
        _require(self, "activation_smoothing", 0, np.inf, open_interval=True, fix="choose activation_smoothing > 0")

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
        fiber_force = (
            activation * active_force_length(length) * force_velocity(velocity)
            + parameters.passive_force_scale * passive_force_length(length, parameters.passive_fiber_strain)
            + _like(self.fiber_damping, velocity) * velocity
        )
        return jnp.asarray(parameters.max_isometric_force) * fiber_force * cos

    def activation_rate(
        self,
        parameters: MuscleParameters,
        excitation: Float[Array, "*batch muscle"],
        activation: Float[Array, "*batch muscle"],
    ) -> Float[Array, "*batch muscle"]:
        """Time derivative of activation [1/s]; u excitation [-], a activation [-], each (..., muscle)::

            da/dt = (f_rise / (tau_act * z) + (1 - f_rise) * z / tau_deact) * (clip(u) - a)
            z     = 1/2 + 3/2 clip(a)
            f_rise = 1/2 + 1/2 tanh(b (clip(u) - a))

        with b the `activation_smoothing`, and clip to 0..1.

        Source: De Groote et al. 2016, doi 10.1007/s10439-016-1591-9.
        """
        a = jnp.asarray(activation)
        difference = _clip_unit(jnp.asarray(excitation)) - a
        z = 0.5 + 1.5 * _clip_unit(a)
        rising = 0.5 + 0.5 * jnp.tanh(_like(self.activation_smoothing, difference) * difference)
        rate = (
            rising / (parameters.activation_time_constant * z)
            + (1 - rising) * z / parameters.deactivation_time_constant
        )
        return rate * difference
