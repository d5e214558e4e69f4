"""Tendons that yield along a recorded motion: as a rollout has them, and their sums against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mjx_msm.common.compiled import float64, jit
from mjx_msm.dynamics.geometry import geometry
from mjx_msm.dynamics.moment_sensitivities import (
    OfTrials,
    instants,
    moment_sums_of_courses,
    moments_of_courses,
)
from mjx_msm.dynamics.paths import paths
from mjx_msm.dynamics.simulation import initial_state, rollout
from mjx_msm.dynamics.tendon_course import Course, forgetting, memories, tension_pairs
from mjx_msm.estimation.residuals.instants import acting_muscles
from mjx_msm.person.compliant_tendon import Spans
from mjx_msm.person.model import load_model
from mjx_msm.person.space import parameter_space

CHANNELS = ("front", "back", "calf")
FREE = ("muscle/*/max_isometric_force", "muscle/*/optimal_fiber_length", "muscle/*/tendon_slack_length",
        "muscle/*/tendon_strain", "muscle/*/passive_fiber_strain", "muscle/*/deactivation_time_constant",
        "emg/*/gain", "emg/*/delay", "emg/*/shape", "joint/*/damping", "strap/*/lever")  # fmt: skip
TIED = ("muscle/vas*/max_isometric_force", "muscle/*/tendon_strain", "emg/*/delay")
SAMPLES, COUNT = 40, 12


def test_fibers_are_where_a_rollout_has_them():
    """Along the motion that a rollout made, what is remembered is what the rollout remembered."""
    with float64():
        arm = load_model("arm", muscle="degroote-compliant")
        u = jnp.asarray(0.3 + 0.25 * np.sin(0.1 * np.arange(60)[:, None] + np.arange(len(arm.muscles))))
        motion = rollout(arm, arm.nominal, initial_state(arm, {"elbow_flex": 0.8}, 0.3), u)
        q, v = motion.position, motion.velocity
        shape = jit(lambda q, v: jax.vmap(lambda *at: geometry(arm, *at))(q, v, paths(arm, q)))(q, v)
        course = Course(shape.path_length[:, None], -(shape.moment_arm[0] @ v[0])[None])
        sample = np.arange(len(q))
        found = jit(memories)(arm, arm.nominal, motion.activation[:, None], course, sample, 0 * sample)
        np.testing.assert_allclose(found.last, motion.memory.last, atol=1e-10)
        np.testing.assert_allclose(found.before, motion.memory.before, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "free"),
    [
        ("thelen", "muscle/*/tendon_strain"),
        ("thelen", "joint/*/damping"),
        ("degroote", "muscle/*/tendon_strain"),
        ("millard", "muscle/*/tendon_strain"),
    ],
)
def test_tendons_forget_as_fast_as_is_said(law, free):
    """Two courses of fibers with the same activation along paths at rest, a thousandth of a fiber apart at first."""
    arm = load_model("arm", muscle=f"{law}-compliant")
    space, steps, step = parameter_space(arm.nominal, [free]), 200, 4e-4
    upper = {p: float(np.exp(u)) for p, u in zip(space.paths, space.upper, strict=True) if p.endswith("tendon_strain")}
    muscles = arm.nominal.updated(upper).muscle
    each = np.array([0.01, 0.05, 0.3, 1.0])[:, None] * np.ones(len(arm.muscles))

    def run(muscles, along):
        optimal = muscles.tendon_slack_length + muscles.optimal_fiber_length * jnp.cos(muscles.pennation_angle)
        activation, path = jnp.asarray(each), jnp.broadcast_to(optimal, each.shape)
        begin = path + along * muscles.optimal_fiber_length

        def one(memory, _):
            return arm.muscle.pull(muscles, memory, activation, path, 0 * path, step, step)[1], memory.last

        return jax.lax.scan(one, Spans(begin, begin), length=steps)[1]

    with float64():
        apart = np.abs(np.asarray(jit(run)(muscles, 1e-3)) - np.asarray(jit(run)(muscles, 0.0)))
        said = forgetting(arm, space)
    apart = np.where(apart > 1e-9 * apart[0], apart, np.nan)[steps // 2 :]  # settled, but for round-off
    slowest = np.nanmax(step / -np.diff(np.log(apart), axis=0))
    assert 0.3 * said < slowest < 1.05 * said


@pytest.mark.slow
def test_sums_are_those_of_differences():
    """In more directions than one has free hand to be wrong in; every kind of parameter is in all of them."""
    model = load_model(
        "knee", muscle="degroote-compliant", free=["knee_angle", "ankle_angle"], prescribed=["hip_flexion"]
    )
    nominal = model.nominal.with_channels(CHANNELS).with_levers({"ankle_angle": 0.2})
    space = parameter_space(nominal, FREE, tied=TIED)
    rng, t = np.random.default_rng(4), model.timestep * np.arange(SAMPLES)[:, None, None]
    share = {"rec": [1, 0, 0], "vas": [0.7, 0, 0.2], "bfl": [0, 1, 0], "bfs": [0, 0.8, 0.1], "sem": [0, 1, 0]}
    mixing = np.array([share.get(m[:3], [0, 0, 1]) for m in model.muscles], float)
    envelope = 0.3 + 0.2 * np.sin(80 * t + rng.uniform(0, 6, (1, 2, 3)))
    q = 0.4 + 0.3 * np.sin(15 * t + rng.uniform(0, 6, (1, 2, 3)))
    v = 4.5 * np.cos(15 * t + rng.uniform(0, 6, (1, 2, 3)))  # of its own: what is known of velocities is measured
    sample, recording = rng.integers(5, SAMPLES, COUNT), rng.integers(0, 2, COUNT)
    z = space.clip(space.prior_mean + 0.2 * space.prior_scale * rng.uniform(-1, 1, space.size))
    z = np.where([p.endswith("delay") for p in space.paths], 0.0073, z)
    z = np.where([p.endswith("shape") for p in space.paths], -0.8, z)
    target, mask = rng.normal(0, 30, (COUNT, 2)), rng.uniform(0.3, 1.0, (COUNT, 2))
    with float64():
        at = instants(model, sample, recording, q[sample, recording], v[sample, recording])
        every = [instants(model, np.arange(SAMPLES), np.full(SAMPLES, r), q[:, r], v[:, r]) for r in (0, 1)]
        length, speed = (np.stack([getattr(x, f) for x in every], 1) for f in ("path_length", "path_velocity"))
        course, acting = Course(length, speed[0]), acting_muscles(np.asarray(at.moment_arm))
        pairs = tension_pairs(space, mixing, acting)
        lead = envelope, mixing, acting

        def moments(z):
            return moments_of_courses(model, space, z, *lead, course, at)

        trials = OfTrials(np.ones((2, 1)), np.arange(COUNT)[None], np.ones((1, 1)))  # both recordings are of one
        sums = moment_sums_of_courses(model, space, jnp.asarray(z), *lead, pairs, course, at, trials, target, mask)
        squares, gradient, hessian = (np.asarray(x)[0] for x in sums[:3])
        along, step = rng.normal(size=(12, space.size)) * 0.1, 1e-4
        moved = [np.asarray([moments(z + k * step * d) for k in (-2, -1, 1, 2)]) for d in along]
        residual = (np.asarray(moments(z)) - target) * mask
    weights = np.array([1, -8, 8, -1]) / (12 * step)
    rows = np.stack([np.einsum("k,krc->rc", weights, m) for m in moved], -1) * mask[..., None]
    np.testing.assert_allclose(squares, np.sum(residual**2, 0), rtol=1e-10)
    slope, dense = np.einsum("rci,rc->ci", rows, residual), np.einsum("rci,rcj->cij", rows, rows)
    assert np.abs(gradient @ along.T - slope).max() < 1e-8 * np.abs(slope).max()
    assert np.abs(along @ hessian @ along.T - dense).max() < 1e-8 * np.abs(dense).max()
    by_strain = [k for k, p in enumerate(space.paths) if p.endswith("tendon_strain")]
    assert np.abs(gradient[:, by_strain]).max() > 1e-4 * np.abs(gradient).max()  # else there is nothing to see
