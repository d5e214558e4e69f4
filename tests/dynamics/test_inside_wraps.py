"""Paths through the inside of a ring: C's lengths and moment arms, and derivatives that are finite and right."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mjx_msm.common.compiled import jit
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.paths import paths, paths_and_curvature
from mjx_msm.person.model import load_model

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.filterwarnings("ignore:.*slack length below zero")]

RINGS = """<mujoco><option timestep="0.001"/><worldbody><site name="root" pos="0.02 0.01 0.12"/>
<body name="hand"><joint name="wrist" axis="0 1 0"/><joint name="turn" axis="0.2 0 1"/>
  <geom name="ring" type="cylinder" size="0.012 0.02" pos="0.005 0 -0.08" euler="85 10 0" contype="0" conaffinity="0"/>
  <geom name="ball" type="sphere" size="0.015" pos="0.01 0.005 -0.07" contype="0" conaffinity="0"/>
  <geom size="0.02 0.1" type="capsule"/><site name="in ring" pos="0.006 0 -0.08"/>
  <site name="in ball" pos="0.01 0 -0.07"/>
  <site name="palm" pos="0.03 0.01 -0.02"/>
  <body name="finger" pos="0 0 -0.1"><joint name="knuckle" axis="0 1 0.1"/><geom size="0.01 0.03" type="capsule"/>
    <site name="tip" pos="0.01 0.01 -0.05"/><site name="side" pos="-0.03 0 -0.02"/></body></body></worldbody>
<tendon><spatial name="a"><site site="root"/><geom geom="ring" sidesite="in ring"/><site site="tip"/></spatial>
<spatial name="b"><site site="palm"/><geom geom="ball" sidesite="in ball"/><site site="side"/></spatial>
<spatial name="c"><site site="palm"/><geom geom="ring" sidesite="in ring"/><site site="side"/><site site="tip"/>
</spatial>
<spatial name="d"><site site="root"/><geom geom="ball" sidesite="in ball"/><site site="tip"/></spatial></tendon>
<actuator><muscle tendon="a" force="9" lengthrange="0.1 0.4"/><muscle tendon="b" force="9" lengthrange="0.1 0.4"/>
<muscle tendon="c" force="9" lengthrange="0.1 0.4"/><muscle tendon="d" force="9" lengthrange="0.1 0.4"/></actuator>
</mujoco>"""


@pytest.fixture(scope="module")
def rings(tmp_path_factory):
    path = tmp_path_factory.mktemp("rings") / "rings.xml"
    path.write_text(RINGS)
    return load_model(path)


def in_c(m, q):
    d = mujoco.MjData(m)
    d.qpos[:] = q
    mujoco.mj_fwdPosition(m, d)
    arms = np.zeros((m.ntendon, m.nv))
    mujoco.mju_sparse2dense(arms, d.ten_J, m.ten_J_rownnz, m.ten_J_rowadr, m.ten_J_colind)
    return d.ten_length.copy(), arms, d.ten_wrapnum.copy()


@pytest.mark.slow
def test_paths_through_rings_are_those_of_c(rings):
    m, rng = rings.host.mj_model, np.random.default_rng(0)
    q = rng.uniform([-1, -1, -1.2], [1, 1, 1.2], (400, 3))
    got, bend = map(jax.device_get, jit(lambda x: paths_and_curvature(rings, x))(jnp.asarray(q)))
    bent = np.zeros(m.ntendon, int)
    for k, at in enumerate(q):
        length, arms, points = in_c(m, at)
        bent += points > [2, 2, 3, 2]
        np.testing.assert_allclose(got.length[k], length, atol=1e-11)  # C's Newton ends at 1e-6 rad, at a minimum
        np.testing.assert_allclose(got.slope[k], arms, atol=2e-7)
    assert (bent > 20).all(), "the rings have to matter"
    assert (bent < 400).any(), "and the way past them"
    assert np.isfinite(bend).all()
    slope = jit(jax.vmap(jax.jacfwd(lambda x: paths(rings, x).length)))(jnp.asarray(q))
    np.testing.assert_allclose(got.slope, slope, atol=1e-10)
    h, worst = 1e-6, []
    for k in range(3):
        step = h * np.eye(3)[k]
        ends = [np.asarray(paths(rings, jnp.asarray(q + s * step)).slope) for s in (-1, 1)]
        worst.append(np.abs((ends[1] - ends[0]) / (2 * h) - bend[..., k]))
    # but where a path comes to the ring or leaves it, and its slope has a corner
    assert np.quantile(worst, 0.97) < 1e-6


def test_a_side_site_of_another_body_is_refused(tmp_path):
    path = tmp_path / "rings.xml"
    path.write_text(RINGS.replace('<site name="in ring" pos="0.006 0 -0.08"/>', "").replace(
        '<site name="root"', '<site name="in ring" pos="0.006 0 -0.08"/><site name="root"'))  # fmt: skip
    with pytest.raises(InputError, match=r"tendon 'a' .*wraps inside geom 'ring' by a side site of another body"):
        load_model(path)
