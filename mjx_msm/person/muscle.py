"""Hill-type muscle models: what all of them are, and MuJoCo's own.

A muscle model is a value. It maps (activation, path length, path velocity) to tension; the path itself, its
length and its moment arms are MuJoCo's. Others are in files of their own: `mjx_msm.person.degroote`, and
`mjx_msm.person.compliant_tendon`, which puts a tendon that yields behind the fibers of another.

Arrays broadcast: parameters of shape (muscle,) serve states of shape (..., muscle). Results have the floating type
of the inputs, float32 or float64. Every function has finite derivatives, in forward and reverse mode, also where two
pieces of a curve meet; at a corner (clipping at 0 and 1) the derivative is the one from inside the interval.

Sources:
    MuJoCo: https://mujoco.readthedocs.io/en/stable/modeling.html#muscles
    Millard, Uchida, Seth, Delp 2013, doi 10.1115/1.4023390
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float

FPMAX = 1.3
"""Standard height of MuJoCo's passive curve (`fpmax`) [-]; `passive_force_scale` multiplies it."""

_MINVAL = 1e-15  # MuJoCo's mjMINVAL


AnyArray = Array | np.ndarray
"""What a parameter may be: NumPy where it is data (always float64), JAX where it is computed."""


class MuscleParameters(eqx.Module):
    """What distinguishes one person's muscles from another's; one entry per muscle."""

    max_isometric_force: Float[AnyArray, "*batch muscle"]
    """F0 [N]."""
    optimal_fiber_length: Float[AnyArray, "*batch muscle"]
    """Fiber length of greatest active force [m]."""
    tendon_slack_length: Float[AnyArray, "*batch muscle"]
    """Tendon length at which it starts to carry load [m]."""
    max_contraction_velocity: Float[AnyArray, "*batch muscle"]
    """[optimal fiber lengths / s]."""
    passive_force_scale: Float[AnyArray, "*batch muscle"]
    """Multiple of the muscle model's standard passive curve [-]."""
    pennation_angle: Float[AnyArray, "*batch muscle"]
    """Angle between fibers and tendon at optimal fiber length [rad]."""
    activation_time_constant: Float[AnyArray, "*batch muscle"]
    """[s]."""
    deactivation_time_constant: Float[AnyArray, "*batch muscle"]
    """[s]."""
    passive_fiber_strain: Float[AnyArray, "*batch muscle"]
    """Strain of the fibers at which they resist with F0 when passive [-], of laws whose passive curve has one."""
    tendon_strain: Float[AnyArray, "*batch muscle"]
    """Strain of the tendon at F0 [-], of laws whose tendon yields."""


Memory = Any
"""What a muscle remembers of the steps before: a pytree of arrays (..., muscle), empty for laws that need none."""


class AbstractMuscle(eqx.Module):
    """Interface of a muscle model; implementations are final values.

    A law whose tension follows from the present alone is done with `tension` and `activation_rate`. One with a state of
    its own, like the fibers' length behind a tendon that yields, also has `begin` and `pull`: what it remembers goes
    from step to step with whoever takes the steps.
    """

    @abstractmethod
    def tension(
        self,
        parameters: MuscleParameters,
        activation: Float[Array, "*batch muscle"],
        path_length: Float[Array, "*batch muscle"],
        path_velocity: Float[Array, "*batch muscle"],
    ) -> Float[Array, "*batch muscle"]:
        """Tension along the path [N], positive when it pulls; of a law with a memory, while tension does not change.

        `path_length` is the whole muscle-tendon path [m], `path_velocity` its rate of change [m/s],
        positive when lengthening.
        """

    @abstractmethod
    def activation_rate(
        self,
        parameters: MuscleParameters,
        excitation: Float[Array, "*batch muscle"],
        activation: Float[Array, "*batch muscle"],
    ) -> Float[Array, "*batch muscle"]:
        """Time derivative of activation [1/s]; excitation outside 0..1 is clipped."""

    def normalized_fiber_length(
        self, parameters: MuscleParameters, path_length: Float[Array, "*batch muscle"]
    ) -> Float[Array, "*batch muscle"]:
        """L = (path_length - l_slack)/l_opt [-], of fibers along a rigid tendon; `path_length` in m. Negative on a path
        below l_slack."""
        return (path_length - parameters.tendon_slack_length) / parameters.optimal_fiber_length

    def cosine(
        self, parameters: MuscleParameters, path_length: Float[Array, "*batch muscle"]
    ) -> Float[Array, "*batch muscle"]:
        """Tension along the path over the force along the fibers [-]: 1 without pennation."""
        return jnp.ones_like(path_length)

    def begin(
        self,
        parameters: MuscleParameters,
        activation: Float[Array, "*batch muscle"],
        path_length: Float[Array, "*batch muscle"],
        path_velocity: Float[Array, "*batch muscle"],
        timestep: float,
    ) -> Memory:
        """What is remembered before a first step at this state, of muscles whose tension does not change there."""
        return ()

    def pull(
        self,
        parameters: MuscleParameters,
        memory: Memory,
        activation: Float[Array, "*batch muscle"],
        path_length: Float[Array, "*batch muscle"],
        path_velocity: Float[Array, "*batch muscle"],
        timestep: float,
        elapsed: Float[ArrayLike, ""],
    ) -> tuple[Float[Array, "*batch muscle"], Memory]:
        """Tension [N] `elapsed` [s] after what is remembered, which is `timestep` [s] apart; what to remember then."""
        return self.tension(parameters, activation, path_length, path_velocity), memory

    @property
    def remembers(self) -> bool:
        """Whether tension depends on what was before."""
        return type(self).begin is not AbstractMuscle.begin


# ------------------------------------------------------------------------------ shared helpers


def _like(value: ArrayLike, reference: Array) -> Array:
    """A shape constant in the floating type of the data it meets: it never widens a float32 result."""
    return jnp.asarray(value, jnp.result_type(reference, float))


def _clip_unit(x: Array) -> Array:
    """Clip to 0..1; unlike `jnp.clip`, the derivative at exactly 0 and 1 is 1, not 1/2."""
    return jnp.where(x < 0, jnp.zeros_like(x), jnp.where(x > 1, jnp.ones_like(x), x))


def _require(muscle: eqx.Module, field: str, low: float, high: float, *, open_interval: bool, fix: str) -> None:
    """`ValueError` if a field is outside low..high; traced values pass unseen."""
    value: Any = getattr(muscle, field)
    if isinstance(value, Tracer):
        return
    x = np.asarray(value)
    inside = (x > low) & (x < high) if open_interval else (x >= low) & (x <= high)
    if not np.all(inside):
        raise ValueError(f"{type(muscle).__name__}.{field} = {value}: {fix}")


# ------------------------------------------------------------------------------ MuJoCo's muscle


def mujoco_active_force_length(
    fiber_length: Float[Array, "*batch muscle"],
    lmin: Float[ArrayLike, "*#batch #muscle"] = 0.5,
    lmax: Float[ArrayLike, "*#batch #muscle"] = 1.6,
) -> Float[Array, "*batch muscle"]:
    """MuJoCo's active force-length curve FL [-].

    With L the fiber length over the optimal one [-], a = (lmin + 1)/2 and b = (1 + lmax)/2::

        lmin <= L <= a    FL = x**2 / 2        x = (L - lmin)/(a - lmin)
           a <  L <= 1    FL = 1 - x**2 / 2    x = (1 - L)/(1 - a)
           1 <  L <= b    FL = 1 - x**2 / 2    x = (L - 1)/(b - 1)
           b <  L <= lmax FL = x**2 / 2        x = (lmax - L)/(lmax - b)
        otherwise         FL = 0

    Continuous with its first derivative. Source: MuJoCo, `mju_muscleGainLength`; module docstring.
    """
    length = jnp.asarray(fiber_length)
    lmin, lmax = _like(lmin, length), _like(lmax, length)
    a, b = 0.5 * (lmin + 1), 0.5 * (1 + lmax)
    # Choose the piece before squaring: a piece that is not in use then cannot overflow into the derivative.
    rising = jnp.where(length <= a, length - lmin, 1 - length) / jnp.maximum(_MINVAL, 1 - a)
    falling = jnp.where(length <= b, length - 1, lmax - length) / jnp.maximum(_MINVAL, b - 1)
    inside = (lmin <= length) & (length <= lmax)
    x = jnp.where(inside, jnp.where(length <= 1, rising, falling), 0)
    half_square = 0.5 * x * x
    middle = (a < length) & (length <= b)
    return jnp.where(inside, jnp.where(middle, 1 - half_square, half_square), 0)


def mujoco_force_velocity(
    fiber_velocity: Float[Array, "*batch muscle"],
    fvmax: Float[ArrayLike, "*#batch #muscle"] = 1.2,
) -> Float[Array, "*batch muscle"]:
    """MuJoCo's force-velocity curve FV [-].

    With V the fiber velocity over the maximum contraction velocity [-], positive when lengthening, and
    y = fvmax - 1::

             V <= -1    FV = 0
        -1 < V <= 0     FV = (1 + V)**2
         0 < V <= y     FV = fvmax - (y - V)**2 / y
         y < V          FV = fvmax

    Continuous with its first derivative. Source: MuJoCo, `mju_muscleGain`; module docstring.
    """
    velocity = jnp.asarray(fiber_velocity)
    fvmax = _like(fvmax, velocity)
    y = fvmax - 1
    shortening = jnp.where((velocity > -1) & (velocity <= 0), velocity + 1, 0)
    lengthening = jnp.where((velocity > 0) & (velocity <= y), y - velocity, 0)
    return jnp.where(velocity <= 0, shortening**2, fvmax - lengthening**2 / jnp.maximum(_MINVAL, y))


def mujoco_passive_force_length(
    fiber_length: Float[Array, "*batch muscle"],
    lmax: Float[ArrayLike, "*#batch #muscle"] = 1.6,
    fpmax: Float[ArrayLike, "*#batch #muscle"] = FPMAX,
) -> Float[Array, "*batch muscle"]:
    """MuJoCo's passive force-length curve FP [-].

    With L the fiber length over the optimal one [-] and b = (1 + lmax)/2::

            L <= 1    FP = 0
        1 < L <= b    FP = fpmax/2 * ((L - 1)/(b - 1))**2
        b < L         FP = fpmax * (1/2 + (L - b)/(b - 1))

    Continuous with its first derivative. Source: MuJoCo, `mju_muscleBias`; module docstring.
    """
    length = jnp.asarray(fiber_length)
    lmax, fpmax = _like(lmax, length), _like(fpmax, length)
    b = 0.5 * (1 + lmax)
    width = jnp.maximum(_MINVAL, b - 1)
    toe = jnp.where((length > 1) & (length <= b), length - 1, 0) / width
    linear = jnp.where(b < length, 0.5 + (length - b) / width, 0)
    return fpmax * (0.5 * toe**2 + linear)


@final
class MujocoMuscle(AbstractMuscle):
    """MuJoCo's native `<muscle>`, to the rounding error of C.

    With L = (path_length - l_slack)/l_opt and V = path_velocity/(l_opt * vmax)::

        tension = F0 * (activation * FL(L) * FV(V) + passive_force_scale * FP(L))

    An MJCF muscle with compiled lengthrange LR gives this tension, as minus its actuator force, when
    gainprm = biasprm = (r0, r1, F0, scale, lmin, lmax, vmax, 1.3 * passive_force_scale, fvmax) with
    (r0, r1) = ((LR0 - l_slack)/l_opt, (LR1 - l_slack)/l_opt).

    `pennation_angle` is ignored: the native muscle has none. As in C, activation enters the tension as it is;
    it stays within 0..1 because its rate points inwards, and only the time constants use a clipped value.

    Fields are scalars or arrays that broadcast against (..., muscle).

    Source: MuJoCo, `mju_muscleGain`, `mju_muscleBias`, `mju_muscleDynamics`; activation dynamics after
    Millard et al. 2013, doi 10.1115/1.4023390.
    """

    lmin: Float[ArrayLike, "*#batch #muscle"] = 0.5
    """Normalized length below which there is no active force [-]; less than 1."""
    lmax: Float[ArrayLike, "*#batch #muscle"] = 1.6
    """Normalized length above which there is no active force [-]; more than 1."""
    fvmax: Float[ArrayLike, "*#batch #muscle"] = 1.2
    """Active force at saturating lengthening velocity, over F0 [-]; at least 1."""
    tausmooth: Float[ArrayLike, "*#batch #muscle"] = 0.0
    """Width, in excitation minus activation, of the blend between the two time constants [-]; 0 switches."""

    def __check_init__(self) -> None:
        _require(self, "lmin", -np.inf, 1, open_interval=True, fix="choose lmin < 1")
        _require(self, "lmax", 1, np.inf, open_interval=True, fix="choose lmax > 1")
        _require(self, "fvmax", 1, np.inf, open_interval=False, fix="choose fvmax >= 1")
        _require(self, "tausmooth", 0, np.inf, open_interval=False, fix="choose tausmooth >= 0")

    def tension(
        self,
        parameters: MuscleParameters,
        activation: Float[Array, "*batch muscle"],
        path_length: Float[Array, "*batch muscle"],
        path_velocity: Float[Array, "*batch muscle"],
    ) -> Float[Array, "*batch muscle"]:
        """Tension along the path [N], never negative for activation >= 0; equation in the class docstring.

        `activation` [-], `path_length` [m], `path_velocity` [m/s], each (..., muscle).
        """
        L = self.normalized_fiber_length(parameters, path_length)
        V = path_velocity / (parameters.optimal_fiber_length * parameters.max_contraction_velocity)
        active = mujoco_active_force_length(L, self.lmin, self.lmax) * mujoco_force_velocity(V, self.fvmax)
        passive = parameters.passive_force_scale * mujoco_passive_force_length(L, self.lmax)
        return jnp.asarray(parameters.max_isometric_force) * (active * activation + passive)

    def activation_rate(
        self,
        parameters: MuscleParameters,
        excitation: Float[Array, "*batch muscle"],
        activation: Float[Array, "*batch muscle"],
    ) -> Float[Array, "*batch muscle"]:
        """Time derivative of activation [1/s]; u excitation [-], a activation [-], each (..., muscle)::

            da/dt = (clip(u) - a) / tau
            tau   = tau_act * (1/2 + 3/2 clip(a))        if clip(u) > a
                    tau_deact / (1/2 + 3/2 clip(a))      otherwise

        clip is to 0..1. With `tausmooth` > 0 the two are blended, tau = tau_d + (tau_a - tau_d) S(x),
        x = clip((clip(u) - a)/tausmooth + 1/2), S(x) = 6x^5 - 15x^4 + 10x^3.
        """
        a = jnp.asarray(activation)
        difference = _clip_unit(jnp.asarray(excitation)) - a
        speed = 0.5 + 1.5 * _clip_unit(a)
        tau_rising = parameters.activation_time_constant * speed
        tau_falling = parameters.deactivation_time_constant / speed
        width = _like(self.tausmooth, difference)
        switching = width < _MINVAL
        # The blend is computed even where it is not used: divide by 1 there.
        x = _clip_unit(difference / jnp.where(switching, 1, width) + 0.5)
        blend = x**3 * (3 * x * (2 * x - 5) + 10)
        tau = jnp.where(
            switching,
            jnp.where(difference > 0, tau_rising, tau_falling),
            tau_falling + (tau_rising - tau_falling) * blend,
        )
        return difference / jnp.maximum(_MINVAL, tau)
