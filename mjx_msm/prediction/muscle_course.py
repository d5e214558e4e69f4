"""What muscles and joints do along a recorded motion, of many people at once.

At recorded instants no parameter changes the paths, so that geometry is computed once and people differ in arithmetic
only. Fiber quantities follow from the law of the muscle alone: its normalised length l(L) on a path of length L has
the rate l'(L)·dL/dt, its tension at no activation is the passive part, and the fiber pulls by tension/cos α.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mjx_msm.common.compiled import jit
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.excitation import excitation
from mjx_msm.dynamics.metabolics import Bhargava2004, Contraction, Muscles, muscle_mass
from mjx_msm.dynamics.moment_sensitivities import Instants, net_moment
from mjx_msm.dynamics.simulation import activate, spatial_inertia
from mjx_msm.dynamics.tendon_course import Course as PathCourse
from mjx_msm.dynamics.tendon_course import fibers_along
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.compliant_tendon import CompliantTendon
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import AnyArray
from mjx_msm.person.parameters import Parameters
from mjx_msm.prediction.contact_force import Crossing

LANES = 8
"""People side by side; more would only take memory."""


class Course(NamedTuple):
    """Of muscles and joints at some instants, with leading axes."""

    fiber_length: Float[Array, "*batch muscle"]
    """[m]."""
    fiber_velocity: Float[Array, "*batch muscle"]
    """[m/s], positive when lengthening."""
    muscle_force: Float[Array, "*batch muscle"]
    """Along the fibers [N]."""
    tendon_force: Float[Array, "*batch muscle"]
    """Along the tendon [N]."""
    moment_by_muscle: Float[Array, "*batch free muscle"]
    """[N·m]."""
    moment: Float[Array, "*batch free"]
    """Of all muscles and the passive joint [N·m]."""
    metabolic_power: Float[Array, "*batch muscle"]
    """Without the basal rate [W]."""
    contact_force: Float[Array, "*batch joint 3"]
    """See `mjx_msm.prediction.contact_force` [N]."""


@jit
def activations(
    model: Model,
    everyone: Parameters,
    envelope: Float[AnyArray, "time channel"],
    mixing: Float[Any, "muscle channel"],
    sample: Any,
) -> tuple[Float[Array, "person instant muscle"], Float[Array, "person instant muscle"]]:
    """Excitation and activation at chosen samples of a recording, of all people."""

    def one(parameters: Parameters) -> tuple[Array, Array]:
        u = excitation(parameters.emg, jnp.asarray(envelope), mixing, model.timestep)
        return u[sample], activate(model, parameters, u[0], u)[0][sample]

    return jax.lax.map(one, everyone, batch_size=LANES)


@jit
def fiber_spans(
    model: Model,
    everyone: Parameters,
    envelope: Float[Any, "time channel"],
    mixing: Float[Any, "muscle channel"],
    path: PathCourse | None,
    at: Instants,
    sample: Any,
) -> tuple[Float[Array, "person instant muscle"], Float[Array, "person instant muscle"]]:
    """Path that is left to the fibers of all people at chosen samples of a recording [m], and its rate [m/s].

    **Arguments:** `path`: of the muscles along all of the recording, where their tendons yield, else None.
    """
    if path is None:
        count = everyone.joint.damping.shape[0]
        rigid = jnp.asarray(at.path_length), jnp.asarray(at.path_velocity)
        return tuple(jnp.broadcast_to(x, (count, *x.shape)) for x in rigid)  # type: ignore[return-value]

    def one(parameters: Parameters) -> tuple[Array, Array]:
        u = excitation(parameters.emg, jnp.asarray(envelope), mixing, model.timestep)
        activation = activate(model, parameters, u[0], u)[0][:, None]
        return fibers_along(model, parameters, activation, path, sample, jnp.zeros_like(sample))

    return jax.lax.map(one, everyone, batch_size=LANES)


@jit
def courses(
    model: Model,
    everyone: Parameters,
    slow_twitch: Float[AnyArray, "muscle"],
    at: Instants,
    crossing: Crossing,
    excitations: Float[AnyArray, "person instant muscle"],
    activation: Float[AnyArray, "person instant muscle"],
    spans: tuple[Float[AnyArray, "person instant muscle"], Float[AnyArray, "person instant muscle"]],
) -> Course:
    """What all people's muscles and joints do at the instants of a recording.

    **Arguments:** `spans`: what `fiber_spans` gave.
    """
    fibers: Any = model.muscle.fibers if isinstance(model.muscle, CompliantTendon) else model.muscle

    def one(drive: tuple[Parameters, Array, Array, tuple[Array, Array]]) -> Course:
        parameters, u, a, (length, speed) = drive
        law = parameters.muscle

        def tension(a: Any, v: Any) -> Array:
            return fibers.tension(law, a, length, v)

        normal, slope = jax.jvp(
            lambda x: fibers.normalized_fiber_length(law, x),
            (length,),
            (jnp.ones_like(length),),
        )
        pull, none, cosine = tension(a, speed), jnp.zeros_like(a), fibers.cosine(law, length)
        passive = tension(none, speed) / cosine
        strongest, optimal = jnp.asarray(law.max_isometric_force), jnp.asarray(law.optimal_fiber_length)
        isometric = (tension(none + 1.0, 0.0 * speed) - tension(none, 0.0 * speed)) / (cosine * strongest)
        who = Muscles(
            strongest,
            optimal,
            jnp.asarray(law.max_contraction_velocity),
            jnp.asarray(slow_twitch),
            muscle_mass(strongest, optimal),
        )
        what = Contraction(u, a, normal, slope * speed, isometric, pull / cosine - passive, passive)
        by_muscle = jnp.asarray(at.moment_arm) * pull[:, None]
        inertial = jnp.einsum("nckb,kb->nc", jnp.asarray(crossing.regressor), spatial_inertia(parameters.body))
        contact = inertial - jnp.einsum("ncm,nm->nc", jnp.asarray(crossing.muscle_arm), pull)
        return Course(
            normal * optimal,
            slope * speed * optimal,
            pull / cosine,
            pull,
            by_muscle,
            net_moment(model, parameters, at, pull),
            Bhargava2004().power(who, what),
            contact.reshape(len(contact), -1, 3),
        )

    return jax.lax.map(one, (everyone, excitations, activation, spans), batch_size=LANES)


def estimate_first(identification: Identification, model: Model, draws: int) -> Parameters:
    """The estimate and people drawn about it, along one leading axis.

    **Raises:** `InputError` if the identification holds no draws.
    """
    have = len(identification.samples)
    if not have:
        raise InputError("the identification holds no draws of its posterior; identify again")
    chosen = np.linspace(0, have - 1, min(draws, have)).astype(int)
    one, others = identification.personalised(model), identification.population(model=model)
    return jax.tree.map(lambda x, y: np.concatenate([np.asarray(x)[None], np.asarray(y)[chosen]]), one, others)
