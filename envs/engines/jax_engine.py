"""A world stepped in JAX: pure functions of arrays, for many people at once, differentiable in both modes.

Mechanics and muscles are `mjx_msm.dynamics.simulation`'s, which agrees with C MuJoCo to rounding error. Motors and the
one contact that a world may have come from files of their own.
"""

from __future__ import annotations

from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mjx_msm.dynamics.geometry import Place, geometry, points
from mjx_msm.dynamics.metabolics import Muscles, muscle_mass, slow_twitch
from mjx_msm.dynamics.paths import paths
from mjx_msm.dynamics.simulation import (
    generalised_force,
    mechanics,
    muscle_tension,
    solve_acceleration,
    spatial_inertia,
)
from mjx_msm.envs.engines.jax_contact import capsule_contact
from mjx_msm.envs.engines.jax_motors import motors_of
from mjx_msm.envs.engines.kinetics import Drive, Dynamics, Kinetics
from mjx_msm.envs.engines.world import MOTOR_STEPS, World
from mjx_msm.person.parameters import Parameters


class State(eqx.Module):
    """Everything that moves on by itself."""

    position: Float[Array, "coordinate"]
    velocity: Float[Array, "coordinate"]
    activation: Float[Array, "muscle"]
    motor: Float[Array, "motor"]
    """Filter state of every motor, in the unit of its input."""
    control: Float[Array, "motor"]
    """Input of every motor during the last period."""
    torque_range: Float[Array, "motor 2"]
    """That the motors can give [N·m]."""
    contact: Float[Array, ""]
    """Greatest normal force during the last period [N]."""


def start(
    world: World,
    position: Float[Array, "coordinate"],
    velocity: Float[Array, "coordinate"],
    activation: Float[Array, "muscle"],
    motor: Float[Array, "motor"],
) -> State:
    """Begin at a state; `motor`: the input that every motor has had for long."""
    position, velocity, activation, motor = (
        jnp.asarray(x, dtype=float) for x in (position, velocity, activation, motor)
    )
    speeds = velocity[motors_of(world).dof]
    return State(position, velocity, activation, motor, motor, world.torque_range(speeds), jnp.zeros(()))


def advance(world: World, person: Parameters, state: State, drive: Drive, substeps: int) -> State:
    """One control period.

    **Arguments:** `person`: parameters of the whole world, see `World.person_in`.
    """
    model, motors = world.twin, motors_of(world)
    inertia = spatial_inertia(person.body)
    h = world.timestep
    excitation, control, applied = (jnp.asarray(x, dtype=float) for x in drive)

    def step(state: State, k: Array) -> tuple[State, None]:
        q, v, a = state.position, state.velocity, state.activation
        able = jnp.where(k % MOTOR_STEPS == 0, world.torque_range(v[motors.dof]), state.torque_range)
        terms = mechanics(model, person, inertia, geometry(model, q, v), q, v)
        tension = muscle_tension(model, person, terms, v, a)
        force = generalised_force(terms, tension) + applied
        force = force.at[motors.dof].add(motors.gear * motors.torque(state.motor, control, q, v, able))
        contact = state.contact
        if world.contact is not None:
            pressed, push = capsule_contact(world, terms, q, v, force)
            contact, force = jnp.maximum(contact, pressed), force + push
        acceleration = solve_acceleration(model, person, terms, force, jnp.zeros(0))
        v = v + h * acceleration
        activation = a + h * model.muscle.activation_rate(person.muscle, excitation, a)
        lagged = motors.filtered(state.motor, control, h)
        return State(q + h * v, v, activation, lagged, control, able, contact), None

    state = eqx.tree_at(lambda s: s.contact, state, jnp.zeros(()))
    return jax.lax.scan(step, state, jnp.arange(substeps))[0]


def see(world: World, person: Parameters, state: State) -> tuple[Kinetics, Dynamics]:
    """What is to be seen of a state, and what a controller of muscles has to know; what is not used costs nothing."""
    model, motors = world.twin, motors_of(world)
    q, v, a = state.position, state.velocity, state.activation
    along = paths(model, q)
    terms = mechanics(model, person, spatial_inertia(person.body), geometry(model, q, v, along), q, v)
    tension = muscle_tension(model, person, terms, v, a)
    passive = muscle_tension(model, person, terms, v, jnp.zeros_like(a))
    full = muscle_tension(model, person, terms, v, jnp.ones_like(a))
    isometric = muscle_tension(model, person, terms, jnp.zeros_like(v), jnp.ones_like(a))
    motor = motors.torque(state.motor, state.control, q, v, state.torque_range)
    own = person.muscle
    kinetics = Kinetics(
        position=q,
        velocity=v,
        activation=a,
        motor=motor,
        fiber_length=(terms.path_length - own.tendon_slack_length) / own.optimal_fiber_length,
        fiber_velocity=-terms.moment_arm @ v / own.optimal_fiber_length,
        isometric=isometric - passive,
        passive_tension=passive,
        tension=tension,
        actuation=(terms.moment_arm.T @ tension).at[motors.dof].add(motors.gear * motor),
        tendon_length=along.length,
        tendon_velocity=along.slope @ v,
        point=points(model, q, _places(world)),
        contact=state.contact,
        muscles=Muscles(
            own.max_isometric_force,
            own.optimal_fiber_length,
            own.max_contraction_velocity,
            jnp.asarray(slow_twitch(world.muscles), dtype=float),
            muscle_mass(own.max_isometric_force, own.optimal_fiber_length),
        ),
    )
    joint = person.joint
    springs = -joint.damping * v - joint.stiffness * (q - model.host.spring_position)
    return kinetics, Dynamics(terms.mass_matrix, terms.bias, springs, terms.moment_arm, full - passive)


@lru_cache(maxsize=16)
def _places(world: World) -> tuple[Place, ...]:
    m = world.model
    return tuple(
        Place(int(m.site_bodyid[s]), tuple(float(x) for x in m.site_pos[s]))  # type: ignore[arg-type]
        for s in (m.site(name).id for name in world.tracked)
    )
