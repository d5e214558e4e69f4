"""A world stepped in JAX: pure functions of arrays, for many people at once, differentiable in both modes.

Mechanics and muscles are `mjx_msm.dynamics.simulation`'s, which agrees with C MuJoCo to rounding error. Here come the
motors, and the one contact a world may have. A frictionless contact of two capsules is a single row of MuJoCo's
constraint solver, whose answer has a closed form: with Jᵀ its line of action, acceleration a₀ without it, and
reference a*,

    f = max(0, (a* − J a₀) / (J M⁻¹ Jᵀ + R)),    a* = −b J v − k i d,    R = (1 − i)/i · w

(https://mujoco.readthedocs.io/en/stable/computation/index.html; d the penetration, i its impedance, w the bodies'
inverse weight).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float

from mjx_msm.common.arrays import indices
from mjx_msm.dynamics.geometry import Place, geometry, line_of_action, points
from mjx_msm.dynamics.metabolics import Muscles, muscle_mass, slow_twitch
from mjx_msm.dynamics.paths import paths
from mjx_msm.dynamics.simulation import (
    Mechanics,
    generalised_force,
    mechanics,
    muscle_tension,
    solve_acceleration,
    spatial_inertia,
)
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
    speeds = velocity[_motors(world).dof]
    return State(position, velocity, activation, motor, motor, world.torque_range(speeds), jnp.zeros(()))


def advance(world: World, person: Parameters, state: State, drive: Drive, substeps: int) -> State:
    """One control period.

    **Arguments:** `person`: parameters of the whole world, see `World.person_in`.
    """
    model, motors = world.twin, _motors(world)
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
            pressed, push = _contact(world, terms, q, v, force)
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
    model, motors = world.twin, _motors(world)
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
    springs = -joint.damping * v - joint.stiffness * (q - np.asarray(model.host.mj_model.qpos_spring))
    return kinetics, Dynamics(terms.mass_matrix, terms.bias, springs, terms.moment_arm, full - passive)


# Motors ----------------------------------------------------------------------------------------------------


class _Motors(NamedTuple):
    """MuJoCo's general actuators on joints: force = gain·x + b₀ + b₁ q + b₂ q̇, x the input or its first-order lag."""

    dof: np.ndarray
    gear: np.ndarray
    gain: np.ndarray
    bias: np.ndarray
    lag: np.ndarray
    """Time constant [s]; 0: the input itself."""
    control_range: np.ndarray

    def _input(self, control: Array) -> Array:
        return jnp.clip(control, self.control_range[:, 0], self.control_range[:, 1])

    def torque(self, lagged: Array, control: Array, q: Array, v: Array, able: Array) -> Array:
        x = jnp.where(self.lag > 0, lagged, self._input(control))
        length, speed = self.gear * q[self.dof], self.gear * v[self.dof]
        force = self.gain * x + self.bias[:, 0] + self.bias[:, 1] * length + self.bias[:, 2] * speed
        return jnp.clip(force, able[:, 0], able[:, 1])

    def filtered(self, lagged: Array, control: Array, h: float) -> Array:
        share = np.where(self.lag > 0, 1.0 - np.exp(-h / np.where(self.lag > 0, self.lag, 1.0)), 0.0)
        return lagged + share * (self._input(control) - lagged)


@lru_cache(maxsize=16)
def _motors(world: World) -> _Motors:
    m, first = world.model, len(world.muscles)
    dyn = m.actuator_dyntype[first:]
    known = (int(mujoco.mjtDyn.mjDYN_NONE), int(mujoco.mjtDyn.mjDYN_FILTEREXACT))
    for i in range(first, m.nu):
        if m.actuator_dyntype[i] not in known or m.actuator_trntype[i] != int(mujoco.mjtTrn.mjTRN_JOINT):
            raise ValueError(f"motor '{m.actuator(i).name}' is not a direct or first-order motor on a joint")
    joint = m.actuator_trnid[first:, 0]

    def bounds(limited: np.ndarray, limits: np.ndarray) -> np.ndarray:
        return np.where(limited[:, None].astype(bool), limits, np.array([-np.inf, np.inf]))

    return _Motors(
        dof=indices(m.jnt_dofadr[joint]),
        gear=m.actuator_gear[first:, 0].copy(),
        gain=m.actuator_gainprm[first:, 0].copy(),
        bias=np.where((m.actuator_biastype[first:] > 0)[:, None], m.actuator_biasprm[first:, :3], 0.0),
        lag=np.where(dyn == int(mujoco.mjtDyn.mjDYN_FILTEREXACT), m.actuator_dynprm[first:, 0], 0.0),
        control_range=bounds(m.actuator_ctrllimited[first:], m.actuator_ctrlrange[first:]),
    )


# Contact ---------------------------------------------------------------------------------------------------


class _Touch(NamedTuple):
    """Two capsules that may touch, the second one still and across the plane the first one moves in."""

    centre: Place
    half_length: float
    radius: float
    axis_end: Place
    obstacle: np.ndarray
    across: np.ndarray
    obstacle_radius: float
    stiffness: float
    damping: float
    impedance: tuple[float, float, float, float, float]
    weight: float


@lru_cache(maxsize=16)
def _touch(world: World) -> _Touch:
    assert world.contact is not None
    m = world.model
    moving, still = (m.geom(name) for name in world.contact)
    data = mujoco.MjData(m)
    mujoco.mj_kinematics(m, data)
    contact = _contact_parameters(world)
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, m.geom_quat[moving.id])
    end = m.geom_pos[moving.id] + rotation.reshape(3, 3)[:, 2] * m.geom_size[moving.id, 1]
    body = int(moving.bodyid[0])
    d0, d1, width, middle, power = (float(x) for x in contact.solimp)
    constant, ratio = float(contact.solref[0]), float(contact.solref[1])
    constant = max(constant, 2 * world.timestep)
    return _Touch(
        centre=Place(body, tuple(float(x) for x in m.geom_pos[moving.id])),  # type: ignore[arg-type]
        half_length=float(m.geom_size[moving.id, 1]),
        radius=float(m.geom_size[moving.id, 0]),
        axis_end=Place(body, tuple(float(x) for x in end)),  # type: ignore[arg-type]
        obstacle=data.geom_xpos[still.id].copy(),
        across=data.geom_xmat[still.id].reshape(3, 3)[:, 2].copy(),
        obstacle_radius=float(m.geom_size[still.id, 0]),
        stiffness=1.0 / (d1 * d1 * constant * constant * ratio * ratio),
        damping=2.0 / (d1 * constant),
        impedance=(d0, d1, width, middle, power),
        weight=float(m.body_invweight0[body, 0] + m.body_invweight0[int(still.bodyid[0]), 0]),
    )


def _contact_parameters(world: World) -> Any:
    m = world.model
    wanted = {m.geom(name).id for name in world.contact or ()}
    for p in range(m.npair):
        if {int(m.pair_geom1[p]), int(m.pair_geom2[p])} == wanted:
            return m.pair(p)
    raise ValueError(f"there is no contact pair of {' and '.join(world.contact or ())} in the world")


def _contact(
    world: World,
    terms: Mechanics,
    q: Float[Array, "coordinate"],
    v: Float[Array, "coordinate"],
    force: Float[Array, "coordinate"],
) -> tuple[Float[Array, ""], Float[Array, "coordinate"]]:
    """Normal force [N] and what it does to the coordinates."""
    model, t = world.twin, _touch(world)
    centre, end = points(model, q, (t.centre, t.axis_end))
    axis = (end - centre) / t.half_length
    across = jnp.asarray(t.across)
    gap = t.obstacle - centre
    gap = gap - across * (across @ gap)  # the obstacle is long: what counts is the distance in the plane
    along = jnp.clip(gap @ axis, -t.half_length, t.half_length)
    apart = along * axis - gap
    distance = jnp.sqrt(jnp.sum(apart**2))
    normal = apart / distance
    depth = distance - t.radius - t.obstacle_radius
    arm = line_of_action(model, q, t.centre, normal)
    turn = line_of_action(model, q, t.axis_end, normal) - arm
    row = arm + along / t.half_length * turn
    d0, d1, width, middle, power = t.impedance
    x = jnp.clip(jnp.abs(depth) / width, 0.0, 1.0)
    rise = jnp.where(x < middle, x**power / middle ** (power - 1), 1 - (1 - x) ** power / (1 - middle) ** (power - 1))
    impedance = d0 + (d1 - d0) * rise
    reference = -t.damping * (row @ v) - t.stiffness * impedance * depth
    inverse = jnp.linalg.solve(terms.mass_matrix, jnp.stack([row, force], -1))
    softness = row @ inverse[:, 0] + (1 - impedance) / impedance * t.weight
    strength = jnp.where(depth < 0, jnp.maximum(0.0, (reference - row @ inverse[:, 1]) / softness), 0.0)
    return strength, strength * row


@lru_cache(maxsize=16)
def _places(world: World) -> tuple[Place, ...]:
    m = world.model
    return tuple(
        Place(int(m.site_bodyid[s]), tuple(float(x) for x in m.site_pos[s]))  # type: ignore[arg-type]
        for s in (m.site(name).id for name in world.tracked)
    )
