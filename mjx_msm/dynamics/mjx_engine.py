"""MJX as an engine: `mjx.step` on the personalised model.

Excitation is held during a step, as `data.ctrl` set once a step is in C. Forward derivatives go through the constraint
solver's iterations; reverse mode does not. Where a contact or a limit begins or ends within a step they are one-sided.
"""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mjx_msm.dynamics.engine import AbstractEngine, Trajectory
from mjx_msm.person.mjx import import_mjx
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import Memory
from mjx_msm.person.parameters import Parameters
from mjx_msm.person.personalisation import personalise

_CARRIED = ("qpos", "qvel", "act", "qacc_warmstart")


class MjxEngine(AbstractEngine):
    name: ClassVar[str] = "mjx"
    reverse: ClassVar[bool] = False

    def motion(
        self,
        model: Model,
        parameters: Parameters,
        position: Array,
        velocity: Array,
        activation: Array,
        excitation: Array,
        held: Array,
        applied: Array | None,
        capacity: Array | None = None,
        memory: Memory = (),
    ) -> Trajectory:
        if capacity is not None:
            model.host.only_tree("fatigue")
        person = personalise(model, parameters, apart=True)
        known = jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(parameters)]))
        steps, lanes = excitation.shape[-2] - 1, position.shape[:-1]
        if applied is None:
            applied = jnp.zeros((*lanes, steps, model.host.skeleton.nv))

        def one(q: Array, v: Array, a: Array, u: Array, force: Array) -> Trajectory:
            return _steps(model, person, known, q, v, a, u[:-1], force)

        for _ in lanes:
            one = jax.vmap(one)
        return one(position, velocity, activation, excitation, applied)


def _steps(
    model: Model,
    person: Any,
    known: Array,
    position: Float[Array, "coordinate"],
    velocity: Float[Array, "dof"],
    activation: Float[Array, "muscle"],
    excitation: Float[Array, "step muscle"],
    applied: Float[Array, "step dof"],
) -> Trajectory:
    """One lane."""
    mjx = import_mjx()
    blank = mjx.make_data(model.host.skeleton)
    blank = jax.tree.map(lambda x: jnp.asarray(x, position.dtype) if _real(x) else x, blank)
    addresses = {i.name: _addresses(model, i.coordinate) for i in model.host.inputs}

    def servos(q: Array, v: Array) -> Array:
        """Of known inputs at zero control."""
        force = jnp.zeros_like(v)
        for own in model.host.inputs:
            (at, dof), (_, by_length, by_speed) = addresses[own.name], own.bias
            force = force.at[dof].add(own.at_rest + own.gear**2 * (by_length * q[at] + by_speed * v[dof]))
        return force

    def step(carry: Any, given: Any) -> tuple[Any, Any]:
        (q, v, a, warm), failed_step, failed_coordinate = carry
        k, u, force = given
        d = blank.replace(qpos=q, qvel=v, act=a, qacc_warmstart=warm, ctrl=u, qfrc_applied=force + servos(q, v))
        d = mjx.step(person, d)
        after = tuple(getattr(d, name) for name in _CARRIED)
        finite = [jnp.isfinite(x) for x in after[:3]]
        fails = (failed_step < 0) & ~jnp.all(jnp.stack([jnp.all(x) for x in finite]))
        failed_coordinate = jnp.where(fails, jnp.argmin(finite[0]), failed_coordinate)
        failed_step = jnp.where(fails, k, failed_step)
        state = tuple(jnp.where(failed_step < 0, x, y) for x, y in zip(after, (q, v, a, warm), strict=True))
        return (state, failed_step, failed_coordinate), state[:3]

    ok = [jnp.isfinite(x) & known for x in (position, velocity, activation)]
    start = tuple(jnp.where(good, x, 0.0) for good, x in zip(ok, (position, velocity, activation), strict=True))
    good = jnp.all(jnp.stack([jnp.all(x) for x in ok]))
    failed = jnp.where(good, -1, 0), jnp.where(good, -1, jnp.argmin(ok[0]))
    first = (*start, jnp.zeros_like(start[1])), *failed
    (_, failed_step, failed_coordinate), later = jax.lax.scan(
        step, first, (jnp.arange(len(excitation)), excitation, applied)
    )
    q, v, a = (jnp.concatenate([x[None], y]) for x, y in zip(start, later, strict=True))
    return Trajectory(q, v, a, failed_step, failed_coordinate)


def _real(x: Any) -> bool:
    return isinstance(x, jax.Array | np.ndarray) and jnp.issubdtype(x.dtype, jnp.floating)


def _addresses(model: Model, joint: str) -> tuple[int, int]:
    """Of a hinge or slide among positions and among velocities."""
    m = model.host.skeleton
    j = m.joint(joint).id
    return int(m.jnt_qposadr[j]), int(m.jnt_dofadr[j])
