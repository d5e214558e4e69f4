"""What muscles and joints do at recorded instants: the joint moment is C's, passive curves included."""

import jax
import mujoco
import numpy as np
import pytest

import mjx_msm as msm
from mjx_msm.common.compiled import float64
from mjx_msm.dynamics.metabolics import slow_twitch
from mjx_msm.dynamics.moment_sensitivities import instants
from mjx_msm.prediction.contact_force import crossing
from mjx_msm.prediction.muscle_course import courses, fiber_spans


@pytest.mark.parametrize("law", ["degroote", "thelen", "millard"])
def test_fibers_pull_by_more_than_their_tendon(law):
    """Force along the fibers times cos α is that along the tendon; the thickness of a muscle, which stays, gives α."""
    arm = msm.load_model("arm", muscle=law)
    thick = {f"muscle/{m}/pennation_angle": 0.4 for m in arm.muscles}
    one = jax.tree.map(lambda x: np.asarray(x)[None], arm.nominal.updated(thick))
    q, still = np.full((1, arm.host.mj_model.nq), 0.8), np.zeros((1, arm.host.mj_model.nv))
    at, a = instants(arm, np.arange(1), np.zeros(1, int), q, still), np.full((1, 1, len(arm.muscles)), 0.5)
    spans = fiber_spans(arm, one, a[0], np.eye(len(arm.muscles)), None, at, np.arange(1))
    found = courses(arm, one, slow_twitch(arm.muscles), at, crossing(arm, q, still, still), a, a, spans)
    thickness = one.muscle.optimal_fiber_length[:, None] * np.sin(0.4)
    cosine = np.sqrt(1 - (thickness / np.asarray(found.fiber_length)) ** 2)
    assert cosine.max() < 0.99
    np.testing.assert_allclose(found.muscle_force * cosine, found.tendon_force, rtol=1e-4)


@pytest.mark.slow
def test_the_moment_is_cs_with_passive_curves():
    knee = msm.load_model("knee", passive=["knee_angle"])
    rng, count, m = np.random.default_rng(0), 6, knee.host.mj_model
    low, high = m.jnt_range[:, 0], m.jnt_range[:, 1]
    low, high = np.where(m.jnt_limited, low, -0.1), np.where(m.jnt_limited, high, 1.5)
    q = rng.uniform(low, high, (count, m.nq))
    q[0, knee.free.index("knee_angle")] = np.radians(120)  # where the curve towards flexion pulls
    v, a = rng.normal(0, 1.0, (count, m.nv)), rng.uniform(0, 1, (count, m.nu))
    d, expected = mujoco.MjData(m), []
    for k in range(count):
        d.qpos[:], d.qvel[:], d.act[:] = q[k], v[k], a[k]
        mujoco.mj_forward(m, d)
        expected.append((d.qfrc_actuator + d.qfrc_passive)[knee.host.free_index])
    with float64():
        at = instants(knee, np.arange(count), np.zeros(count, int), q, v)
        one = jax.tree.map(lambda x: np.asarray(x)[None], knee.nominal)
        across = crossing(knee, q, v, np.zeros_like(q))
        spans = fiber_spans(knee, one, a, np.eye(m.nu), None, at, np.arange(count))
        found = courses(knee, one, slow_twitch(knee.muscles), at, across, a[None], a[None], spans)
    np.testing.assert_allclose(np.asarray(found.moment)[0], expected, rtol=1e-6, atol=1e-6)
