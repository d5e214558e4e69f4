"""Tension of muscles with tendons that yield along a recorded motion, and how it depends on parameters.

No parameter moves a recorded path. What the fibers span, p, then follows step by step from activation alone: with e the
tendon's strain, θ a muscle's own parameters, a its activation and g the balance of tendon and fibers
(`mjx_msm.person.compliant_tendon`),

    g(eₖ; θ, aₖ, pₖ₋₁, pₖ₋₂) = 0,      pₖ = Lₖ − l_slack eₖ,      Fₖ = F0 f_T(1 + eₖ).

The implicit function theorem has a step's derivatives, ∂e/∂x = −(∂g/∂x)/(∂g/∂e); they act on every muscle and instant
by themselves, all steps at once. Only what the unknowns do to p goes on in time, by a linear recursion of its own:

    δpₖ = ∂p/∂pₖ₋₁ δpₖ₋₁ + ∂p/∂pₖ₋₂ δpₖ₋₂ + ∂p/∂a δaₖ + ∂p/∂θ δθ.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mjx_msm.common.compiled import float64, jit
from mjx_msm.dynamics.activation_sensitivities import (
    TIME_CONSTANTS,
    ActivationDerivatives,
    Pairs,
    activation_pairs,
    displaced,
    owners,
    tension_fields,
)
from mjx_msm.dynamics.excitation import excitation
from mjx_msm.dynamics.simulation import activate
from mjx_msm.dynamics.taylor import slopes
from mjx_msm.person.compliant_tendon import Balance, CompliantTendon, Spans, backward_difference, pulling, span
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import AnyArray, MuscleParameters
from mjx_msm.person.parameters import Parameters
from mjx_msm.person.space import ParameterSpace


class Course(eqx.Module):
    """Paths of the muscles along recordings, sample by sample."""

    path_length: Float[AnyArray, "time recording muscle"]
    """[m]."""
    first_velocity: Float[AnyArray, "recording muscle"]
    """At the first sample [m/s]."""


UNFELT = 1e-3
"""Part of its strength below which what a muscle pulls with is not worth remembering: a tendon of some laws hardly
answers there (Millard's: not at all at its slack length)."""
ACTIVATIONS = np.concatenate([[0.0], np.geomspace(1e-3, 1.0, 31)])
VELOCITIES = np.concatenate([np.linspace(-1.0, 0.0, 101), np.geomspace(1e-4, 1.0, 41)])
"""Of fibers, over vmax, among which the slowest tendon is looked for."""

Acting = tuple[int, ...]
"""Muscles that matter, in their order."""


class Tensions(NamedTuple):
    """At some instants."""

    value: Float[Array, "instant muscle"]
    """[N], 0 of muscles that do not matter."""
    by_pair: Float[Array, "instant pair"]
    """Derivatives by pairs of muscle and entry of z [N]."""


def tension_pairs(space: ParameterSpace, mixing: Float[np.ndarray, "muscle channel"], acting: Acting) -> Pairs:
    """Which entries of z the tension of which muscle depends on: what moves its activation, and its own parameters."""
    own = {pair for field in tension_fields(space) for pair in owners(space, "muscle", field).items()}
    return tuple(sorted(p for p in {*activation_pairs(space, mixing), *own} if p[0] in acting))


def forgetting(model: Model, space: ParameterSpace) -> float:
    """How long tendons take to forget a part 1/e of where they were [s], at most: those of the model's muscles, as
    compliant as their bounds allow where they are to be found.

    Fibers resist a change of length by β = ∂F/∂ṗ, and their tendon answers with k = F0 f_T′/l_slack at the same force.
    Of β/k, by the law's own curves, it is the greatest at any activation and velocity, of fibers at their optimal
    length; whether they are shorter or longer, F counts as that of a less active muscle.
    """
    values: dict[str, np.ndarray] = {}
    for s, owner, offset in zip(space.scalars, space.owner, space.offset, strict=True):
        if s.group == "muscle" and s.field in ("tendon_strain", "tendon_slack_length"):
            own = values.setdefault(s.field, np.array(getattr(model.nominal.muscle, s.field), float))
            own[s.index] = np.exp(space.upper[owner] + offset)
    muscles = replace(jax.tree.map(np.asarray, model.nominal.muscle), **values)
    with float64():
        law: Any = model.muscle
        return float(_slowest(law, muscles))


@jit
def _slowest(law: CompliantTendon, muscles: MuscleParameters) -> Float[Array, ""]:
    """The greatest β/k [s]."""
    fastest = muscles.optimal_fiber_length * muscles.max_contraction_velocity
    path = muscles.tendon_slack_length + muscles.optimal_fiber_length * jnp.cos(muscles.pennation_angle)
    activation, speed, path = jnp.broadcast_arrays(ACTIVATIONS[:, None, None], VELOCITIES[:, None] * fastest, path)
    pull, resists = jax.jvp(
        lambda v: law.fibers.tension(muscles, activation, path, v), (speed,), (jnp.ones_like(speed),)
    )
    force = jnp.maximum(pull / muscles.max_isometric_force, 0.0)
    length = jnp.asarray(law.tendon.length(force, muscles.tendon_strain))
    answers = jax.jvp(lambda x: law.tendon.force(x, muscles.tendon_strain), (length,), (jnp.ones_like(length),))[1]
    slow = resists * muscles.tendon_slack_length / (muscles.max_isometric_force * answers)
    return jnp.max(jnp.where(force > UNFELT, slow, 0.0))


def tensions(
    model: Model,
    parameters: Parameters,
    envelope: Float[Array, "time recording channel"],
    mixing: Float[Any, "muscle channel"],
    acting: Acting,
    course: Course,
    sample: Int[AnyArray, "instant"],
    recording: Int[AnyArray, "instant"],
) -> Float[Array, "instant muscle"]:
    """Tensions at some samples of recordings [N]; 0 of muscles that do not matter, NaN where no balance was found."""
    u = excitation(parameters.emg, envelope, mixing, model.timestep)
    activation = activate(model, parameters, u[0], u)[0]
    law, muscles, paths = _of(model, parameters, acting, course)
    strain = _followed(law, muscles, paths, activation[..., np.array(acting)], model.timestep)[0]
    return _spread(law.tension_at(muscles, strain)[sample, recording], acting, len(model.muscles))


def memories(
    model: Model,
    parameters: Parameters,
    activation: Float[Array, "time recording muscle"],
    course: Course,
    sample: Int[AnyArray, "instant"],
    recording: Int[AnyArray, "instant"],
) -> Spans:
    """What muscles remember before some samples of recordings, (instant, muscle)."""
    every = tuple(range(len(model.muscles)))
    law, muscles, paths = _of(model, parameters, every, course)
    before = _followed(law, muscles, paths, activation, model.timestep)[1]
    return jax.tree.map(lambda x: x[sample, recording], before)


def fibers_along(
    model: Model,
    parameters: Parameters,
    activation: Float[Array, "time recording muscle"],
    course: Course,
    sample: Int[AnyArray, "instant"],
    recording: Int[AnyArray, "instant"],
) -> tuple[Float[Array, "instant muscle"], Float[Array, "instant muscle"]]:
    """What the fibers of all muscles span at some samples of recordings [m], and its rate [m/s]: a path on which their
    own law, its tendon rigid, pulls as the tendon does."""
    every = tuple(range(len(model.muscles)))
    law, muscles, paths = _of(model, parameters, every, course)
    strain, before = _followed(law, muscles, paths, activation, model.timestep)
    now, last, earlier = backward_difference(model.timestep, model.timestep)
    left = span(muscles, jnp.asarray(paths.path_length), strain)
    rate = now * left + last * before.last + earlier * before.before
    return left[sample, recording], rate[sample, recording]


def tension_derivatives(
    model: Model,
    space: ParameterSpace,
    parameters: Parameters,
    envelope: Float[Array, "time recording channel"],
    mixing: Float[Any, "muscle channel"],
    acting: Acting,
    pairs: Pairs,
    course: Course,
    sample: Int[AnyArray, "instant"],
    recording: Int[AnyArray, "instant"],
) -> Tensions:
    """Tensions at some samples of recordings, and their derivatives by the pairs of `tension_pairs`."""
    moving = {
        e for s, e in zip(space.scalars, space.owner, strict=True) if s.group == "emg" or s.field in TIME_CONSTANTS
    }
    active = tuple(p for p in pairs if p[1] in moving)
    known = ActivationDerivatives(model, space, parameters, envelope, mixing, active)
    activation = known.value[..., np.array(acting)]
    law, muscles, paths = _of(model, parameters, acting, course)
    strain, before = _followed(law, muscles, paths, activation, model.timestep)

    muscle = np.array([acting.index(m) for m, _ in pairs], int)
    from_active = np.array([[float(p == q) for p in pairs] for q in active]).reshape(len(active), len(pairs))
    own: dict[str, np.ndarray] = {}
    for field in tension_fields(space):
        entry = owners(space, "muscle", field)
        mine = np.array([float(entry.get(m) == k) for m, k in pairs])
        if mine.any():
            own[field] = mine

    def by_pairs(slope: dict[str, Array], activation_by_pair: Array) -> Array:
        """What the unknowns do through a muscle's own parameters and its activation."""
        out = slope["activation"][..., muscle] * activation_by_pair
        for field, mine in own.items():
            out = out + slope[field][..., muscle] * mine
        return out

    spans, pulls = _step_slopes(law, muscles, paths, activation, strain, before, list(own), model.timestep)
    begun = _first_slopes(law, muscles, paths, activation[0], list(own), model.timestep)
    at_start = known.by_pair[0] @ from_active
    last, earlier = (by_pairs(slope, at_start) for slope in begun)

    def step(carry: tuple[Array, Array], at: tuple[dict[str, Array], Array]) -> tuple[tuple[Array, Array], Array]:
        slope, by_pair = at
        last, earlier = carry
        now = slope["last"][..., muscle] * last + slope["before"][..., muscle] * earlier
        now = now + by_pairs(slope, by_pair @ from_active)
        return (now, last), last

    _, later = jax.lax.scan(step, (last, earlier), (spans, known.by_pair))
    lasts = jnp.concatenate([earlier[None], later])  # of p₋₂, p₋₁, p₀, …
    at = {name: slope[sample, recording] for name, slope in pulls.items()}
    by_pair = by_pairs(at, known.by_pair[sample, recording] @ from_active)
    by_pair = by_pair + at["last"][..., muscle] * lasts[sample + 1, recording]
    by_pair = by_pair + at["before"][..., muscle] * lasts[sample, recording]
    value = law.tension_at(muscles, strain)[sample, recording]
    return Tensions(_spread(value, acting, len(model.muscles)), by_pair)


def _of(
    model: Model, parameters: Parameters, acting: Acting, course: Course
) -> tuple[CompliantTendon, MuscleParameters, Course]:
    """Of the muscles that matter."""
    which = np.array(acting, int)

    def pick(x: Any) -> Any:
        return jnp.asarray(x)[..., which] if jnp.ndim(x) else x

    law, muscles = jax.tree.map(pick, (model.muscle, parameters.muscle))
    return law, muscles, jax.tree.map(lambda x: jnp.asarray(x)[..., which], course)


def _spread(value: Float[Array, "instant acting"], acting: Acting, count: int) -> Float[Array, "instant muscle"]:
    return jnp.zeros((*value.shape[:-1], count)).at[..., np.array(acting, int)].set(value)


def _followed(
    law: CompliantTendon,
    muscles: MuscleParameters,
    course: Course,
    activation: Float[Array, "time recording muscle"],
    timestep: float,
) -> tuple[Float[Array, "time recording muscle"], Spans]:
    """The tendons' strain at every sample, and what is remembered before it."""
    length = jnp.asarray(course.path_length)
    first = law.begin(muscles, activation[0], length[0], jnp.asarray(course.first_velocity), timestep)

    def step(memory: Spans, at: tuple[Array, Array]) -> tuple[Spans, tuple[Array, Spans]]:
        a, path = at
        strain = law.advance(muscles, memory, a, path, timestep, timestep)
        return Spans(span(muscles, path, strain), memory.last), (strain, memory)

    return jax.lax.scan(step, first, (activation, length))[1]


def _step_slopes(
    law: CompliantTendon,
    muscles: MuscleParameters,
    course: Course,
    activation: Float[Array, "time recording muscle"],
    strain: Float[Array, "time recording muscle"],
    before: Spans,
    fields: list[str],
    timestep: float,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Derivatives of what fibers span, and of tension, by what a step is made of, with the balance kept."""
    now, last, earlier = backward_difference(timestep, timestep)
    length = jnp.asarray(course.path_length)
    inputs = {**{f: jnp.zeros(activation.shape[-1]) for f in fields}, "activation": activation}
    inputs |= {"last": before.last, "before": before.before}

    def moved(at: dict[str, Array]) -> MuscleParameters:
        return displaced(muscles, "muscle", {f: at[f] for f in fields})

    def gap(at: dict[str, Array]) -> Array:
        offset = last * at["last"] + earlier * at["before"]
        held = Balance(pulling(at["activation"]), length, jnp.full_like(length, now), offset)
        return law.residual(moved(at), held, at["strain"])

    def spanned(at: dict[str, Array]) -> Array:
        return span(moved(at), length, at["strain"])

    def pull(at: dict[str, Array]) -> Array:
        return law.tension_at(moved(at), at["strain"])

    point = {**inputs, "strain": strain}
    uneven = slopes(gap, point, list(point))
    out = []
    for made in (spanned, pull):
        direct = slopes(made, point, [*fields, "strain"])
        through = {x: -direct["strain"] * uneven[x] / uneven["strain"] for x in inputs}
        out.append({x: direct[x] + through[x] if x in direct else through[x] for x in inputs})
    return out[0], out[1]


def _first_slopes(
    law: CompliantTendon,
    muscles: MuscleParameters,
    course: Course,
    activation: Float[Array, "recording muscle"],
    fields: list[str],
    timestep: float,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Derivatives of what is remembered at first."""
    length, velocity = jnp.asarray(course.path_length)[0], jnp.asarray(course.first_velocity)
    point = {**{f: jnp.zeros(activation.shape[-1]) for f in fields}, "activation": activation}

    def begun(at: dict[str, Array]) -> Spans:
        moved = displaced(muscles, "muscle", {f: at[f] for f in fields})
        return law.begin(moved, at["activation"], length, velocity, timestep)

    names = list(point)
    return slopes(lambda at: begun(at).last, point, names), slopes(lambda at: begun(at).before, point, names)
