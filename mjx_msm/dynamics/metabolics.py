"""Metabolic power of muscles: what a contraction costs in heat and work.

Power of a muscle is heat of activation and maintenance, heat of shortening or lengthening, and mechanical work.
A model is a value with its coefficients; `power` evaluates it on any leading axes, so that a whole episode that was
recorded is one call. NumPy arrays and JAX arrays are both served; derivatives are finite.

Velocities are negative when fibers shorten. All powers are per muscle, in W; the basal rate of the body comes on top.

Sources:
    Bhargava, Pandy, Anderson 2004, doi 10.1016/S0021-9290(03)00239-2
    Umberger, Gerritsen, Martin 2003, doi 10.1080/1025584031000091678
    Umberger 2010, doi 10.1098/rsif.2010.0084
    Uchida, Hicks, Dembia, Delp 2016, doi 10.1371/journal.pone.0150378
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mjx_msm.common.arrays import AnyArray, namespace

DENSITY = 1059.7
"""Of muscle [kg/m³]; Umberger et al. 2003."""
SPECIFIC_TENSION = 0.25e6
"""F0 over cross-section [Pa]; Umberger et al. 2003."""
MINIMAL_HEAT = 1.0
"""Least heat of a muscle [W/kg of the muscle]; Umberger et al. 2003."""

SLOW_TWITCH: Mapping[str, float] = {
    # Leg: the values of Uchida et al. 2016, from Johnson et al. 1973 and later biopsies.
    "recfem": 0.3865,
    "vasmed": 0.503,
    "vasint": 0.543,
    "vaslat": 0.455,
    "bflh": 0.5425,
    "bfsh": 0.529,
    "semimem": 0.4925,
    "semiten": 0.425,
    "gasmed": 0.566,
    "gaslat": 0.507,
    "soleus": 0.803,
    "tibant": 0.70,
    # Arm: Johnson, Polgar, Weightman, Appleton 1973, doi 10.1016/0022-510X(73)90023-3, mean of surface and depth.
    "BIClong": 0.464,
    "BICshort": 0.464,
    "TRIlong": 0.326,
    "TRIlat": 0.326,
    "TRImed": 0.326,
    # Not measured there.
    "BRA": 0.5,
}
"""Fraction of slow-twitch fibers in the bundled models' muscles [-]."""


class Muscles(NamedTuple):
    """What does not change during a motion; one entry per muscle."""

    max_isometric_force: Float[AnyArray, "*batch muscle"]
    """F0 [N]."""
    optimal_fiber_length: Float[AnyArray, "*batch muscle"]
    """[m]."""
    max_contraction_velocity: Float[AnyArray, "*batch muscle"]
    """Of the fastest fibers [optimal fiber lengths / s]."""
    slow_twitch: Float[AnyArray, "*batch muscle"]
    """Fraction of slow-twitch fibers [-], above 0, at most 1."""
    mass: Float[AnyArray, "*batch muscle"]
    """[kg]."""


class Contraction(NamedTuple):
    """What the muscles do at an instant, or at many; one entry per muscle."""

    excitation: Float[AnyArray, "*batch muscle"]
    """0..1."""
    activation: Float[AnyArray, "*batch muscle"]
    """0..1."""
    fiber_length: Float[AnyArray, "*batch muscle"]
    """[optimal fiber lengths]."""
    fiber_velocity: Float[AnyArray, "*batch muscle"]
    """[optimal fiber lengths / s], positive when lengthening."""
    active_force_length: Float[AnyArray, "*batch muscle"]
    """Isometric active force at this length and full activation [F0]."""
    active_force: Float[AnyArray, "*batch muscle"]
    """Along the fiber [N]."""
    passive_force: Float[AnyArray, "*batch muscle"]
    """Along the fiber [N]."""


def muscle_mass(
    max_isometric_force: Float[AnyArray, "*batch muscle"], optimal_fiber_length: Float[AnyArray, "*batch muscle"]
) -> Float[AnyArray, "*batch muscle"]:
    """m = F0 · l_opt · ρ/σ [kg], of a muscle that is a cylinder as long as its fibers; F0 [N], l_opt [m]."""
    return max_isometric_force * optimal_fiber_length * (DENSITY / SPECIFIC_TENSION)


def slow_twitch(muscles: Sequence[str]) -> Float[np.ndarray, "muscle"]:
    """Fraction of slow-twitch fibers by name [-]; 0.5 for a muscle that is not in `SLOW_TWITCH`."""
    return np.array([SLOW_TWITCH.get(name, 0.5) for name in muscles])


@dataclass(frozen=True)
class Bhargava2004:
    """Bhargava, Pandy and Anderson's model.

    With u excitation, r the slow-twitch fraction, m the mass, F the fiber's force, active and passive, F_a its active
    part and v its velocity [m/s]::

        u_s = r sin(π u/2),  u_f = (1 − r)(1 − cos(π u/2))     recruited slow and fast fibers
        A   = m (40 u_s + 133 u_f)                             activation heat
        M   = m g(l) (74 u_s + 111 u_f)                        maintenance heat
        S   = −(0.16 a f_L F0 + 0.18 F) v    while shortening  shortening heat
              −0.157 F v                     while lengthening
        W   = −F_a v                                           work
        power = max(A + M + S + W, 0),  of which heat is m · 1 W/kg at least

    g is 0.5 up to a length of 0.5, 1 at 1, 0 from 1.5, linear between. The paper lets A decay during a long
    stimulation; like OpenSim, this does not. Total power is kept from becoming negative and heat from vanishing as in
    OpenSim (Uchida et al. 2016; Umberger et al. 2003).
    """

    isometric: float = 0.16
    """Shortening heat per isometric force and velocity [-]."""
    shortening: float = 0.18
    """Shortening heat per force and velocity [-]. Anderson's 1999 form has 0.25, and 0 for the other two."""
    lengthening: float = 0.157
    """Heat per force and velocity while lengthening [-]; negative work is turned into heat by less than all of it."""

    def power(self, muscles: Muscles, state: Contraction) -> Float[AnyArray, "*batch muscle"]:
        """Metabolic power of every muscle [W], without the basal rate."""
        xp = namespace(state.excitation)
        mass, velocity = muscles.mass, state.fiber_velocity * muscles.optimal_fiber_length
        angle = (0.5 * math.pi) * state.excitation
        slow = muscles.slow_twitch * xp.sin(angle)
        fast = (1.0 - muscles.slow_twitch) * (1.0 - xp.cos(angle))
        length = state.fiber_length
        maintained = xp.maximum(xp.minimum(xp.maximum(length, 0.5), 3.0 - 2.0 * length), 0.0)
        heat = mass * ((40.0 + 74.0 * maintained) * slow + (133.0 + 111.0 * maintained) * fast)
        force = state.active_force + state.passive_force
        isometric = state.activation * state.active_force_length * muscles.max_isometric_force
        while_shortening = self.isometric * isometric + self.shortening * force
        heat = heat - xp.where(velocity <= 0.0, while_shortening, self.lengthening * force) * velocity
        absorbed = state.active_force * velocity  # −W
        return xp.maximum(xp.maximum(heat, absorbed), MINIMAL_HEAT * mass) - absorbed


@dataclass(frozen=True)
class Umberger2010:
    """Umberger's model of 2010; with other coefficients that of 2003, or Uchida's of 2016.

    With u excitation, a activation, r the slow-twitch fraction, l and v the fiber's length and velocity
    [l_opt, l_opt/s], f_L the active force–length curve, vmax the maximum velocity and F_a the active force; per kg::

        α   = u where u > a, else (u + a)/2
        c   = f_L where l > 1, else 1
        AM  = S α^0.6 (25 + 128 (1 − r)) (0.4 + 0.6 c)                             activation and maintenance heat
        SL  = S α² c (r min(250 |v|/vmax, 100) + (1 − r) 153 |v|/vmax)  shortening heat
              S α c k 250 v/vmax                                       lengthening heat
        W   = −F_a v l_opt/m,  while lengthening times e
        power = m (max(AM + SL, 1) + W)

    The model of 2010 has k = 0.3 and counts no negative work, e = 0; that of 2003 has k = 4 and e = 1. Uchida's has
    these, recruits slow fibers first, r ← r/(r + (1 − r) tan(π u/4)), and keeps power from becoming negative.
    S is 1 for anaerobic, 1.5 for aerobic conditions.
    """

    lengthening: float = 0.3
    """k, heat while lengthening over that of shortening slow fibers [-]."""
    negative_work: float = 0.0
    """e, the part of the work done on the fiber that the muscle is spared [-]."""
    aerobic: float = 1.5
    """S [-]."""
    orderly: bool = False
    """Whether slow fibers are recruited first."""

    def power(self, muscles: Muscles, state: Contraction) -> Float[AnyArray, "*batch muscle"]:
        """Metabolic power of every muscle [W], without the basal rate."""
        xp = namespace(state.excitation)
        excitation, velocity, slow = state.excitation, state.fiber_velocity, muscles.slow_twitch
        if self.orderly:
            slow = slow / (slow + (1.0 - slow) * xp.tan((0.25 * math.pi) * excitation))
        fast = 1.0 - slow
        # The mean of u and a is less than u exactly where u > a. The floor keeps the slope of α^0.6 finite.
        effort = xp.maximum(xp.maximum(excitation, 0.5 * (excitation + state.activation)), 1e-12)
        long = xp.where(state.fiber_length > 1.0, state.active_force_length, 1.0)
        speed = velocity / muscles.max_contraction_velocity
        while_shortening = effort * (slow * xp.minimum(-250.0 * speed, 100.0) - (153.0 * fast) * speed)
        while_lengthening = (250.0 * self.lengthening) * speed
        shortens = velocity <= 0.0
        turned = (effort * long) * xp.where(shortens, while_shortening, while_lengthening)
        kept = effort**0.6 * (25.0 + 128.0 * fast) * (0.4 + 0.6 * long)
        heat = (self.aerobic * muscles.mass) * (kept + turned)
        absorbed = xp.maximum(state.active_force, 0.0) * velocity * muscles.optimal_fiber_length  # −W
        absorbed = xp.where(shortens, absorbed, self.negative_work * absorbed)
        return xp.maximum(xp.maximum(heat, absorbed), MINIMAL_HEAT * muscles.mass) - absorbed


UMBERGER_2003 = Umberger2010(lengthening=4.0, negative_work=1.0)
"""Umberger, Gerritsen and Martin's model, kept from negative power."""
UCHIDA_2016 = Umberger2010(lengthening=4.0, negative_work=1.0, orderly=True)
"""Umberger's model as Uchida et al. revised it, and as OpenSim has it unless told otherwise."""
