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
from mjx_msm.prediction.muscle_course import courses


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
        found = courses(knee, one, slow_twitch(knee.muscles), at, across, a[None], a[None])
    np.testing.assert_allclose(np.asarray(found.moment)[0], expected, rtol=1e-6, atol=1e-6)
