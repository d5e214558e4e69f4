"""Where the bodies are and how the muscles run: everything in the equations of motion that no parameter changes.

Hinges and slides only, some of which may follow others. The oracle is C MuJoCo, to rounding error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float

from mjx_msm.dynamics.kinematics import Motion, Screw, Tree, motions, seen_from, tree_of
from mjx_msm.dynamics.paths import Paths, paths
from mjx_msm.dynamics.vectors import Component, Vector, add, array_of, multiply, select, subtract, total
from mjx_msm.person.model import Model
from mjx_msm.person.obstacles import MJX


class Geometry(eqx.Module):
    """Bodies and muscle paths at one position and velocity."""

    path_length: Float[Array, "muscle"]
    """[m]."""
    moment_arm: Float[Array, "muscle coordinate"]
    """−∂L/∂q [m]: positive where tension drives the coordinate up."""
    stops: Float[Array, "coordinate"]
    """Generalised force of servos, and of springs and dampers along tendons, which also stand for limits [N·m]."""
    armature: Float[Array, "coordinate coordinate"]
    """Inertia of joints and tendons themselves [kg·m²]."""
    bodies: tuple[Motion, ...]
    """As in `Parameters.body` [rad/s, m/s; rad/s², m/s²]."""


@dataclass(frozen=True)
class Place:
    """A point that is fixed in a body."""

    body: int
    """Its number in the model."""
    offset: tuple[float, float, float]
    """In the body's frame [m]."""


def geometry(
    model: Model,
    position: Float[Array, "coordinate"],
    velocity: Float[Array, "coordinate"],
    along: Paths | None = None,
) -> Geometry:
    """Evaluate the model's geometry at one state; differentiable in both modes.

    **Arguments:** `along`: `paths` at the same position, if they are known.
    """
    position, velocity = jnp.asarray(position), jnp.asarray(velocity)
    along = paths(model, position) if along is None else along
    every = motions(tree_of(model.host.skeleton), position, velocity)
    return Geometry(
        _muscle_lengths(model, along.length, position),
        moment_arms(model, along.slope),
        *tendon_forces(model, along, position, velocity),
        tuple(every[b] for b in model.host.body_ids),
    )


def points(model: Model, position: Float[Array, "coordinate"], places: tuple[Place, ...]) -> Float[Array, "place 3"]:
    """Where points that are fixed in bodies are in the world [m]."""
    found = [_in_the_world(model, position, place)[0] for place in places]
    return array_of([list(point) for point in found]) if places else jnp.zeros((0, 3))


def input_force(model: Model, control: Float[Array, "*step input"]) -> Float[Array, "*step coordinate"]:
    """What controls of the known inputs add to the force that these have at zero control [N·m]."""
    force, m = jnp.zeros((*control.shape[:-1], model.host.dofs)), model.host.mj_model
    for k, own in enumerate(model.host.inputs):
        drive = own.gain * jnp.clip(control[..., k], *own.control_range)
        if not any(own.bias):
            drive = jnp.clip(drive, *own.force_range)
        added = own.gear * (drive + own.bias[0]) - own.at_rest
        whole = model.host.engine == MJX
        at = m.joint(own.coordinate).dofadr[0] if whole else model.coordinates.index(own.coordinate)
        force = force.at[..., int(at)].add(added)
    return force


def line_of_action(
    model: Model, position: Float[Array, "coordinate"], place: Place, direction: Float[Array, "3"]
) -> Float[Array, "coordinate"]:
    """Generalised force of a unit force in a direction of the world on a point of a body, [m] or [-]: Jᵀ n."""
    point, screws = _in_the_world(model, position, place)
    n = Vector(*jnp.asarray(direction))
    line = Screw(point.cross(n), n)
    return array_of([screws[j].pairing(line) if j in screws else 0.0 for j in range(len(model.coordinates))])


def _in_the_world(model: Model, position: Float[Array, "coordinate"], place: Place) -> tuple[Vector, dict[int, Screw]]:
    """Where a point is, and the screws of the joints that carry it."""
    pose, screws = seen_from(tree_of(model.host.skeleton), jnp.asarray(position), 0, place.body)
    return pose.carry(Vector(*place.offset)), screws


def _muscle_lengths(model: Model, length: Float[Array, "tendon"], position: Any) -> Float[Array, "muscle"]:
    m, out, tree = model.host.skeleton, [], tree_of(model.host.skeleton)
    for i in range(m.nu):
        target, gear = int(m.actuator_trnid[i, 0]), float(m.actuator_gear[i, 0])
        tendon = m.actuator_trntype[i] == mujoco.mjtTrn.mjTRN_TENDON
        out.append(multiply(gear, length[target] if tendon else position[tree.coordinate(target)]))
    return array_of(out)


def moment_arms(model: Model, slope: Float[Array, "tendon coordinate"]) -> Float[Array, "muscle coordinate"]:
    """−∂L/∂q of the muscles [m] from the tendons' slopes."""
    m, out, tree = model.host.skeleton, [], tree_of(model.host.skeleton)
    for i in range(m.nu):
        target, gear = int(m.actuator_trnid[i, 0]), float(m.actuator_gear[i, 0])
        if m.actuator_trntype[i] == mujoco.mjtTrn.mjTRN_TENDON:
            out.append([multiply(-gear, x) for x in slope[target]])
        else:  # on a joint
            out.append([-gear * float(c == tree.coordinate(target)) for c in range(len(tree.coordinates))])
    return array_of(out)


def tendon_forces(
    model: Model, along: Paths, position: Any, velocity: Any
) -> tuple[Float[Array, "coordinate"], Float[Array, "coordinate coordinate"]]:
    """What tendons and servos do by themselves: forces of springs and dampers; armature, that of joints included."""
    m, length, slope = model.host.skeleton, along.length, along.slope
    tree = tree_of(m)
    count = len(tree.coordinates)
    stops: list[Component] = [0.0] * count
    inertia: list[list[Component]] = [[0.0] * count for _ in range(count)]
    for j in range(m.njnt):
        _joint_itself(tree, position, velocity, j, stops, inertia)
    for own in model.host.inputs:
        j, (_, by_length, by_speed) = model.coordinates.index(own.coordinate), own.bias
        spring = add(multiply(by_length * own.gear**2, position[j]), multiply(by_speed * own.gear**2, velocity[j]))
        stops[j] = add(stops[j], add(own.at_rest, spring))
    personal = {t for curve in model.host.passive for t in curve.tendons}  # parameters, not geometry
    for t in range(m.ntendon):
        if t in personal:
            continue
        stiffness, damping, armature = (
            float(np.ravel(x[t])[0]) for x in (m.tendon_stiffness, m.tendon_damping, m.tendon_armature)
        )
        force: Component = 0.0
        if stiffness:
            low, high = map(float, m.tendon_lengthspring[t])
            slack = select(length[t] < low, low - length[t], select(length[t] > high, high - length[t], 0.0))
            force = stiffness * slack
        if damping:
            rate = total(multiply(velocity[j], slope[t][j]) for j in range(count))
            force = subtract(force, multiply(damping, rate))
        if armature:
            for i in range(count):
                for j in range(count):
                    inertia[i][j] = add(inertia[i][j], multiply(armature, multiply(slope[t][i], slope[t][j])))

            def slopes(q: Array, t: int = t) -> Array:
                return paths(model, q).slope[t]

            at, speed = array_of(list(position)), array_of(list(velocity))
            force = subtract(force, armature * (jax.jvp(slopes, (at,), (speed,))[1] @ speed))
        for j in range(count):
            stops[j] = add(stops[j], multiply(slope[t][j], force))
    return array_of(stops), array_of(inertia)


def _joint_itself(
    tree: Tree, position: Any, velocity: Any, j: int, force: list[Component], inertia: list[list[Component]]
) -> None:
    """Armature of a joint; of one that follows, spring and damper, too, which no parameter changes."""
    m, c = tree.m, tree.coordinate(j)
    dof = m.jnt_dofadr[j]
    armature, stiffness, damping = float(m.dof_armature[dof]), float(m.jnt_stiffness[j]), float(m.dof_damping[dof])
    if c < 0:
        return
    if j not in tree.followers:
        inertia[c][c] = add(inertia[c][c], armature)
        return
    slope, bend = tree.rates(position, j)
    stretch = add(tree.travel(position, j), float(m.qpos0[m.jnt_qposadr[j]] - m.qpos_spring[m.jnt_qposadr[j]]))
    pull = add(multiply(stiffness, stretch), multiply(damping, multiply(slope, velocity[c])))
    pull = add(pull, multiply(armature, multiply(bend, multiply(velocity[c], velocity[c]))))
    force[c] = subtract(force[c], multiply(slope, pull))
    inertia[c][c] = add(inertia[c][c], multiply(armature, multiply(slope, slope)))
