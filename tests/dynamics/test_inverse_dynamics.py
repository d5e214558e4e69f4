"""What a motion takes, against C MuJoCo."""

import mujoco
import numpy as np
import pytest

from mjx_msm.dynamics.inverse_dynamics import inertial, mass_columns

pytestmark = pytest.mark.usefixtures("x64")


@pytest.mark.parametrize("name", ["arm", "knee"])
def test_inertia_and_weight_are_those_of_c(name, request):
    model = request.getfixturevalue(name)
    m, free = model.host.mj_model, model.host.free_index
    d, rng = mujoco.MjData(m), np.random.default_rng(0)
    q, v, a = (rng.uniform(-1, 1, (5, m.nv)) * size for size in (0.5, 3.0, 20.0))
    ours = inertial(model, q, v, a).force(model.nominal)
    columns = mass_columns(model, q)
    for k in range(len(q)):
        d.qpos[:], d.qvel[:], d.qacc[:] = q[k], v[k], a[k]
        mujoco.mj_fwdPosition(m, d)
        mujoco.mj_fwdVelocity(m, d)
        mass, force = np.zeros((m.nv, m.nv)), np.zeros(m.nv)
        mujoco.mj_fullM(m, d, mass)
        mujoco.mj_rne(m, d, 0, force)
        np.testing.assert_allclose(ours[k], (mass @ a[k] + force)[free], atol=1e-8)
        for j, column in enumerate(columns):
            np.testing.assert_allclose(column.force(model.nominal)[k], mass[free, free[j]], atol=1e-9)
