"""A tendon that yields, behind the fibers of any muscle law: their length is a state, stepped implicitly.

The tendon carries what the fibers pull,

    F0 f_T(1 + e) = F(a, p, ṗ),     p = L − l_slack e,

with L the path's length, e the tendon's strain, f_T its curve and F the tension of the fibers' own law on a path of
length p: what it would be, had a rigid tendon left the fibers what this one does. So pennation, damping and all curves
are those of the law.

*A step.* With ṗ from the second backward difference (BDF2; Gear 1971), of what is remembered from the two steps before,

    ṗ = ((1 + 2ω)/(1 + ω) p − (1 + ω) p₋₁ + ω²/(1 + ω) p₋₂)/(ω h),     ω: elapsed time over the timestep h,

the balance is one equation for e. Its left-hand side rises and its right-hand side falls, but for the falling limb of
the force–length curve, whose slope a step's viscosity outweighs: Newton's method in a shrinking bracket comes to the
root from anywhere. The scheme is of order 2, and L-stable: no tendon is too stiff, no activation too small, for any
timestep. Muscles begin where tension does not change, ṗ = L̇, as OpenSim's do.

*Derivatives.* The root is found without them; two Newton steps from it then have the first and second derivatives of
the implicit function, in forward and reverse mode, by every parameter.
"""

from __future__ import annotations

from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from mjx_msm.person.degroote import DeGrooteFregly2016, DeGrooteTendon
from mjx_msm.person.millard import MillardTendon
from mjx_msm.person.muscle import AbstractMuscle, Memory, MuscleParameters
from mjx_msm.person.thelen import ThelenTendon

ITERATIONS = 100
"""At most; a step in a motion takes about three."""
UNBALANCED = 0.01
"""Of F0 between tendon and fibers, which no rounding leaves: such a step has failed."""
POLISHED = 2
"""Newton steps with derivatives: each doubles the order up to which they are those of the implicit function."""


class Spans(NamedTuple):
    """What the fibers and a slack tendon spanned [m], at the last step and the one before."""

    last: Float[Array, "*batch muscle"]
    before: Float[Array, "*batch muscle"]


class Balance(NamedTuple):
    """What tendon and fibers have to agree under."""

    activation: Float[Array, "*batch muscle"]
    path_length: Float[Array, "*batch muscle"]
    """[m]."""
    slope: Float[Array, "*batch muscle"]
    """[1/s], of ṗ = slope · p + offset."""
    offset: Float[Array, "*batch muscle"]
    """[m/s]."""


def backward_difference(elapsed: Any, timestep: float) -> tuple[Any, Any, Any]:
    """Weights [1/s] of p, p₋₁ and p₋₂ in ṗ, `elapsed` after p₋₁; the module's docstring has the equation."""
    ratio = elapsed / timestep
    return (1 + 2 * ratio) / (1 + ratio) / elapsed, -(1 + ratio) / elapsed, ratio**2 / (1 + ratio) / elapsed


@final
class CompliantTendon(AbstractMuscle):
    """A muscle law's fibers behind a tendon that yields; the module's docstring has the equations.

    `MuscleParameters.tendon_strain` is the tendon's strain at F0. A tendon must have a length.
    """

    fibers: AbstractMuscle = eqx.field(default_factory=DeGrooteFregly2016)
    """The law of the fibers, which has no memory of its own."""
    tendon: DeGrooteTendon | ThelenTendon | MillardTendon = eqx.field(default_factory=DeGrooteTendon)

    def __check_init__(self) -> None:
        if self.fibers.remembers:
            raise ValueError(f"CompliantTendon.fibers = {type(self.fibers).__name__}: choose a law without a tendon")

    def residual(
        self, parameters: MuscleParameters, balance: Balance, strain: Float[Array, "*batch muscle"]
    ) -> Float[Array, "*batch muscle"]:
        """f_T − F/F0 [-] at the tendon's strain [-]."""
        pull = self.fiber_tension(parameters, balance, strain) / parameters.max_isometric_force
        return jnp.asarray(self.tendon.force(1.0 + strain, parameters.tendon_strain) - pull)

    def fiber_tension(
        self, parameters: MuscleParameters, balance: Balance, strain: Float[Array, "*batch muscle"]
    ) -> Float[Array, "*batch muscle"]:
        """F [N] at the tendon's strain [-]."""
        left = span(parameters, balance.path_length, strain)
        return self.fibers.tension(parameters, balance.activation, left, balance.slope * left + balance.offset)

    def tension_at(
        self, parameters: MuscleParameters, strain: Float[Array, "*batch muscle"]
    ) -> Float[Array, "*batch muscle"]:
        """F0 f_T [N] at the tendon's strain [-]."""
        return jnp.asarray(parameters.max_isometric_force * self.tendon.force(1.0 + strain, parameters.tendon_strain))

    def balance(
        self,
        parameters: MuscleParameters,
        activation: Float[Array, "*batch muscle"],
        path_length: Float[Array, "*batch muscle"],
        path_velocity: Float[Array, "*batch muscle"],
    ) -> Float[Array, "*batch muscle"]:
        """The tendon's strain [-] while tension does not change: the fibers move as the path does, vmax at most."""
        activation, path_length, path_velocity = jnp.broadcast_arrays(activation, path_length, path_velocity)
        velocity = _possible(parameters, path_velocity)
        lowest = self.tendon.length(jnp.full_like(path_length, self.tendon.least), parameters.tendon_strain) - 1.0
        held = Balance(pulling(activation), path_length, jnp.zeros_like(path_length), velocity)
        return self._root(parameters, held, jnp.asarray(lowest), jnp.zeros_like(path_length))

    def tension(
        self,
        parameters: MuscleParameters,
        activation: Float[Array, "*batch muscle"],
        path_length: Float[Array, "*batch muscle"],
        path_velocity: Float[Array, "*batch muscle"],
    ) -> Float[Array, "*batch muscle"]:
        """Tension along the path [N] while it does not change."""
        return self.tension_at(parameters, self.balance(parameters, activation, path_length, path_velocity))

    def begin(
        self,
        parameters: MuscleParameters,
        activation: Float[Array, "*batch muscle"],
        path_length: Float[Array, "*batch muscle"],
        path_velocity: Float[Array, "*batch muscle"],
        timestep: float,
    ) -> Memory:
        """As if the fibers had moved as the path does, vmax at most, in two steps before."""
        strain = self.balance(parameters, activation, path_length, path_velocity)
        velocity = _possible(parameters, path_velocity)
        last = span(parameters, path_length, strain) - timestep * velocity
        return Spans(last, last - timestep * velocity)

    def advance(
        self,
        parameters: MuscleParameters,
        memory: Spans,
        activation: Float[Array, "*batch muscle"],
        path_length: Float[Array, "*batch muscle"],
        timestep: float,
        elapsed: Float[ArrayLike, ""],
    ) -> Float[Array, "*batch muscle"]:
        """The tendon's strain [-] `elapsed` after what is remembered."""
        now, last, before = backward_difference(elapsed, timestep)
        offset, slack = last * memory.last + before * memory.before, parameters.tendon_slack_length
        still = (path_length + offset / now) / slack  # the strain at which the fibers do not move
        guess = (path_length - 2.0 * memory.last + memory.before) / slack  # as they moved
        moving = Balance(pulling(activation), path_length, jnp.full_like(path_length, now), offset)
        return self._root(parameters, moving, jnp.minimum(still, 0.0) - 1e-3, guess)

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
        """Tension [N], and what the fibers span."""
        strain = self.advance(parameters, memory, activation, path_length, timestep, elapsed)
        return self.tension_at(parameters, strain), Spans(span(parameters, path_length, strain), memory.last)

    def activation_rate(
        self,
        parameters: MuscleParameters,
        excitation: Float[Array, "*batch muscle"],
        activation: Float[Array, "*batch muscle"],
    ) -> Float[Array, "*batch muscle"]:
        """That of the fibers' law [1/s]."""
        return self.fibers.activation_rate(parameters, excitation, activation)

    def _root(
        self, parameters: MuscleParameters, balance: Balance, lowest: Array, guess: Array
    ) -> Float[Array, "*batch muscle"]:
        """The strain without residual; NaN where none was found, so that a motion says at which step it failed.

        It is above `lowest`, and below where the fibers have nothing left to pull with, or the tendon pulls more than
        they can: active force is at most five times the isometric one, passive force less than at `lowest`.
        """
        pull = jnp.maximum(self.fiber_tension(parameters, balance, lowest), 0.0) / parameters.max_isometric_force
        strongest = self.tendon.length(5.0 * balance.activation + 2.0 * pull + 0.1, parameters.tendon_strain) - 1.0
        empty = jnp.maximum(balance.path_length / parameters.tendon_slack_length - 1.0, 0.0) + 0.02
        still = -balance.offset / jnp.where(balance.slope > 0, balance.slope, 1.0)  # p at which they do not move
        still = jnp.where(balance.slope > 0, still, jnp.where(balance.offset > 0, -jnp.inf, jnp.inf))
        shorten = (balance.path_length - still) / parameters.tendon_slack_length  # until then damping may pull
        bracket = lowest, jnp.minimum(strongest, jnp.maximum(empty, shorten)), guess
        strain, low, high = _found(*jax.lax.stop_gradient(((self, parameters, balance), *bracket)))
        for _ in range(POLISHED):
            value, slope = _with_slope(self, parameters, balance, strain)
            newton = strain - value / slope
            # beside a kink its slope is another one's; the derivatives stay Newton's
            strain = newton + jax.lax.stop_gradient(jnp.clip(newton, low, high) - newton)
        left = jnp.abs(self.residual(*jax.lax.stop_gradient((parameters, balance, strain))))
        return jnp.where(left < UNBALANCED, strain, jnp.nan)


def span(
    parameters: MuscleParameters, path_length: Float[Array, "*batch muscle"], strain: Float[Array, "*batch muscle"]
) -> Float[Array, "*batch muscle"]:
    """p = L − l_slack e [m], what is left to the fibers and a slack tendon."""
    return path_length - parameters.tendon_slack_length * strain


def _possible(parameters: MuscleParameters, velocity: Array) -> Array:
    """Of fibers [m/s]: vmax at most."""
    fastest = parameters.optimal_fiber_length * parameters.max_contraction_velocity
    return jnp.clip(velocity, -fastest, fastest)


def pulling(activation: Array) -> Array:
    """No less than none: a tendon that is to push may find no length to do so at."""
    return jnp.where(activation < 0, 0.0, activation)


def _with_slope(
    law: CompliantTendon, parameters: MuscleParameters, balance: Balance, strain: Array
) -> tuple[Array, Array]:
    return jax.jvp(lambda e: law.residual(parameters, balance, e), (strain,), (jnp.ones_like(strain),))


def _found(
    of: tuple[CompliantTendon, MuscleParameters, Balance], low: Array, high: Array, guess: Array
) -> tuple[Array, ...]:
    """The root of the residual, which rises from `low` to `high`, and what bracket is left of these: Newton's method,
    halving the bracket where it leaves it."""
    close = 1e-9 if guess.dtype == jnp.float64 else 1e-6

    def step(state: tuple[Array, ...]) -> tuple[Array, ...]:
        k, at, low, high, moved = state
        value, slope = _with_slope(*of, at)
        low, high = jnp.where(value < 0, at, low), jnp.where(value > 0, at, high)
        newton = at - value / slope
        inside = (newton > low) & (newton < high) & (jnp.abs(newton - at) < 0.5 * moved)  # else it creeps, or cycles
        after = jnp.where(value == 0, at, jnp.where(inside, newton, 0.5 * (low + high)))
        return k + 1, after, low, high, jnp.abs(after - at)

    def goes_on(state: tuple[Array, ...]) -> Array:
        return (state[0] < ITERATIONS) & jnp.any(state[4] > close)

    guess = jnp.where((guess > low) & (guess < high), guess, 0.5 * (low + high))
    start = (jnp.zeros((), int), guess, low, high, jnp.full_like(guess, jnp.inf))
    return jax.lax.while_loop(goes_on, step, start)[1:4]
